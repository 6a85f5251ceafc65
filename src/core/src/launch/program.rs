//! From the name of a command to the files that run, as execvp(3), the kernel's `#!` and env(1) find them.

use crate::{Error, Result};
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Interpreters of interpreters that the kernel follows (fs/exec.c, exec_binprm).
const SCRIPT_DEPTH: usize = 5;

/// As much of a script's first line as the kernel reads (BINPRM_BUF_SIZE).
const FIRST_LINE: usize = 256;

/// Commands that env(1) starts for one another: longer chains are circles.
const LONGEST: usize = 24;

/// A program as somebody is about to start it.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// Its name or path.
    pub program: &'a OsStr,
    /// PATH as it will be searched; None for this process's.
    pub path: Option<&'a OsStr>,
    /// The directory in which it will run; None for this process's.
    pub dir: Option<&'a Path>,
}

/// A file that the system executes on the way to the program, the program itself at the end.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// The file.
    pub file: PathBuf,
    /// The script that it is the interpreter of.
    pub script: Option<PathBuf>,
}

impl Step {
    /// How a sentence about it starts.
    pub fn shown(&self) -> String {
        match &self.script {
            Some(script) => format!(
                "{}, the interpreter of {}",
                self.file.display(),
                script.display()
            ),
            None => self.file.display().to_string(),
        }
    }
}

/// The files that will be executed.
///
/// Errors: ENOENT, EACCES, ELOOP, ENOEXEC as execve(2) will give them, for the command or an interpreter.
pub fn steps(start: Start<'_>) -> Result<Vec<Step>> {
    let mut search = Search {
        path: start
            .path
            .map(OsStr::to_owned)
            .or_else(|| std::env::var_os("PATH")),
        dir: start.dir.map(Path::to_owned),
    };
    let file = search.command(start.program)?;
    let mut steps = vec![Step { file, script: None }];
    let mut depth = 0;
    while let Some(last) = steps.last().filter(|_| steps.len() < LONGEST) {
        let script = last.file.clone();
        let start = beginning(&script).unwrap_or_default();
        let Some(line) = FirstLine::parse(&start) else {
            break;
        };
        if line.interpreter.is_empty() {
            let text = format!(
                "{}: names no interpreter behind #!; write one",
                script.display()
            );
            return Err(Error::new(libc::ENOEXEC, text));
        }
        depth += 1;
        if depth > SCRIPT_DEPTH {
            let text = format!(
                "{}: more than {SCRIPT_DEPTH} interpreters of interpreters; let one be a program",
                script.display()
            );
            return Err(Error::new(libc::ELOOP, text));
        }
        let file = search.interpreter(line.interpreter, &script)?;
        let is_env = file.file_name() == Some(OsStr::new("env"));
        steps.push(Step {
            file,
            script: Some(script.clone()),
        });
        if is_env {
            if let Some(program) = search.of_env(line.argument, &script)? {
                steps.push(Step {
                    file: program,
                    script: Some(script),
                });
                depth = 0;
            }
        }
    }
    Ok(steps)
}

/// `#!INTERPRETER ARGUMENT`
#[derive(Debug, PartialEq, Eq)]
pub struct FirstLine<'a> {
    /// A path, with everything in it but blanks and tabs.
    pub interpreter: &'a [u8],
    /// Empty when there is none.
    pub argument: &'a [u8],
}

impl<'a> FirstLine<'a> {
    /// Of a file that starts so; None when it is no script. As the kernel reads it (fs/binfmt_script.c): blanks and tabs are
    /// trimmed, and nothing else, also not the carriage return of a line that was written elsewhere. Allocates nothing.
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

/// As much of a file as its first line is looked for in; None when nothing can be read of it.
fn beginning(file: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    let read = File::open(file).and_then(|f| f.take(FIRST_LINE as u64).read_to_end(&mut start));
    read.is_ok().then_some(start)
}

/// What a name is in a sentence: a control byte is seen.
fn shown(name: &[u8]) -> String {
    let mut text = String::new();
    for c in String::from_utf8_lossy(name).chars() {
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    text
}

/// What to do when there is no interpreter of this name.
fn remedy(name: &[u8]) -> &'static str {
    if name.ends_with(b"\r") {
        "save the script with Unix line endings"
    } else {
        "install it"
    }
}

struct Search {
    path: Option<OsString>,
    dir: Option<PathBuf>,
}

impl Search {
    fn place(&self, path: &Path) -> PathBuf {
        match &self.dir {
            Some(dir) => dir.join(path),
            None => path.to_owned(),
        }
    }

    /// The file that a command means.
    fn command(&self, name: &OsStr) -> Result<PathBuf> {
        let shown = name.to_string_lossy();
        let absent = |text: &str| Error::new(libc::ENOENT, format!("{shown}: {text}"));
        if name.as_bytes().contains(&b'/') {
            let file = self.place(Path::new(name));
            return match obstacle(&file) {
                None => Ok(file),
                Some((libc::ENOENT, _)) => {
                    Err(absent("not found; build it, or give the path of a program"))
                }
                Some((errno, why)) => Err(Error::new(
                    errno,
                    format!("{shown}: cannot be executed: {why}"),
                )),
            };
        }
        self.in_path(name)
            .ok_or_else(|| absent("not found in PATH; give its path, or install it"))?
    }

