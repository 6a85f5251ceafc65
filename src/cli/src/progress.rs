//! The progress of a long job, which is shown on a terminal only.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(200);

/// A line on standard error that is overwritten with each report.
pub struct Progress {
    /// Time of the last report; None when standard error is no terminal.
    shown: Option<Instant>,
    /// Number of bytes of the whole job, if known.
    size: Option<u64>,
    dirty: bool,
}

impl Progress {
    /// Makes a progress that is shown only where standard error is a terminal. `size` is the number
    /// of bytes of the whole job.
    pub fn on_terminal(size: Option<u64>) -> Progress {
        let shown = std::io::stderr().is_terminal().then(Instant::now);
        Progress {
            shown,
            size: size.filter(|s| *s > 0),
            dirty: false,
        }
    }

    /// Reports what is done, as a sentence and as a number of bytes.
    pub fn show(&mut self, text: &str, bytes: u64) {
        let Some(shown) = &mut self.shown else { return };
        if shown.elapsed() < EVERY {
            return;
        }
        *shown = Instant::now();
        self.dirty = true;
        let share = self
            .size
            .map(|size| format!("{:3}% ", (bytes.min(size) * 100) / size))
            .unwrap_or_default();
        let _ = write!(std::io::stderr(), "\r\x1b[K{share}{text}");
    }

    /// Clears the line.
    pub fn end(&mut self) {
        if self.dirty {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
            self.dirty = false;
        }
    }
}
