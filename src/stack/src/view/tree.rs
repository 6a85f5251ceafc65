//! The tree of a net's files, and what its parts have in common.
#![forbid(unsafe_code)]

use crate::state::{self, View};
use memtun_kernel::net::{Local, NetDir};
use memtun_shm::lock::Guard;
use std::cell::Cell;

/// The files of a net. It holds the net's lock, so that it is made for one question.
pub struct Tree<'n> {
    pub(super) net: &'n NetDir,
    pub(super) local: &'n dyn Local,
    /// None where the lock could not be had: then links are shown as they are on record.
    pub(super) lock: Option<Guard<'n>>,
    /// What is seen of the machine; None where nobody has asked yet.
    seen: Cell<Option<View>>,
}

/// What an entry of a directory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort<'t> {
    /// A directory with these permissions.
    Directory(u32),
    /// A symbolic link with this target.
    Link(&'t [u8]),
    /// A file with these permissions.
    File(u32),
}

impl<'n> Tree<'n> {
    /// Looks at the files of a net. None means that the net never had an interface: then
    /// everything is the machine's.
    pub fn new(net: &'n NetDir, local: &'n dyn Local) -> Option<Tree<'n>> {
        if !net.had_interfaces() && (!state::is_there(net) || view(net) == View::Merged) {
            return None;
        }
        Some(Tree {
            net,
            local,
            lock: net.lock().ok(),
            seen: Cell::new(None),
        })
    }

    /// What is seen of the machine?
    pub fn view(&self) -> View {
        let seen = self.seen.get().unwrap_or_else(|| view(self.net));
        self.seen.set(Some(seen));
        seen
    }
}

/// What is seen of the machine in a net?
fn view(net: &NetDir) -> View {
    let mut view = View::Merged;
    let _ = state::each_message(net, |message| {
        view = state::view_of(message).unwrap_or(view);
        false
    });
    view
}
