//! Finding a row by number, by name, and by the descriptor on which a request is made.
#![forbid(unsafe_code)]

use super::ctype::IFREQ;
use super::row::{host, Argument, Named, Need, On, Request};
use super::table::REQUESTS;
use crate::Label;

/// Number of bytes to which any argument points at most.
pub const LARGEST: usize = 120;

/// The row that stands for a request on a socket that has none: the kernel knows none of these, and
/// says so without looking for an interface.
static UNKNOWN: Request = Request {
    name: Label::new(""),
    number: 0,
    count: 0,
    argument: Argument::InOut(IFREQ),
    on: On::Socket,
    need: Need::Ioctl,
    interface: Named::Nowhere,
    answer: host("the kernel has no such request"),
    doc: Label::new(""),
};

/// May this request on a socket change an interface of the machine's, where the machine answers it?
/// Those whose names begin with SIOCG only ask, but for two that are the same as their likes with
/// an S.
pub fn may_change_machine(number: u32) -> bool {
    let of_socket = |r: &&Request| r.is(number) && !r.is_of_tunnel();
    REQUESTS.iter().find(of_socket).is_none_or(|row| {
        let asks = row.name.starts_with("SIOCG") || row.name.starts_with("FIO");
        let of_the_socket = matches!(
            row.name.as_str(),
            "SIOCSPGRP" | "SIOCATMARK" | "SIOCOUTQNSD"
        );
        matches!(row.name.as_str(), "SIOCGIFBR" | "SIOCGIFVLAN") || !asks && !of_the_socket
    })
}

/// Returns the row of a request on a tunnel.
pub fn on_tunnel(number: u32) -> Option<&'static Request> {
    REQUESTS.iter().find(|r| r.is(number) && r.is_of_tunnel())
}

/// May this request be about an interface (`SOCK_IOC_TYPE`, and the wireless extensions)?
#[inline]
pub const fn is_of_socket(number: u32) -> bool {
    matches!(number >> 8, 0x89 | 0x8b)
}

/// Returns the row of a request on a socket of this family; the family's own row has precedence. A
/// request without a row names no interface.
pub fn on_socket(number: u32, family: i32) -> &'static Request {
    let rows = || {
        REQUESTS
            .iter()
            .filter(|r| r.is(number) && !r.is_of_tunnel())
    };
    rows()
        .find(|r| r.is_of_family(family))
        .or(rows().next())
        .unwrap_or(&UNKNOWN)
}

/// Returns the number of a request by its name.
pub fn by_name(name: &str) -> Option<u32> {
    REQUESTS.iter().find(|r| &*r.name == name).map(|r| r.number)
}

/// Returns the name of a request by its number; None for numbers without a macro.
pub fn name_of(number: u32) -> Option<&'static str> {
    REQUESTS
        .iter()
        .find(|r| r.number == number)
        .map(|r| r.name.as_str())
}

/// Would a fault on this request ever strike? Nobody knows that of a request without a row, so it
/// may.
pub fn takes_fault(number: u32) -> bool {
    let mut rows = REQUESTS.iter().filter(|r| r.is(number)).peekable();
    rows.peek().is_none() || rows.any(Request::takes_fault)
}

/// Does the driver take the argument of this request as a number?
pub fn is_by_value(number: u32) -> bool {
    on_tunnel(number).is_some_and(|r| r.argument == Argument::Value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::table::number;
    use crate::request::Answer;

    #[test]
    fn a_request_has_one_row_for_a_kind_of_descriptor() {
        for (i, a) in REQUESTS.iter().enumerate() {
            for b in &REQUESTS[..i] {
                let alike = a.number == b.number;
                assert_eq!(alike, a.name == b.name, "{} and {}", a.name, b.name);
                let apart = b.number + b.count <= a.number || a.number + a.count <= b.number;
                assert!(alike || apart, "{} reaches into {}", a.name, b.name);
                let same_kind = a.is_of_tunnel() && b.is_of_tunnel()
                    || !a.is_of_tunnel() && !b.is_of_tunnel() && a.on == b.on;
                assert!(!(alike && same_kind), "{} twice on {:?}", a.name, a.on);
            }
        }
    }

    #[test]
    fn rows_agree_with_themselves() {
        for row in REQUESTS {
            let (name, on_socket) = (row.name, !row.is_of_tunnel());
            assert!(
                row.number != 0 && row.count > 0 && !row.doc.is_empty(),
                "{name}"
            );
            assert!(
                !on_socket || is_of_socket(row.number),
                "{name}: the shim would not see it"
            );
            assert_eq!(
                on_socket && row.interface == Named::Nowhere,
                row.need == Need::Nothing,
                "{name}"
            );
            if row.need == Need::Nothing {
                assert!(
                    matches!(row.answer, Answer::Host(_)),
                    "{name} is not about the net"
                );
            }
            let size = match row.argument {
                Argument::In(t) | Argument::Out(t) | Argument::InOut(t) => t.size,
                _ => 0,
            };
            let end = match row.interface {
                Named::Name(at) => at + 16,
                Named::NameBehind(at) => at + 8,
                Named::Index(at) => at + 4,
                _ => 0,
            };
            assert!(
                end <= size,
                "{name} names its interface outside of its argument"
            );
        }
    }

    #[test]
    fn the_family_chooses_the_row() {
        use number::*;
        let on = |number, family| on_socket(number, family).on;
        assert_eq!(on(SIOCSIFADDR, libc::AF_INET), On::Inet);
        assert_eq!(on(SIOCSIFADDR, libc::AF_INET6), On::Inet6);
        assert_eq!(on(SIOCSIFADDR, libc::AF_UNIX), On::Inet);
        assert!(!on_socket(SIOCSIFADDR, libc::AF_UNIX).is_of_family(libc::AF_UNIX));
        assert_eq!(on(SIOCGIFMTU, libc::AF_UNIX), On::Socket);
        assert_eq!(
            &*on_socket(SIOCDEVPRIVATE + 15, libc::AF_INET).name,
            "SIOCDEVPRIVATE"
        );
        assert_eq!(on_socket(0x89d0, libc::AF_INET).number, 0);
        assert_eq!(on_tunnel(SIOCGIFHWADDR).map(|r| r.on), Some(On::Attached));
        assert!(on_tunnel(SIOCGIFMTU).is_none());
    }

    #[test]
    fn faults_strike_what_is_made_on_tunnels_or_names_an_interface() {
        use number::*;
        for number in [
            TUNSETIFF,
            FIONBIO,
            SIOCGIFFLAGS,
            SIOCGSKNS,
            SIOCADDRT,
            0x89d0,
            0x1234,
        ] {
            assert!(takes_fault(number), "{number:#x}");
        }
        for number in [SIOCGIFCONF, SIOCGPGRP, SIOCPROTOPRIVATE + 3] {
            assert!(!takes_fault(number), "{number:#x}");
        }
    }
}
