//! Numbers of namespaces, of which none has one: RTM_NEWNSID, RTM_GETNSID
//! (net/core/net_namespace.c).
#![forbid(unsafe_code)]

use super::policy::{Kind, Mode, Policy, Table, U32};
use super::request::{invalid, Request};
use super::row::{row, Row};
use crate::{Failure, World};
use memtun_stack::wire::Writer;

const UNSPEC: u8 = libc::AF_UNSPEC as u8;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_NEWNSID, UNSPEC, Some(new_nsid), None),
    row(libc::RTM_GETNSID, UNSPEC, Some(get_nsid), Some(dump_nsid)).joined(),
];

static NSID: Table = Table {
    max: 5,
    strict_from: 0,
    entries: &[
        (1, Policy::of(Kind::S32, 0)),
        (2, U32),
        (3, U32),
        (4, Policy::of(Kind::S32, 0)),
    ],
};

fn new_nsid(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(1, &NSID, Mode::Liberal)?;
    if !tb.has(1) {
        return invalid("nsid is missing");
    }
    match peer(&tb)? {
        true => Err(Failure::new(libc::EPERM)),
        false => invalid("Peer netns reference is missing"),
    }
}

/// Looks for the namespace that a request names. Returns whether it names one.
fn peer(tb: &super::policy::Parsed<'_>) -> Result<bool, Failure> {
    let wrong =
        |errno: i32, at: usize| Err(Failure::said(errno, "Peer netns reference is invalid").at(at));
    if let Some(a) = tb.get(2) {
        let pid = a.u32().unwrap_or(0) as i32;
        if pid <= 0 || !memtun_sys::process_exists(pid) {
            return wrong(libc::ESRCH, a.at);
        }
        return Ok(true);
    }
    if let Some(a) = tb.get(3) {
        // The descriptors of the asker are not known here. The first three are hardly namespaces.
        let open = a.u32().is_some_and(|fd| fd < 3);
        return wrong(if open { libc::EINVAL } else { libc::EBADF }, a.at);
    }
    Ok(false)
}

fn get_nsid(_: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let strict = request.is_strict();
    let mode = if strict { Mode::Known } else { Mode::Liberal };
    let tb = request.parse(1, &NSID, mode)?;
    if strict && tb.iter().any(|a| !(1..=4).contains(&a.kind)) {
        return invalid("Unsupported attribute in peer netns getid request");
    }
    if !peer(&tb)? {
        return match tb.get(1) {
            Some(a) => {
                let text = "Peer netns reference is invalid";
                Err(Failure::said(libc::ENOENT, text).at(a.at))
            }
            None => invalid("Peer netns reference is missing"),
        };
    }
    let head = request.head(libc::RTM_NEWNSID, 0);
    to.message(head.kind, head.flags, head.sequence, head.port)
        .raw(&[0])
        .u32(1, u32::MAX);
    Ok(())
}

fn dump_nsid(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    if !request.is_strict() {
        return Ok(());
    }
    let tb = request.parse(1, &NSID, Mode::Known)?;
    let target = tb.get(4);
    if let Some(a) = tb.iter().find(|a| a.kind != 4) {
        return Err(Failure::said(libc::EINVAL, "Unsupported attribute in dump request").at(a.at));
    }
    match target {
        Some(a) => Err(Failure::said(libc::EINVAL, "Invalid target network namespace id").at(a.at)),
        None => Ok(()),
    }
}
