//! The rows of the table of sockets, for whoever reads them and for the one who writes them.
#![forbid(unsafe_code)]

use super::area::Area;
use super::layout::{InetState, Rows, State};
use super::{Errno, Mapped};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

const WORD: usize = 8;

impl Mapped<InetState> {
    /// Returns the words of a row. None means that there is no such row, or no memory behind it.
    #[inline]
    pub fn row<const N: usize>(&self, rows: Rows, at: usize) -> Option<&[AtomicU64; N]> {
        if at >= rows.count() || N != rows.words() {
            return None;
        }
        let start = rows.start();
        let kept = match self.kept(rows) {
            Some(kept) => usize::try_from(kept.load(Relaxed)).ok()?,
            None => rows.count() * N * WORD,
        };
        self.area_of_rows()
            .words(start + at * N * WORD, start.checked_add(kept)?)
    }

    /// Makes sure that there is memory behind a row and those before it.
    ///
    /// # Errors
    ///
    /// - ENOSPC when the file system is full.
    /// - ENOBUFS when there is no such row.
    pub fn reserve_row(&self, rows: Rows, at: usize) -> Result<(), Errno> {
        /// Bytes that are reserved at once.
        const STEP: usize = 64 << 10;
        if at >= rows.count() {
            return Err(Errno(libc::ENOBUFS));
        }
        let Some(kept) = self.kept(rows) else {
            return Ok(());
        };
        let all = rows.count() * rows.words() * WORD;
        let have = (kept.load(Relaxed) as usize).min(all);
        let wanted = (at + 1) * rows.words() * WORD;
        if wanted <= have {
            return Ok(());
        }
        let goal = wanted.next_multiple_of(STEP).min(all);
        self.area_of_rows().back(rows.start() + have, goal - have)?;
        kept.store(goal as u64, Relaxed);
        Ok(())
    }

    fn area_of_rows(&self) -> Area<'_> {
        self.packet_area()
    }
}

const _: () = assert!(InetState::FIRST % WORD == 0);
