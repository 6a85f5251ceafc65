//! The family "ethtool" of generic netlink: bytes in, bytes out (net/netlink/genetlink.c,
//! net/ethtool). What a device answers stands in [`memtun_kernel::link::ethtool`], for ioctl(2) as
//! well.
//!
//! | module | what it is |
//! |---|---|
//! | `command` | the numbers of the commands |
//! | `ask` | one request, and the head of its answers |
//! | `policy` | the attributes of each command |
//! | `bitset` | sets of bits, with and without names |
//! | `device` | the device that a request is about |
//! | `get` | what is asked |
//! | `strings` | the sets of names that are asked for |
//! | `set` | what is set |
//! | `notice` | what listeners are told of changes |
#![forbid(unsafe_code)]

mod ask;
mod bitset;
mod command;
mod device;
mod get;
mod notice;
mod policy;
mod set;
mod strings;

use crate::netlink::policy::Mode;
use crate::netlink::{Asker, Request};
use crate::{Failure, World};
use ask::{Ask, GENERIC};
use memtun_stack::wire::{Messages, Writer};
pub use notice::Seen;

/// The lowest type of a message that is no control message (NLMSG_MIN_TYPE).
const FIRST: u16 = 16;
/// The first command whose header is checked strictly (`resv_start_op`).
const CHECKED_FROM: u8 = command::MODULE_GET + 1;

/// Answers what a program sent to the family in one call: the datagrams for its socket, in order
/// (`genl_rcv_msg`).
pub fn answer(world: &mut World<'_>, asker: Asker, request: &[u8]) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    for message in Messages(request) {
        let request = Request::new(message, asker);
        let handled = request.has(libc::NLM_F_REQUEST) && message.kind >= FIRST;
        let result = match handled {
            false => Ok(()),
            true => {
                let mut to = Writer::default();
                let dumps = request.has(libc::NLM_F_DUMP);
                let result = carry_out(world, &request, &mut to);
                match result {
                    Ok(Dumped(Some(end))) => {
                        answers.extend(request.parts(&to, &end, true));
                        continue;
                    }
                    Ok(_) if dumps => {
                        answers.extend(request.parts(&to, &Ok(()), true));
                        continue;
                    }
                    result => {
                        let replies = Messages(to.bytes());
                        answers.extend(replies.map(|answer| answer.bytes.to_vec()));
                        result.map(|_| ())
                    }
                }
            }
        };
        if result.is_err() || request.has(libc::NLM_F_ACK) {
            answers.push(request.acknowledge(&result));
        }
    }
    answers
}

/// How a dump has ended that began; None for one that went well, or for no dump.
struct Dumped(Option<Result<(), Failure>>);

/// Carries out one request (`genl_family_rcv_msg`).
fn carry_out(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<Dumped, Failure> {
    let body = request.message.body;
    let Some(&[command, _, reserved, more]) = body.first_chunk::<GENERIC>() else {
        return Err(Failure::new(libc::EINVAL));
    };
    let dumps = request.has(libc::NLM_F_DUMP);
    if command >= CHECKED_FROM {
        check_header(request, dumps, [reserved, more])?;
    }
    let unknown = Failure::new(libc::EOPNOTSUPP);
    let table = policy::of(command).ok_or(unknown.clone())?;
    if dumps && !get::can_dump(command) {
        return Err(unknown);
    }
    if get::is_guarded(command) && !world.devices.may_configure() {
        return Err(Failure::new(libc::EPERM));
    }
    let tb = request.parse(GENERIC, table, Mode::Strict)?;
    let mut ask = Ask {
        request,
        command,
        tb,
        flags: 0,
    };
    if dumps {
        return get::dump(world, &mut ask, to).map(|end| Dumped(Some(end)));
    }
    match set::find_run(command) {
        Some(set) => set::carry_out(world, &mut ask, set, to)?,
        None => get::one(world, &mut ask, to)?,
    }
    Ok(Dumped(None))
}

/// Checks what new commands check of a header (`genl_header_check`).
fn check_header(request: &Request<'_>, dumps: bool, reserved: [u8; 2]) -> Result<(), Failure> {
    let invalid = |text: &'static str| Err(Failure::said(libc::EINVAL, text));
    if reserved != [0, 0] {
        return invalid("genlmsghdr.reserved field is not 0");
    }
    let mut flags = i32::from(request.message.flags);
    if dumps {
        flags &= !libc::NLM_F_DUMP;
    }
    if flags & !(libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_ECHO) != 0 {
        return invalid("ambiguous or reserved bits set in nlmsg_flags");
    }
    Ok(())
}
