//! Where a capture's bytes go, and how many packets have arrived there.
#![forbid(unsafe_code)]

use crate::event::wait_writable;
use crate::failure::Failure;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::Arc;

/// Bytes that are written at once to a file.
const ENOUGH: usize = 1 << 18;

/// Bytes that are written at once to anything else than a file. A pipe takes that many at once or
/// none (PIPE_BUF), so that it is known what is in it.
const PIECE: usize = 4096;

/// Numbers that the capturing thread keeps and the supervising thread reads.
#[derive(Default)]
pub struct Ledger {
    /// Packets that the sink has been given.
    pub taken: AtomicU64,
    /// Packets that have been written as a whole.
    pub written: AtomicU64,
    /// Bytes that have been written.
    pub moved: AtomicU64,
}

/// What a capture is to be written to.
pub enum Target {
    /// Standard output.
    Standard,
    /// A file that is open already.
    Open(File, PathBuf),
    /// A FIFO, which can be opened once somebody reads it.
    Fifo(PathBuf),
}

impl Target {
    /// Finds what a path means; - is standard output. A file is made at once.
    pub fn of(path: &Path) -> Result<Target, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Target::Standard);
        }
        if std::fs::metadata(path).is_ok_and(|m| m.file_type().is_fifo()) {
            return Ok(Target::Fifo(path.to_owned()));
        }
        let file = File::create(path).map_err(|e| cannot_write(path, &e))?;
        Ok(Target::Open(file, path.to_owned()))
    }

    /// Returns the target's name for messages.
    pub fn shown(&self) -> String {
        match self {
            Target::Standard => "standard output".into(),
            Target::Open(_, path) | Target::Fifo(path) => path.display().to_string(),
        }
    }

    /// Is this a regular file? Its disk may be slow, but anything else that takes nothing has
    /// nobody who reads it.
    pub fn is_file(&self) -> bool {
        let status = match self {
            Target::Standard => rustix::fs::fstat(io::stdout()),
            Target::Open(file, _) => rustix::fs::fstat(file),
            Target::Fifo(_) => return false,
        };
        status.is_ok_and(|st| rustix::fs::FileType::from_raw_mode(st.st_mode).is_file())
    }

    /// Opens the target. This waits for the reader of a FIFO, even when it is time to stop: the
    /// thread that supervises this one does not wait for it for ever.
    pub fn open(self, ledger: Arc<Ledger>) -> Result<Spool, Failure> {
        let shown = self.shown();
        let piece = if self.is_file() { ENOUGH } else { PIECE };
        let file = match self {
            Target::Standard => io::stdout().as_fd().try_clone_to_owned().map(File::from),
            Target::Open(file, _) => Ok(file),
            Target::Fifo(path) => OpenOptions::new().write(true).open(&path),
        };
        let file = file.map_err(|e| cannot_write(Path::new(&shown), &e))?;
        Ok(Spool {
            file,
            buffer: Vec::with_capacity(ENOUGH),
            ends: VecDeque::new(),
            piece,
            ledger,
        })
    }
}

/// Adds to a counter to which only one thread adds.
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed) + n, Release);
}

fn cannot_write(path: &Path, e: &io::Error) -> Failure {
    Failure::io(format!("{}: cannot write", path.display()), e)
}

/// Writes in large pieces, and keeps the numbers of the ledger.
pub struct Spool {
    file: File,
    buffer: Vec<u8>,
    /// Offsets in the buffer at which packets end.
    ends: VecDeque<usize>,
    /// Number of bytes that one write(2) is given at most.
    piece: usize,
    ledger: Arc<Ledger>,
}

impl Spool {
    /// Counts a packet of which bytes will come.
    pub fn packet_begins(&self) {
        add(&self.ledger.taken, 1);
    }

    /// Notes that the bytes that were written last were the end of a packet.
    pub fn packet_ends(&mut self) {
        if self.buffer.is_empty() {
            add(&self.ledger.written, 1);
        } else {
            self.ends.push_back(self.buffer.len());
        }
    }

    /// Counts the packets as written that end within the first `done` bytes of the buffer.
    fn settle(&mut self, done: usize) {
        let before = self.ends.len();
        while self.ends.front().is_some_and(|end| *end <= done) {
            self.ends.pop_front();
        }
        let settled = before - self.ends.len();
        add(&self.ledger.written, settled as u64);
    }

    fn empty(&mut self) -> io::Result<()> {
        let mut done = 0;
        while done < self.buffer.len() {
            let upto = self.buffer.len().min(done + self.piece);
            match self.file.write(&self.buffer[done..upto]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    done += n;
                    self.settle(done);
                    add(&self.ledger.moved, n as u64);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // Another process shares the open file description and has set O_NONBLOCK.
                Err(e) if e.kind() == ErrorKind::WouldBlock => wait_writable(self.file.as_fd()),
                Err(e) => return Err(e),
            }
        }
        self.buffer.clear();
        Ok(())
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > ENOUGH {
            self.empty()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.empty()
    }
}
