//! Permissions and faults, by which a test makes a program's calls fail on purpose.
//!
//! They stand in the net's shared state, so that any process can change them while the program
//! runs.
#![forbid(unsafe_code)]

use crate::shm::layout::{self, FaultSlot, NetState, FAULT_SLOTS};
use crate::{request, Errno, Error};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// The calls on which faults can be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
#[non_exhaustive]
pub enum Operation {
    /// Opening a special device.
    Open = 1,
    /// Reading from a tunnel.
    Read = 2,
    /// Writing to a tunnel.
    Write = 4,
    /// An ioctl on a tunnel, or on any socket about an interface of the net.
    Ioctl = 8,
    /// Closing a tunnel. The descriptor is closed even if the call fails, as with the kernel's
    /// close(2).
    Close = 16,
}

impl Operation {
    /// Returns the faults that may be one on this operation, a bit each.
    #[inline]
    fn slots(self, net: &NetState) -> &AtomicU64 {
        &net.fault_slots[(self as u32).trailing_zeros() as usize % layout::OPERATIONS]
    }
}

const OPERATIONS: &[(&str, Operation)] = &[
    ("open", Operation::Open),
    ("read", Operation::Read),
    ("write", Operation::Write),
    ("ioctl", Operation::Ioctl),
    ("close", Operation::Close),
];

/// Numbers that no request about a tunnel or an interface has. They lie above the numbers for files
/// and below those for terminals, near which FIONBIO stands. A decimal number in this range is a
/// hexadecimal one that lacks its 0x.
const FREE: Range<u32> = 0x100..0x5400;

/// What a net permits. Twisted's `MemoryIOSystem.permissions` is the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
#[non_exhaustive]
pub enum Permission {
    /// Opening special devices.
    Open = 1,
    /// Making an ioctl on a tunnel, or on any socket about an interface of the net.
    Ioctl = 2,
    /// What the kernel asks CAP_NET_ADMIN for: making interfaces, attaching to those of others
    /// (TUNSETOWNER, TUNSETGROUP), and changing them by requests on sockets.
    NetAdmin = 4,
}

impl Permission {
    /// Every permission. Programs have them all unless a test takes some away.
    pub const ALL: [Permission; 3] = [Permission::Open, Permission::Ioctl, Permission::NetAdmin];
}

impl FromStr for Permission {
    type Err = Error;
    fn from_str(text: &str) -> Result<Permission, Error> {
        match text {
            "open" => Ok(Permission::Open),
            "ioctl" => Ok(Permission::Ioctl),
            "net_admin" => Ok(Permission::NetAdmin),
            _ => Err(Error::new(
                libc::EINVAL,
                format!("{text:?} is no permission: say open, ioctl or net_admin"),
            )),
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Permission::Open => "open",
            Permission::Ioctl => "ioctl",
            Permission::NetAdmin => "net_admin",
        })
    }
}

