//! Will a program work under the shim? `run` warns with the same checks.

mod elf;
mod program;
mod surroundings;

use crate::failure::{say, Outcome};
use crate::output::Output;
use crate::run::find_library;
use clap::Args;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

pub use program::find;
pub use surroundings::{probe, PROBE};

/// Say whether a program will work under the shim, and what to do if not
///
/// The exit status is 0 if nothing speaks against it, else 1.
#[derive(Args)]
pub struct DoctorArgs {
    /// The program, as run takes it; without one only the installation is looked at
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// What a look at a program gives.
#[derive(Default)]
pub struct Findings {
    /// Why it can't work, each with its remedy.
    pub complaints: Vec<String>,
    /// What may be of interest.
    pub notes: Vec<String>,
    /// An AddressSanitizer in a library of its own wants to be told that it does not come first.
    pub sanitizer: bool,
}

/// Says on standard error why the program cannot be shimmed.
pub fn warn(program: &OsStr) -> Findings {
    let findings = program::examine(program).unwrap_or_default();
    findings
        .complaints
        .iter()
        .for_each(|complaint| say(complaint));
    findings
}

/// `memtun doctor`
pub fn doctor(args: &DoctorArgs) -> Outcome {
    let library = find_library()?;
    let mut complaints = surroundings::examine(&library);
    let mut notes = Vec::new();
    if let Some(command) = args.command.first() {
        match program::examine(command) {
            Some(findings) => {
                complaints.extend(findings.complaints);
                notes = findings.notes;
            }
            None => complaints.push(format!(
                "{}: not found; give a path, or a name that is in PATH",
                command.to_string_lossy()
            )),
        }
    }
    let mut out = Output::new();
    for text in complaints.iter().chain(&notes) {
        out.line(text)?;
    }
    if complaints.is_empty() {
        match args.command.first() {
            Some(command) => out.line(format_args!(
                "{}: nothing speaks against it",
                command.to_string_lossy()
            ))?,
            None => out.line(format_args!(
                "{}: loads, and a tunnel works",
                library.display()
            ))?,
        }
    }
    out.flush()?;
    Ok(ExitCode::from(u8::from(!complaints.is_empty())))
}
