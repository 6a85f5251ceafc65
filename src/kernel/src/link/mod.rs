//! An interface's configuration (flags, mtu, queues) and the rules that net/core/dev.c and
//! drivers/net/tun.c have for it.
#![forbid(unsafe_code)]

mod brief;
pub mod ethtool;
mod flow;
pub(crate) mod ioctl;
pub mod transmit;

pub use brief::Taught;
pub use flow::{flow_hash, payload_offset};
pub use ioctl::{hardware_address, LONGEST_ADDRESS};

use crate::net::{Local, NetDir};
use crate::shm::layout::InterfaceState;
use crate::shm::lock::Patience;
use crate::shm::Mapped;
use crate::tun::bell;
use crate::uapi::*;
use crate::{sys, Errno};
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering::{Relaxed, Release};

const IFF_UP: u32 = libc::IFF_UP as u32;
const IFF_NOARP: u32 = libc::IFF_NOARP as u32;
const IFF_MULTICAST: u32 = libc::IFF_MULTICAST as u32;

/// The flags that can be changed on every link (`__dev_change_flags`).
pub const SETTABLE: u32 = (libc::IFF_UP
    | libc::IFF_DEBUG
    | libc::IFF_NOTRAILERS
    | libc::IFF_NOARP
    | libc::IFF_DYNAMIC
    | libc::IFF_MULTICAST
    | libc::IFF_PORTSEL
    | libc::IFF_AUTOMEDIA
    | libc::IFF_PROMISC
    | libc::IFF_ALLMULTI) as u32;

/// What a new interface starts with, what may be set on it, and which queue gets a packet.
pub trait Link {
    /// Fills in what a new device of this kind starts with. `tun_flags` are the IFF_* flags of
    /// TUNSETIFF, `ifindex` becomes its index, and `up` sets IFF_UP.
    fn set_defaults(&self, tun_flags: u32, ifindex: u32, up: bool);
    /// May the caller attach without CAP_NET_ADMIN (`tun_not_capable`)? Where an owner or a group
    /// is set, the caller has to match each of them.
    fn is_open_to_caller(&self) -> bool;
    /// Sets the hardware address of a TAP.
    ///
    /// # Errors
    ///
    /// - EOPNOTSUPP for a TUN, which has no hardware address.
    /// - EADDRNOTAVAIL for a multicast address and for zeroes.
    fn set_mac(&self, mac: [u8; 6]) -> Result<(), Errno>;
    /// The mtus in bytes that the kernel allows: 68 to 65535, less the Ethernet header for a TAP.
    fn mtu_range(&self) -> RangeInclusive<i64>;
    /// Sets the mtu, in bytes.
    ///
    /// # Errors
    ///
    /// EINVAL when `mtu` is out of [`Link::mtu_range`].
    fn set_mtu(&self, mtu: i64) -> Result<(), Errno>;
    /// Sets the carrier as a driver, sysfs or rtnetlink asks for it (`tun_net_change_carrier`).
    ///
    /// # Errors
    ///
    /// EPERM for a carrier where no queue is attached.
    fn change_carrier(&self, carrier: bool) -> Result<(), Errno>;
    /// Length in bytes of the link header of every frame: that of Ethernet for a TAP.
    fn header_len(&self) -> usize;
    /// Can the program send, as far as poll(2) is concerned? It can while the link is up and the
    /// send buffer has room for at least one allocation unit.
    fn is_writable(&self) -> bool;
    /// Returns the inode of the bell of the tunnel that gets `packet` (`tun_automq_select_queue`),
    /// or None when no queue is attached.
    fn select_queue(&self, packet: &[u8]) -> Option<u64>;
}

