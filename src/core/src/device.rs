//! An interface's configuration: flags, mtu, queues, and the rules of net/core/dev.c and drivers/net/tun.c for them.

use crate::netdir::{Local, NetDir};
use crate::shm::layout::{InterfaceState, GONE, MAX_QUEUES};
use crate::shm::lock::Patience;
use crate::shm::Mapped;
use crate::uapi::*;
use crate::{sys, Errno};
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const IFF_UP: u32 = libc::IFF_UP as u32;
const IFF_RUNNING: u32 = libc::IFF_RUNNING as u32;
const IFF_NOARP: u32 = libc::IFF_NOARP as u32;
const IFF_MULTICAST: u32 = libc::IFF_MULTICAST as u32;

/// What SIOCSIFFLAGS can change (`__dev_change_flags`).
const SETTABLE: u32 = (libc::IFF_UP
    | libc::IFF_DEBUG
    | libc::IFF_NOTRAILERS
    | libc::IFF_NOARP
    | libc::IFF_DYNAMIC
    | libc::IFF_MULTICAST
    | libc::IFF_PORTSEL
    | libc::IFF_AUTOMEDIA
    | libc::IFF_PROMISC
    | libc::IFF_ALLMULTI) as u32;

impl InterfaceState {
    /// Sets what a new device of this kind has.
    pub(crate) fn set_defaults(&self, tun_flags: u32, ifindex: u32, up: bool) {
        let tun = tun_flags & IFF_TUN != 0;
        self.ifindex.store(ifindex, Relaxed);
        self.tun_flags.store(tun_flags, Relaxed);
        let kind = if tun {
            libc::IFF_POINTOPOINT as u32 | IFF_NOARP
        } else {
            libc::IFF_BROADCAST as u32
        };
        self.if_flags
            .store(kind | IFF_MULTICAST | if up { IFF_UP } else { 0 }, Relaxed);
        self.mtu.store(1500, Relaxed);
        self.txqueuelen.store(if tun { 500 } else { 1000 }, Relaxed);
        self.owner.store(-1, Relaxed);
        self.group.store(-1, Relaxed);
        self.sndbuf.store(i32::MAX, Relaxed);
        self.vnet_hdr_size.store(VNET_HDR_SIZE, Relaxed);
        self.carrier
            .store((tun_flags & IFF_NO_CARRIER == 0) as u32, Relaxed);
        self.tun_flags.fetch_and(!IFF_NO_CARRIER, Relaxed);
        self.link_type
            .store(if tun { ARPHRD_NONE } else { ARPHRD_ETHER } as u32, Relaxed);
        if !tun {
            // eth_hw_addr_random: local, unicast. Unlike other things here it is not meant to be predictable.
            let mut seed = sys::now_ns(libc::CLOCK_MONOTONIC)
                ^ (sys::getpid() as u64) << 40
                ^ (ifindex as u64) << 20;
            for (i, byte) in self.mac.iter().enumerate() {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let random = (seed >> 33) as u8;
                byte.store(if i == 0 { random & 0xfe | 2 } else { random }, Relaxed);
            }
        }
    }

