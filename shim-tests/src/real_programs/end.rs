//! The far side of an interface.

use std::time::Duration;

/// The longest wait for anything that a healthy program does at once. It is generous, because two
/// cores may be busy with a build.
pub const SOON: Duration = Duration::from_secs(20);

/// The far side of an interface, which plays the rest of the world.
pub trait End {
    /// Sends a packet to the program. It panics when there is no room for it in time.
    fn put(&self, packet: &[u8]);
    /// Sets the link up or down.
    fn set_link(&self, up: bool);
    /// The next packet that the program wrote; `None` when there is none in time.
    fn take(&self, timeout: Duration) -> Option<Vec<u8>>;
}
