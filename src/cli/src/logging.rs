//! What a host process has to say, on standard error.
#![forbid(unsafe_code)]

use crate::failure::say;
use log::{LevelFilter, Log, Metadata, Record};
use memtun::launch::settings;
use std::os::unix::ffi::OsStrExt;

struct StandardError;

impl Log for StandardError {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        say(&format!("host: {}", record.args()));
    }
    fn flush(&self) {}
}

/// Begins to write what MEMTUN_LOG asks for. Where that says nothing, `otherwise` is written.
pub fn init(otherwise: LevelFilter) {
    let given = std::env::var_os(settings::LOG).filter(|given| !given.is_empty());
    let level = given.map_or(otherwise, |given| {
        settings::log_level(given.as_bytes()).unwrap_or_else(|| {
            let (name, given) = (settings::LOG, given.to_string_lossy());
            say(&format!("{name}={given}: {}", settings::LOG_REMEDY));
            LevelFilter::Warn
        })
    });
    if log::set_logger(&StandardError).is_ok() {
        log::set_max_level(level);
    }
}
