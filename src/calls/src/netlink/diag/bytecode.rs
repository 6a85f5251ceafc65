//! The filter of a request for sockets (`inet_diag_bc_run`). Each operation has a code, how far the
//! next one is if it holds, and how far if it does not; what it compares with follows it.
#![forbid(unsafe_code)]

use memtun_stack::sockets::diag::Id;

const OP: usize = 4;
/// Length in bytes of `struct inet_diag_hostcond` without its address.
const HOST: usize = 8;

// INET_DIAG_BC_*.
const JMP: u8 = 1;
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const S_COND: u8 = 7;
const D_COND: u8 = 8;
const DEV_COND: u8 = 9;
const S_EQ: u8 = 11;
const D_EQ: u8 = 12;
const LAST: u8 = 13;

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))
}

/// Does the kernel accept this filter, as far as [`run`] needs it?
pub(super) fn is_good(code: &[u8]) -> bool {
    let mut rest = code;
    while !rest.is_empty() {
        let Some(&[op, yes, _, _]) = rest.first_chunk::<OP>() else {
            return false;
        };
        let no = half(rest, 2).unwrap_or(0) as usize;
        let yes = usize::from(yes);
        let steps = |step: usize| step >= OP && step.is_multiple_of(4);
        let is_too_far = no > rest.len() + OP || !steps(no);
        if op > LAST || !steps(yes) || yes > rest.len() || (op != 0 && is_too_far) {
            return false;
        }
        rest = &rest[yes..];
    }
    true
}

/// Does the filter choose a socket of this family? An operation about what is not known of a socket
/// holds.
pub(super) fn run(code: &[u8], id: &Id, family: i32) -> bool {
    // An operation leads forward only, so that there is an end.
    let mut at = 0;
    while at < code.len() {
        let Some(yes) = holds(&code[at..], id, family) else {
            return false;
        };
        let step = match yes {
            true => code.get(at + 1).map(|step| usize::from(*step)),
            false => half(code, at + 2).map(usize::from),
        };
        match step {
            Some(step @ 1..) => at += step,
            _ => return false,
        }
    }
    at == code.len()
}

fn holds(op: &[u8], id: &Id, family: i32) -> Option<bool> {
    let [own, other] = id.ports;
    let number = || half(op, OP + 2);
    Some(match *op.first()? {
        JMP => false,
        S_EQ => own == number()?,
        S_GE => own >= number()?,
        S_LE => own <= number()?,
        D_EQ => other == number()?,
        D_GE => other >= number()?,
        D_LE => other <= number()?,
        S_COND => is_host(op.get(OP..)?, own, &id.addresses[0], family)?,
        D_COND => is_host(op.get(OP..)?, other, &id.addresses[1], family)?,
        DEV_COND => word(op, OP)? == id.device,
        _ => true,
    })
}

/// Is this the port and the address of a condition (`struct inet_diag_hostcond`)?
fn is_host(condition: &[u8], port: u16, address: &[u8; 16], family: i32) -> Option<bool> {
    let wanted = i32::from(*condition.first()?);
    let bits = usize::from(*condition.get(1)?);
    let its = word(condition, 4)? as i32;
    if its != -1 && its != i32::from(port) {
        return Some(false);
    }
    let mut address = &address[..];
    if wanted != libc::AF_UNSPEC && wanted != family {
        let is_mapped = family == libc::AF_INET6
            && wanted == libc::AF_INET
            && address.starts_with(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
        if !is_mapped {
            return Some(false);
        }
        address = &address[12..];
    }
    let with = condition.get(HOST..HOST + bits.div_ceil(8))?;
    let same = |at: usize| {
        let mask = 0x80 >> (at % 8);
        address
            .get(at / 8)
            .is_some_and(|byte| byte & mask == with[at / 8] & mask)
    };
    Some((0..bits).all(same))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> Id {
        let mut id = Id {
            ports: [80, 5000],
            addresses: [[0; 16]; 2],
            device: 3,
            cookie: 9,
        };
        id.addresses[0][..4].copy_from_slice(&[10, 0, 0, 1]);
        id.addresses[1][..4].copy_from_slice(&[10, 0, 0, 2]);
        id
    }

    /// An operation on a port that is the whole filter.
    fn port(op: u8, port: u16) -> Vec<u8> {
        let mut code = vec![op, 8];
        code.extend(12u16.to_ne_bytes());
        code.extend([0; 2]);
        code.extend(port.to_ne_bytes());
        code
    }

    #[test]
    fn ports_are_compared() {
        assert!(run(&[], &id(), libc::AF_INET));
        for (op, number, chosen) in [
            (S_EQ, 80, true),
            (S_EQ, 81, false),
            (S_GE, 80, true),
            (S_LE, 79, false),
            (D_GE, 5001, false),
            (D_LE, 5000, true),
        ] {
            let code = port(op, number);
            assert!(is_good(&code));
            assert_eq!(run(&code, &id(), libc::AF_INET), chosen, "{op} {number}");
        }
    }

    #[test]
    fn a_host_is_a_port_and_a_network() {
        let host = |bits: u8, port: i32, address: [u8; 4]| {
            let mut code = vec![D_COND, 16];
            code.extend(20u16.to_ne_bytes());
            code.extend([libc::AF_INET as u8, bits, 0, 0]);
            code.extend(port.to_ne_bytes());
            code.extend(address);
            assert!(is_good(&code));
            run(&code, &id(), libc::AF_INET)
        };
        assert!(host(24, -1, [10, 0, 0, 9]));
        assert!(!host(32, -1, [10, 0, 0, 9]));
        assert!(host(32, 5000, [10, 0, 0, 2]));
        assert!(!host(32, 5001, [10, 0, 0, 2]));
    }

    #[test]
    fn what_leads_nowhere_chooses_nothing() {
        assert!(!is_good(&[S_EQ, 0, 0, 0]));
        assert!(!is_good(&[99, 4, 8, 0]));
        assert!(!is_good(&[0; 3]));
        assert!(!run(&[S_EQ, 0, 0, 0], &id(), libc::AF_INET));
    }
}
