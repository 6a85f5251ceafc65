//! The driver's side of one interface: packets in and out, datagrams and link settings.
#![forbid(unsafe_code)]

mod info;
mod inject;
mod passed;
mod receive;
mod receive_many;
mod record;
mod sending;

pub use info::{InterfaceInfo, ReceiveCounters, TransmitCounters, TunnelInfo};
pub use receive::{Packet, Subscriber, UdpReceiver};
pub use receive_many::Shown;
pub use sending::Sending;

use crate::deadline::Timeout;
use crate::driver::host;
use crate::driver::joined::Joined;
use crate::{packet, Errno, Error, Name};
use memtun_abi::error::{Context, Result};
use memtun_kernel::link::transmit::Queues;
use memtun_kernel::link::Link;
use memtun_kernel::net::Local;
use memtun_shm::layout::InterfaceState;
use memtun_shm::lock::Patience;
use memtun_shm::{load_name, Mapped};
use memtun_stack::State;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

/// An interface of a net, seen from the outside. After the interface is gone, the value can still
/// be used to read what the program wrote before.
pub struct Interface {
    net: Arc<Joined>,
    state: Arc<Mapped<InterfaceState>>,
    queues: Queues,
    reader: Subscriber,
}

impl Interface {
    pub(crate) fn new(net: Arc<Joined>, state: Mapped<InterfaceState>) -> Interface {
        let state = Arc::new(state);
        let reader = Subscriber::new(net.clone(), state.clone());
        Interface {
            net,
            state,
            queues: Queues::default(),
            reader,
        }
    }

    /// The net that it is in.
    pub(crate) fn joined(&self) -> &Arc<Joined> {
        &self.net
    }

    /// Name of the interface now.
    pub fn name(&self) -> Name {
        load_name(&self.state.name)
    }

    /// Index of the interface as if_nametoindex(3) gives it.
    pub fn index(&self) -> u32 {
        self.state.ifindex.load(Relaxed)
    }

    /// Is it a TAP, which carries Ethernet frames?
    pub fn is_tap(&self) -> bool {
        self.state.is_tap()
    }

    /// Has the interface been deleted, or has its last tunnel ended? This looks at the processes,
    /// not only at what is on record.
    pub fn is_gone(&self) -> bool {
        if !self.state.is_gone() {
            self.net.look_after(&self.state);
        }
        self.state.is_gone()
    }

    /// Puts an IP packet into the program's read queue. A TAP gets an Ethernet header in front,
    /// from 00:00:00:00:00:00 to ff:ff:ff:ff:ff:ff as in Twisted's `Tunnel.addToReadBuffer`.
    ///
    /// # Errors
    /// The same as [`Interface::inject`].
    pub fn deliver(&self, ip_packet: &[u8]) -> Result<()> {
        self.deliver_with(ip_packet, Sending::new())
    }

    /// The same as [`Interface::deliver`] with options.
    ///
    /// # Errors
    /// The same as [`Interface::inject`].
    pub fn deliver_with(&self, ip_packet: &[u8], how: Sending) -> Result<()> {
        if self.is_tap() {
            self.inject_with(&packet::ethernet(ip_packet), how)
        } else {
            self.inject_with(ip_packet, how)
        }
    }

    /// Sends a datagram with right checksums to the program, from 10.1.2.3:21345 (fd00:1:2::3 for
    /// IPv6) as Twisted's `MemoryIOSystem.sendUDP` does. Returns the source address.
    ///
    /// # Errors
    /// The same as [`Interface::inject`], and EINVAL when the datagram is too long.
    pub fn send_udp(&self, datagram: &[u8], destination: SocketAddr) -> Result<SocketAddr> {
        self.send_udp_with(datagram, destination, Sending::new())
    }

    /// The same as [`Interface::send_udp`] with options.
    ///
    /// # Errors
    /// The same as [`Interface::send_udp`]; EINVAL also when the source is of another address
    /// family than the destination.
    pub fn send_udp_with(
        &self,
        datagram: &[u8],
        destination: SocketAddr,
        how: Sending,
    ) -> Result<SocketAddr> {
        let source = packet::source_for(destination, how.source);
        self.deliver_with(&packet::build(source, destination, datagram)?, how)?;
        Ok(source)
    }

