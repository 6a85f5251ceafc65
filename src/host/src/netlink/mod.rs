//! rtnetlink(7): bytes in, bytes out (net/netlink/af_netlink.c, net/core/rtnetlink.c).
//!
//! | module | what it is |
//! |---|---|
//! | [`request`] | one message of a program; acknowledgements, errors and the parts of a dump |
//! | [`policy`] | what attributes may be, and how strictly that is checked |
//! | [`row`], [`table`] | who handles which type of message for which family |
//! | `address`, `link`, `neighbour`, `route`, `rule` | the handlers for one kind of object each |
//! | `traffic` | those for queueing disciplines and their classes |
//! | `stats`, `netconf`, `nsid`, `filter`, `group`, `bridge`, `nexthop` | those for what only the kernel attaches, or what is not there |
//!
//! A [`Handler`] changes the world, or answers by appending messages to a writer. Its failure
//! becomes an error message, or the end of the dump. What listeners are told goes to
//! [`World::tell`].
#![forbid(unsafe_code)]

pub mod address;
mod bridge;
mod dcb;
mod filter;
mod group;
mod label;
pub mod link;
mod link_policy;
mod link_set;
pub mod mroute;
mod neighbour;
mod neighbour_table;
mod netconf;
mod nexthop;
mod nsid;
pub mod policy;
pub mod request;
pub mod route;
pub mod row;
pub mod rule;
mod stats;
pub mod table;
mod traffic;

pub use request::{Asker, Request};
pub use row::{Handler, Row};

use crate::{Failure, World};
use memtun_stack::wire::{Messages, Writer};

/// The lowest type of a message that is no control message (NLMSG_MIN_TYPE).
const FIRST: u16 = 16;
/// The highest type of rtnetlink (RTM_MAX).
const LAST: u16 = 123;
/// NLM_F_BULK: delete many.
const BULK: i32 = 0x200;

/// Answers what a program sent on a netlink socket in one call: the datagrams for that socket, in
/// order (`netlink_rcv_skb`).
pub fn answer(world: &mut World<'_>, asker: Asker, request: &[u8]) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    // The parts of a dump behind its first one.
    let mut left: Vec<Vec<u8>> = Vec::new();
    let looked = crate::engine::link::look(world);
    for message in Messages(request) {
        let request = Request::new(message, asker);
        let handled = request.has(libc::NLM_F_REQUEST) && message.kind >= FIRST;
        world.port = asker.port;
        world.sequence = message.sequence;
        let dumps = request.is_dump() && message.kind & 3 == GET;
        let result = match looked {
            Err(errno) => Err(Failure::from(errno)),
            Ok(()) if !handled => Ok(()),
            Ok(()) => match choose(world, &request) {
                Err(failure) => Err(failure),
                Ok(None) => Ok(()),
                // A dump that has more to give goes on when the program receives; there is one at
                // a time.
                Ok(Some(_)) if dumps && !left.is_empty() => Err(Failure::new(libc::EBUSY)),
                Ok(Some((handler, joined))) => {
                    let mut to = Writer::default();
                    let before = world.events.len();
                    let result = handler(world, &request, &mut to);
                    if dumps {
                        let mut parts = request.parts(&to, &result, joined).into_iter();
                        answers.extend(parts.next());
                        left.extend(parts);
                        continue;
                    }
                    answers.extend(Messages(to.bytes()).map(|answer| answer.bytes.to_vec()));
                    echo(world, before, &request, &mut answers);
                    result
                }
            },
        };
        if result.is_err() || request.has(libc::NLM_F_ACK) {
            answers.push(request.acknowledge(&result));
        }
    }
    answers.extend(left);
    answers
}

/// The two low bits of a type that asks (`RTNL_KIND_GET`).
const GET: u16 = 2;
/// The two low bits of a type that deletes (`RTNL_KIND_DEL`).
const DELETE: u16 = 1;

/// Who handles a request, and how the end of its dump comes ([`Row::joined`]).
type Chosen = (Handler, bool);

/// Chooses who handles a request (`rtnetlink_rcv_msg`). None means that nothing is to be done.
fn choose(world: &World<'_>, request: &Request<'_>) -> Result<Option<Chosen>, Failure> {
    let kind = request.message.kind;
    if kind > LAST {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    let Some(&family) = request.message.body.first() else {
        return Ok(None);
    };
    if kind & 3 != GET && !world.devices.may_configure() {
        return Err(Failure::new(libc::EPERM));
    }
    let dump = request.is_dump() && kind & 3 == GET;
    let row = table::find(kind, family, dump);
    let row = row.ok_or(Failure::new(libc::EOPNOTSUPP))?;
    if kind & 3 == DELETE && request.has(BULK) && !row.bulk {
        return Err(Failure::said(
            libc::EOPNOTSUPP,
            "Bulk delete is not supported",
        ));
    }
    let handler = if dump { row.dump } else { row.change };
    Ok(handler.map(|handler| (handler, row.joined)))
}

/// Gives an asker that wants an echo the events that its request caused, which it does not get
/// as a member of their groups then (`nlmsg_notify`).
fn echo(world: &mut World<'_>, before: usize, request: &Request<'_>, answers: &mut Vec<Vec<u8>>) {
    if !request.has(libc::NLM_F_ECHO) {
        return;
    }
    for event in world.events.iter_mut().skip(before) {
        let caused = Messages(&event.message)
            .next()
            .is_some_and(|m| m.port == request.asker.port && m.port != 0);
        if caused {
            event.except = request.asker.port;
            answers.push(event.message.clone());
        }
    }
}
