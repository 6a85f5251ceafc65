//! The hooks: one family per file, with a few lines for each hook. They decide whose call it is,
//! hand a call on a tunnel to `ops` and its neighbours, and pass everything else on with the
//! caller's own arguments.

pub mod aio;
pub mod close;
pub mod directory;
pub mod disk;
pub mod dup;
pub mod exec;
pub mod fts;
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
pub mod search;
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

use crate::real::Hook;

/// Every hook, by family.
pub static FAMILIES: &[&[Hook]] = &[
    open::HOOKS,
    rw::HOOKS,
    ioctl::HOOKS,
    map::HOOKS,
    fts::HOOKS,
    close::HOOKS,
    dup::HOOKS,
    stat::HOOKS,
    stream::HOOKS,
    readlink::HOOKS,
    splice::HOOKS,
    directory::HOOKS,
    disk::HOOKS,
    names::HOOKS,
    naming::HOOKS,
    search::HOOKS,
    receive::HOOKS,
    socket::HOOKS,
    exec::HOOKS,
    wait::HOOKS,
    syscall::HOOKS,
    unseen::HOOKS,
    aio::HOOKS,
    terminal::HOOKS,
    owner::HOOKS,
    variadic::HOOKS,
    variadic::MORE,
    jump::HOOKS,
    signal::HOOKS,
    sandbox::HOOKS,
];
