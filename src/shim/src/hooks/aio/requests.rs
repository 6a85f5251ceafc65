//! The requests, and the helpers that carry them out.

use super::notify::{notify, start, Event};
use super::waiters::{forget_waiters, wake_waiters};
use crate::hooks::rw;
use crate::{errno, uaccess};
use libc::{c_int, c_void, size_t, ssize_t};
use memtun_abi::Errno;
use memtun_sys as sys;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32};
use std::time::Duration;

/// glibc's struct aiocb on 64-bit machines. Its private fields are written as libc writes them, so
/// that libc's own aio_error and aio_return work on it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Control {
    pub descriptor: c_int,
    pub operation: c_int,
    priority: c_int,
    buffer: *mut c_void,
    size: size_t,
    event: Event,
    next: *mut c_void,
    internal: [c_int; 2],
    error: c_int,
    value: ssize_t,
    offset: libc::off64_t,
    rest: [usize; 4],
}

const _: () = assert!(size_of::<Control>() == size_of::<libc::aiocb>());

/// What a request does. The first three are the operations of lio_listio.
pub const READ: c_int = libc::LIO_READ;
pub const WRITE: c_int = libc::LIO_WRITE;
const SYNC: c_int = 3;

/// The value of AIO_PRIO_DELTA_MAX.
const MOST_PRIORITY: c_int = 20;

/// A place for a request in progress.
struct Place {
    control: AtomicPtr<Control>,
    running: AtomicBool,
    /// The request as it was when it was made; only the holder of the lock accesses it.
    given: UnsafeCell<MaybeUninit<Given>>,
}

#[derive(Clone, Copy)]
struct Given {
    control: Control,
    operation: c_int,
    order: u32,
}

// SAFETY: `given` is written and read only under the lock.
unsafe impl Sync for Place {}

/// All places. More requests than these at once are refused with EAGAIN, as libc refuses too many.
static PLACES: [Place; 256] = [const {
    Place {
        control: AtomicPtr::new(std::ptr::null_mut()),
        running: AtomicBool::new(false),
        given: UnsafeCell::new(MaybeUninit::uninit()),
    }
}; 256];
/// The descriptors that have a helper, each plus one.
static HELPERS: [AtomicI32; 64] = [const { AtomicI32::new(0) }; 64];
static ORDER: AtomicU32 = AtomicU32::new(0);

/// The process whose requests stand here; a child of fork(2) has no helpers.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// The process that holds the lock, or 0. Of the functions that take it libc makes none
/// async-signal-safe; aio_suspend, which is, takes no lock here.
static LOCK: AtomicU32 = AtomicU32::new(0);

/// Copies word by word. ThreadSanitizer sees what libc's memcpy does, but not the lock of this
/// library under which the copy is made, and would report a race.
///
/// # Safety
/// Both pointers are valid for a `T` of whole words.
unsafe fn copy_words<T: Copy>(from: *const T, to: *mut T) {
    const {
        assert!(
            size_of::<T>().is_multiple_of(size_of::<usize>())
                && align_of::<T>() >= align_of::<usize>()
        )
    };
    for i in 0..size_of::<T>() / size_of::<usize>() {
        // SAFETY: the caller's contract.
        unsafe {
            let word = from.cast::<MaybeUninit<usize>>().add(i).read_volatile();
            to.cast::<MaybeUninit<usize>>().add(i).write_volatile(word);
        }
    }
}

/// # Safety
/// As for [`copy_words`], and the value is initialised.
unsafe fn copy_of<T: Copy>(from: *const T) -> T {
    let mut copy = MaybeUninit::uninit();
    // SAFETY: the caller's contract.
    unsafe {
        copy_words(from, copy.as_mut_ptr());
        copy.assume_init()
    }
}

struct Locked;

