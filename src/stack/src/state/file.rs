//! How the bytes of a state stand in its file: all of them as they were at one time, and behind
//! that what has changed since, change by change.
//!
//! ```text
//! head     8 bytes that say what this is, and how long the base is, in 8 bytes
//! base     messages, see the module above
//! change   how long it is, how many splices it has, and its sum, in 8 bytes each; then each splice:
//!          its position in the messages, how many bytes it takes out there, how many it puts in, in
//!          8 bytes each, and these; then zeroes up to whole words
//! change   ...
//! ```
//!
//! The file only grows, and a change counts when all of it is there and its sum is right: that of a
//! writer who is killed or stopped in the middle, or of one that is being written, is not there.
//! When it would have too many pieces, or a change is long, or there have been many, its writer
//! makes a new file instead.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_sys::{self as sys, Fd};

/// Most pieces of a file of which the messages are put together: a reader keeps where they are on
/// its stack.
pub const MOST_PIECES: usize = 512;

/// How many pieces, and how many bytes of changes, a file with so many bytes of messages may have:
/// more where reading and writing these takes long by itself.
fn most(base: u64) -> (usize, u64) {
    let pieces = (base / 4096).clamp(96, MOST_PIECES as u64);
    (pieces as usize, (base / 8).max(MOST_CHANGES))
}

/// Longest change in bytes, which a reader reads at once.
const LONGEST_CHANGE: usize = 8 << 10;

/// Most bytes of all changes of a small file: whoever reads the messages has to read the changes
/// first.
const MOST_CHANGES: u64 = 32 << 10;

/// First bytes of a file.
const IS_STATE: u64 = u64::from_ne_bytes(*b"memtun\x00\x02");
const HEAD: usize = 16;
const CHANGE: usize = 24;
const SPLICE: usize = 24;
const WORD: usize = 8;

/// Some messages in place of others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Splice {
    /// Where the messages begin that are taken out, in bytes, as they are after the splices before
    /// this one.
    pub position: u64,
    /// How many bytes are taken out.
    pub removed: u64,
    /// What is put there.
    pub bytes: Vec<u8>,
}

/// Some bytes of the file.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub at: u64,
    pub length: u64,
}

/// Where in the file the messages are, in their order.
#[derive(Clone)]
pub(super) struct Pieces {
    all: [Piece; MOST_PIECES],
    count: usize,
}

impl Pieces {
    fn new() -> Pieces {
        Pieces {
            all: [Piece::default(); MOST_PIECES],
            count: 0,
        }
    }

    /// Returns the pieces in the order of the messages.
    pub fn all(&self) -> &[Piece] {
        &self.all[..self.count]
    }

    /// Appends a piece. None means that there is no room.
    fn push(&mut self, at: u64, length: u64) -> Option<()> {
        if length == 0 {
            return Some(());
        }
        if let Some(last) = self.count.checked_sub(1).map(|last| &mut self.all[last]) {
            if last.at + last.length == at {
                last.length += length;
                return Some(());
            }
        }
        *self.all.get_mut(self.count)? = Piece { at, length };
        self.count += 1;
        Some(())
    }

    /// Takes out `removed` bytes at `position`, and puts there the `inserted` bytes of the file at
    /// `at`. None means that there is no room, or that there are no such bytes.
    fn splice(&mut self, position: u64, removed: u64, at: u64, inserted: u64) -> Option<()> {
        let end = position.checked_add(removed)?;
        let mut new = Pieces::new();
        let (mut done, mut put) = (0u64, false);
        for piece in self.all() {
            let next = done + piece.length;
            let before = piece.length.min(position.saturating_sub(done));
            new.push(piece.at, before)?;
            if next >= position && !put {
                new.push(at, inserted)?;
                put = true;
            }
            if next > end {
                let skipped = before.max(end.saturating_sub(done));
                new.push(piece.at + skipped, piece.length - skipped)?;
            }
            done = next;
        }
        if end > done {
            return None;
        }
        if !put {
            new.push(at, inserted)?;
        }
        *self = new;
        Some(())
    }

    /// Reads where the messages of a file are. `room` is for at least one change. Returns the end
    /// of the last change, too.
    ///
    /// # Errors
    ///
    /// EUCLEAN when this is no such file.
    pub fn read(file: &Fd, room: &mut [u8]) -> Result<(Pieces, u64), Errno> {
        let damaged = Errno(libc::EUCLEAN);
        let n = sys::pread(file.raw(), &mut room[..HEAD], 0)?;
        let base = match (word(&room[..n], 0), word(&room[..n], WORD)) {
            (Some(IS_STATE), Some(base)) => base,
            _ => return Err(damaged),
        };
        let mut pieces = Pieces::new();
        pieces.push(HEAD as u64, base).ok_or(damaged)?;
        let mut end = base.checked_add(HEAD as u64).ok_or(damaged)?;
        loop {
            let n = sys::pread(file.raw(), room, end)?;
            let mut used = 0;
            while let Some(change) = whole(&room[used..n], end) {
                apply(&mut pieces, change, end).ok_or(damaged)?;
                used += change.len();
                end += change.len() as u64;
            }
            if used == 0 {
                return Ok((pieces, end));
            }
        }
    }
}

