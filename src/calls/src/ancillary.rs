//! Control messages (`struct cmsghdr`), as a receive stores them.
#![forbid(unsafe_code)]

use crate::memory::Memory;
use memtun_abi::Errno;

/// Length in bytes of `struct cmsghdr`.
pub(crate) const HEAD: usize = 16;

/// Control messages in a program's memory, which are appended to those that stand there.
pub(crate) struct Control<'m, M: Memory> {
    memory: &'m M,
    at: usize,
    pub(crate) used: usize,
    room: usize,
    pub(crate) cut: bool,
}

impl<'m, M: Memory> Control<'m, M> {
    /// Stands behind those that are at a place, as [`append`] has it.
    pub(crate) fn behind(memory: &'m M, (at, used, room): (usize, usize, usize)) -> Self {
        Control {
            memory,
            at,
            used,
            room,
            cut: false,
        }
    }
    /// Appends one (`put_cmsg`).
    ///
    /// # Errors
    ///
    /// EFAULT where that cannot be written; nothing is appended then.
    pub(crate) fn put(&mut self, level: i32, kind: i32, data: &[u8]) -> Result<(), Errno> {
        let begin = self.used.next_multiple_of(size_of::<usize>());
        let left = self.room.saturating_sub(begin);
        if left < HEAD {
            self.cut = true;
            return Ok(());
        }
        let length = (HEAD + data.len()).min(left);
        self.cut |= length < HEAD + data.len();
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&length.to_ne_bytes());
        head[8..12].copy_from_slice(&level.to_ne_bytes());
        head[12..].copy_from_slice(&kind.to_ne_bytes());
        self.memory.write(self.at + begin, &head)?;
        let some = &data[..length - HEAD];
        self.memory.write(self.at + begin + HEAD, some)?;
        self.used = (begin + HEAD + data.len())
            .next_multiple_of(size_of::<usize>())
            .min(self.room);
        Ok(())
    }
}

/// Appends one control message to those at a `place`: where they begin, how many bytes they take,
/// and how many have room. Returns how many bytes are used then, and whether it was cut.
///
/// # Errors
///
/// EFAULT where that cannot be written.
pub fn append(
    memory: &impl Memory,
    (level, kind): (i32, i32),
    data: &[u8],
    place: (usize, usize, usize),
) -> Result<(usize, bool), Errno> {
    let mut control = Control::behind(memory, place);
    control.put(level, kind, data)?;
    Ok((control.used, control.cut))
}
