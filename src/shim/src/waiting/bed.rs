//! What a wait holds while its thread sleeps in libc. A thread may be cancelled there, and then no
//! frame between the program and libc may have anything to clean up; so the arrays and the FIFOs
//! are not the frames', but stand here until the wait has ended, or the thread.
#![forbid(unsafe_code)]

use super::state::LinkBell;
use crate::errno;
use libc::pollfd;
use std::cell::Cell;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// What one wait holds.
#[derive(Default)]
pub struct Bed {
    /// The descriptors that the kernel is asked about.
    pub asked: Vec<pollfd>,
    /// The FIFOs among them that are this library's own. They are closed with the bed.
    pub links: Vec<LinkBell>,
    number: usize,
    /// An address in the frame that began the wait.
    begun: usize,
    /// Has a jump left the wait? The bed is taken away by the next wait, because a signal handler
    /// must not free memory.
    is_left: bool,
    below: Option<Box<Bed>>,
}

/// Has there ever been a bed?
static EVER: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The bed of the innermost wait. There are several while a signal handler waits during a wait.
    static TOP: Cell<Option<Box<Bed>>> = const { Cell::new(None) };
}

/// Takes the beds of this number and below. What stands above was left there by a wait that a
/// signal handler jumped out of.
fn take(number: usize) -> Option<Box<Bed>> {
    let mut top = TOP.try_with(Cell::take).ok().flatten();
    while let Some(bed) = top.as_mut().filter(|bed| bed.number > number) {
        top = bed.below.take();
    }
    top
}

/// Makes a bed for a wait that begins, and returns its number.
#[inline(never)]
pub extern "C" fn begin() -> usize {
    EVER.store(true, Relaxed);
    let mut below = take(usize::MAX);
    while let Some(bed) = below.as_mut().filter(|bed| bed.is_left) {
        below = bed.below.take();
    }
    let here = 0u8;
    let begun = (&raw const here).addr();
    let number = below.as_ref().map_or(1, |bed| bed.number + 1);
    put(Box::new(Bed {
        number,
        begun,
        below,
        ..Bed::default()
    }));
    number
}

/// Runs something with the bed of this number. Its arrays stay where they are until the next time.
pub fn with<T>(number: usize, run: impl FnOnce(&mut Bed) -> T) -> T {
    let mut bed = match take(number) {
        Some(bed) if bed.number == number => bed,
        below => Box::new(Bed {
            number,
            begun: usize::MAX,
            below,
            ..Bed::default()
        }),
    };
    let answer = run(&mut bed);
    put(bed);
    answer
}

fn put(bed: Box<Bed>) {
    let mut bed = Some(bed);
    if TOP.try_with(|top| top.set(bed.take())).is_err() {
        // The thread has ended but for the destructors of the program's, one of which waits. Who
        // sleeps still has pointers into the bed.
        std::mem::forget(bed);
    }
}

/// Does this thread wait, or has it left a wait?
pub fn is_any() -> bool {
    // A thread of a program that never waits with care is not given a place for beds.
    if !EVER.load(Relaxed) {
        return false;
    }
    let top = TOP.try_with(Cell::take).ok().flatten();
    let any = top.is_some();
    if let Some(top) = top {
        put(top);
    }
    any
}

/// Called before a jump to a frame whose stack pointer this is: the waits that were begun in deeper
/// frames have no end.
pub fn leaving(stack: usize) {
    let mut top = TOP.try_with(Cell::take).ok().flatten();
    let mut at = top.as_mut();
    while let Some(bed) = at {
        if bed.begun < stack {
            bed.is_left = true;
        }
        at = bed.below.as_mut();
    }
    if let Some(top) = top {
        put(top);
    }
}

/// Takes the bed away after its wait. errno stays as it is.
pub fn leave(number: usize) {
    errno::keep(|| {
        let left = take(number - 1);
        if let Some(left) = left {
            put(left);
        }
    });
}
