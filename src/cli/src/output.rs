//! Standard output, whose reader may stop before the end.
#![forbid(unsafe_code)]

use crate::failure::Failure;
use serde::Serialize;
use std::io::{self, BufWriter, Stdout, Write};

/// Standard output with a buffer. The last call must be [`Output::flush`].
pub struct Output(BufWriter<Stdout>);

impl Output {
    /// Takes standard output for the rest of the command.
    pub fn new() -> Output {
        Output(BufWriter::new(io::stdout()))
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).map_err(|e| complain(&e))
    }

    /// Writes a line.
    pub fn line(&mut self, text: impl std::fmt::Display) -> Result<(), Failure> {
        writeln!(self.0, "{text}").map_err(|e| complain(&e))
    }

    /// Writes a value as JSON that people can read, too.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(memtun::json::pretty(value))
    }

    /// Flushes the buffer, so that everything is out before the command reports success.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|e| complain(&e))
    }
}

fn complain(e: &io::Error) -> Failure {
    Failure::io("standard output", e)
}
