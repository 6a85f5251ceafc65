//! Names and indices that belong to this net although its interfaces of that name may be gone. What
//! the host says about an interface with the same name is about something else.
#![forbid(unsafe_code)]

use super::{NetDir, FIRST_IFINDEX};
use crate::shm::layout::KNOWN_NAMES;
use crate::Name;
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
        (FIRST_IFINDEX..self.next_ifindex.load(Relaxed)).contains(&ifindex)
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
