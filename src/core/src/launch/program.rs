//! Follows the name of a command to the files that run, as execvp(3), the kernel's `#!` and env(1)
//! find them.

use super::bypass::is_noexec;
use super::script::{split_string, FirstLine, DEFAULT_PATH, FIRST_LINE, SCRIPT_DEPTH};
use crate::{Error, Result};
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Number of commands that env(1) may start for one another; a longer chain is taken for a circle.
const LONGEST: usize = 24;

/// A program as somebody is about to start it.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// Name or path of the program.
    pub program: &'a OsStr,
    /// The PATH that will be searched; `None` for this process's PATH.
    pub path: Option<&'a OsStr>,
    /// The directory in which the program will run; `None` for this process's directory.
    pub dir: Option<&'a Path>,
}

/// A file that the system executes on the way to the program; the last one is the program itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Path of the file.
    pub file: PathBuf,
    /// The script whose interpreter this file is, if it is one.
    pub script: Option<PathBuf>,
}

impl Step {
    /// The words with which a sentence about this step starts.
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

/// The files that will be executed, in their order.
///
/// # Errors
/// ENOENT, EACCES, ELOOP and ENOEXEC as execve(2) will give them, for the command or for an
/// interpreter.
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

/// The part of a file in which its first line is looked for; `None` when the file cannot be read.
fn beginning(file: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    let read = File::open(file).and_then(|f| f.take(FIRST_LINE as u64).read_to_end(&mut start));
    read.is_ok().then_some(start)
}

/// A name as a sentence shows it: control bytes are made visible.
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

/// What the user can do when there is no interpreter of this name.
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

    /// The file that the name of a command stands for.
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

    /// The file of that name in PATH. It is `None` when there is none, and an error when there are
    /// only files that cannot be executed.
    fn in_path(&self, name: &OsStr) -> Option<Result<PathBuf>> {
        if name.is_empty() {
            return None;
        }
        let path = self.path.clone().filter(|path| !path.is_empty());
        let path = path.unwrap_or_else(|| DEFAULT_PATH.into());
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

    /// The program that env(1) starts, given the one argument that the kernel passes to it.
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
                // A word with a variable is known only when env(1) runs.
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

/// Why a file cannot be executed, as an errno and in words; `None` when it can be.
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
    // SAFETY: the path is NUL-terminated, and the call reads nothing else.
    let answer =
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) };
    if answer == 0 {
        return None;
    }
    if is_noexec(file) {
        return Some((
            libc::EACCES,
            "permission denied, its file system is mounted noexec; copy it elsewhere",
        ));
    }
    Some((libc::EACCES, "permission denied; look at its mode"))
}
