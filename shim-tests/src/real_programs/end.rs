//! The far side of an interface.

use std::time::Duration;

/// Longest wait for anything that a healthy program does at once. Generous: two cores may be
/// building.
pub const SOON: Duration = Duration::from_secs(20);

/// The rest of the world, as seen from one interface.
pub trait End {
    /// Puts a packet into the program, or panics when there is no room for it in time.
    fn put(&self, packet: &[u8]);
    /// Sets the link up or down.
    fn set_link(&self, up: bool);
    /// The next packet that the program wrote, or `None` when there is none in time.
    fn take(&self, timeout: Duration) -> Option<Vec<u8>>;
}
