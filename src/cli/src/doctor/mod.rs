//! Will a program work under the shim? `run` warns with the same checks.

mod elf;
mod program;

use crate::failure::say;
use std::ffi::OsStr;

/// Says on standard error why the program cannot be shimmed. True when something was said.
pub fn warn(program: &OsStr) -> bool {
    let findings = program::examine(program);
    for finding in &findings {
        say(finding);
    }
    !findings.is_empty()
}