    /// None: there is none by that name. An error: there is, but none that can be executed.
    fn in_path(&self, name: &OsStr) -> Option<Result<PathBuf>> {
        if name.is_empty() {
            return None;
        }
        let path = self.path.clone().filter(|path| !path.is_empty());
        let path = path.unwrap_or_else(|| "/bin:/usr/bin".into());
        let mut refused = None;
        for dir in std::env::split_paths(&path) {
            let file = self.place(&dir.join(name));
            match obstacle(&file) {
                None => return Some(Ok(file)),
                Some((libc::EACCES, why)) if fs::metadata(&file).is_ok_and(|m| m.is_file()) => {
                    refused = refused.or(Some(format!(
                        "{}: cannot be executed: {why}",
                        file.display()
                    )));
                }
                Some(_) => (),
            }
        }
        refused.map(|text| Err(Error::new(libc::EACCES, text)))
    }

    fn interpreter(&self, name: &[u8], script: &Path) -> Result<PathBuf> {
        let file = self.place(Path::new(OsStr::from_bytes(name)));
        let (script, shown) = (script.display(), shown(name));
        match obstacle(&file) {
            None => Ok(file),
            Some((libc::ENOENT, _)) => Err(Error::new(
                libc::ENOENT,
                format!(
                    "{script}: cannot be executed: its interpreter {shown} does not exist; {}",
                    remedy(name)
                ),
            )),
            Some((errno, why)) => Err(Error::new(
                errno,
                format!("{script}: cannot be executed: its interpreter {shown}: {why}"),
            )),
        }
    }

    /// The program that env(1) starts, with the one argument that the kernel gives it.
    fn of_env(&mut self, argument: &[u8], script: &Path) -> Result<Option<PathBuf>> {
        let words = match split_string(argument) {
            Some(words) => words,
            None if argument.is_empty()
                || argument.starts_with(b"-")
                || argument.contains(&b'=') =>
            {
                return Ok(None);
            }
            None => vec![argument.to_vec()],
        };
        let mut words = words.into_iter();
        let text = |word: Vec<u8>| OsString::from_vec(word);
        let program = loop {
            let Some(word) = words.next() else {
                return Ok(None);
            };
            match word.as_slice() {
                b"-u" => drop(words.next()),
                b"-C" => self.dir = words.next().map(|dir| self.place(Path::new(&text(dir)))),
                word if word.starts_with(b"-") => (),
                word if word.starts_with(b"PATH=") => self.path = Some(text(word[5..].to_vec())),
                word if word.contains(&b'=') => (),
                // Only known when it runs.
                word if word.contains(&b'$') => return Ok(None),
                _ => break text(word),
            }
        };
        let found = if program.as_bytes().contains(&b'/') {
            Some(self.command(&program))
        } else {
            self.in_path(&program)
        };
        match found {
            Some(Ok(file)) => Ok(Some(file)),
            Some(Err(e)) => Err(Error::new(
                e.errno().0,
                format!("{}: its interpreter {e}", script.display()),
            )),
            None => {
                let name = program.as_bytes();
                let shown = shown(name);
                let remedy = if name.contains(&b' ') {
                    "several words want env -S"
                } else {
                    remedy(name)
                };
                let text = format!(
                    "{}: cannot be executed: env finds no {shown} in PATH; {remedy}",
                    script.display()
                );
                Err(Error::new(libc::ENOENT, text))
            }
        }
    }
}

/// The words of `env -S`, also behind other options without an argument; None without it.
fn split_string(argument: &[u8]) -> Option<Vec<Vec<u8>>> {
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

/// Why a file cannot be executed, in numbers and words.
fn obstacle(file: &Path) -> Option<(i32, &'static str)> {
    let Ok(meta) = fs::metadata(file).map_err(|e| e.raw_os_error()) else {
        let errno = fs::metadata(file).err()?.raw_os_error()?;
        return Some(match errno {
            libc::ENOENT | libc::ENOTDIR => (libc::ENOENT, ""),
            libc::ELOOP => (
                libc::ELOOP,
                "too many symbolic links on the way to it; mend them",
            ),
            _ => (
                libc::EACCES,
                "permission denied on the way to it; look at the modes of its directories",
            ),
        });
    };
    if meta.is_dir() {
        return Some((
            libc::EACCES,
            "it is a directory; give the path of a program",
        ));
    }
    if !meta.is_file() {
        return Some((
            libc::EACCES,
            "permission denied, it is no regular file; give the path of a program",
        ));
    }
    let path = CString::new(file.as_os_str().as_bytes()).ok()?;
    // SAFETY: a NUL-terminated path; the call reads nothing else.
    let answer =
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) };
    if answer == 0 {
        return None;
    }
    if super::guard::is_noexec(file) {
        return Some((
            libc::EACCES,
            "permission denied, its file system is mounted noexec; copy it elsewhere",
        ));
    }
    Some((libc::EACCES, "permission denied; look at its mode"))
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
