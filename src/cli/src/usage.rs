//! A command line that says nothing, or something wrong.
#![forbid(unsafe_code)]

use crate::failure::say;
use clap::Command;
use std::process::ExitCode;

/// Help and version go to standard output; a wrong command line is one line that says where to
/// look.
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

/// The sentences of one of clap's messages: everything in front of the usage, joined.
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
