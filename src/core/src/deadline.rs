//! Until when somebody waits, and how long a sleeper goes without looking around.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// How long a sleeper goes without looking whether the program is still alive: a killed program cannot wake anybody.
pub(crate) const LOOK_AROUND: Duration = Duration::from_millis(50);

/// A moment until which somebody waits, or never.
///
/// ```
/// use memtun::Deadline;
/// use std::time::Duration;
/// let soon = Deadline::after(Some(Duration::from_secs(5)));
/// assert!(!soon.is_over() && soon.left() <= Some(Duration::from_secs(5)));
/// assert_eq!(Deadline::after(None), Deadline::NEVER);
/// assert_eq!(Deadline::NEVER.left(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The one that does not come.
    pub const NEVER: Deadline = Deadline(None);

    /// The moment that lies so far ahead; None, or more than the clock can tell, for never.
    pub fn after(timeout: Option<Duration>) -> Deadline {
        Deadline(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// The time until then, zero when it is over; None for ever. As the methods of this crate want a timeout.
    pub fn left(self) -> Option<Duration> {
        self.0
            .map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Has it come?
    pub fn is_over(self) -> bool {
        self.left() == Some(Duration::ZERO)
    }

    /// Time for the next sleep of somebody who looks around in between for what nobody announces; None when the deadline is
    /// over.
    pub fn nap(self) -> Option<Duration> {
        match self.left() {
            None => Some(LOOK_AROUND),
            Some(left) => Some(left.min(LOOK_AROUND)).filter(|nap| !nap.is_zero()),
        }
    }

    /// The moment; None for never.
    pub(crate) fn instant(self) -> Option<Instant> {
        self.0
    }
}
