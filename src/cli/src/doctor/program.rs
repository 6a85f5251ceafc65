//! From the name of a command to the file that runs, and what the system does when it starts.

use super::{elf, Findings};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// As many interpreters of interpreters as the kernel follows.
const SCRIPT_DEPTH: usize = 5;

/// What is wrong with a command; None when it is not found, which execution itself says.
pub fn examine(command: &OsStr) -> Option<Findings> {
    let mut path = find(command)?;
    let mut via = String::new();
    for _ in 0..SCRIPT_DEPTH {
        let mut start = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(256).read_to_end(&mut start));
        let Some(interpreter) = read.ok().and_then(|_| interpreter(&start)) else {
            break;
        };
        let Some(next) = find(&interpreter) else {
            break;
        };
        via = format!(", the interpreter of {}", path.display());
        path = next;
    }
    let mut findings = elf::examine(&path);
    findings.complaints.extend(privileges(&path));
    for text in findings.complaints.iter_mut().chain(&mut findings.notes) {
        *text = format!("{}{via}: {text}", path.display());
    }
    Some(findings)
}

/// The file that a command means, as execvp(3) finds it.
pub fn find(command: &OsStr) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if command.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(command)).filter(executable);
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join(command))
        .find(executable);
    found
}

/// The interpreter that a script's first line names; env(1) stands for the program it looks up.
fn interpreter(start: &[u8]) -> Option<OsString> {
    let line = start.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let mut words = line.split(|b| b" \t".contains(b)).filter(|w| !w.is_empty());
    let first = words.next()?;
    if first.ends_with(b"/env") {
        let skipped = |w: &&[u8]| !w.starts_with(b"-") && !w.contains(&b'=');
        if let Some(program) = words.find(skipped) {
            return Some(OsString::from_vec(program.to_vec()));
        }
    }
    Some(OsString::from_vec(first.to_vec()))
}

/// Programs that get privileges when they start ignore LD_PRELOAD (ld.so(8), secure-execution mode).
fn privileges(path: &Path) -> Option<String> {
    let meta = path.metadata().ok()?;
    let (uid, gid) = (
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    if gives_none() {
        return None;
    }
    const REMEDY: &str =
        "so the system starts it without the library; run a copy of it that is not";
    if meta.mode() & 0o4000 != 0 && meta.uid() != uid {
        return Some(format!("is set-uid, {REMEDY}"));
    }
    if meta.mode() & 0o2010 == 0o2010 && meta.gid() != gid {
        return Some(format!("is set-gid, {REMEDY}"));
    }
    if uid != 0 && has_capabilities(path) {
        return Some(
            "has file capabilities, so the system starts it without the library; run a copy of it, which has none".into(),
        );
    }
    None
}

/// Has the process promised never to gain privileges?
fn gives_none() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|l| {
        l.strip_prefix("NoNewPrivs:")
            .is_some_and(|v| v.trim() == "1")
    })
}

fn has_capabilities(path: &Path) -> bool {
    let mut value = [0u8; 64];
    rustix::fs::getxattr(path, "security.capability", &mut value[..]).is_ok_and(|n| n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_of_a_script() {
        let of = |line: &[u8]| interpreter(line).map(|i| i.into_string().unwrap());
        assert_eq!(of(b"#!/bin/sh\necho").as_deref(), Some("/bin/sh"));
        assert_eq!(
            of(b"#! /usr/bin/perl -w\n").as_deref(),
            Some("/usr/bin/perl")
        );
        assert_eq!(of(b"#!/usr/bin/env python3\n").as_deref(), Some("python3"));
        assert_eq!(
            of(b"#!/usr/bin/env -S A=b python3 -u\n").as_deref(),
            Some("python3")
        );
        assert_eq!(of(b"\x7fELF").as_deref(), None);
        assert_eq!(of(b"#!\n").as_deref(), None);
    }
}
