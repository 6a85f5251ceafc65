//! What can be known of a program before it starts: does it start at all, would it touch the
//! machine itself, and will the library see what it does? There is one guard with one set of
//! sentences, which the command, [`UnderShim`](crate::UnderShim), Python and C ask. The part that
//! the preloaded library asks about the programs that a program executes is in `bypass`.
#![forbid(unsafe_code)]

use super::bypass::{bypass, is_linker};
use super::elf::{self, Entry, Image, Kind};
use super::preload::is_sanitizer;
use super::program::{self, Start, Step};
use super::raw;
use crate::{sys, Error, Result};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The result of a look at a program.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Examined {
    /// The file that runs in the end.
    pub file: PathBuf,
    /// Why the program must not be started, with the remedy: it would touch the machine itself.
    pub refusal: Option<String>,
    /// Reasons why the library will not see what the program does, each with its remedy.
    pub warnings: Vec<String>,
    /// Other facts that may be of interest.
    pub notes: Vec<String>,
    /// Names of the sanitizers' runtimes that the program is linked with. They must stand in front
    /// of the library in LD_PRELOAD.
    pub runtimes: Vec<String>,
    /// Does it wait by system calls that the library does not see? Then bells have to be exact, see
    /// [`Net::set_exact_bell`](crate::Net::set_exact_bell).
    pub waits_unseen: bool,
}

impl Examined {
    /// Turns a refusal into an error, or into a warning when `force` is true.
    ///
    /// # Errors
    /// - EPERM: there is a refusal, and `force` is false.
    pub fn permit(&mut self, force: bool) -> Result<()> {
        match self.refusal.take() {
            Some(text) if force => self.warnings.push(text),
            Some(text) => return Err(Error::new(libc::EPERM, format!("{text}, or force it"))),
            None => (),
        }
        Ok(())
    }
}

/// Looks at a program and at what it takes to start it.
///
/// # Errors
/// The same as those of execve(2), with a sentence.
pub fn examine(start: Start<'_>) -> Result<Examined> {
    let steps = program::steps(start)?;
    let mut examined = Examined::default();
    let last = steps.len().saturating_sub(1);
    for (i, step) in steps.iter().enumerate() {
        look(step, i == last, &mut examined)?;
    }
    if let Some(step) = steps.into_iter().next_back() {
        examined.file = step.file;
    }
    Ok(examined)
}

fn look(step: &Step, last: bool, examined: &mut Examined) -> Result<()> {
    // A file that cannot be read can still be executed, and its mode can be seen without reading
    // it.
    let Ok(file) = File::open(&step.file).or_else(|_| path_only(&step.file)) else {
        return Ok(());
    };
    let fd = file.as_raw_fd();
    let mut buf = [0; 1024];
    let len = sys::pread(fd, &mut buf, 0).unwrap_or(0);
    let start = &buf[..len];
    // The set-uid and set-gid bits of a script itself have no effect.
    if start.starts_with(b"#!") {
        return Ok(());
    }
    let name = step.file.file_name().unwrap_or(OsStr::new("")).as_bytes();
    let shown = step.shown();
    if let Kind::Ours(image) = elf::kind(fd, start) {
        has_its_linker(&image, &shown)?;
    }
    match bypass(fd, name, start) {
        Some(why) if why.touches_host() => {
            examined
                .refusal
                .get_or_insert_with(|| format!("{shown}: {why}"));
        }
        Some(why) => examined.warnings.push(format!("{shown}: {why}")),
        // The dynamic linker makes its system calls before any library is loaded.
        None if is_linker(name) => (),
        None => {
            if let (true, Kind::Ours(image)) = (last, elf::kind(fd, start)) {
                closer(&image, step, &file, &shown, examined);
            }
        }
    }
    Ok(())
}

/// Gives a missing dynamic linker a sentence of its own, because the system then says that the
/// program itself does not exist.
fn has_its_linker(image: &Image<'_>, shown: &str) -> Result<()> {
    let mut buf = [0; 256];
    match image.interpreter(&mut buf) {
        Some(linker) if !linker.is_empty() => {
            let linker = Path::new(OsStr::from_bytes(linker));
            match std::fs::metadata(linker) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::new(
                    libc::ENOENT,
                    format!(
                        "{shown}: cannot be executed: its dynamic linker {} does not exist; build it for this system, or \
                         install what it was built for",
                        linker.display()
                    ),
                )),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn path_only(file: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(file)
}

/// Does this system call wait for descriptors, or may it?
fn is_wait(call: &str) -> bool {
    ["poll", "ppoll", "select", "pselect", "epoll_", "io_uring"]
        .iter()
        .any(|name| call.starts_with(name))
}

/// Looks at a program that loads the library for what it does past the library all the same.
fn closer(image: &Image<'_>, step: &Step, file: &File, shown: &str, examined: &mut Examined) {
    image.each_name(|entry, name| {
        if entry == Entry::Needed && is_sanitizer(name) {
            examined
                .runtimes
                .push(String::from_utf8_lossy(name).into_owned());
        }
        true
    });
    for (library, calls) in raw::calls_of(image, &step.file, file) {
        examined.waits_unseen |= calls.iter().any(|call| is_wait(call));
        if library.is_some() && calls.iter().all(|call| call.starts_with("io_uring")) {
            // The program is linked with a library that makes such calls; most of its users use it
            // for other files.
            let library = library.unwrap_or_default();
            examined.notes.push(format!(
                "{shown}: its library {} is for io_uring, by which no library sees what becomes of a tunnel",
                library.display()
            ));
            continue;
        }
        let whose = match library {
            Some(library) => format!("its library {} makes", library.display()),
            None => "makes".to_owned(),
        };
        examined.warnings.push(format!(
            "{shown}: {whose} raw system calls ({}), and what becomes of the device by them no library sees; build it so \
             that it calls libc (the crate rustix: with its feature use-libc)",
            calls.join(", ")
        ));
    }
}