impl Locked {
    fn take() -> Locked {
        let process = sys::getpid() as u32;
        loop {
            match LOCK.compare_exchange(0, process, Acquire, Relaxed) {
                Ok(_) => break,
                // Another thread of the parent held the lock when this process was forked.
                Err(other) if other != process => {
                    let _ = LOCK.compare_exchange(other, 0, Acquire, Relaxed);
                }
                Err(held) => {
                    let _ = sys::futex_wait(&LOCK, held, Some(Duration::from_millis(10)));
                }
            }
        }
        if PROCESS.swap(process, Relaxed) != process {
            for place in &PLACES {
                place.control.store(std::ptr::null_mut(), Release);
            }
            HELPERS.iter().for_each(|helper| helper.store(0, Relaxed));
            forget_waiters();
        }
        Locked
    }

    /// The requests on a descriptor, each with its place.
    fn requests(&self, fd: c_int) -> impl Iterator<Item = (&'static Place, Given)> + '_ {
        PLACES
            .iter()
            .filter(|place| !place.control.load(Relaxed).is_null())
            // SAFETY: the lock is held, and a place in use was filled under it.
            .map(|place| (place, unsafe { copy_of((*place.given.get()).as_ptr()) }))
            .filter(move |(_, given)| given.control.descriptor == fd)
    }

    /// The request that libc would carry out next: by priority, then by age.
    fn next(&self, fd: c_int) -> Option<(&'static Place, Given)> {
        self.requests(fd)
            .filter(|(place, _)| !place.running.load(Relaxed))
            .min_by_key(|(_, given)| (given.control.priority, given.order))
    }

    /// Ends a request. The caller lets the lock go and then notifies the program.
    fn end(&self, place: &Place, value: ssize_t, error: c_int) {
        let control = place.control.load(Relaxed);
        finish(control, value, error);
        place.running.store(false, Relaxed);
        place.control.store(std::ptr::null_mut(), Release);
        wake_waiters();
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        LOCK.store(0, Release);
        sys::futex_wake_all(&LOCK);
    }
}

pub fn error_place<'a>(control: *const Control) -> &'a AtomicI32 {
    // SAFETY: the request is the program's, which leaves it alone while it is in progress; the
    // field is an aligned int.
    unsafe { AtomicI32::from_ptr(std::ptr::addr_of!((*control).error).cast_mut()) }
}

/// Stores what aio_error and aio_return will say.
fn finish(control: *mut Control, value: ssize_t, error: c_int) {
    // SAFETY: the request is the program's, which leaves it alone while it is in progress.
    unsafe { std::ptr::addr_of_mut!((*control).value).write(value) };
    error_place(control).store(error, Release);
}

pub fn in_progress(control: *const Control) -> bool {
    error_place(control).load(Acquire) == libc::EINPROGRESS
}

/// Is this request carried out here?
pub fn is_ours(control: *const Control) -> bool {
    !control.is_null()
        && PLACES
            .iter()
            .any(|place| place.control.load(Acquire) == control.cast_mut())
}

/// Is any request in progress that is carried out here?
pub fn any() -> bool {
    PROCESS.load(Relaxed) != 0
        && PLACES
            .iter()
            .any(|place| !place.control.load(Relaxed).is_null())
}

pub fn refuse(e: c_int) -> c_int {
    errno::give::<c_int>(Err(Errno(e))) as c_int
}

/// Accepts a request of aio_read(3) or aio_write(3).
pub fn submit(control: *mut Control, operation: c_int) -> c_int {
    // SAFETY: a request is plain data.
    let given = match unsafe { uaccess::read(control) } {
        Ok(given) => given,
        Err(e) => return refuse(e.0),
    };
    let error = if !(0..=MOST_PRIORITY).contains(&given.priority) {
        libc::EINVAL
    } else if enqueue(control, given, operation) {
        return 0;
    } else {
        libc::EAGAIN
    };
    finish(control, -1, error);
    refuse(error)
}

/// Accepts a request of aio_fsync(3), which the driver refuses in the end.
pub fn submit_sync(how: c_int, control: *mut Control) -> c_int {
    if how != libc::O_SYNC && how != libc::O_DSYNC {
        return refuse(libc::EINVAL);
    }
    submit(control, SYNC)
}

/// Enters a request. Returns false when there is no room, or no thread to be had.
fn enqueue(control: *mut Control, given: Control, operation: c_int) -> bool {
    let lock = Locked::take();
    let Some(place) = PLACES.iter().find(|p| p.control.load(Relaxed).is_null()) else {
        return false;
    };
    let fd = given.descriptor;
    let has_helper = HELPERS.iter().any(|h| h.load(Relaxed) == fd + 1);
    let helper = HELPERS.iter().find(|h| h.load(Relaxed) == 0);
    if !has_helper {
        match helper {
            Some(helper) if start(help, fd as usize as *mut c_void) => {
                helper.store(fd + 1, Relaxed)
            }
            _ => return false,
        }
    }
    let order = ORDER.fetch_add(1, Relaxed);
    let given = Given {
        control: given,
        operation,
        order,
    };
    // SAFETY: the lock is held, and the place is free.
    unsafe { copy_words(&given, (*place.given.get()).as_mut_ptr()) };
    place.running.store(false, Relaxed);
    finish(control, 0, libc::EINPROGRESS);
    place.control.store(control, Release);
    drop(lock);
    true
}

/// The main function of a helper, which carries out the requests on one descriptor.
extern "C" fn help(fd: *mut c_void) -> *mut c_void {
    let fd = fd as usize as c_int;
    loop {
        let lock = Locked::take();
        let Some((place, given)) = lock.next(fd) else {
            if let Some(me) = HELPERS.iter().find(|h| h.load(Relaxed) == fd + 1) {
                me.store(0, Relaxed);
            }
            return std::ptr::null_mut();
        };
        place.running.store(true, Relaxed);
        drop(lock);
        let (value, error) = carry_out(&given);
        Locked::take().end(place, value, error);
        notify(&given.control.event, libc::SI_ASYNCIO);
    }
}

fn carry_out(given: &Given) -> (ssize_t, c_int) {
    let Control {
        descriptor: fd,
        buffer,
        size,
        offset,
        ..
    } = given.control;
    // SAFETY: these are the program's arguments for these calls, which it leaves alone while the
    // request is in progress.
    let value = unsafe {
        let at = match given.operation {
            READ => rw::my_pread64(fd, buffer, size, offset),
            WRITE => rw::my_pwrite64(fd, buffer, size, offset),
            _ => libc::fsync(fd) as ssize_t,
        };
        // The descriptor has become another file's, and the file has no offsets.
        match (given.operation, errno::get()) {
            (READ, libc::ESPIPE) if at < 0 => rw::my_read(fd, buffer, size),
            (WRITE, libc::ESPIPE) if at < 0 => rw::my_write(fd, buffer, size),
            _ => at,
        }
    };
    (value, if value < 0 { errno::get() } else { 0 })
}

/// aio_cancel(3) on a descriptor that has requests here. It is `None` when there are none, and then
/// libc answers.
pub fn cancel(fd: c_int, control: *const Control) -> Option<c_int> {
    const CANCELED: c_int = 0;
    const NOT_CANCELED: c_int = 1;
    const ALL_DONE: c_int = 2;
    if !any() {
        return None;
    }
    let lock = Locked::take();
    lock.requests(fd).next()?;
    if !control.is_null() {
        // SAFETY: the request is the caller's, and the field a plain number.
        let of = unsafe { uaccess::read(std::ptr::addr_of!((*control).descriptor)) };
        if of != Ok(fd) {
            drop(lock);
            return Some(refuse(libc::EINVAL));
        }
    }
    let mut answer = ALL_DONE;
    let mut ended: [Option<Event>; PLACES.len()] = [None; PLACES.len()];
    let named =
        |place: &Place| control.is_null() || place.control.load(Relaxed).cast_const() == control;
    let mut events = ended.iter_mut();
    for (place, given) in lock.requests(fd).filter(|(place, _)| named(place)) {
        if place.running.load(Relaxed) {
            answer = NOT_CANCELED;
            continue;
        }
        if answer == ALL_DONE {
            answer = CANCELED;
        }
        lock.end(place, -1, libc::ECANCELED);
        if let Some(event) = events.next() {
            *event = Some(given.control.event);
        }
    }
    drop(lock);
    let ended = ended.iter().flatten();
    ended.for_each(|event| notify(event, libc::SI_ASYNCIO));
    Some(answer)
}
