//! `doctor`: will a program work under the shim? `run` asks the same functions.

mod surroundings;

use crate::failure::Outcome;
use crate::output::Output;
use clap::Args;
use memtun::find_library;
use memtun::launch::{examine, Start};
use std::ffi::OsString;
use std::process::ExitCode;

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

/// Runs `memtun doctor`.
pub fn doctor(args: &DoctorArgs) -> Outcome {
    let library = find_library()?;
    let mut complaints = surroundings::examine(&library);
    let mut notes = Vec::new();
    if let Some(program) = args.command.first() {
        let start = Start {
            program,
            path: None,
            dir: None,
        };
        match examine(start) {
            Ok(examined) => {
                complaints.extend(examined.refusal);
                complaints.extend(examined.warnings);
                notes = examined.notes;
            }
            Err(e) => complaints.push(e.to_string()),
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