/// A fault, written `OPERATION[:REQUEST]=ERRNO[@WHEN]`: `write=EINTR@1`, `read=EAGAIN@3-5`,
/// `ioctl:TUNSETIFF=EBUSY@1`, `open=ENOENT`. WHEN counts the calls of that operation from the
/// moment at which the fault is set: `N`, `N-M` or `N-` (from the Nth on). Without it every call
/// fails until the fault is taken back. REQUEST and ERRNO may be numbers, as in `ioctl:0x8916=5`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Fault {
    /// The call that fails.
    pub operation: Operation,
    /// The ioctl request whose calls fail; None means every request.
    pub request: Option<u32>,
    /// The errno that the call fails with.
    pub errno: Errno,
    /// First call that fails, counted from 1.
    pub first: u32,
    /// Last call that fails, counted from 1; `u32::MAX` means that there is no last one.
    pub last: u32,
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Fault, Error> {
        let complain = |what: String| {
            Error::new(
                libc::EINVAL,
                format!("fault {text:?}: {what}; write OPERATION[:REQUEST]=ERRNO[@WHEN], for example write=EINTR@1"),
            )
        };
        let (call, effect) = text
            .split_once('=')
            .ok_or_else(|| complain("no '='".into()))?;
        let (call, request) = match call.split_once(':') {
            Some((call, request)) => (call, Some(request)),
            None => (call, None),
        };
        let operation = OPERATIONS
            .iter()
            .find(|(name, _)| *name == call)
            .map(|(_, o)| *o)
            .ok_or_else(|| {
                complain(format!(
                    "{call:?} is no operation (open, read, write, ioctl or close)"
                ))
            })?;
        let request = match request {
            None => None,
            Some(_) if operation != Operation::Ioctl => {
                return Err(complain(format!("{call} has no requests")))
            }
            Some(name) => Some(request_number(name).map_err(complain)?),
        };
        let (errno, when) = match effect.split_once('@') {
            Some((errno, when)) => (errno, Some(when)),
            None => (effect, None),
        };
        let number = errno
            .parse::<i32>()
            .ok()
            .filter(|n| (1..4096).contains(n))
            .map(Errno);
        let errno = Errno::from_name(errno)
            .or(number)
            .ok_or_else(|| complain(format!("{errno:?} is no error number")))?;
        let (first, last) = match when {
            None => (1, u32::MAX),
            Some(when) => parse_when(when).ok_or_else(|| {
                complain(format!("{when:?} is not N, N-M or N- with 1 <= N <= M"))
            })?,
        };
        Ok(Fault {
            operation,
            request,
            errno,
            first,
            last,
        })
    }
}

/// Returns the number of a request, or what is wrong with the request or with a fault on it.
fn request_number(name: &str) -> Result<u32, String> {
    let named = request::by_name(name);
    let hexadecimal = name.strip_prefix("0x").or(name.strip_prefix("0X"));
    let number = || match hexadecimal {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => name.parse().ok(),
    };
    let wanted = named.or_else(number).filter(|r| *r != 0).ok_or_else(|| {
        format!("{name:?} is no request that has a name here; give its number, as 0x400454ca")
    })?;
    if hexadecimal.is_none() && named.is_none() && FREE.contains(&wanted) {
        return Err(format!(
            "no request has the decimal number {name}; is it 0x{name}?"
        ));
    }
    if !request::takes_fault(wanted) {
        let name = request::name_of(wanted).unwrap_or(name);
        return Err(format!(
            "{name} names no interface of the net, so a fault on it strikes nothing; take one that does, as \
             SIOCGIFFLAGS"
        ));
    }
    Ok(wanted)
}

fn parse_when(when: &str) -> Option<(u32, u32)> {
    let (first, last) = match when.split_once('-') {
        None => (when.parse().ok()?, when.parse().ok()?),
        Some((first, "")) => (first.parse().ok()?, u32::MAX),
        Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
    };
    (first >= 1 && first <= last).then_some((first, last))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = OPERATIONS
            .iter()
            .find(|(_, o)| *o == self.operation)
            .map_or("?", |(n, _)| n);
        f.write_str(name)?;
        if let Some(request) = self.request {
            match request::name_of(request) {
                Some(name) => write!(f, ":{name}")?,
                None => write!(f, ":{request:#x}")?,
            }
        }
        match self.errno.name() {
            Some(name) => write!(f, "={name}")?,
            None => write!(f, "={}", self.errno.0)?,
        }
        match (self.first, self.last) {
            (1, u32::MAX) => Ok(()),
            (first, u32::MAX) => write!(f, "@{first}-"),
            (first, last) if first == last => write!(f, "@{first}"),
            (first, last) => write!(f, "@{first}-{last}"),
        }
    }
}