impl Link for InterfaceState {
    fn set_defaults(&self, tun_flags: u32, ifindex: u32, up: bool) {
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
        self.carrier.store(1, Relaxed);
        self.set_carrier(tun_flags & IFF_NO_CARRIER == 0);
        self.tun_flags.fetch_and(!IFF_NO_CARRIER, Relaxed);
        self.features.store(ethtool::WANTED, Relaxed);
        // 10 gigabits a second, full duplex, twisted pair, without negotiation.
        self.link_settings[0].store(10_000, Relaxed);
        self.link_settings[1].store(u32::from_ne_bytes([1, 0, 0, 0]), Relaxed);
        self.link_type
            .store(if tun { ARPHRD_NONE } else { ARPHRD_ETHER } as u32, Relaxed);
        if !tun {
            // As in eth_hw_addr_random, the address is locally administered and unicast. Unlike
            // other values in this crate it is not meant to be predictable.
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

    fn is_open_to_caller(&self) -> bool {
        let (owner, group) = (self.owner.load(Relaxed), self.group.load(Relaxed));
        (owner == -1 || owner as u32 == sys::effective_uid())
            && (group == -1 || sys::is_in_group(group as u32))
    }
    fn set_mac(&self, mac: [u8; 6]) -> Result<(), Errno> {
        if !self.is_tap() {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return Err(Errno(libc::EADDRNOTAVAIL));
        }
        for (cell, byte) in self.mac.iter().zip(mac) {
            cell.store(byte, Relaxed);
        }
        self.mac_is_set.store(1, Relaxed);
        Ok(())
    }
    fn mtu_range(&self) -> RangeInclusive<i64> {
        68..=65535 - if self.is_tap() { ETH_HLEN as i64 } else { 0 }
    }
    fn set_mtu(&self, mtu: i64) -> Result<(), Errno> {
        if !self.mtu_range().contains(&mtu) {
            return Err(Errno(libc::EINVAL));
        }
        self.mtu.store(mtu as u32, Relaxed);
        Ok(())
    }
    #[inline(always)]
    fn header_len(&self) -> usize {
        if self.is_tap() {
            ETH_HLEN
        } else {
            0
        }
    }
    fn change_carrier(&self, carrier: bool) -> Result<(), Errno> {
        if carrier && self.attached_queues() == 0 {
            return Err(Errno(libc::EPERM));
        }
        self.set_carrier(carrier);
        Ok(())
    }

    #[inline]
    fn is_writable(&self) -> bool {
        self.is_up() && self.sndbuf.load(Relaxed) >= 4
    }

    #[inline]
    fn select_queue(&self, packet: &[u8]) -> Option<u64> {
        let attached = self.attached_queues();
        let at = match attached {
            0 => return None,
            1 => 0,
            n => {
                let hash = flow::flow_hash_of(packet, self.is_tap());
                match self.known_queue(hash) {
                    Some(known) if known < n => known,
                    // The kernel's core corrects what is beyond the queues (`netdev_cap_txqueue`).
                    Some(_) => 0,
                    None => ((hash as u64 * n as u64) >> 32) as usize,
                }
            }
        };
        Some(self.queues[at].load(Relaxed))
    }
}

impl NetDir {
    /// Carries out SIOCSIFFLAGS and tells those who wait for the link. The caller holds the net's
    /// lock.
    pub fn set_flags(&self, interface: &Mapped<InterfaceState>, flags: u32, local: &dyn Local) {
        let old = interface.if_flags.load(Relaxed);
        let new = flags & SETTABLE | old & !SETTABLE;
        interface.if_flags.store(new, Release);
        if (old ^ new) & IFF_UP != 0 {
            self.ring_link(interface);
            if new & IFF_UP != 0 {
                self.link_is_up(interface, local);
            }
        }
        if old != new {
            self.announce();
        }
    }

    /// Carries out SIOCSIFTXQLEN: sets how many packets each queue holds. When a queue shrinks, its
    /// oldest packets stay. The caller holds the net's lock.
    ///
    /// # Errors
    ///
    /// - What [`NetDir::tunnel`] fails with when a queue's state cannot be mapped.
    /// - EAGAIN when a queue's lock is not released in time.
    pub fn set_txqueuelen(
        &self,
        interface: &Mapped<InterfaceState>,
        packets: u32,
        local: &dyn Local,
    ) -> Result<(), Errno> {
        interface.txqueuelen.store(packets, Relaxed);
        for inode in interface.queue_inodes() {
            let tunnel = self.tunnel(inode)?;
            let lock = self.lock_tunnel(inode, &tunnel, Patience::Brief)?;
            let dropped = lock.queue().shrink(packets) as u64;
            interface.stats.tx_dropped.fetch_add(dropped, Relaxed);
            self.with_bell(inode, local, |fd| bell::packets_taken(&tunnel, fd, false));
        }
        Ok(())
    }
}
