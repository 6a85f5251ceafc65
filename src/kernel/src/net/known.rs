//! Names and indices that belong to this net although its interfaces of that name may be gone. What
//! the host says about an interface with the same name is about something else.
#![forbid(unsafe_code)]

use super::{NetDir, FIRST_IFINDEX, ISOLATED_IFINDEX};
use crate::shm::layout::KNOWN_NAMES;
use crate::{Errno, Name};
use std::sync::atomic::Ordering::Relaxed;

/// Number of places behind its own at which a name may stand.
const REACH: usize = 64;

fn hash(name: &Name) -> u32 {
    let fnv = |hash: u32, byte: &u8| (hash ^ *byte as u32).wrapping_mul(0x0100_0193);
    name.as_bytes().iter().fold(0x811c_9dc5, fnv).max(1)
}

fn places(hash: u32) -> impl Iterator<Item = usize> {
    (0..REACH).map(move |i| (hash as usize + i) % KNOWN_NAMES)
}

impl NetDir {
    /// Does this net have, or did it have, an interface of this name?
    pub fn knows(&self, name: &Name) -> bool {
        let wanted = hash(name);
        places(wanted)
            .map(|at| self.known_names[at].load(Relaxed))
            .take_while(|found| *found != 0)
            .any(|found| found == wanted)
    }

    /// May an interface of this net have, or have had, this index? An index that a program chose by
    /// TUNSETIFINDEX is not counted.
    pub fn knows_index(&self, ifindex: u32) -> bool {
        let lowered = self.ifindex_lowered.load(Relaxed);
        let raised = ifindex.wrapping_add(lowered);
        (FIRST_IFINDEX..self.next_ifindex.load(Relaxed)).contains(&raised)
    }

    /// Returns the index that the first interface of the net gets, or got.
    pub fn first_ifindex(&self) -> u32 {
        FIRST_IFINDEX.saturating_sub(self.ifindex_lowered.load(Relaxed))
    }

    /// Gives out an index.
    pub(crate) fn take_ifindex(&self) -> u32 {
        let taken = self.next_ifindex.fetch_add(1, Relaxed);
        taken.wrapping_sub(self.ifindex_lowered.load(Relaxed))
    }

    /// Has the indexes of interfaces begin as in a new network namespace, unless the net has
    /// interfaces or a host process has said already where they begin.
    ///
    /// # Errors
    ///
    /// What locking the net fails with.
    pub fn begin_isolated(&self) -> Result<(), Errno> {
        let is_new = || !self.had_interfaces() && self.host_epoch.load(Relaxed) == 0;
        if is_new() && self.first_ifindex() != ISOLATED_IFINDEX {
            let _lock = self.lock()?;
            if is_new() {
                self.number_from(ISOLATED_IFINDEX);
            }
        }
        Ok(())
    }

    /// Sets the index that the first interface gets, at most [`FIRST_IFINDEX`], if there was none
    /// yet. The caller holds the net's lock. Returns whether that is the first one's index.
    pub fn number_from(&self, first: u32) -> bool {
        if !self.had_interfaces() {
            self.ifindex_lowered
                .store(FIRST_IFINDEX.saturating_sub(first), Relaxed);
        }
        self.first_ifindex() == first
    }

    /// Has this net, or had it ever, an interface? What a program asks about links, addresses and
    /// routes is left to the machine until then.
    #[inline]
    pub fn had_interfaces(&self) -> bool {
        self.next_ifindex.load(Relaxed) != FIRST_IFINDEX || self.changes.load(Relaxed) != 0
    }

    /// Adds a name to those that the net knows.
    pub(super) fn remember(&self, name: &Name) {
        let wanted = hash(name);
        for at in places(wanted) {
            let place = &self.known_names[at];
            match place.compare_exchange(0, wanted, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(found) if found == wanted => return,
                Err(_) => {}
            }
        }
    }
}
