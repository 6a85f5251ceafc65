//! Writing into files of the view.
#![forbid(unsafe_code)]
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::directory;
use super::file::file_at;
use super::names::{self, path_of, question};
use crate::errno::{self, fence};
use crate::table::{self, mark};
use crate::{net, uaccess};
use libc::{c_int, ssize_t};
use memtun_abi::Errno;
use memtun_stack::ask::What;
use memtun_stack::view::Written;
use memtun_sys::{self as sys, PathBuf};

/// The bytes of a write: a buffer of the program's, or an array of them.
pub enum Source<'s> {
    /// The program's memory from this address on, and its length in bytes.
    Buffer(usize, usize),
    /// So many buffers.
    Vector(&'s [libc::iovec]),
}

/// Longest write that is looked at: a page, as in the kernel.
const LONGEST: usize = 4096;

impl Source<'_> {
    /// Copies the bytes into `room`, as many as fit, and returns how many there are, and how many
    /// of them were copied.
    fn copy(&self, room: &mut [u8; LONGEST]) -> Result<(usize, usize), Errno> {
        let (mut filled, mut whole) = (0, 0usize);
        let mut take = |at: usize, length: usize| {
            let n = length.min(LONGEST - filled);
            uaccess::copy_in(at, &mut room[filled..filled + n])?;
            filled += n;
            whole = whole.saturating_add(length);
            Ok(())
        };
        match self {
            Source::Buffer(at, length) => take(*at, *length)?,
            Source::Vector(parts) => {
                for part in *parts {
                    take(part.iov_base as usize, part.iov_len)?;
                }
            }
        }
        Ok((whole, filled))
    }
}

/// Called for a write to a descriptor that is marked, at its own offset or at `offset`. `None` says
/// that the kernel's own write follows.
#[cold]
pub extern "C" fn write(fd: c_int, source: &Source<'_>, offset: Option<i64>) -> Option<ssize_t> {
    let marks = table::marks(fd)?;
    if marks & mark::WRITES == 0 {
        return None;
    }
    let answer = errno::keep(|| {
        fence(|| {
            let Some(path) = path_of(fd) else {
                return Ok(None);
            };
            let mut room = [0; LONGEST];
            let (whole, n) = source.copy(&mut room)?;
            let at = match offset {
                Some(offset) if offset < 0 => return Err(Errno(libc::EINVAL)),
                Some(offset) => offset,
                None => sys::seek(fd, 0, libc::SEEK_CUR)? as i64,
            };
            let done = carry_out(&path, &room[..n], whole, at)?;
            if offset.is_none() && done.moves {
                sys::seek(fd, done.taken as i64, libc::SEEK_CUR)?;
            }
            Ok(Some(done.taken))
        })
    });
    match answer {
        Ok(None) => None,
        Ok(Some(taken)) => Some(taken as ssize_t),
        Err(e) => Some(errno::give::<c_int>(Err(e))),
    }
}

/// What a write has come to.
pub struct Done {
    /// How many bytes were taken.
    pub taken: usize,
    /// Does the offset move behind them?
    moves: bool,
}

/// Carries out a write of `whole` bytes, which begin with these, into the file of the view at
/// `path`.
pub fn carry_out(path: &PathBuf, bytes: &[u8], whole: usize, at: i64) -> Result<Done, Errno> {
    let mut moves = true;
    let mut behind = 0;
    let written = {
        let tree = names::tree().ok_or(Errno(libc::ENODEV))?;
        let file = file_at(&tree, path)?;
        let mut bytes = bytes;
        if file.is_read_at_once() {
            moves = at != 0 || !tree.keeps_offset(&file);
            // It looks at a page less a byte, and takes what is behind it without a look.
            bytes = &bytes[..bytes.len().min(LONGEST - 1)];
            behind = whole - bytes.len();
        }
        tree.write(&file, bytes, at)?
    };
    directory::tell_watchers(path.bytes(), true);
    let taken = match written {
        Written::Done(taken) => taken,
        Written::Changed(taken) => {
            let net = net::existing().ok_or(Errno(libc::ENODEV))?;
            if memtun_stack::state::is_there(net) {
                // The change itself is made; the host process finds it with the next question at
                // the latest.
                let _ = question(What::Links, &[]);
            }
            taken
        }
        Written::Ask(taken) => asked(path, bytes).map(|()| taken)?,
        Written::AskWith(value, taken) => asked(path, value.bytes()).map(|()| taken)?,
        Written::AskAndFail(value, e) => {
            asked(path, value.bytes())?;
            return Err(e);
        }
    };
    let taken = taken + behind;
    Ok(Done { taken, moves })
}

/// Asks the host process to carry out a write.
fn asked(path: &PathBuf, bytes: &[u8]) -> Result<(), Errno> {
    let below = path.bytes().strip_prefix(b"/").unwrap_or(path.bytes());
    question(What::Write, &[below, b"\0", bytes])
}