/// What a net permits and which calls fail in it. Its functions can be called on a
/// [`NetDir`](crate::NetDir), which dereferences to the state that implements it.
pub trait Policy {
    /// Checks an ioctl about an interface of the net that is made on a descriptor that is not a
    /// tunnel's.
    ///
    /// # Errors
    ///
    /// - EPERM when the permission for ioctls has been taken away.
    /// - The errno of a fault on `request`.
    fn socket_ioctl(&self, request: u32) -> Result<(), Errno>;
    /// Checks a permission.
    ///
    /// # Errors
    ///
    /// EPERM when this permission has been taken away.
    fn permit_check(&self, what: Permission) -> Result<(), Errno>;
    /// Counts a call, and fails it if a fault says so. `request` is the ioctl's, or 0. This costs
    /// one load where no fault is set.
    ///
    /// # Errors
    ///
    /// The errno of the fault.
    fn fault_check(&self, operation: Operation, request: u32) -> Result<(), Errno>;
    /// Does the same as [`Policy::fault_check`] for an operation that has no request and that the
    /// caller carries out itself.
    ///
    /// # Errors
    ///
    /// The errno of the fault.
    fn call_fault(&self, operation: Operation) -> Result<(), Errno>;
    /// Sets a fault. A slot whose failing calls have all passed is used again. The caller holds the
    /// net's lock.
    ///
    /// # Errors
    ///
    /// ENOSPC when every slot is in use.
    fn set_fault(&self, fault: &Fault) -> Result<(), Errno>;
    /// Returns the faults in force; those whose calls have all passed are left out.
    fn list_faults(&self) -> Vec<Fault>;
    /// Takes back the faults that equal `fault`, or all of them for None, and returns how many
    /// there were. The caller holds the net's lock.
    fn take_back(&self, fault: Option<&Fault>) -> usize;
}

impl Policy for NetState {
    fn socket_ioctl(&self, request: u32) -> Result<(), Errno> {
        self.permit_check(Permission::Ioctl)?;
        self.fault_check(Operation::Ioctl, request)
    }

    fn permit_check(&self, what: Permission) -> Result<(), Errno> {
        if self.denied.load(Relaxed) & what as u32 != 0 {
            return Err(Errno(libc::EPERM));
        }
        Ok(())
    }

    #[inline(always)]
    fn fault_check(&self, operation: Operation, request: u32) -> Result<(), Errno> {
        if self.faulty.load(Acquire) & operation as u32 == 0 {
            return Ok(());
        }
        match count_call(
            self,
            operation.slots(self).load(Acquire),
            operation,
            request,
        ) {
            0 => Ok(()),
            errno => Err(Errno(errno)),
        }
    }

    fn call_fault(&self, operation: Operation) -> Result<(), Errno> {
        self.fault_check(operation, 0)
    }

    fn set_fault(&self, fault: &Fault) -> Result<(), Errno> {
        let spent = |s: &FaultSlot| {
            s.last.load(Relaxed) != u32::MAX && s.seen.load(Relaxed) >= s.last.load(Relaxed)
        };
        let at = self
            .faults
            .iter()
            .position(|s| s.operation.load(Relaxed) == 0 || spent(s))
            .ok_or(Errno(libc::ENOSPC))?;
        let slot = &self.faults[at];
        slot.operation.store(0, Release);
        for slots in &self.fault_slots {
            slots.fetch_and(!(1 << at), Relaxed);
        }
        slot.errno.store(fault.errno.0, Relaxed);
        slot.request.store(fault.request.unwrap_or(0), Relaxed);
        slot.first.store(fault.first, Relaxed);
        slot.last.store(fault.last, Relaxed);
        slot.seen.store(0, Relaxed);
        // The bit alone says nothing yet.
        fault.operation.slots(self).fetch_or(1 << at, Release);
        slot.operation.store(fault.operation as u32, Release);
        self.faulty.fetch_or(fault.operation as u32, Release);
        Ok(())
    }

    fn list_faults(&self) -> Vec<Fault> {
        self.faults
            .iter()
            .filter(|s| s.seen.load(Relaxed) < s.last.load(Relaxed))
            .filter_map(|s| {
                let bit = s.operation.load(Acquire);
                Some(Fault {
                    operation: OPERATIONS.iter().find(|(_, o)| *o as u32 == bit)?.1,
                    request: Some(s.request.load(Relaxed)).filter(|r| *r != 0),
                    errno: Errno(s.errno.load(Relaxed)),
                    first: s.first.load(Relaxed),
                    last: s.last.load(Relaxed),
                })
            })
            .collect()
    }

