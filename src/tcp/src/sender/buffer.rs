//! What the program has written and the other side has not acknowledged.
#![forbid(unsafe_code)]

/// A ring of bytes that grows with what is in it, up to a bound, and that is given back when it is
/// empty: ten thousand idle connections are cheap.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
    /// What it begins with the next time: who has written much at once will again.
    next: usize,
}

/// What the ring has at first, at the beginning of a connection and later on.
const FIRST: [usize; 2] = [2 * 1024, 16 * 1024];
/// How many times as large it becomes where it is full.
const FACTOR: usize = 4;
/// What it has at most, and what of that is for what has not arrived: where there are gaps, what
/// has arrived beyond them does not keep more from being written.
const MOST: usize = 1024 * 1024;
const WAITING: usize = 256 * 1024;

impl Buffer {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// How much may be written where so many bytes have arrived beyond a gap.
    pub(crate) fn room(&self, arrived: usize) -> usize {
        (WAITING + arrived).min(MOST).saturating_sub(self.length)
    }

    /// Grows where it is full; what is in it lies in one piece afterwards.
    fn grow(&mut self) {
        let least = self.next.max(FIRST[0]);
        let capacity = (self.bytes.len() * FACTOR).clamp(least, MOST);
        if capacity <= self.bytes.len() {
            return;
        }
        let mut bytes = vec![0; capacity];
        let (first, second) = self.slices(0, self.length);
        bytes[..first.len()].copy_from_slice(first);
        bytes[first.len()..self.length].copy_from_slice(second);
        (self.bytes, self.start) = (bytes, 0);
    }

    /// Gives free space, as far as it lies in one piece and at most so much, to `fill`, which says
    /// how much of it is filled.
    pub(crate) fn write_with<R>(
        &mut self,
        most: usize,
        fill: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> R {
        if self.length == self.bytes.len() {
            self.grow();
        }
        if self.length == 0 {
            self.start = 0;
        }
        let capacity = self.bytes.len();
        let at = (self.start + self.length) % capacity.max(1);
        let end = if at < self.start {
            self.start
        } else {
            capacity
        };
        let end = end.min(at + most);
        let room = &mut self.bytes[at..end];
        let most = room.len();
        let (count, result) = fill(room);
        self.length += count.min(most);
        result
    }

    /// The bytes at `offset`, as far as they are there: in two pieces.
    pub(crate) fn slices(&self, offset: usize, count: usize) -> (&[u8], &[u8]) {
        let offset = offset.min(self.length);
        let count = count.min(self.length - offset);
        let capacity = self.bytes.len();
        if count == 0 {
            return (&[], &[]);
        }
        let at = (self.start + offset) % capacity;
        let first = count.min(capacity - at);
        (&self.bytes[at..at + first], &self.bytes[..count - first])
    }

    /// Forgets the first so many.
    pub(crate) fn drop_front(&mut self, count: usize) {
        let count = count.min(self.length);
        self.length -= count;
        self.start = match self.length {
            0 => 0,
            _ => (self.start + count) % self.bytes.len(),
        };
        if self.length == 0 {
            self.next = self.bytes.len().min(FIRST[1]);
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut buffer = Buffer::default();
        let (mut put, mut got) = (0_usize, 0_usize);
        for round in 1..4000_usize {
            let want = round * 7 % 3001;
            let count = buffer.write_with(buffer.room(round % 5000), |room| {
                let count = want.min(room.len());
                for (index, place) in room[..count].iter_mut().enumerate() {
                    *place = ((put + index) % 251) as u8;
                }
                (count, count)
            });
            put += count;
            let (first, second) = buffer.slices(0, round * 5 % 2003);
            for &byte in first.iter().chain(second) {
                assert_eq!(usize::from(byte), got % 251);
                got += 1;
            }
            let taken = first.len() + second.len();
            buffer.drop_front(taken);
            assert_eq!(buffer.len(), put - got);
            assert!(buffer.len() <= MOST);
        }
        assert!(put > 500_000);
    }
}