    /// Sends datagrams to one address of the program's, each as [`Interface::send_udp`] does and in
    /// their order, with one call of [`Interface::inject_many`]. Returns the source address.
    ///
    /// # Errors
    /// The same as [`Interface::inject_many`]. EINVAL when one of the datagrams is too long: then
    /// none is sent.
    pub fn send_udp_many<T: AsRef<[u8]>>(
        &self,
        datagrams: &[T],
        destination: SocketAddr,
    ) -> Result<SocketAddr> {
        self.send_udp_many_with(datagrams, destination, Sending::new())
    }

    /// The same as [`Interface::send_udp_many`] with options.
    ///
    /// # Errors
    /// The same as [`Interface::send_udp_many`]; EINVAL also when the source is of another address
    /// family than the destination.
    pub fn send_udp_many_with<T: AsRef<[u8]>>(
        &self,
        datagrams: &[T],
        destination: SocketAddr,
        how: Sending,
    ) -> Result<SocketAddr> {
        let (source, frames) = self.udp_frames(datagrams, destination, how)?;
        self.inject_many_with(&frames, how)?;
        Ok(source)
    }

    /// The same as [`Interface::send_udp_many_with`] for one turn of a longer wait, as
    /// [`Interface::offer`] is of [`Interface::inject_with`].
    ///
    /// # Errors
    /// The same as [`Interface::send_udp_many`].
    pub fn offer_udp_many<T: AsRef<[u8]>>(
        &self,
        datagrams: &[T],
        destination: SocketAddr,
        how: Sending,
    ) -> Result<()> {
        let (_, frames) = self.udp_frames(datagrams, destination, how)?;
        self.offer_many(&frames, how)
    }

    fn udp_frames<T: AsRef<[u8]>>(
        &self,
        datagrams: &[T],
        destination: SocketAddr,
        how: Sending,
    ) -> Result<(SocketAddr, Vec<Vec<u8>>)> {
        let source = packet::source_for(destination, how.source);
        let tap = self.is_tap();
        let frame = |datagram: &T| {
            let ip = packet::build(source, destination, datagram.as_ref())?;
            Ok(if tap { packet::ethernet(&ip) } else { ip })
        };
        let frames = datagrams.iter().map(frame).collect::<Result<_>>()?;
        Ok((source, frames))
    }

    /// A receiver of the datagrams that the program sends to the address `to`, from the oldest
    /// packet that is kept. As for bind(2), 0.0.0.0 stands for every IPv4 address and :: for every
    /// address.
    pub fn receive_udp(&self, to: SocketAddr) -> UdpReceiver {
        UdpReceiver::new(self.subscribe(), to)
    }

    /// A reader, with a position of its own, of everything that the program writes, from the oldest
    /// packet that is kept.
    pub fn subscribe(&self) -> Subscriber {
        Subscriber::new(self.net.clone(), self.state.clone())
    }

    /// The next packet that the program wrote; waits up to five seconds for it. Each packet is
    /// given once per `Interface` value.
    ///
    /// # Errors
    /// The same as [`Subscriber::recv`].
    pub fn recv(&self) -> Result<Packet> {
        self.reader.recv()
    }

    /// The same as [`Interface::recv`] with a timeout of the caller's.
    ///
    /// # Errors
    /// The same as [`Subscriber::recv`].
    pub fn recv_within(&self, timeout: impl Into<Timeout>) -> Result<Packet> {
        self.reader.recv_within(timeout)
    }

    /// A snapshot of all that is known of the interface. It looks at the processes, as
    /// [`Interface::is_gone`] does.
    pub fn info(&self) -> InterfaceInfo {
        self.net.look_after(&self.state);
        let host = State::load(self.net.dir());
        let host = host.ok().flatten().unwrap_or_default();
        InterfaceInfo::new(self.net.dir(), &self.state, &host)
    }

    fn change(
        &self,
        what: &str,
        change: impl FnOnce(&Mapped<InterfaceState>, &dyn Local) -> std::result::Result<(), Errno>,
    ) -> Result<()> {
        let dir = self.net.dir();
        let changed = dir.lock().and_then(|_lock| {
            if self.state.is_going() {
                return Err(Errno(libc::ENODEV));
            }
            change(&self.state, self.net.local())
        });
        if dir.announced(changed).is_ok() {
            host::links_have_changed(&self.net);
        }
        changed.context(|e| format!("{}: {what}: {e}", self.name()))
    }

    /// Sets the link up or down, as `ip link set up`.
    pub fn set_up(&self, up: bool) -> Result<()> {
        self.change("set up or down", |interface, local| {
            let flags = interface.if_flags.load(Relaxed);
            let iff_up = libc::IFF_UP as u32;
            let flags = if up { flags | iff_up } else { flags & !iff_up };
            self.net.dir().set_flags(interface, flags, local);
            Ok(())
        })
    }

