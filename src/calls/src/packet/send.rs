//! What becomes of a packet that is sent (`packet_snd`, `raw_sendmsg`, `rawv6_sendmsg`).
#![forbid(unsafe_code)]

use super::name::LinkName;
use super::{Packets, EINVAL};
use crate::host::Host;
use crate::inet::datagram::control::{self, Rules};
use crate::inet::datagram::Given;
use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_kernel::tun::Source;
use memtun_shm::layout::InterfaceState;
use memtun_stack::sockets::raw::{Action, Bound, Sending, MACHINES_WAY};
use memtun_sys::Room;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

/// Length in bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// Length in bytes of a VLAN tag, which a frame may have beyond the mtu.
const TAG: usize = 4;
/// Length in bytes of packets that need no mapping.
const SMALL: usize = 2048;
/// ETH_P_ALL.
const EVERYTHING: u16 = 3;
/// Longest packet of a raw socket.
const LONGEST: usize = 65_535;

/// Puts frames into the queues of the net's interfaces.
pub trait Transmits {
    /// Runs `run` with an interface.
    ///
    /// # Errors
    ///
    /// ENXIO when there is none, and what `run` fails with.
    fn with_link<T>(
        &self,
        ifindex: u32,
        run: impl FnOnce(&InterfaceState) -> Result<T, Errno>,
    ) -> Result<T, Errno>;
    /// Sends a frame by an interface, with this ethertype or that of the frame.
    ///
    /// # Errors
    ///
    /// What putting it into the queue fails with; a queue that is full drops it.
    fn transmit(&self, ifindex: u32, frame: &[u8], ethertype: Option<u16>) -> Result<(), Errno>;
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug)]
pub struct To {
    /// Address and length of the name, 0 for none.
    pub name: (usize, usize),
    /// Address and length of the control messages, 0 for none.
    pub control: (usize, usize),
}

