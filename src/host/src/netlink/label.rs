//! Labels of IPv6 addresses, by which a source address is chosen (net/ipv6/addrlabel.c).
#![forbid(unsafe_code)]

use super::policy::{Kind, Mode, Policy, Table, U32};
use super::request::{invalid, word, Request};
use super::row::{row, Row};
use crate::{Failure, World};
use memtun_stack::state::Label;
use memtun_stack::wire::{network, Writer};
use std::net::{IpAddr, Ipv6Addr};

const INET6: u8 = libc::AF_INET6 as u8;
/// Length in bytes of `struct ifaddrlblmsg`.
const HEADER: usize = 12;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_NEWADDRLABEL, INET6, Some(change), None),
    row(libc::RTM_DELADDRLABEL, INET6, Some(change), None),
    row(
        libc::RTM_GETADDRLABEL,
        INET6,
        Some(get_label),
        Some(dump_labels),
    )
    .joined(),
];

/// Returns the labels and how often the table has been changed, at first by each of its entries.
fn all(world: &World<'_>) -> (Vec<Label>, u32) {
    world.state.labels.clone().unwrap_or_else(|| {
        let label = |(prefix, length, label)| Label {
            prefix,
            length,
            index: 0,
            label,
        };
        let all = LABELS.map(label).to_vec();
        (all, LABELS.len() as u32)
    })
}

/// Adds or deletes a label (`ip6addrlbl_newdel`).
fn change(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &LABEL, Mode::Liberal)?;
    let body = request.message.body;
    let (length, index) = (body[2], word(body, 4));
    let address = tb
        .get(1)
        .and_then(|a| <[u8; 16]>::try_from(a.value.get(..16)?).ok());
    let label = tb.get(2).and_then(|a| a.u32()).filter(|l| *l != u32::MAX);
    let (Some(address), Some(label), 0..=128) = (address, label, length) else {
        return Err(Failure::new(libc::EINVAL));
    };
    let address = Ipv6Addr::from(address);
    let (mut labels, changes) = all(world);
    let IpAddr::V6(prefix) = network(address.into(), length) else {
        return Err(Failure::new(libc::EINVAL));
    };
    let new = Label {
        prefix,
        length,
        index,
        label,
    };
    let is_same = |l: &Label| (l.prefix, l.length, l.index) == (prefix, length, index);
    let known = labels.iter().position(is_same);
    if request.message.kind == libc::RTM_DELADDRLABEL {
        labels.remove(known.ok_or(Failure::new(libc::ESRCH))?);
        world.state.labels = Some((labels, changes));
        return Ok(());
    }
    if index != 0 && world.link(index).is_none() || !fits(address, length) {
        return Err(Failure::new(libc::EINVAL));
    }
    match known {
        Some(_) if !request.has(libc::NLM_F_REPLACE) => return Err(Failure::new(libc::EEXIST)),
        Some(at) => labels[at] = new,
        None => {
            // Longer prefixes come first, and of equal ones those of a link.
            let behind = |l: &Label| l.length < length || l.length == length && l.index == 0;
            let at = labels.iter().position(behind).unwrap_or(labels.len());
            labels.insert(at, new);
        }
    }
    world.state.labels = Some((labels, changes + 1));
    Ok(())
}

/// Has a prefix of this address a length that it may have (`ip6addrlbl_alloc`)?
fn fits(address: Ipv6Addr, length: u8) -> bool {
    let high = u128::from(address) >> 32;
    match high {
        0xffff => length <= 96,
        0 if address.is_loopback() => length == 128,
        0 if !address.is_unspecified() => length == 96,
        _ => true,
    }
}

/// Prefix, its length and its label, in the kernel's order.
const LABELS: [(Ipv6Addr, u8, u32); 10] = [
    (Ipv6Addr::LOCALHOST, 128, 0),
    (Ipv6Addr::UNSPECIFIED, 96, 3),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 4),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 6),
    (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28, 7),
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16, 12),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 2),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, 11),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, 5),
    (Ipv6Addr::UNSPECIFIED, 0, 1),
];

fn dump_labels(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let body = request.message.body;
    if request.is_strict() {
        if body.len() < 12 {
            return invalid("ipv6: Invalid header for address label dump request");
        }
        if body[1..12] != [0; 11] {
            return invalid("ipv6: Invalid values in header for address label dump request");
        }
        if body.len() > 12 {
            return invalid("ipv6: Invalid data after header for address label dump request");
        }
    }
    let (labels, changes) = all(world);
    for label in labels {
        write_label(request, &label, changes, to);
    }
    Ok(())
}

fn write_label(request: &Request<'_>, label: &Label, changes: u32, to: &mut Writer) {
    let mut own = [0; 12];
    own[0] = INET6;
    own[2] = label.length;
    own[4..8].copy_from_slice(&label.index.to_ne_bytes());
    own[8..12].copy_from_slice(&changes.to_ne_bytes());
    let head = request.head(libc::RTM_NEWADDRLABEL, 0);
    to.message(head.kind, head.flags, head.sequence, head.port)
        .raw(&own)
        .ip(1, IpAddr::V6(label.prefix))
        .u32(2, label.label);
}

static LABEL: Table = Table {
    max: 2,
    strict_from: 0,
    entries: &[(1, Policy::of(Kind::Unspec, 16)), (2, U32)],
};

fn get_label(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let body = request.message.body;
    if body.len() < 12 {
        return invalid("ipv6: Invalid header for addrlabel get request");
    }
    let strict = request.is_strict();
    if strict && (body[1] != 0 || body[3] != 0 || word(body, 8) != 0) {
        return invalid("ipv6: Invalid values in header for addrlabel get request");
    }
    let mode = if strict { Mode::Known } else { Mode::Liberal };
    let tb = request.parse(12, &LABEL, mode)?;
    if strict && tb.iter().any(|a| a.kind != 1) {
        return invalid("ipv6: Unsupported attribute in addrlabel get request");
    }
    let index = word(body, 4);
    let unknown = index != 0 && world.link(index).is_none();
    let address = tb.get(1).and_then(|a| a.value.get(..16));
    let address: Option<[u8; 16]> = address.and_then(|a| a.try_into().ok());
    let Some(address) = address.filter(|_| body[0] == INET6 && body[2] == 128 && !unknown) else {
        return Err(Failure::new(libc::EINVAL));
    };
    let address = IpAddr::V6(address.into());
    let (labels, changes) = all(world);
    let within = |entry: &Label| {
        (entry.index == 0 || entry.index == index)
            && network(entry.prefix.into(), entry.length) == network(address, entry.length)
    };
    let found = labels.into_iter().find(within);
    let found = found.ok_or(Failure::new(libc::ESRCH))?;
    if let IpAddr::V6(prefix) = address {
        let shown = Label {
            prefix,
            length: 128,
            index,
            ..found
        };
        write_label(request, &shown, changes, to);
    }
    Ok(())
}