    /// Has its deletion begun?
    #[inline]
    pub fn is_going(&self) -> bool {
        self.deleted.load(Acquire) != 0
    }
    /// Is it deleted, with all that belongs to that?
    pub fn is_gone(&self) -> bool {
        self.deleted.load(Acquire) == GONE
    }
    /// Layer 2?
    pub fn is_tap(&self) -> bool {
        self.tun_flags.load(Relaxed) & IFF_TUN == 0
    }
    /// IFF_UP.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.if_flags.load(Acquire) & IFF_UP != 0
    }
    /// TUNSETPERSIST.
    pub fn is_persistent(&self) -> bool {
        self.tun_flags.load(Relaxed) & IFF_PERSIST != 0
    }
    /// Neither attached, detached nor persistent: it should not be there any more.
    pub fn is_orphan(&self) -> bool {
        self.queue_count() == 0 && !self.is_persistent()
    }
    /// Attached and detached queues; never more than there is room for, whatever stands in memory.
    fn counts(&self) -> (usize, usize) {
        let attached = (self.attached.load(Acquire) as usize).min(MAX_QUEUES);
        let detached = self.detached.load(Acquire) as usize;
        (attached, detached.min(MAX_QUEUES - attached))
    }
    /// Queues, attached or not.
    pub fn queue_count(&self) -> usize {
        let (attached, detached) = self.counts();
        attached + detached
    }
    /// As SIOCGIFFLAGS gives them: with IFF_RUNNING when the link is up and has a carrier.
    pub fn flags(&self) -> u32 {
        let flags = self.if_flags.load(Relaxed);
        let running = flags & IFF_UP != 0 && self.carrier.load(Relaxed) != 0;
        flags | if running { IFF_RUNNING } else { 0 }
    }
    /// May whoever calls attach without CAP_NET_ADMIN (`tun_not_capable`)? Each of owner and group that is set has to match.
    pub(crate) fn is_open_to_caller(&self) -> bool {
        let (owner, group) = (self.owner.load(Relaxed), self.group.load(Relaxed));
        (owner == -1 || owner as u32 == sys::effective_uid())
            && (group == -1 || sys::is_in_group(group as u32))
    }
    /// Hardware address; zeroes for a tun.
    pub fn mac(&self) -> [u8; 6] {
        std::array::from_fn(|i| self.mac[i].load(Relaxed))
    }
    /// Sets the hardware address of a tap.
    pub fn set_mac(&self, mac: [u8; 6]) -> Result<(), Errno> {
        if !self.is_tap() {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return Err(Errno(libc::EADDRNOTAVAIL));
        }
        for (cell, byte) in self.mac.iter().zip(mac) {
            cell.store(byte, Relaxed);
        }
        Ok(())
    }
    /// The kernel's limits: 68 to 65535, for a tap less its Ethernet header.
    pub fn mtu_range(&self) -> RangeInclusive<i64> {
        68..=65535 - if self.is_tap() { ETH_HLEN as i64 } else { 0 }
    }
    /// EINVAL out of that range.
    pub fn set_mtu(&self, mtu: i64) -> Result<(), Errno> {
        if !self.mtu_range().contains(&mtu) {
            return Err(Errno(libc::EINVAL));
        }
        self.mtu.store(mtu as u32, Relaxed);
        Ok(())
    }
    /// Longest frame that the host may send: the mtu, for a tap with its Ethernet header.
    pub fn largest_frame(&self) -> usize {
        self.mtu.load(Relaxed) as usize + if self.is_tap() { ETH_HLEN } else { 0 }
    }
    /// Can the program send as far as poll is concerned? Up, and the send buffer has room for at least one unit.
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.is_up() && self.sndbuf.load(Relaxed) >= 4
    }

    /// The queues, attached ones first; a snapshot.
    pub fn queue_inodes(&self) -> impl Iterator<Item = u64> {
        let n = self.queue_count();
        let inodes: [u64; MAX_QUEUES] = std::array::from_fn(|i| self.queues[i].load(Relaxed));
        inodes.into_iter().take(n)
    }

    fn position(&self, inode: u64) -> Option<usize> {
        self.queue_inodes().position(|i| i == inode)
    }

    /// Adds an attached queue. Wants the interface's lock. E2BIG when there are 256.
    pub(crate) fn add_queue(&self, inode: u64) -> Result<(), Errno> {
        let (attached, detached) = self.counts();
        if attached + detached >= MAX_QUEUES {
            return Err(Errno(libc::E2BIG));
        }
        let first_detached = self.queues[attached].load(Relaxed);
        self.queues[attached + detached].store(first_detached, Relaxed);
        self.queues[attached].store(inode, Relaxed);
        self.attached.store(attached as u32 + 1, Release);
        Ok(())
    }

    /// Takes a queue off. Wants the interface's lock.
    pub(crate) fn remove_queue(&self, inode: u64) {
        let (attached, detached) = self.counts();
        let queues = &self.queues[..attached + detached];
        let Some(at) = queues.iter().position(|q| q.load(Relaxed) == inode) else {
            return;
        };
        for i in at..attached + detached - 1 {
            self.queues[i].store(self.queues[i + 1].load(Relaxed), Relaxed);
        }
        if at < attached {
            self.attached.store(attached as u32 - 1, Release);
            self.forget_flows();
        } else {
            self.detached
                .store(detached.saturating_sub(1) as u32, Release);
        }
    }

    /// TUNSETQUEUE: moves a queue between the attached and the detached ones. Wants the interface's lock.
    pub(crate) fn switch_queue(&self, inode: u64, attach: bool) -> Result<(), Errno> {
        self.remove_queue(inode);
        if attach {
            return self.add_queue(inode);
        }
        let (attached, detached) = self.counts();
        let place = self.queues.get(attached + detached);
        place.ok_or(Errno(libc::E2BIG))?.store(inode, Relaxed);
        self.detached.store(detached as u32 + 1, Release);
        Ok(())
    }

    fn forget_flows(&self) {
        for flow in &self.flows {
            flow.store(0, Relaxed);
        }
    }

    /// The program wrote a packet of this flow through this queue: answers go there (`tun_flow_update`).
    pub(crate) fn learn_flow(&self, hash: u32, inode: u64) {
        if let Some(at) = self.position(inode) {
            self.flows[hash as usize & 255].store(at as u16 + 1, Relaxed);
        }
    }

    /// The queue for a packet (`tun_automq_select_queue`). None when no queue is attached.
    #[inline]
    pub(crate) fn select_queue(&self, packet: &[u8]) -> Option<u64> {
        let attached = self.counts().0;
        let at = match attached {
            0 => return None,
            1 => 0,
            n => {
                let hash = flow_hash(packet, self.is_tap());
                match self.flows[hash as usize & 255].load(Relaxed) as usize {
                    known if known > 0 && known <= n => known - 1,
                    _ => ((hash as u64 * n as u64) >> 32) as usize,
                }
            }
        };
        Some(self.queues[at].load(Relaxed))
    }
}

