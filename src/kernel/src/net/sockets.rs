//! What a program has set on a socket about an interface of the net. The kernel cannot keep it, as
//! it does not know the interface; here it stands under the inode of the socket, so that it holds
//! for every process that has the socket.
#![forbid(unsafe_code)]

use super::{NetDir, SOCKETS};
use crate::sys::{self, Fd};
use crate::Errno;
use std::sync::atomic::Ordering::{Acquire, Release};

/// What is kept of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kept {
    /// SO_BINDTODEVICE: the index of the interface.
    Device = 1,
    /// IP_MULTICAST_IF: the address, as a number in the machine's order.
    Multicast = 2,
    /// IPV6_MULTICAST_IF: the index of the interface.
    Multicast6 = 3,
    /// IP_UNICAST_IF: the index of the interface.
    Unicast = 4,
    /// IPV6_UNICAST_IF: the index of the interface.
    Unicast6 = 5,
    /// SO_MARK: the mark.
    Mark = 6,
    /// IP_MULTICAST_IF: the index of the interface.
    MulticastIndex = 7,
    /// SO_PRIORITY: the priority. 8 is `GROUP`.
    Priority = 9,
}

/// Number of places in the file. The oldest of those that fight for a place is forgotten.
const PLACES: u64 = 4096;
/// Number of places at which a socket may stand.
const REACH: u64 = 8;
/// Length in bytes of a place: the key, and the value.
const PLACE: usize = 16;

/// The last byte of what a socket stands under for each group that it has joined.
const GROUP: u64 = 8;

/// Returns what a socket stands under: its inode, and what is kept.
fn key(inode: u64, kept: Kept) -> u64 {
    inode << 8 | kept as u64
}

impl NetDir {
    /// Returns what is kept of the socket with this inode.
    ///
    /// # Errors
    ///
    /// What opening or reading the file fails with.
    pub fn kept_of(&self, inode: u64, kept: Kept) -> Result<Option<u32>, Errno> {
        // Of the calls that ask, most are on sockets of nets where nobody has set anything.
        if self.kept.load(Acquire) == 0 {
            return Ok(None);
        }
        let Some(file) = self.open_sockets(libc::O_RDONLY)? else {
            return Ok(None);
        };
        let key = key(inode, kept);
        let found = find(&file, key, |place, _| place == key)?;
        Ok(found.map(|(_, value)| value as u32))
    }

    /// Keeps a value of the socket with this inode, or nothing any more. The caller holds the net's
    /// lock.
    ///
    /// # Errors
    ///
    /// What making, opening or writing the file fails with.
    pub fn keep(&self, inode: u64, kept: Kept, value: Option<u32>) -> Result<(), Errno> {
        let key = key(inode, kept);
        let file = match (self.open_sockets(libc::O_RDWR)?, value) {
            (Some(file), _) => file,
            (None, None) => return Ok(()),
            (None, Some(_)) => self.make_sockets()?,
        };
        let at = match (find(&file, key, |place, _| place == key)?, value) {
            (Some((at, _)), _) => at,
            (None, None) => return Ok(()),
            (None, Some(_)) => free(&file, key)?,
        };
        let place = value.map(|value| (key, u64::from(value)));
        write(&file, at, place)
    }

    /// Keeps that the socket with this inode has joined a group, of which `group` is any number
    /// that tells it from others; or that it has left it. Returns false where it has joined it
    /// before, or not. The caller holds the net's lock.
    ///
    /// # Errors
    ///
    /// The same as [`NetDir::keep`].
    pub fn join_group(&self, inode: u64, group: u64, joins: bool) -> Result<bool, Errno> {
        let key = inode << 8 | GROUP;
        let start = key ^ group << 1;
        let file = match (self.open_sockets(libc::O_RDWR)?, joins) {
            (Some(file), _) => file,
            (None, false) => return Ok(false),
            (None, true) => self.make_sockets()?,
        };
        let known = find(&file, start, |place, value| place == key && value == group)?;
        match (known, joins) {
            (Some(_), true) | (None, false) => return Ok(false),
            (Some((at, _)), false) => write(&file, at, None)?,
            (None, true) => write(&file, free(&file, start)?, Some((key, group)))?,
        }
        Ok(true)
    }

    fn make_sockets(&self) -> Result<Fd, Errno> {
        self.open_dir()?.create_plain(SOCKETS)?;
        let file = self.open_sockets(libc::O_RDWR)?;
        self.kept.store(1, Release);
        file.ok_or(Errno(libc::ENOENT))
    }

    fn open_sockets(&self, flags: i32) -> Result<Option<Fd>, Errno> {
        match self.open_dir()?.open(SOCKETS, flags, libc::S_IFREG) {
            Ok((file, _)) => Ok(Some(file)),
            Err(Errno(libc::ENOENT)) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// Returns the first place at which a key may stand.
fn first(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & (PLACES - 1)
}

/// Looks at the places where `key` may stand for the first that `is_it` says yes to, by what stands
/// there and its value. Returns the place and its value.
fn find(
    file: &Fd,
    key: u64,
    is_it: impl Fn(u64, u64) -> bool,
) -> Result<Option<(u64, u64)>, Errno> {
    for i in 0..REACH {
        let at = (first(key) + i) % PLACES;
        // What is behind the end of the file is free.
        let mut place = [0; PLACE];
        sys::pread(file.raw(), &mut place, at * PLACE as u64)?;
        let word = |from: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&place[from..from + 8]);
            u64::from_ne_bytes(bytes)
        };
        if is_it(word(0), word(8)) {
            return Ok(Some((at, word(8))));
        }
    }
    Ok(None)
}

/// Returns a place for `key`: a free one, or the first.
fn free(file: &Fd, key: u64) -> Result<u64, Errno> {
    let found = find(file, key, |place, _| place == 0)?;
    Ok(found.map_or(first(key), |(at, _)| at))
}

/// Writes what stands at a place, and its value; None makes it free.
fn write(file: &Fd, at: u64, what: Option<(u64, u64)>) -> Result<(), Errno> {
    let (key, value) = what.unwrap_or((0, 0));
    let place = [key, value].map(u64::to_ne_bytes);
    sys::pwrite(file.raw(), place.as_flattened(), at * PLACE as u64).map(drop)
}
