//! What the first host process of a net begins with: how the machine is seen, and the uplinks that
//! are declared.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::state::{State, View};

/// What the first host process of a net begins with.
#[derive(Clone, Default, Debug)]
pub struct First {
    /// What is seen of the machine.
    pub view: View,
}

impl First {
    /// Returns the state of a net that has none yet.
    ///
    /// # Errors
    ///
    /// What reading the net fails with.
    pub fn state(&self, _net: &NetDir) -> Result<State, Errno> {
        Ok(State {
            view: self.view,
            ..State::default()
        })
    }
}
