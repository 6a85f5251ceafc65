//! Puts packet information and vnet headers of any content in front of any packet, in buffers of
//! any length.

use super::holds;
use memtun::uapi::{IFF_NO_PI, IFF_TAP, IFF_TUN, IFF_VNET_HDR, TUNSETIFF, TUNSETVNETHDRSZ};
use memtun::{ifreq, IoSystem, MemoryIoSystem, Net, Sending, TunnelClass};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

const NOW: Option<Duration> = Some(Duration::ZERO);
const ETH_HLEN: usize = 14;

#[derive(Clone, Debug)]
struct Framing {
    tap: bool,
    pi: bool,
    vnet: Option<i32>,
}

impl Framing {
    fn len(&self) -> usize {
        self.vnet.unwrap_or(0) as usize + if self.pi { 4 } else { 0 }
    }

    /// An open tunnel that is attached to an interface of this kind.
    fn attached(&self) -> (MemoryIoSystem, i32) {
        let system = MemoryIoSystem::new(&Net::temporary().expect("a net"));
        system.register_special_device("/dev/net/tun", TunnelClass);
        let flags = libc::O_RDWR | libc::O_NONBLOCK;
        let fd = system.open("/dev/net/tun", flags, 0).expect("open");
        let kind = if self.tap { IFF_TAP } else { IFF_TUN }
            | if self.pi { 0 } else { IFF_NO_PI }
            | self.vnet.map_or(0, |_| IFF_VNET_HDR);
        let request = ifreq("f0", kind);
        system.ioctl(fd, TUNSETIFF, &request).expect("TUNSETIFF");
        if let Some(size) = self.vnet {
            let size = size.to_ne_bytes();
            system.ioctl(fd, TUNSETVNETHDRSZ, &size).expect("a size");
        }
        (system, fd)
    }
}

fn framing() -> impl Strategy<Value = Framing> {
    let size = prop_oneof![Just(10), Just(12), Just(24), 10..300];
    (any::<bool>(), any::<bool>(), proptest::option::of(size)).prop_map(|(tap, pi, vnet)| Framing {
        tap,
        pi,
        vnet,
    })
}

/// Bytes of which many are small, as the fields of headers are.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0), 0..8u8, any::<u8>()], 0..most)
}

#[test]
fn what_is_taken_is_the_packet_behind_the_headers() {
    holds((framing(), vec(bytes(120), 1..12)), |(framing, packets)| {
        let (system, fd) = framing.attached();
        let interface = system.net().wait_interface_within("f0", NOW).expect("it");
        let subscriber = interface.subscribe();
        for packet in packets {
            match system.write(fd, &packet) {
                Ok(n) => {
                    prop_assert_eq!(n, packet.len());
                    let seen = subscriber.recv_within(NOW).expect("the packet");
                    prop_assert_eq!(&seen.data, &packet[framing.len()..]);
                }
                Err(e) => {
                    prop_assert_eq!(e.0, libc::EINVAL);
                    prop_assert!(subscriber.recv_within(NOW).is_err());
                    let least = framing.len() + if framing.tap { ETH_HLEN } else { 0 };
                    let may_be_refused = packet.len() < least
                        || framing.vnet.is_some()
                        || !framing.tap && !framing.pi;
                    prop_assert!(may_be_refused, "{framing:?}: {packet:?}");
                }
            }
        }
        Ok(())
    });
}

#[test]
fn what_is_given_is_headers_and_packet_cut_to_the_buffer() {
    let cases = (
        framing(),
        vec(
            (vec(any::<u8>(), 14..200), 0..400usize, any::<u16>()),
            1..12,
        ),
    );
    holds(cases, |(framing, packets)| {
        let (system, fd) = framing.attached();
        let interface = system.net().wait_interface_within("f0", NOW).expect("it");
        for (packet, room, ethertype) in packets {
            interface
                .inject_with(&packet, Sending::new().ethertype(ethertype).within(NOW))
                .expect("room for one");
            let whole = framing.len() + packet.len();
            let read = system.read(fd, room);
            if room == 0 {
                prop_assert_eq!(read, Ok(Vec::new()));
                // The failed read took nothing out of the queue.
                system.read(fd, 1000).expect("the packet");
                continue;
            }
            if room < framing.len() {
                prop_assert_eq!(read, Err(memtun::Errno(libc::EINVAL)));
                continue;
            }
            let read = read.expect("a packet");
            prop_assert_eq!(read.len(), room.min(whole));
            prop_assert_eq!(
                &read[framing.len()..],
                &packet[..read.len() - framing.len()]
            );
            if framing.pi {
                let strip = u16::from(room < whole);
                prop_assert_eq!(&read[..2], strip.to_ne_bytes());
                prop_assert_eq!(&read[2..4], ethertype.to_be_bytes());
            }
        }
        Ok(())
    });
}
