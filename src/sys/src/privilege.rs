//! The privilege to change the machine's network (CAP_NET_ADMIN), put down for one call.

use super::quiet::{may, Extra};
use super::{change_mask, check, syscall};
use crate::Errno;

/// CAP_NET_ADMIN.
const NET_ADMIN: u32 = 12;
/// _LINUX_CAPABILITY_VERSION_3: 64 bits in two halves.
const VERSION: u32 = 0x2008_0522;

/// `struct __user_cap_header_struct`; the thread 0 is the caller's.
#[repr(C)]
struct Head {
    version: u32,
    thread: i32,
}

/// `struct __user_cap_data_struct`, twice.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn held() -> Result<[Half; 2], Errno> {
    let head = Head {
        version: VERSION,
        thread: 0,
    };
    let mut halves = [Half::default(); 2];
    let args = [
        &raw const head as usize,
        halves.as_mut_ptr() as usize,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel reads and writes a head and writes two halves, which this version has;
    // both are locals of this function.
    check(unsafe { syscall(libc::SYS_capget, args) }).map(|_| halves)
}

fn hold(halves: &[Half; 2]) -> Result<(), Errno> {
    let head = Head {
        version: VERSION,
        thread: 0,
    };
    let args = [
        &raw const head as usize,
        halves.as_ptr() as usize,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel reads a head and two halves, which this version has; both are locals of
    // this function and its caller.
    check(unsafe { syscall(libc::SYS_capset, args) }).map(drop)
}

/// What becomes of a call that the machine is to answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call<T> {
    /// The thread has no privilege, and this is the answer.
    Made(T),
    /// The thread has had to put its privilege down, and this is the answer.
    Without(T),
    /// The privilege cannot be put down, so the call was not made.
    Not,
}

/// Makes a call as a thread makes it that may not change the machine's network, in its effective
/// set of capabilities. No handler of the program's runs meanwhile, because it could jump out of
/// here.
pub fn without_net_admin<T>(call: impl FnOnce() -> T) -> Call<T> {
    if !may(Extra::Privilege) {
        return Call::Not;
    }
    let Ok(before) = held() else {
        return Call::Not;
    };
    if before[0].effective & 1 << NET_ADMIN == 0 {
        return Call::Made(call());
    }
    let mut less = before;
    less[0].effective &= !(1 << NET_ADMIN);
    let Ok(mask) = change_mask(libc::SIG_SETMASK, u64::MAX) else {
        return Call::Not;
    };
    let answer = match hold(&less) {
        Err(_) => Call::Not,
        Ok(()) => {
            let answer = Call::Without(call());
            // What was permitted before the call is permitted after it.
            let _ = hold(&before);
            answer
        }
    };
    let _ = change_mask(libc::SIG_SETMASK, mask);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_privilege_is_back_after_the_call() {
        let effective = || held().map(|halves| halves[0].effective);
        let before = effective().expect("capget");
        let had = before & 1 << NET_ADMIN != 0;
        match without_net_admin(effective) {
            Call::Made(inside) => assert!(!had && inside == Ok(before)),
            Call::Without(inside) => assert!(had && inside == Ok(before & !(1 << NET_ADMIN))),
            Call::Not => panic!("nothing forbids it"),
        }
        assert_eq!(effective(), Ok(before));
    }
}