/// Returns the change with which the bytes begin, which are at `at` in the file, if it is whole.
fn whole(bytes: &[u8], at: u64) -> Option<&[u8]> {
    let length = usize::try_from(word(bytes, 0)?).ok()?;
    let change = bytes.get(..length).filter(|_| length >= CHANGE)?;
    (word(change, 2 * WORD)? == sum(change, at)).then_some(change)
}

/// Carries out a change that is whole.
fn apply(pieces: &mut Pieces, change: &[u8], at: u64) -> Option<()> {
    let mut here = CHANGE;
    for _ in 0..word(change, WORD)? {
        let inserted = word(change, here + 2 * WORD)?;
        let from = here + SPLICE;
        let end = from.checked_add(usize::try_from(inserted).ok()?)?;
        change.get(from..end)?;
        let (position, removed) = (word(change, here)?, word(change, here + WORD)?);
        pieces.splice(position, removed, at + from as u64, inserted)?;
        here = end;
    }
    Some(())
}

/// The sum of a change that stands at `at`: of all its words but the one that holds the sum, and of
/// its place, so that what is left of another change there is none.
fn sum(change: &[u8], at: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let add = |sum: u64, word: u64| (sum ^ word).wrapping_mul(ODD).rotate_left(29);
    let words = change.chunks(WORD).enumerate();
    let words = words.filter(|(number, _)| *number != 2);
    words.fold(add(ODD, at), |sum, (_, bytes)| {
        let mut word = [0; WORD];
        word[..bytes.len()].copy_from_slice(bytes);
        add(sum, u64::from_ne_bytes(word))
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(WORD)?)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

/// Returns the bytes of a change that stands at `at` in a file.
fn change(splices: &[Splice], at: u64) -> Vec<u8> {
    let mut bytes = vec![0; CHANGE];
    for splice in splices {
        for number in [splice.position, splice.removed, splice.bytes.len() as u64] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(&splice.bytes);
    }
    bytes.resize(bytes.len().next_multiple_of(WORD), 0);
    let (length, count) = (bytes.len() as u64, splices.len() as u64);
    bytes[..WORD].copy_from_slice(&length.to_ne_bytes());
    bytes[WORD..2 * WORD].copy_from_slice(&count.to_ne_bytes());
    let sum = sum(&bytes, at);
    bytes[2 * WORD..CHANGE].copy_from_slice(&sum.to_ne_bytes());
    bytes
}

/// Returns the pieces with another change, and its bytes; None when it is time for a new file.
fn added(pieces: &Pieces, base: u64, end: u64, splices: &[Splice]) -> Option<(Pieces, Vec<u8>)> {
    let bytes = change(splices, end);
    let (most_pieces, most_changes) = most(base);
    if bytes.len() > LONGEST_CHANGE || end - base > most_changes {
        return None;
    }
    let mut pieces = pieces.clone();
    apply(&mut pieces, &bytes, end)?;
    (pieces.count <= most_pieces).then_some((pieces, bytes))
}

/// Returns a file without changes, with these messages.
pub fn base(messages: &[u8]) -> Vec<u8> {
    let length = messages.len() as u64;
    [&IS_STATE.to_ne_bytes(), &length.to_ne_bytes(), messages].concat()
}

/// The file of a host process that has published its state, to which it appends.
pub struct Log {
    file: Fd,
    pieces: Pieces,
    /// The ends of the base and of the last change.
    base: u64,
    end: u64,
}

impl Log {
    /// Publishes all messages of a state in a new file.
    ///
    /// # Errors
    ///
    /// The same as [`NetDir::publish_stack`].
    pub fn begin(net: &NetDir, epoch: u64, messages: &[u8]) -> Result<Log, Errno> {
        let file = net.publish_stack(epoch, &base(messages))?;
        Log::of(file, messages.len())
    }

    /// Goes on with a file without changes, which has so many bytes of messages.
    ///
    /// # Errors
    ///
    /// None in practice: there is room for one piece.
    pub fn of(file: Fd, messages: usize) -> Result<Log, Errno> {
        let mut pieces = Pieces::new();
        let room = pieces.push(HEAD as u64, messages as u64);
        room.ok_or(Errno(libc::EUCLEAN))?;
        let base = (HEAD + messages) as u64;
        Ok(Log {
            file,
            pieces,
            base,
            end: base,
        })
    }

    /// Publishes a change. Returns false, and has done nothing, when it is time for a new file.
    ///
    /// # Errors
    ///
    /// The same as [`NetDir::append_stack`].
    pub fn append(&mut self, net: &NetDir, epoch: u64, splices: &[Splice]) -> Result<bool, Errno> {
        let Some((pieces, bytes)) = added(&self.pieces, self.base, self.end, splices) else {
            return Ok(false);
        };
        net.append_stack(epoch, &self.file, self.end, &bytes)?;
        self.pieces = pieces;
        self.end += bytes.len() as u64;
        Ok(true)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
