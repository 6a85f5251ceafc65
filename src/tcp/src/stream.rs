//! The bytes of a connection: what the program writes and reads.
#![forbid(unsafe_code)]

use smoltcp::socket::tcp::State as Engines;

use crate::connection::{Connection, End, State};

impl Connection {
    /// How many bytes may be written now.
    pub fn room(&self) -> usize {
        match self.state {
            State::Open => self.sender.room(),
            _ => 0,
        }
    }

    /// Bytes that are written and not yet acknowledged.
    pub fn pending(&self) -> usize {
        self.sender.pending()
    }

    /// Writes into the buffer: `fill` gets room and says how much of it has been filled. It is
    /// called once, and not at all where there is no room.
    pub fn write_with<R>(&mut self, fill: impl FnOnce(&mut [u8]) -> (usize, R)) -> Option<R> {
        if self.room() == 0 {
            return None;
        }
        Some(self.sender.write_with(fill))
    }

    /// Writes as much of these as fits. Returns how many.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let written = self.write_with(|room| {
                let count = room.len().min(bytes.len() - done);
                room[..count].copy_from_slice(&bytes[done..done + count]);
                (count, count)
            });
            match written {
                Some(count) if count > 0 => done += count,
                _ => break,
            }
        }
        done
    }

    /// How many bytes have come and are not read.
    pub fn available(&self) -> usize {
        self.engine.socket().recv_queue()
    }

    /// Reads from the buffer: `take` gets what has come, as far as it lies in one piece, and says
    /// how much of it is done. It is called once, and not at all where there is nothing.
    pub fn read_with<R>(&mut self, take: impl FnOnce(&[u8]) -> (usize, R)) -> Option<R> {
        if self.available() == 0 {
            return None;
        }
        let mut count = 0;
        let result = self.engine.socket_mut().recv(|buffer| {
            let (taken, result) = take(buffer);
            count = taken.min(buffer.len());
            (count, result)
        });
        self.read = self.read.wrapping_add(count as u32);
        let read = self.theirs.wrapping_add(1).wrapping_add(self.read);
        self.wire.read(read);
        result.ok()
    }

    /// Reads as much as there is and fits. Returns how many.
    pub fn read(&mut self, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let read = self.read_with(|data| {
                let count = data.len().min(bytes.len() - done);
                bytes[done..done + count].copy_from_slice(&data[..count]);
                (count, count)
            });
            match read {
                Some(count) if count > 0 => done += count,
                _ => break,
            }
        }
        done
    }

    /// Whether the other side has said all, and all of it is read.
    pub fn is_read(&self) -> bool {
        let ended = matches!(
            self.engine.state(),
            Engines::CloseWait | Engines::Closing | Engines::LastAck | Engines::TimeWait
        );
        let closed = self.state == State::Ended(End::Closed);
        (ended || closed) && self.available() == 0
    }

    /// Whether the other side has acknowledged all that was written, and the end of it.
    pub fn is_finished(&self) -> bool {
        self.sender.is_finished() || self.state == State::Ended(End::Closed)
    }

    /// The last byte that was written is urgent (MSG_OOB).
    pub fn press(&mut self) {
        self.sender.press();
    }

    /// How many bytes that are to be read come before an urgent one, if there is one.
    pub fn urgent(&self) -> Option<usize> {
        let read = self.theirs.wrapping_add(1).wrapping_add(self.read);
        let ahead = self.urgent?.wrapping_sub(read) as usize;
        (ahead < self.available()).then_some(ahead)
    }
}
