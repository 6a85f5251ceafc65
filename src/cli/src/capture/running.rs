//! A capture in a thread of its own, so that nothing, not even an output that nobody reads, keeps
//! the command from ending when it is told to.
#![forbid(unsafe_code)]

use super::spool::{Ledger, Target};
use crate::event::{self, Event};
use crate::failure::Failure;
use crate::stop::Stop;
use memtun::{Capture, Deadline, Net};
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the output may take nothing before nobody waits for it any more.
const STANDSTILL: Duration = Duration::from_millis(700);

/// How long a file may take nothing, whose disk may be slow.
const DISK_STANDSTILL: Duration = Duration::from_secs(10);

/// Number of times that the progress is checked during a standstill.
const LOOKS: u32 = 8;

/// What the capturing thread shares with the one that supervises it.
pub struct Shared {
    pub stop: Stop,
    pub ledger: Arc<Ledger>,
    capture: Mutex<Option<Capture>>,
    /// Name of the output for messages; empty before it is known.
    shown: Mutex<String>,
    is_file: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Keeps the capture where both threads see it.
    pub fn keep(&self, capture: Capture) {
        *locked(&self.capture) = Some(capture);
    }

    /// Notes where the packets go, and returns its name for messages.
    pub fn writes_to(&self, target: &Target) -> String {
        self.is_file.store(target.is_file(), SeqCst);
        let shown = target.shown();
        locked(&self.shown).clone_from(&shown);
        shown
    }

    /// Runs `run` with the capture. It must not be called while the output is written to, because
    /// the supervising thread asks the capture, too.
    pub fn with_capture<T>(
        &self,
        run: impl FnOnce(&mut Capture) -> memtun::Result<T>,
    ) -> memtun::Result<T> {
        match locked(&self.capture).as_mut() {
            Some(capture) => run(capture),
            None => Err(memtun::Error::new(libc::ENODEV, "the capture has ended")),
        }
    }

    fn standstill(&self) -> Duration {
        if self.is_file.load(SeqCst) {
            DISK_STANDSTILL
        } else {
            STANDSTILL
        }
    }

    /// Returns numbers that change as long as something goes on.
    fn progress(&self) -> (u64, u64) {
        let Ledger { taken, moved, .. } = &*self.ledger;
        (taken.load(SeqCst), moved.load(SeqCst))
    }

    /// Returns in words how many packets are complete and not written.
    fn unwritten(&self) -> String {
        let ledger = &self.ledger;
        let taken = ledger.taken.load(SeqCst);
        let held = taken.saturating_sub(ledger.written.load(SeqCst));
        let capture = match self.capture.try_lock() {
            Ok(capture) => capture,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return format!("at least {held}"),
        };
        let waiting = capture.as_ref().map_or(0, Capture::backlog);
        (held + waiting).to_string()
    }
}

/// Reports when it is dropped that the thread has ended, however it did.
struct SetAtEnd(Arc<Event>);

impl Drop for SetAtEnd {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// A capture that is under way.
pub struct Running {
    pub stop: Stop,
    shared: Arc<Shared>,
    thread: JoinHandle<Result<(), Failure>>,
    ended: Arc<Event>,
    net: Net,
}

impl Running {
    /// Runs `run` in a thread of its own.
    pub fn start(
        stop: &Stop,
        net: &Net,
        run: impl FnOnce(&Shared) -> Result<(), Failure> + Send + 'static,
    ) -> Result<Running, Failure> {
        let shared = Arc::new(Shared {
            stop: stop.clone(),
            ledger: Arc::default(),
            capture: Mutex::new(None),
            shown: Mutex::default(),
            is_file: AtomicBool::new(false),
        });
        let theirs = shared.clone();
        let ended = Arc::new(Event::new()?);
        let end = SetAtEnd(ended.clone());
        let thread = std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || {
                let _end = end;
                let ended = run(&theirs);
                let capture = locked(&theirs.capture).take();
                drop(capture);
                ended
            });
        Ok(Running {
            stop: stop.clone(),
            shared,
            thread: thread.map_err(|e| Failure::io("cannot start a thread", &e))?,
            ended,
            net: net.clone(),
        })
    }

    /// Waits for the end of the thread; once it is time to stop, only as long as something goes on.
    pub fn end(self) -> Result<(), Failure> {
        let shared = &self.shared;
        let ended = self.ended.as_fd();
        event::wait([ended, self.stop.due()], Deadline::NEVER);
        // The thread sleeps until something is captured, so it is woken.
        self.net.wake();
        let (mut progress, mut since) = (shared.progress(), Instant::now());
        while !self.ended.is_set() {
            let look = Deadline::after(shared.standstill() / LOOKS);
            event::wait([ended, self.stop.urgent()], look);
            if let Some(signal) = self.stop.is_urgent() {
                let text = format!("{} packets were not written", shared.unwritten());
                return Err(Failure::with_status(128 + signal as u8, text));
            }
            let now = shared.progress();
            if now != progress {
                (progress, since) = (now, Instant::now());
            } else if since.elapsed() > shared.standstill() {
                return Err(Failure::not_done(format!(
                    "{}: it takes nothing any more; {} packets were not written",
                    locked(&shared.shown),
                    shared.unwritten()
                )));
            }
        }
        self.thread.join().unwrap_or_else(|_| {
            Err(Failure::not_done(
                "capture: a bug in memtun; please report it",
            ))
        })
    }
}
