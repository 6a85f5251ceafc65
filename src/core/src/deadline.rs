//! Until when somebody waits, and how long a sleeper goes without looking around.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// How long a sleeper goes without looking whether the program is still alive: a killed program
/// cannot wake anybody.
pub(crate) const LOOK_AROUND: Duration = Duration::from_millis(50);

/// How long a call of a driver's waits. It is five seconds unless the caller says otherwise.
///
/// ```
/// use memtun::Timeout;
/// use std::time::Duration;
/// assert_eq!(Timeout::default(), Timeout::from(Duration::from_secs(5)));
/// assert_eq!(Timeout::from(None), Timeout::FOREVER);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(Option<Duration>);

impl Timeout {
    /// A call with this timeout does not wait: it answers with what is there now.
    pub const NOW: Timeout = Timeout(Some(Duration::ZERO));
    /// A call with this timeout waits as long as it takes.
    pub const FOREVER: Timeout = Timeout(None);
    /// The timeout of a call whose caller named none: five seconds.
    pub const DEFAULT: Timeout = Timeout(Some(Duration::from_secs(5)));

    /// The timeout as a duration; `None` means for ever.
    pub fn duration(self) -> Option<Duration> {
        self.0
    }
}

impl Default for Timeout {
    fn default() -> Timeout {
        Timeout::DEFAULT
    }
}

impl From<Duration> for Timeout {
    fn from(time: Duration) -> Timeout {
        Timeout(Some(time))
    }
}

/// `None` means for ever.
impl From<Option<Duration>> for Timeout {
    fn from(time: Option<Duration>) -> Timeout {
        Timeout(time)
    }
}

/// A moment until which somebody waits, or never.
///
/// ```
/// use memtun::Deadline;
/// use std::time::Duration;
/// let soon = Deadline::after(Duration::from_secs(5));
/// assert!(!soon.is_over() && soon.left() <= Some(Duration::from_secs(5)));
/// assert_eq!(Deadline::after(memtun::Timeout::FOREVER), Deadline::NEVER);
/// assert_eq!(Deadline::NEVER.left(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The deadline that never comes.
    pub const NEVER: Deadline = Deadline(None);

    /// The moment that lies `timeout` ahead; [`Deadline::NEVER`] where the clock cannot express
    /// that moment.
    pub fn after(timeout: impl Into<Timeout>) -> Deadline {
        let timeout = timeout.into().duration();
        Deadline(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// The time until the deadline, in the form that the methods of this crate take as a timeout:
    /// zero when the deadline is over, `None` when it never comes.
    pub fn left(self) -> Option<Duration> {
        self.0
            .map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Is the deadline over?
    pub fn is_over(self) -> bool {
        self.left() == Some(Duration::ZERO)
    }

    /// How long somebody may sleep who has to look around between sleeps for what nobody announces;
    /// `None` when the deadline is over.
    pub fn nap(self) -> Option<Duration> {
        match self.left() {
            None => Some(LOOK_AROUND),
            Some(left) => Some(left.min(LOOK_AROUND)).filter(|nap| !nap.is_zero()),
        }
    }

    /// The moment itself; `None` when it never comes.
    pub(crate) fn instant(self) -> Option<Instant> {
        self.0
    }
}
