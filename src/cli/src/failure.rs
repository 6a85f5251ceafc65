//! One-line errors and exit statuses.
//!
//! 0 done; 1 it did not happen (time over, queue full, interface gone); 2 bad input. `run` gives the program's own status,
//! or 126 and 127 as env(1).

use clap::CommandFactory;
use std::fmt::Display;
use std::io;
use std::process::ExitCode;

/// Why the command ends, and how.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    text: String,
}

/// What a verb comes to.
pub type Outcome = Result<ExitCode, Failure>;

impl Failure {
    /// What was given cannot be used: the thing and the remedy, one line.
    pub fn bad_input(text: impl Into<String>) -> Failure {
        Failure::with_status(2, text)
    }

    /// What was asked for did not happen.
    pub fn not_done(text: impl Into<String>) -> Failure {
        Failure::with_status(1, text)
    }

    /// Another exit status.
    pub fn with_status(status: u8, text: impl Into<String>) -> Failure {
        Failure {
            status,
            text: text.into(),
        }
    }

    /// An operation on a file or stream.
    pub fn io(what: impl Display, e: &io::Error) -> Failure {
        if e.kind() == io::ErrorKind::BrokenPipe {
            return Failure {
                status: 0,
                text: String::new(),
            };
        }
        Failure::bad_input(format!("{what}: {}", plain(e)))
    }

    /// The same about a part of what was asked for.
    pub fn about(self, what: impl Display) -> Failure {
        Failure {
            text: format!("{what}: {}", self.text),
            ..self
        }
    }

    /// Says it on standard error. A reader that has had enough is no error.
    pub fn report(self) -> ExitCode {
        if !self.text.is_empty() {
            say(&self.text);
        }
        ExitCode::from(self.status)
    }
}

impl From<memtun::Error> for Failure {
    fn from(e: memtun::Error) -> Failure {
        let happened_otherwise = [
            libc::EAGAIN,
            libc::ENODEV,
            libc::ENETDOWN,
            libc::ENOTCONN,
            libc::ENOBUFS,
        ];
        let status = if happened_otherwise.contains(&e.errno().0) {
            1
        } else {
            2
        };
        Failure::with_status(status, e.to_string())
    }
}

/// An error's sentence without "(os error N)".
pub fn plain(e: &io::Error) -> String {
    let text = e.to_string();
    match text.rsplit_once(" (os error ") {
        Some((sentence, _)) => sentence.to_owned(),
        None => text,
    }
}

/// One line to standard error. What came from outside may hold anything; a terminal sees no control bytes.
pub fn say(text: &str) {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    let _ = io::Write::write_all(&mut io::stderr(), format!("memtun: {line}\n").as_bytes());
}

/// Help and version go to standard output; a wrong command line is one line that says where to look.
pub fn of_usage(e: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    if matches!(e.kind(), DisplayHelp | DisplayVersion) {
        let _ = e.print();
        return ExitCode::SUCCESS;
    }
    let word = std::env::args_os().nth(1).unwrap_or_default();
    let command = crate::args::Cli::command();
    let mut verbs = command.get_subcommands().map(|c| c.get_name());
    let verb = verbs.find(|verb| word == *verb);
    say(&one_line(&e.render().to_string(), verb));
    ExitCode::from(2)
}

/// The sentences of one of clap's messages: everything in front of the usage, joined.
fn one_line(text: &str, verb: Option<&str>) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(words: &[&str]) -> String {
        let e = crate::args::Cli::command()
            .try_get_matches_from(words)
            .expect_err("must be refused");
        one_line(&e.render().to_string(), words.get(1).copied())
    }

    #[test]
    fn a_wrong_command_line_is_one_line_that_names_the_thing_and_the_remedy() {
        let text = usage(&["memtun", "recv-udp", "tun0", "7", "--cuont", "3"]);
        assert!(!text.contains('\n'), "{text}");
        assert!(
            text.contains("'--cuont'") && text.contains("'--count'"),
            "{text}"
        );
        assert!(text.ends_with("see memtun recv-udp --help"), "{text}");
    }

    #[test]
    fn missing_arguments_are_named() {
        let text = usage(&["memtun", "run"]);
        assert!(text.contains("COMMAND") && !text.contains('\n'), "{text}");
    }
}
