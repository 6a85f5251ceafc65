//! Reports what a test did not do where people look. libtest knows only tests that passed, and
//! hides what those print.
//!
//! Tests of other crates include this file by its path.

use std::io::Write as _;

/// Says that the calling test, or the named part of it, did not run: on standard error itself, and
/// in the file `$MEMTUN_TEST_NOT_RUN`, from which `scripts/test` makes its last lines. `what` is
/// what is not known because of it.
pub fn not_run(what: &str, why: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    not_run_by(name, what, why);
}

/// The same as [`not_run`] for a test whose thread has another name.
pub fn not_run_by(name: &str, what: &str, why: &str) {
    let why = why.trim().replace('\n', " ");
    let line = format!("NOT RUN: {name}: {what}, because: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = std::env::var_os("MEMTUN_TEST_NOT_RUN") {
        let file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(file);
        // The line is written by one call, because other tests append, too.
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