    fn take_back(&self, fault: Option<&Fault>) -> usize {
        let mut gone = 0;
        let mut left = 0;
        for (at, slot) in self.faults.iter().enumerate() {
            let operation = slot.operation.load(Relaxed);
            let same = |f: &Fault| {
                f.operation as u32 == operation
                    && f.errno.0 == slot.errno.load(Relaxed)
                    && f.request.unwrap_or(0) == slot.request.load(Relaxed)
                    && f.first == slot.first.load(Relaxed)
                    && f.last == slot.last.load(Relaxed)
            };
            if operation != 0 && fault.is_none_or(same) {
                slot.operation.store(0, Release);
                for slots in &self.fault_slots {
                    slots.fetch_and(!(1 << at), Relaxed);
                }
                gone += 1;
            } else {
                left |= operation;
            }
        }
        self.faulty.store(left, Release);
        gone
    }
}

/// Counts a call with each of the faults that it may concern, of which `slots` has a bit each.
/// Returns the errno of the first one that strikes, 0 for none.
#[inline(never)]
extern "C" fn count_call(
    net: &NetState,
    mut slots: u64,
    operation: Operation,
    request: u32,
) -> i32 {
    let mut answer = 0;
    while slots != 0 {
        let slot = &net.faults[slots.trailing_zeros() as usize];
        slots &= slots - 1;
        let wanted = slot.request.load(Relaxed);
        if slot.operation.load(Acquire) != operation as u32 || wanted != 0 && wanted != request {
            continue;
        }
        let call = slot.seen.fetch_add(1, Relaxed).saturating_add(1);
        // Most calls come before a fault's first, or behind its last.
        if call < slot.first.load(Relaxed) || call > slot.last.load(Relaxed) {
            continue;
        }
        if answer == 0 {
            answer = slot.errno.load(Relaxed);
        }
    }
    answer
}

const _: () = assert!(FAULT_SLOTS == 64 && OPERATIONS.len() == layout::OPERATIONS);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Request, REQUESTS};

    #[test]
    fn what_is_written_is_what_is_read() {
        for (operation, _) in OPERATIONS {
            for effect in [
                "5",
                "EIO",
                "41",
                "512",
                "4095",
                "EWOULDBLOCK",
                "ENOTSUP@2",
                "1@3-",
                "133@4-5",
            ] {
                let fault: Fault = format!("{operation}={effect}").parse().expect("a fault");
                assert_eq!(fault.to_string().parse(), Ok(fault), "{operation}={effect}");
            }
        }
        let faulty = |row: &&Request| request::takes_fault(row.number);
        let named = REQUESTS.iter().filter(faulty);
        let named = named.map(|row| (row.name.to_string(), row.number));
        for (name, number) in named.chain([("0x5422".into(), 0x5422), ("0x89fd".into(), 0x89fd)]) {
            let fault: Fault = format!("ioctl:{name}=EIO").parse().expect("a fault");
            assert_eq!(fault.request, Some(number));
            assert_eq!(fault.to_string(), format!("ioctl:{name}=EIO"));
            for number in [
                format!("{number}"),
                format!("{number:#x}"),
                format!("0X{number:X}"),
            ] {
                assert_eq!(format!("ioctl:{number}=5").parse(), Ok(fault));
            }
        }
        for wrong in [
            "write=0",
            "write=4096",
            "write=-5",
            "ioctl:0=EIO",
            "ioctl:0x100000000=EIO",
            "write:1=EIO",
            "write=EIO@0",
            "write=EIO@2-1",
        ] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fault_that_would_strike_nothing_is_refused() {
        for (request, why) in [
            ("SIOCGIFCONF", "SIOCGIFCONF names no interface"),
            ("0x8912", "SIOCGIFCONF names no interface"),
            ("8913", "is it 0x8913?"),
            ("5421", "is it 0x5421?"),
        ] {
            let refused = format!("ioctl:{request}=EIO").parse::<Fault>();
            let text = refused.expect_err("it strikes nothing").to_string();
            assert!(text.contains(why), "{text}");
        }
        for (name, number) in [
            ("FIONBIO", 0x5421),
            ("SIOCETHTOOL", 0x8946),
            ("2", 2),
            ("35091", 0x8913),
        ] {
            let fault: Fault = format!("ioctl:{name}=EIO").parse().expect("a fault");
            assert_eq!(fault.request, Some(number));
        }
    }
}
