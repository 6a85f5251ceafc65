//! Writes log lines to standard error by a system call and without allocating. A call on a foreign
//! descriptor never comes here.
#![forbid(unsafe_code)]

use log::{LevelFilter, Log, Metadata, Record};
use memtun_sys::quiet::{may, Extra};
use std::fmt::Write;

struct StandardError;

/// A line of at most 512 bytes. It is written in one go, so that lines of several processes do not
/// mix.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let n = text.len().min(self.bytes.len() - 1 - self.len);
        self.bytes[self.len..self.len + n].copy_from_slice(&text.as_bytes()[..n]);
        self.len += n;
        Ok(())
    }
}

impl Log for StandardError {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        may(Extra::Say)
    }
    fn log(&self, record: &Record<'_>) {
        if !may(Extra::Say) {
            return;
        }
        let mut line = Line {
            bytes: [0; 512],
            len: 0,
        };
        let level = record.level().as_str();
        let _ = write!(
            line,
            "memtun[{}] {}: {}",
            memtun_sys::getpid(),
            level,
            record.args()
        );
        line.bytes[line.len] = b'\n';
        let _ = memtun_sys::write(2, &line.bytes[..line.len + 1]);
    }
    fn flush(&self) {}
}

/// Sets the level, and replaces the panic message: a panic in this library is one log line, not a
/// backtrace in the program's output.
pub fn init(level: LevelFilter) {
    let _ = log::set_logger(&StandardError);
    log::set_max_level(level);
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or(("?", 0), |l| (l.file(), l.line()));
        log::error!("bug in memtun at {}:{}; please report it", place.0, place.1);
    }));
}
