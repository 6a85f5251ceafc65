//! Addresses and routes that are there before the program starts, set as a program would set them.
#![forbid(unsafe_code)]

use super::uplink::Uplink;
use crate::failure::Failure;
use memtun::{Errno, Net};
use memtun_stack::ask::{ask, Command, Question, What};
use memtun_stack::wire::{family_of, u32_at, Messages, Writer};
use memtun_sys as sys;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;

/// Sets the link up.
pub fn up(net: &Net, name: &str) -> Result<(), Failure> {
    let flag = (libc::IFF_UP as u32).to_ne_bytes();
    let mut own = [0; 16];
    own[8..12].copy_from_slice(&flag);
    own[12..].copy_from_slice(&flag);
    let mut to = Writer::default();
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
    to.message(libc::RTM_NEWLINK, flags as u16, 1, 0)
        .raw(&own)
        .string(libc::IFLA_IFNAME, name.as_bytes());
    put(net, to.bytes()).map_err(|e| failure(name, "cannot be set up", e))
}

/// Adds an address to the link.
pub fn address(net: &Net, name: &str, index: u32, of: (IpAddr, u8)) -> Result<(), Failure> {
    let (address, length) = of;
    let mut own = [family_of(address), length, 0, 0, 0, 0, 0, 0];
    own[4..].copy_from_slice(&index.to_ne_bytes());
    let mut to = Writer::default();
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    to.message(libc::RTM_NEWADDR, flags as u16, 1, 0)
        .raw(&own)
        .ip(libc::IFA_LOCAL, address)
        .ip(libc::IFA_ADDRESS, address);
    match put(net, to.bytes()) {
        // The net stays from one run to the next.
        Ok(()) | Err(Errno(libc::EEXIST)) => Ok(()),
        Err(e) => Err(failure(name, &format!("no address {address}/{length}"), e)),
    }
}

/// Adds a default route.
fn default_route(net: &Net, name: &str, index: u32, via: IpAddr) -> Result<(), Failure> {
    let table = libc::RT_TABLE_MAIN;
    let (family, kind) = (family_of(via), libc::RTN_UNICAST);
    let own = [
        family,
        0,
        0,
        0,
        table,
        libc::RTPROT_BOOT,
        0,
        kind,
        0,
        0,
        0,
        0,
    ];
    let mut to = Writer::default();
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    to.message(libc::RTM_NEWROUTE, flags as u16, 1, 0)
        .raw(&own)
        .ip(libc::RTA_GATEWAY, via)
        .u32(libc::RTA_OIF, index);
    match put(net, to.bytes()) {
        Ok(()) | Err(Errno(libc::EEXIST)) => Ok(()),
        Err(e) => Err(failure(name, &format!("no default route via {via}"), e)),
    }
}

/// Sets the loopback and the uplinks up, with their addresses and default routes.
pub fn uplinks(net: &Net, uplinks: &[Uplink]) -> Result<(), Failure> {
    if uplinks.is_empty() {
        return Ok(());
    }
    up(net, "lo")?;
    let state = memtun_stack::State::load(net.dir()).ok().flatten();
    let links = state.unwrap_or_default().links;
    for Uplink { name, address, via } in uplinks {
        let link = links.iter().find(|link| link.name == *name);
        let index = link.map_or(0, |link| link.index);
        let name = name.to_string();
        up(net, &name)?;
        self::address(net, &name, index, *address)?;
        if let Some(via) = via {
            default_route(net, &name, index, *via)?;
        }
    }
    Ok(())
}

/// Puts a request to the host process of the net.
fn put(net: &Net, request: &[u8]) -> Result<(), Errno> {
    let question = Question {
        what: What::Netlink,
        options: 0,
        id: sys::random(),
        port: 0,
        family: 0,
        request: 0,
        uid: sys::effective_uid(),
        pid: std::process::id(),
    };
    let own = std::env::current_exe().unwrap_or_default();
    let command = Command {
        given: Some(own.as_os_str().as_bytes()),
        ..Command::default()
    };
    let mut answer = Err(Errno(libc::ENOSYS));
    ask(net.dir(), &command, &question, &[request], &mut |packet| {
        for message in Messages(packet) {
            if message.kind == libc::NLMSG_ERROR as u16 {
                answer = match u32_at(message.body, 0) {
                    Some(0) => Ok(()),
                    errno => Err(Errno(-(errno.unwrap_or(0) as i32))),
                };
            }
        }
    })?;
    answer
}

fn failure(name: &str, what: &str, e: Errno) -> Failure {
    let why = memtun::cause(e).map_or_else(|| e.to_string(), |cause| format!("{e}: {cause}"));
    Failure::bad_input(format!("{name}: {what}: {why}"))
}
