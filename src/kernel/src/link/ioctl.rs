//! The requests about an interface that a program makes on a socket (net/core/dev_ioctl.c). A
//! tunnel answers some of them, too.
#![forbid(unsafe_code)]

use super::Link;
use crate::net::{Local, NetDir};
use crate::request::{self, Answer, Need, Request};
use crate::shm::layout::InterfaceState;
use crate::shm::{load_name, Mapped};
use crate::uapi::*;
use crate::{missing, Argument, Errno, Name};
use std::sync::atomic::Ordering::Relaxed;

impl NetDir {
    /// Answers the request `number`, whose row in the table is `row`, about an interface of this
    /// net. The caller holds the net's lock. The caller also checks permissions, faults and the
    /// socket's family, and resolves aliases. Returns what the call returns.
    ///
    /// # Errors
    ///
    /// - The errno of `row` when it says that the request is refused or absent.
    /// - EFAULT when the program's memory at `arg` cannot be used.
    /// - ENOTTY when nothing here implements the request; what the net's host answers is not here.
    /// - What the request itself fails with, for example EINVAL for an mtu out of range.
    pub fn interface_ioctl(
        &self,
        interface: &Mapped<InterfaceState>,
        row: &Request,
        number: u32,
        arg: &mut impl Argument,
        local: &dyn Local,
    ) -> Result<i32, Errno> {
        if number == SIOCSHWTSTAMP {
            return Err(time_stamps(arg));
        }
        match row.answer {
            Answer::Refused(errno, _) => return Err(Errno(errno)),
            // Without a host side an interface has no addresses.
            Answer::Stack if row.need == Need::Ioctl => return Err(Errno(libc::EADDRNOTAVAIL)),
            Answer::Absent(..) | Answer::Host(_) | Answer::Stack => {
                return Err(missing::request(interface, row, number))
            }
            Answer::Exact | Answer::Approximate(_) => {}
        }
        let mut ifreq = IfReq::default();
        arg.fetch(&mut ifreq.0)?;
        match row.argument {
            _ if number == SIOCETHTOOL => return self.ethtool(interface, &ifreq, arg),
            request::Argument::InOut(_) => {
                get(interface, number, &mut ifreq)?;
                arg.store(&ifreq.0)?;
            }
            _ => {
                self.set(interface, number, &ifreq, local)?;
                if number == SIOCSIFNAME {
                    // The new name is given back with its end, when it is in force.
                    ifreq.0[31] = 0;
                    arg.store(&ifreq.0)?;
                }
            }
        }
        Ok(0)
    }

    fn set(
        &self,
        interface: &Mapped<InterfaceState>,
        number: u32,
        ifreq: &IfReq,
        local: &dyn Local,
    ) -> Result<(), Errno> {
        match number {
            SIOCSIFFLAGS => {
                self.set_flags(interface, ifreq.flags() as u32, local);
                Ok(())
            }
            SIOCSIFMTU => self.announced(interface.set_mtu(ifreq.int() as i64)),
            SIOCSIFTXQLEN => match u32::try_from(ifreq.int()) {
                Ok(packets) => self.announced(self.set_txqueuelen(interface, packets, local)),
                Err(_) => Err(Errno(libc::EINVAL)),
            },
            SIOCSIFHWADDR => self.announced(set_hardware_address(interface, ifreq)),
            SIOCSIFNAME => {
                let mut name = [0u8; 16];
                name.copy_from_slice(&ifreq.0[16..32]);
                self.rename_interface(interface, &Name::from_ifreq(&name), local)
            }
            _ => Err(Errno(libc::ENOTTY)),
        }
    }
}

/// Returns why time stamps of hardware cannot be set (`dev_set_hwtstamp`): a tun has none, which is
/// said when what is wanted has been read and makes sense.
fn time_stamps(arg: &mut impl Argument) -> Errno {
    const ERANGE: Errno = Errno(libc::ERANGE);
    let mut ifreq = IfReq::default();
    // struct hwtstamp_config: flags, what is sent, what is received.
    let mut wanted = [[0; 4]; 3];
    let read = arg.fetch(&mut ifreq.0).and_then(|()| {
        let at = ifreq.0[16..24].try_into().map(usize::from_ne_bytes);
        arg.fetch_at(at.unwrap_or(0), wanted.as_flattened_mut())
    });
    match (read, wanted.map(u32::from_ne_bytes)) {
        (Err(e), _) => e,
        (Ok(()), [flags, ..]) if flags > 1 => Errno(libc::EINVAL),
        (Ok(()), [_, sent, received]) if sent > 3 || received > 15 => ERANGE,
        _ => Errno(libc::EOPNOTSUPP),
    }
}

