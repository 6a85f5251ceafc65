//! The program's memory.
//!
//! A system call that is given a bad pointer fails with EFAULT; a copy in user space would crash.
//! In a process with a tunnel that crash is caught, see [`guard`] and `signals`: no system call is
//! made that the program did not make. In other processes the program's handlers are left alone;
//! there the pages are tried before they are touched, by system calls that change nothing. That is
//! for paths and for requests on interfaces, never for a packet.

use crate::signals::guarded;
use crate::valgrind;
use memtun_abi::Errno;
use memtun_calls::{in_user_space, Memory, USER_SPACE};
use memtun_shm::SharedBytes;
use memtun_sys::{guard, syscall};

const PAGE: usize = 4096;
const EFAULT: Errno = Errno(libc::EFAULT);

#[derive(Clone, Copy, PartialEq)]
enum Access {
    Read,
    Write,
}

/// Pages from `start` on that can be accessed, up to `len` bytes: how many bytes.
#[cold]
fn accessible(start: usize, len: usize, access: Access) -> usize {
    let mut page = start & !(PAGE - 1);
    while page < start + len {
        if !try_page(page, access) {
            return page.saturating_sub(start);
        }
        page += PAGE;
    }
    len
}

/// rt_sigprocmask with an impossible `how` reads the set first (EFAULT) and then refuses (EINVAL);
/// madvise with MADV_POPULATE_WRITE fails for a page that may not be written. Every sandbox allows
/// the first, which also costs least; but valgrind would have something to say of it, so it is
/// spared that.
fn try_page(page: usize, access: Access) -> bool {
    const NO_SUCH_HOW: usize = 0x7fff;
    const SET_SIZE: usize = 8;
    const MADV_POPULATE_READ: usize = 22;
    const MADV_POPULATE_WRITE: usize = 23;
    if page == 0 {
        // NULL would mean "no set" to rt_sigprocmask.
        return false;
    }
    let advise = |advice| {
        // SAFETY: populating a page changes no contents.
        unsafe { syscall(libc::SYS_madvise, [page, PAGE, advice, 0, 0, 0]) }
    };
    if valgrind::is_watching() {
        if advise(MADV_POPULATE_READ) != 0 {
            return false;
        }
    } else {
        let args = [NO_SUCH_HOW, page, 0, SET_SIZE, 0, 0];
        // SAFETY: reads 8 bytes of a page, or fails with EFAULT; the impossible `how` changes
        // nothing.
        if unsafe { syscall(libc::SYS_rt_sigprocmask, args) } == -(libc::EFAULT as isize) {
            return false;
        }
    }
    access == Access::Read
        || match advise(MADV_POPULATE_WRITE) {
            0 => true,
            // Before Linux 5.14 the advice is unknown, and whether the page is writable has to be
            // believed.
            refused => refused == -(libc::EINVAL as isize) && !populate_is_known(),
        }
}

/// Does this kernel know MADV_POPULATE_WRITE? Asked with no page at all, which is always fine if it
/// does.
fn populate_is_known() -> bool {
    // SAFETY: an empty range.
    unsafe { syscall(libc::SYS_madvise, [PAGE, 0, 23, 0, 0, 0]) == 0 }
}

/// Copies into the program's memory; as far as it goes, then EFAULT.
#[inline]
pub fn copy_out(to: usize, data: &[u8]) -> Result<(), Errno> {
    // SAFETY: as many bytes are borrowed.
    unsafe { copy_from(to, data.as_ptr() as usize, data.len()) }
}

/// The same from shared memory.
#[inline]
fn copy_out_shared(to: usize, data: SharedBytes<'_>) -> Result<(), Errno> {
    // SAFETY: as many bytes are mapped; who else writes them may do so.
    unsafe { copy_from(to, data.address(), data.len()) }
}

/// # Safety
/// So many bytes at `from` can be read.
#[inline]
unsafe fn copy_from(to: usize, from: usize, len: usize) -> Result<(), Errno> {
    if !in_user_space(to, len) {
        return Err(EFAULT);
    }
    let most = if guarded() {
        len
    } else {
        accessible(to, len, Access::Write)
    };
    // SAFETY: memory of the program's, which it gave us to be written; what is read is the caller's
    // contract.
    let left = unsafe { guard::copy(to, from, most) };
    if left == 0 && most == len {
        Ok(())
    } else {
        Err(EFAULT)
    }
}

