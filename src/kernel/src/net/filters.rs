//! The files that hold the packet filters of tunnels. A file is complete before its number stands
//! in the tunnel's state, and is removed after the number is gone from there.
#![forbid(unsafe_code)]

use super::{number_of, numbered, NetDir, FILTER};
use crate::bpf::{Instruction, MOST};
use crate::sys::quiet::{may, Extra};
use crate::sys::{self, Fd};
use crate::Errno;
use std::ffi::CString;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes of the longest program.
const LONGEST: usize = MOST * Instruction::SIZE;

impl NetDir {
    /// Makes the file of a packet filter, which `fill` writes. Returns its number and what `fill`
    /// returned. The caller holds the net's lock.
    ///
    /// # Errors
    ///
    /// ENOMEM when no file can be made, and what `fill` fails with.
    pub fn create_filter<T>(
        &self,
        fill: impl FnOnce(&mut FilterFile) -> Result<T, Errno>,
    ) -> Result<(u64, T), Errno> {
        let no_memory = |_| Errno(libc::ENOMEM);
        if !may(Extra::Files) || sys::longest_file() < LONGEST as u64 {
            return Err(Errno(libc::ENOMEM));
        }
        let dir = self.open_dir().map_err(no_memory)?;
        // The clock makes the number one that no program had before, so that who remembers a
        // program by its number never takes another one for it.
        let mut number = sys::now_ns(libc::CLOCK_MONOTONIC).max(1);
        let file = loop {
            match dir.create_new(numbered(FILTER, number)?.cstr()) {
                Err(Errno(libc::EEXIST)) => number += 1,
                made => break made.map_err(no_memory)?,
            }
        };
        match fill(&mut FilterFile(file)) {
            Ok(filled) => Ok((number, filled)),
            Err(e) => {
                self.remove_filter(number);
                Err(e)
            }
        }
    }

    /// Reads the packet filter of this number.
    ///
    /// # Errors
    ///
    /// ENOENT when it is gone, and what opening or reading its file fails with.
    pub fn read_filter(&self, number: u64) -> Result<Vec<Instruction>, Errno> {
        let name = numbered(FILTER, number)?;
        let dir = self.open_dir()?;
        let (file, _) = dir.open(name.cstr(), libc::O_RDONLY, libc::S_IFREG)?;
        let mut bytes = vec![0; LONGEST];
        let mut len = 0;
        while len < bytes.len() {
            match sys::pread(file.raw(), &mut bytes[len..], len as u64)? {
                0 => break,
                n => len += n,
            }
        }
        Ok(Instruction::each(&bytes[..len]).collect())
    }

    /// Removes the packet filter of this number. The number 0 means none, and nothing happens. The
    /// caller holds the net's lock.
    pub fn remove_filter(&self, number: u64) {
        if number != 0 {
            if let (Ok(dir), Ok(name)) = (self.open_dir(), numbered(FILTER, number)) {
                let _ = dir.unlink(name.cstr());
            }
        }
    }

    /// Removes the packet filters that no living tunnel has: their tunnels' processes were killed
    /// while they changed them. The caller holds the net's lock.
    pub(super) fn sweep_filters(&self, entries: &[CString], living: &[u64]) {
        let mut filters = entries
            .iter()
            .filter_map(|entry| number_of(FILTER, entry))
            .peekable();
        if filters.peek().is_none() {
            return;
        }
        let mut used = Vec::new();
        for inode in living {
            match self.tunnel(*inode) {
                Ok(tunnel) => used.push(tunnel.filter.load(Relaxed)),
                // Nobody knows which filter it has.
                Err(_) => return,
            }
        }
        filters
            .filter(|number| !used.contains(number))
            .for_each(|number| self.remove_filter(number));
    }
}

/// The file of a packet filter that is being made.
pub struct FilterFile(Fd);

impl FilterFile {
    /// Appends instructions, as they stand in the memory of a program.
    ///
    /// # Errors
    ///
    /// ENOMEM when the file system is full.
    pub fn append(&mut self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            match sys::write(self.0.raw(), bytes) {
                Ok(n @ 1..) => bytes = &bytes[n..],
                Err(Errno(libc::EINTR)) => {}
                _ => return Err(Errno(libc::ENOMEM)),
            }
        }
        Ok(())
    }
}
