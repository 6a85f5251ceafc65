//! How each thing of a state is written, and in which order they stand.
#![forbid(unsafe_code)]

use super::things::{self, Answered, Label, Listener, Sysctl, View};
use super::things::{LAST, LISTENER, PATH, RULED, SYSCTL, TABLE, VALUE, VIEW};
use crate::address::{Address, Head};
use crate::link::Extra;
use crate::neighbour::Neighbour;
use crate::nexthop::{HopObject, NEWNEXTHOP};
use crate::route::Route;
use crate::rule::Rule;
use crate::traffic::Traffic;
use crate::wire::Writer;

// The numbers of the parts of a state, in the order of the file.
pub(super) const ABOUT: usize = 0;
pub(super) const LINKS: usize = 1;
pub(super) const ADDRESSES: usize = 2;
pub(super) const ROUTES: usize = 3;
pub(super) const OBJECTS: usize = 4;
pub(super) const TABLES: usize = 5;
pub(super) const RULES: usize = 6;
pub(super) const NEIGHBOURS: usize = 7;
pub(super) const TRAFFIC: usize = 8;
pub(super) const SYSCTLS: usize = 9;
pub(super) const LABELS: usize = 10;
pub(super) const LISTENERS: usize = 11;
pub(super) const HIDDEN: usize = 12;
pub(super) const ANSWERED: usize = 13;
/// Number of parts.
pub(super) const COUNT: usize = 14;

fn head(kind: u16) -> Head {
    Head {
        kind,
        ..Head::default()
    }
}

pub(super) fn about(to: &mut Writer, (view, ruled, last): &(View, [bool; 2], u32)) {
    to.message(things::ABOUT, 0, 0, 0)
        .u8(VIEW, (*view == View::Isolated).into())
        .attribute(RULED, &ruled.map(u8::from))
        .u32(LAST, *last);
}

pub(super) fn link(to: &mut Writer, link: &Extra) {
    link.write(to, libc::RTM_NEWLINK);
}

pub(super) fn address(to: &mut Writer, address: &Address) {
    address.write(to, head(libc::RTM_NEWADDR), None);
}

pub(super) fn route(to: &mut Writer, route: &Route) {
    route.write(to, head(libc::RTM_NEWROUTE), None);
}

pub(super) fn object(to: &mut Writer, object: &HopObject) {
    object.write(to, head(NEWNEXTHOP), None);
}

pub(super) fn table(to: &mut Writer, (family, table): &(u8, u32)) {
    let family = u32::from(*family).to_ne_bytes();
    to.message(TABLE, 0, 0, 0)
        .raw(&[family, table.to_ne_bytes()].concat());
}

pub(super) fn rule(to: &mut Writer, rule: &Rule) {
    rule.write_whole(to, head(libc::RTM_NEWRULE));
}

pub(super) fn neighbour(to: &mut Writer, neighbour: &Neighbour) {
    neighbour.write(to, head(libc::RTM_NEWNEIGH), None);
}

pub(super) fn traffic(to: &mut Writer, traffic: &Traffic) {
    traffic.write(to);
}

pub(super) fn sysctl(to: &mut Writer, sysctl: &Sysctl) {
    to.message(SYSCTL, 0, 0, 0)
        .attribute(PATH, &sysctl.path)
        .attribute(VALUE, &sysctl.value);
}

pub(super) fn labels(to: &mut Writer, (labels, changes): &(Vec<Label>, u32)) {
    let mut bytes = changes.to_ne_bytes().to_vec();
    for label in labels {
        bytes.extend(label.prefix.octets());
        let numbers = [u32::from(label.length), label.index, label.label];
        bytes.extend(numbers.map(u32::to_ne_bytes).concat());
    }
    to.message(things::LABELS, 0, 0, 0).raw(&bytes);
}

pub(super) fn listener(to: &mut Writer, listener: &Listener) {
    let mut bytes = listener.port.to_ne_bytes().to_vec();
    bytes.extend(listener.inode.to_ne_bytes());
    bytes.extend(listener.groups.to_ne_bytes());
    bytes.extend(listener.seal);
    to.message(LISTENER, 0, 0, 0).raw(&bytes);
}

pub(super) fn hidden(to: &mut Writer, hidden: &[u8]) {
    to.message(things::HIDDEN, 0, 0, 0).raw(hidden);
}

pub(super) fn answered(to: &mut Writer, answered: &Answered) {
    let mut bytes = answered.id.to_ne_bytes().to_vec();
    bytes.extend(&answered.packets);
    to.message(things::ANSWERED, 0, 0, 0).raw(&bytes);
}