impl<H: Host, M: Memory> Packets<'_, H, M> {
    /// Sends a packet. Returns how many bytes the program has sent; None where its packets go the
    /// machine's way, so that the descriptor has to become the machine's socket.
    ///
    /// # Errors
    ///
    /// - EINVAL, ENXIO, ENETDOWN, EMSGSIZE, EDESTADDRREQ as the kernel's, and an error that waits.
    /// - What the way of a raw packet fails with.
    pub fn send(
        &self,
        source: &impl Source,
        to: &To,
        queues: &impl Transmits,
    ) -> Result<Option<usize>, Errno> {
        match self.is_packet() {
            true => self.send_frame(source, to, queues).map(Some),
            false => self.send_by_ip(source, to),
        }
    }

    fn send_frame(
        &self,
        source: &impl Source,
        to: &To,
        queues: &impl Transmits,
    ) -> Result<usize, Errno> {
        let bound = self.bound();
        let name = match to.name {
            (0, _) => None,
            (at, length) => Some(LinkName::read(self.memory, at, length)?.ok_or(EINVAL)?),
        };
        let (index, protocol) = match name {
            Some(name) => (name.ifindex, name.protocol),
            None => (bound.ifindex, bound.protocol),
        };
        let builds = self.kind.kind == libc::SOCK_DGRAM;
        let length = source.len();
        let header = queues.with_link(index, |link| {
            if !link.is_up() {
                return Err(Errno(libc::ENETDOWN));
            }
            let reserve = if link.is_tap() { ETHERNET } else { 0 };
            let whole = if builds { length + reserve } else { length };
            if whole > link.mtu.load(Relaxed) as usize + reserve + TAG {
                return Err(Errno(libc::EMSGSIZE));
            }
            if !builds || reserve == 0 {
                return match length < reserve {
                    true => Err(EINVAL),
                    false => Ok(None),
                };
            }
            let mut header = [0; ETHERNET];
            // Without an address nobody is named (`eth_header`).
            if let Some(to) = name.and_then(|name| name.address) {
                header[..6].copy_from_slice(&to);
            }
            header[6..12].copy_from_slice(&link.mac());
            header[12..].copy_from_slice(&protocol.to_be_bytes());
            Ok(Some(header))
        })?;
        let front = header.map_or(0, |header| header.len());
        let (mut small, mut large) = ([0; SMALL], None);
        let room = match front + length {
            whole @ ..=SMALL => &mut small[..whole],
            whole => &mut large.insert(Room::new(whole)?).bytes()[..whole],
        };
        if let Some(header) = header {
            room[..front].copy_from_slice(&header);
        }
        source.copy(0, &mut room[front..])?;
        let given = Some(protocol).filter(|it| *it != 0 && *it != EVERYTHING);
        let is_tap = queues.with_link(index, |link| Ok(link.is_tap()))?;
        let ethertype = if is_tap { None } else { given };
        if bound.protocol == EVERYTHING {
            let by = Bound {
                ifindex: index,
                ..bound
            };
            self.order_as(Action::Frame, by, &[room], &mut [])?;
        } else {
            queues.transmit(index, room, ethertype)?;
        }
        Ok(length)
    }

    /// Looks at an echo request that is to be sent (`ping_common_sendmsg`).
    fn check_request(&self, source: &impl Source) -> Result<(), Errno> {
        const REQUEST_V4: [u8; 2] = [8, 0];
        const REQUEST_V6: [u8; 2] = [128, 0];
        let mut header = [0; 8];
        match source.len() {
            ..8 => return Err(EINVAL),
            8..=LONGEST => source.copy(0, &mut header)?,
            _ => return Err(Errno(libc::EMSGSIZE)),
        }
        let wanted = match self.kind.family {
            libc::AF_INET => REQUEST_V4,
            _ => REQUEST_V6,
        };
        match header.starts_with(&wanted) {
            true => Ok(()),
            false => Err(EINVAL),
        }
    }

    fn send_by_ip(&self, source: &impl Source, to: &To) -> Result<Option<usize>, Errno> {
        let is_ping = self.kind.is_ping();
        if is_ping {
            self.check_request(source)?;
        }
        let given = match to.control {
            (0, _) => Given::default(),
            (at, length) => {
                let rules = Rules::of(self.kind.family == libc::AF_INET6, None);
                control::given(self.memory, at, length, rules)?
            }
        };
        let name = match to.name {
            (0, _) => None,
            (at, length) => {
                let name = crate::inet::name::read(self.memory, at, length);
                let name: SocketAddr = name.ok_or(EINVAL)?;
                let v6 = self.kind.family == libc::AF_INET6;
                match (v6, name.is_ipv6()) {
                    (false, true) => return Err(Errno(libc::EAFNOSUPPORT)),
                    (true, false) if is_ping => return Err(Errno(libc::EAFNOSUPPORT)),
                    (true, false) => return Err(EINVAL),
                    _ => Some(name),
                }
            }
        };
        let scope = name.map_or(0, |name| super::scope_of(&name).unwrap_or(0));
        let sending = Sending {
            to: name.map(|name| name.ip()),
            scope: if given.out != 0 { given.out } else { scope },
            hops: given.hops.unwrap_or(0),
            tos: given.class,
            port: name.map_or(0, |name| name.port()),
            from: given.source,
        };
        let length = source.len();
        if length > LONGEST {
            return Err(Errno(libc::EMSGSIZE));
        }
        let (mut small, mut large) = ([0; SMALL], None);
        let room = match length {
            ..=SMALL => &mut small[..length],
            _ => &mut large.insert(Room::new(length)?).bytes()[..length],
        };
        source.copy(0, room)?;
        if let Some(e) = self.waiting_error()? {
            return Err(e);
        }
        let mut answer = [0; 1];
        let head = sending.to_bytes();
        let answered = self.order(Action::Send, &[&head, room], &mut answer)?;
        Ok(match answer[..answered] {
            [MACHINES_WAY] => None,
            _ => Some(length),
        })
    }
}