    /// Sets the MTU, the length of the largest packet in bytes: 68 to 65535, at most 65521 for a
    /// TAP.
    ///
    /// # Errors
    /// - EINVAL: the number is out of this range.
    pub fn set_mtu(&self, mtu: u32) -> Result<()> {
        let range = self.state.mtu_range();
        if !range.contains(&i64::from(mtu)) {
            let (least, most, name) = (range.start(), range.end(), self.name());
            let text = format!("{name}: mtu {mtu}: give {least} to {most}");
            return Err(Error::new(libc::EINVAL, text));
        }
        self.change("set mtu", |interface, _| interface.set_mtu(mtu as i64))
    }

    /// Sets the number of packets that each queue holds. In a queue that becomes shorter the oldest
    /// packets stay.
    pub fn set_txqueuelen(&self, packets: u32) -> Result<()> {
        self.change("set txqueuelen", |interface, local| {
            self.net.dir().set_txqueuelen(interface, packets, local)
        })
    }

    /// Sets or removes the carrier of the link (TUNSETCARRIER).
    pub fn set_carrier(&self, on: bool) -> Result<()> {
        self.change("set carrier", |interface, _| {
            interface.set_carrier(on);
            Ok(())
        })
    }

    /// Sets the hardware address of a TAP (SIOCSIFHWADDR).
    ///
    /// # Errors
    /// - EOPNOTSUPP: the interface is a TUN.
    /// - EADDRNOTAVAIL: the address is a multicast address or all zeros.
    pub fn set_mac(&self, mac: [u8; 6]) -> Result<()> {
        self.change("set mac", |interface, _| interface.set_mac(mac))
    }

    /// Sets the user who may attach without [`crate::Permission::NetAdmin`] (TUNSETOWNER); `None`
    /// allows any user.
    pub fn set_owner(&self, uid: Option<u32>) -> Result<()> {
        self.change("set owner", |interface, _| {
            interface.owner.store(id(uid)?, Relaxed);
            Ok(())
        })
    }

    /// Sets the group whose members may attach without [`crate::Permission::NetAdmin`]
    /// (TUNSETGROUP); `None` allows any group.
    pub fn set_group(&self, gid: Option<u32>) -> Result<()> {
        self.change("set group", |interface, _| {
            interface.group.store(id(gid)?, Relaxed);
            Ok(())
        })
    }

    /// Gives the interface another name.
    ///
    /// # Errors
    /// - EEXIST: the name is taken.
    /// - EINVAL: it is no valid name of an interface.
    pub fn set_name(&self, name: &str) -> Result<()> {
        let name: Name = name.parse()?;
        if name.pattern().is_err() {
            let text =
                format!("{name:?}: a '%' can only be that of one %d, for the lowest free number");
            return Err(Error::new(libc::EINVAL, text));
        }
        self.change("rename", |interface, local| {
            self.net.dir().rename_interface(interface, &name, local)
        })
    }

    /// Deletes the interface under the program, as `ip link del` does: the program's descriptors
    /// are unattached again.
    pub fn delete(&self) -> Result<()> {
        self.change("delete", |interface, local| {
            self.net.dir().delete_interface(interface, local);
            Ok(())
        })
    }

    /// The packets that wait to be read in the tunnels attached now, each with its ethertype,
    /// oldest first per tunnel (`readBuffer` in Twisted's `Tunnel`).
    pub fn read_buffer(&self) -> Vec<(Vec<u8>, u16)> {
        let dir = self.net.dir();
        let queued = |inode| {
            let tunnel = dir.tunnel(inode).ok()?;
            let lock = dir.lock_tunnel(inode, &tunnel, Patience::Brief).ok()?;
            Some(lock.queue().peek_all())
        };
        self.state
            .queue_inodes()
            .filter_map(queued)
            .flatten()
            .collect()
    }
}

/// A user or group id in the form in which the interface keeps it. The highest number is no valid
/// id.
fn id(number: Option<u32>) -> std::result::Result<i32, crate::Errno> {
    match number {
        Some(u32::MAX) => Err(crate::Errno(libc::EINVAL)),
        Some(number) => Ok(number as i32),
        None => Ok(-1),
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interface")
            .field("name", &self.name())
            .field("net", &self.net)
            .finish()
    }
}
