//! A command line without a verb, or with something wrong in it.
#![forbid(unsafe_code)]

use crate::failure::say;
use clap::Command;
use std::process::ExitCode;

/// Writes help and version to standard output, or one line that says what is wrong and where to
/// look. Returns the exit status.
pub fn report(e: &clap::Error, command: &Command) -> ExitCode {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    if matches!(e.kind(), DisplayHelp | DisplayVersion) {
        let _ = e.print();
        return ExitCode::SUCCESS;
    }
    let word = std::env::args_os().nth(1).unwrap_or_default();
    let mut verbs = command.get_subcommands().map(|c| c.get_name());
    let verb = verbs.find(|verb| word == *verb);
    say(&one_line(&e.render().to_string(), verb));
    ExitCode::from(2)
}

/// Joins the sentences of one of clap's messages: everything before the usage.
pub fn one_line(text: &str, verb: Option<&str>) -> String {
    let sentences = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let sentences = sentences
        .take_while(|l| !l.starts_with("Usage:") && !l.starts_with("For more information"));
    let sentences = sentences.map(|l| l.trim_start_matches("error: ").trim_start_matches("tip: "));
    let message = sentences
        .collect::<Vec<_>>()
        .join("; ")
        .replace(":; ", ": ");
    match verb {
        Some(verb) => format!("{message}; see memtun {verb} --help"),
        None => format!("{message}; see memtun --help"),
    }
}