/// Copies from the program's memory, all of it or EFAULT.
#[inline]
pub fn copy_in(from: usize, room: &mut [u8]) -> Result<(), Errno> {
    // SAFETY: `room` is ours.
    unsafe { copy_to(from, room.as_mut_ptr() as usize, room.len()) }
}

/// The same into shared memory.
#[inline]
fn copy_in_shared(from: usize, room: SharedBytes<'_>) -> Result<(), Errno> {
    // SAFETY: as many bytes are mapped; whoever reads them reckons with others' stores.
    unsafe { copy_to(from, room.address(), room.len()) }
}

/// # Safety
/// So many bytes at `to` may be written.
#[inline]
unsafe fn copy_to(from: usize, to: usize, len: usize) -> Result<(), Errno> {
    if !in_user_space(from, len) || !guarded() && accessible(from, len, Access::Read) < len {
        return Err(EFAULT);
    }
    // SAFETY: the caller's contract.
    match unsafe { guard::copy(to, from, len) } {
        0 => Ok(()),
        _ => Err(EFAULT),
    }
}

/// A value of a plain C type from the program's memory.
///
/// # Safety
/// Any bit pattern must be a valid `T`.
pub unsafe fn read<T: Copy>(from: *const T) -> Result<T, Errno> {
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the bytes of `value`, zeroed, are a valid slice.
    let bytes =
        unsafe { std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
    copy_in(from as usize, bytes)?;
    // SAFETY: the caller's contract.
    Ok(unsafe { value.assume_init() })
}

/// Stores a value of a plain C type into the program's memory.
pub fn write<T: Copy>(to: *mut T, value: &T) -> Result<(), Errno> {
    // SAFETY: the bytes of a live value; padding is copied as it is.
    let bytes =
        unsafe { std::slice::from_raw_parts((value as *const T).cast::<u8>(), size_of::<T>()) };
    copy_out(to as usize, bytes)
}

/// The bytes of a C string of the program's, without the NUL. EFAULT, or ENAMETOOLONG from 4096 on.
pub fn c_string<'a>(from: *const libc::c_char) -> Result<&'a [u8], Errno> {
    string(from, guarded())
}

/// The same of a string that the kernel has just read: it needs no trying.
pub fn c_string_that_was_read<'a>(from: *const libc::c_char) -> Result<&'a [u8], Errno> {
    string(from, true)
}

fn string<'a>(from: *const libc::c_char, at_once: bool) -> Result<&'a [u8], Errno> {
    const MOST: usize = libc::PATH_MAX as usize;
    let start = from as usize;
    let room = USER_SPACE.checked_sub(start).ok_or(EFAULT)?.min(MOST);
    let mut length = 0;
    while length < room {
        // Else one page at a time.
        let some = if at_once {
            room
        } else if accessible(start + length, 1, Access::Read) == 1 {
            (PAGE - ((start + length) & (PAGE - 1))).min(room - length)
        } else {
            return Err(EFAULT);
        };
        // SAFETY: the program's memory, tried above or caught.
        let found = unsafe { guard::string_length(start + length, some) }.ok_or(EFAULT)?;
        length += found;
        if found < some {
            // SAFETY: all bytes from `start` to here are readable; the string lives as long as the
            // caller's argument.
            return Ok(unsafe { std::slice::from_raw_parts(start as *const u8, length) });
        }
    }
    Err(if room == MOST {
        Errno(libc::ENAMETOOLONG)
    } else {
        EFAULT
    })
}

/// The program's memory, which is this process's.
#[derive(Clone, Copy)]
pub struct OwnMemory;

impl Memory for OwnMemory {
    #[inline]
    fn read(&self, at: usize, into: &mut [u8]) -> Result<(), Errno> {
        copy_in(at, into)
    }
    #[inline]
    fn write(&self, at: usize, from: &[u8]) -> Result<(), Errno> {
        copy_out(at, from)
    }
    #[inline]
    fn read_shared(&self, at: usize, into: SharedBytes<'_>) -> Result<(), Errno> {
        copy_in_shared(at, into)
    }
    #[inline]
    fn write_shared(&self, at: usize, from: SharedBytes<'_>) -> Result<(), Errno> {
        copy_out_shared(at, from)
    }
    fn string<'r>(&self, at: usize, room: &'r mut [u8]) -> Result<&'r [u8], Errno> {
        let text = c_string(at as *const libc::c_char)?;
        let place = room
            .get_mut(..text.len())
            .ok_or(Errno(libc::ENAMETOOLONG))?;
        place.copy_from_slice(text);
        Ok(place)
    }
}