fn get(interface: &InterfaceState, number: u32, ifreq: &mut IfReq) -> Result<(), Errno> {
    match number {
        SIOCGIFNAME => ifreq.set_name(&load_name(&interface.name)),
        SIOCGIFFLAGS => ifreq.set_flags(interface.flags() as u16),
        SIOCGIFMTU => ifreq.set_int(interface.mtu.load(Relaxed) as i32),
        SIOCGIFINDEX => ifreq.set_int(interface.ifindex.load(Relaxed) as i32),
        SIOCGIFTXQLEN => ifreq.set_int(interface.txqueuelen.load(Relaxed) as i32),
        SIOCGIFMETRIC => ifreq.set_int(0),
        // The last bytes of struct ifmap are padding.
        SIOCGIFMAP => ifreq.0[16..37].fill(0),
        SIOCGIFHWADDR => get_hardware_address(interface, ifreq),
        _ => return Err(Errno(libc::ENOTTY)),
    }
    Ok(())
}

/// Answers SIOCGIFHWADDR as dev_get_mac_address does: the bytes of the address, of which the type
/// of the link says how many there are, or zeroes where it has none. A TUN's address is all zeroes.
/// The bytes behind the address stay as the program wrote them.
pub(crate) fn get_hardware_address(interface: &InterfaceState, ifreq: &mut IfReq) {
    const ROOM: usize = 14;
    ifreq.set_flags(interface.link_type.load(Relaxed) as u16);
    let (address, len) = hardware_address(interface);
    match len.min(ROOM) {
        0 => ifreq.0[18..18 + ROOM].fill(0),
        len => ifreq.0[18..18 + len].copy_from_slice(&address[..len]),
    }
}

/// Bytes of the longest hardware address that a type of link has.
pub const LONGEST_ADDRESS: usize = 16;

/// Returns the hardware address with zeroes behind it, and how many of its bytes count: the type of
/// the link says that (`tun_get_addr_len`), whatever the interface is. A TUN's address is zeroes.
pub fn hardware_address(interface: &InterfaceState) -> ([u8; LONGEST_ADDRESS], usize) {
    let mut address = [0; LONGEST_ADDRESS];
    address[..6].copy_from_slice(&interface.mac());
    (
        address,
        address_length(interface.link_type.load(Relaxed) as u16),
    )
}

/// Returns how many bytes a hardware address has, by the type of the link.
fn address_length(link_type: u16) -> usize {
    const ROSE: u16 = 270;
    const IP6GRE: u16 = 823;
    const IEEE802154_MONITOR: u16 = 805;
    const SIXLOWPAN: u16 = 825;
    match link_type {
        libc::ARPHRD_TUNNEL6 | IP6GRE => 16,
        libc::ARPHRD_IEEE802154 | IEEE802154_MONITOR | SIXLOWPAN => 8,
        libc::ARPHRD_NETROM => 7,
        libc::ARPHRD_ETHER | libc::ARPHRD_IEEE802 | libc::ARPHRD_FDDI | libc::ARPHRD_HIPPI => 6,
        ROSE => 5,
        libc::ARPHRD_TUNNEL | libc::ARPHRD_SIT | libc::ARPHRD_IPGRE => 4,
        libc::ARPHRD_LOCALTLK => 1,
        _ => 0,
    }
}

/// Carries out SIOCSIFHWADDR. An address that is equal as far as the type of the link counts it is
/// not set and not looked at.
///
/// # Errors
///
/// - EOPNOTSUPP for a TUN.
/// - EINVAL for an address of another link type.
/// - EADDRNOTAVAIL for an address that no card has (multicast or zero).
pub(crate) fn set_hardware_address(interface: &InterfaceState, ifreq: &IfReq) -> Result<(), Errno> {
    if !interface.is_tap() {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    if ifreq.flags() as u32 != interface.link_type.load(Relaxed) {
        return Err(Errno(libc::EINVAL));
    }
    let (address, len) = hardware_address(interface);
    if ifreq.0[18..18 + len] == address[..len] {
        interface.mac_is_set.store(1, Relaxed);
        return Ok(());
    }
    let mut mac = [0u8; 6];
    mac.copy_from_slice(&ifreq.0[18..24]);
    interface.set_mac(mac)
}