/// A hash of addresses, protocol and ports that is the same in both directions, as the kernel's symmetric flow hash.
pub(crate) fn flow_hash(packet: &[u8], ethernet: bool) -> u32 {
    let ip = if ethernet {
        packet.get(ETH_HLEN..).unwrap_or_default()
    } else {
        packet
    };
    let word = |at: usize, len: usize| {
        ip.get(at..at + len)
            .map_or(0u64, |b| b.iter().fold(0, |w, b| w << 8 | *b as u64))
    };
    let (ends, protocol, transport) = match ip.first().map(|b| b >> 4) {
        Some(4) => (
            word(12, 4) ^ word(16, 4),
            word(9, 1),
            (ip[0] & 15) as usize * 4,
        ),
        Some(6) => (
            word(8, 8) ^ word(16, 8) ^ word(24, 8) ^ word(32, 8),
            word(6, 1),
            40,
        ),
        _ => return 0,
    };
    let ports = if [6, 17, 132].contains(&protocol) {
        word(transport, 2) ^ word(transport + 2, 2)
    } else {
        0
    };
    let mixed = (ends ^ protocol << 48 ^ ports << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
        .wrapping_shr(32) as u32
}

impl NetDir {
    /// SIOCSIFFLAGS. Wants the net's lock.
    pub fn set_flags(&self, interface: &Mapped<InterfaceState>, flags: u32, local: &dyn Local) {
        let old = interface.if_flags.load(Relaxed);
        let new = flags & SETTABLE | old & !SETTABLE;
        interface.if_flags.store(new, Release);
        if (old ^ new) & IFF_UP != 0 {
            self.ring_link(interface);
            if new & IFF_UP != 0 {
                self.link_is_up(interface, local);
            }
            self.announce();
        }
    }

    /// SIOCSIFTXQLEN: the oldest packets stay. Wants the net's lock.
    pub fn set_txqueuelen(
        &self,
        interface: &Mapped<InterfaceState>,
        packets: u32,
        local: &dyn Local,
    ) -> Result<(), Errno> {
        interface.txqueuelen.store(packets, Relaxed);
        for inode in interface.queue_inodes() {
            let tunnel = self.tunnel(inode)?;
            let _lock = self.lock_tunnel(inode, &tunnel, Patience::Brief)?;
            let dropped = tunnel.shrink(packets) as u64;
            interface.stats.tx_dropped.fetch_add(dropped, Relaxed);
            self.with_bell(inode, local, |fd| {
                crate::bell::packets_taken(&tunnel, fd, false)
            });
        }
        Ok(())
    }
}
