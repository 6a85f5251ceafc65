//! Parses the first line of a script as the kernel and env(1) do.

#![forbid(unsafe_code)]

/// Number of nested interpreters that the kernel follows (fs/exec.c, exec_binprm).
pub const SCRIPT_DEPTH: usize = 5;

/// Number of bytes of a script's first line that the kernel reads (BINPRM_BUF_SIZE).
pub const FIRST_LINE: usize = 256;

/// The search path of execvp(3) when there is no PATH.
pub const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The first line `#!INTERPRETER ARGUMENT`.
#[derive(Debug, PartialEq, Eq)]
pub struct FirstLine<'a> {
    /// Path of the interpreter; it ends at a blank or a tab, and may hold any other byte.
    pub interpreter: &'a [u8],
    /// The argument; empty when there is none.
    pub argument: &'a [u8],
}

impl<'a> FirstLine<'a> {
    /// Parses a file that starts with `start`; `None` when it is no script. As in the kernel
    /// (fs/binfmt_script.c), blanks and tabs are trimmed and nothing else, not even the carriage
    /// return of a line that was written on another system. This allocates nothing.
    pub fn parse(start: &'a [u8]) -> Option<FirstLine<'a>> {
        let line = start.strip_prefix(b"#!")?;
        let line = trim(line.split(|b| *b == b'\n').next()?);
        let end = line.iter().position(|b| b" \t\0".contains(b));
        let (interpreter, argument) = line.split_at(end.unwrap_or(line.len()));
        let argument = argument.split(|b| *b == 0).next().unwrap_or_default();
        Some(FirstLine {
            interpreter,
            argument: trim(argument),
        })
    }
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The words that `env -S` makes of its argument, also behind other options without an argument;
/// `None` without `-S`.
pub(super) fn split_string(argument: &[u8]) -> Option<Vec<Vec<u8>>> {
    let rest = argument.strip_prefix(b"--split-string=").or_else(|| {
        let options = argument.strip_prefix(b"-")?;
        let at = options.iter().position(|b| !b"i0v".contains(b))?;
        options[at..].strip_prefix(b"S")
    })?;
    let mut words = Vec::new();
    let (mut word, mut quote, mut started) = (Vec::new(), None, false);
    for &byte in rest {
        match byte {
            b'"' | b'\'' if quote.is_none() => (quote, started) = (Some(byte), true),
            _ if quote == Some(byte) => quote = None,
            _ if quote.is_none() && (byte.is_ascii_whitespace() || byte == b'\x0b') => {
                if started {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
            }
            _ => {
                word.push(byte);
                started = true;
            }
        }
    }
    if started {
        words.push(word);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_script_is_read_as_the_kernel_reads_it() {
        let of = |line| {
            let FirstLine {
                interpreter,
                argument,
            } = FirstLine::parse(line)?;
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("ASCII");
            Some((text(interpreter), text(argument)))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(of(b"#!/bin/sh\necho"), pair("/bin/sh", ""));
        assert_eq!(
            of(b"#! /usr/bin/perl -w -T \n"),
            pair("/usr/bin/perl", "-w -T")
        );
        assert_eq!(
            of(b"#!/usr/bin/env\tpython3"),
            pair("/usr/bin/env", "python3")
        );
        assert_eq!(of(b"#!/bin/sh\r\necho"), pair("/bin/sh\r", ""));
        assert_eq!(of(b"#!/usr/bin/env sh\r\n"), pair("/usr/bin/env", "sh\r"));
        assert_eq!(of(b"#!\t/bin/sh\x0b\n"), pair("/bin/sh\x0b", ""));
        assert_eq!(of(b"#!/bin/sh\0 -x\n"), pair("/bin/sh", ""));
        assert_eq!(of(b"\x7fELF"), None);
        assert_eq!(of(b"#!\n"), pair("", ""));
    }

    #[test]
    fn the_words_of_a_split_string() {
        let of = |argument: &str| {
            let words = split_string(argument.as_bytes())?;
            Some(
                words
                    .into_iter()
                    .map(|w| String::from_utf8(w).expect("ASCII"))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(of("python3 -u"), None);
        assert_eq!(of("-i"), None);
        assert_eq!(
            of("-S A=b python3 -u").expect("words"),
            ["A=b", "python3", "-u"]
        );
        assert_eq!(of("-vSpython3 'a b'").expect("words"), ["python3", "a b"]);
        assert_eq!(of("--split-string=perl").expect("words"), ["perl"]);
        assert_eq!(of("-S sh -e\r").expect("words"), ["sh", "-e"]);
    }
}
