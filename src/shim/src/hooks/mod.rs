//! The hooks: one family per file, with a few lines for each hook. They decide whose call it is,
//! hand a call on a tunnel to `ops` and its neighbours, and pass everything else on with the
//! caller's own arguments.

pub mod aio;
pub mod cancel;
pub mod close;
pub mod directory;
pub mod disk;
pub mod dup;
pub mod exec;
pub mod fts;
pub mod hosts;
pub mod ioctl;
pub mod jump;
pub mod map;
pub mod names;
pub mod naming;
pub mod open;
pub mod owner;
pub mod rawsignal;
pub mod readlink;
pub mod receive;
pub mod rw;
pub mod sandbox;
pub mod scopes;
pub mod search;
pub mod send;
pub mod signal;
pub mod socket;
pub mod splice;
pub mod stat;
pub mod stream;
pub mod syscall;
pub mod terminal;
pub mod unseen;
pub mod variadic;
pub mod wait;

use crate::real::Visit;

/// Tells of every hook, family by family.
pub fn each(visit: Visit<'_>) {
    open::each(visit);
    rw::each(visit);
    ioctl::each(visit);
    map::each(visit);
    fts::each(visit);
    close::each(visit);
    dup::each(visit);
    stat::each(visit);
    stream::each(visit);
    readlink::each(visit);
    splice::each(visit);
    directory::each(visit);
    disk::each(visit);
    names::each(visit);
    scopes::each(visit);
    hosts::each(visit);
    naming::each(visit);
    search::each(visit);
    receive::each(visit);
    send::each(visit);
    socket::each(visit);
    exec::each(visit);
    wait::each(visit);
    syscall::each(visit);
    unseen::each(visit);
    aio::each(visit);
    terminal::each(visit);
    owner::each(visit);
    variadic::each(visit);
    variadic::each_own(visit);
    jump::each(visit);
    cancel::each(visit);
    signal::each(visit);
    sandbox::each(visit);
}
