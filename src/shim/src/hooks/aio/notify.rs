//! The threads of asynchronous I/O, and how a program is told that a request or a list is done.

use libc::{c_int, c_void};
use memtun_sys as sys;
use std::mem::MaybeUninit;

/// glibc's struct sigevent.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Event {
    value: *mut c_void,
    signal: c_int,
    pub notify: c_int,
    function: Option<extern "C" fn(*mut c_void)>,
    attributes: *const libc::pthread_attr_t,
    rest: [usize; 4],
}

pub type Main = extern "C" fn(*mut c_void) -> *mut c_void;

/// Starts a thread that nobody joins. It blocks all signals but the C library's own and those of
/// memory accesses, which this library handles.
pub fn start(main: Main, argument: *mut c_void) -> bool {
    const MEMORY: u64 = 1 << (libc::SIGBUS - 1) | 1 << (libc::SIGSEGV - 1);
    const OPEN: u64 = MEMORY | 1 << (32 - 1) | 1 << (33 - 1);
    let before = sys::change_mask(libc::SIG_SETMASK, !OPEN);
    let started = start_as_is(main, argument, std::ptr::null());
    if let Ok(before) = before {
        let _ = sys::change_mask(libc::SIG_SETMASK, before);
    }
    started
}

fn start_as_is(main: Main, argument: *mut c_void, given: *const libc::pthread_attr_t) -> bool {
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    let mut own = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the places are our own; the program's attributes are valid as long as the request is,
    // which libc demands as well.
    unsafe {
        if !given.is_null() {
            return libc::pthread_create(thread.as_mut_ptr(), given, main, argument) == 0;
        }
        libc::pthread_attr_init(own.as_mut_ptr());
        libc::pthread_attr_setdetachstate(own.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED);
        let started = libc::pthread_create(thread.as_mut_ptr(), own.as_ptr(), main, argument) == 0;
        libc::pthread_attr_destroy(own.as_mut_ptr());
        started
    }
}

/// Tells the program that a request or a list is done, in the way in which it asked for that.
/// `code` says in a signal what is done (si_code).
pub fn notify(event: &Event, code: c_int) {
    match event.notify {
        libc::SIGEV_SIGNAL => {
            let mut info = [0u8; 128];
            let process = sys::getpid();
            let mut put = |at: usize, bytes: &[u8]| {
                if let Some(place) = info.get_mut(at..at + bytes.len()) {
                    place.copy_from_slice(bytes);
                }
            };
            // SAFETY: getuid(2) touches no memory.
            let user = unsafe { libc::getuid() };
            // The fields of siginfo_t that are filled: si_signo, si_code, si_pid, si_uid and
            // si_value.
            put(0, &event.signal.to_ne_bytes());
            put(8, &code.to_ne_bytes());
            put(16, &process.to_ne_bytes());
            put(20, &user.to_ne_bytes());
            put(24, &(event.value as usize).to_ne_bytes());
            let args = [
                process as usize,
                event.signal as usize,
                info.as_ptr() as usize,
                0,
                0,
                0,
            ];
            // SAFETY: the siginfo_t is our own.
            unsafe { sys::syscall(libc::SYS_rt_sigqueueinfo, args) };
        }
        libc::SIGEV_THREAD => {
            // SAFETY: the memory comes from libc's allocator and is filled before it is handed to
            // the thread, which frees it.
            unsafe {
                let call = libc::malloc(size_of::<Event>()).cast::<Event>();
                if !call.is_null() {
                    call.write(*event);
                    if !start_as_is(call_back, call.cast(), event.attributes) {
                        libc::free(call.cast());
                    }
                }
            }
        }
        _ => {}
    }
}

/// The thread of SIGEV_THREAD. It takes signals, as libc's does.
extern "C" fn call_back(call: *mut c_void) -> *mut c_void {
    // SAFETY: `notify` made this pointer, and nobody else uses it.
    let event = unsafe {
        let event = call.cast::<Event>().read();
        libc::free(call);
        event
    };
    let _ = sys::change_mask(libc::SIG_SETMASK, 0);
    if let Some(function) = event.function {
        function(event.value);
    }
    std::ptr::null_mut()
}
