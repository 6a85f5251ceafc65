//! Access to the program's memory.
//!
//! A system call that is given a bad pointer fails with EFAULT; a copy in user space would crash.
//! In a process with a tunnel that crash is caught (see [`guard`] and `signals`), and no system
//! call is made that the program did not make. In other processes the program's handlers are left
//! alone; there the pages are tried, by system calls that change nothing, before they are touched.
//! That happens for paths and for requests on interfaces, never for a packet.

use crate::plain;
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

/// Number of bytes from `start` on, up to `len`, that can be accessed.
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

/// Can this page be accessed? rt_sigprocmask with an impossible `how` reads the set first (EFAULT)
/// and then refuses (EINVAL); madvise with MADV_POPULATE_WRITE fails for a page that may not be
/// written. Every sandbox allows the first, which also costs least. Valgrind would complain about
/// it, so under valgrind it is not made.
fn try_page(page: usize, access: Access) -> bool {
    const NO_SUCH_HOW: usize = 0x7fff;
    const SET_SIZE: usize = 8;
    const MADV_POPULATE_READ: usize = 22;
    const MADV_POPULATE_WRITE: usize = 23;
    if page == 0 {
        // rt_sigprocmask takes NULL for "no set", so NULL is refused here.
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
        // SAFETY: the call reads 8 bytes of a page, or fails with EFAULT; the impossible `how`
        // changes nothing.
        if unsafe { syscall(libc::SYS_rt_sigprocmask, args) } == -(libc::EFAULT as isize) {
            return false;
        }
    }
    access == Access::Read
        || match advise(MADV_POPULATE_WRITE) {
            0 => true,
            // Before Linux 5.14 the advice is unknown, and the page has to be taken for writable.
            refused => refused == -(libc::EINVAL as isize) && !populate_is_known(),
        }
}

/// Does this kernel know MADV_POPULATE_WRITE? It is asked with no page at all, which never fails if
/// it does.
fn populate_is_known() -> bool {
    // SAFETY: the range is empty.
    unsafe { syscall(libc::SYS_madvise, [PAGE, 0, 23, 0, 0, 0]) == 0 }
}

/// Copies into the program's memory as far as that can be written.
///
/// # Errors
/// - EFAULT: not all of it can be written.
#[inline]
pub fn copy_out(to: usize, data: &[u8]) -> Result<(), Errno> {
    // SAFETY: `data` borrows as many bytes.
    unsafe { copy_from(to, data.as_ptr() as usize, data.len()) }
}

/// The same as [`copy_out`] from shared memory.
#[inline]
fn copy_out_shared(to: usize, data: SharedBytes<'_>) -> Result<(), Errno> {
    // SAFETY: as many bytes are mapped, and others may write them at the same time.
    unsafe { copy_from(to, data.address(), data.len()) }
}

/// # Safety
/// That many bytes at `from` can be read.
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
    // SAFETY: the destination is memory that the program gave to be written, and the caller
    // promises that the source can be read.
    let left = unsafe { guard::copy(to, from, most) };
    if left == 0 && most == len {
        Ok(())
    } else {
        Err(EFAULT)
    }
}

/// Copies from the program's memory.
///
/// # Errors
/// - EFAULT: not all of it can be read.
#[inline]
pub fn copy_in(from: usize, room: &mut [u8]) -> Result<(), Errno> {
    // SAFETY: `room` is borrowed for writing.
    unsafe { copy_to(from, room.as_mut_ptr() as usize, room.len()) }
}

/// The same as [`copy_in`] into shared memory.
#[inline]
fn copy_in_shared(from: usize, room: SharedBytes<'_>) -> Result<(), Errno> {
    // SAFETY: as many bytes are mapped, and whoever reads them reckons with others' stores.
    unsafe { copy_to(from, room.address(), room.len()) }
}

/// # Safety
/// That many bytes at `to` may be written.
#[inline]
unsafe fn copy_to(from: usize, to: usize, len: usize) -> Result<(), Errno> {
    if !in_user_space(from, len) || !guarded() && accessible(from, len, Access::Read) < len {
        return Err(EFAULT);
    }
    // SAFETY: the caller promises that the destination may be written.
    match unsafe { guard::copy(to, from, len) } {
        0 => Ok(()),
        _ => Err(EFAULT),
    }
}

/// Reads a value of a plain C type from the program's memory.
///
/// # Safety
/// Any bit pattern must be a valid `T`.
pub unsafe fn read<T: Copy>(from: *const T) -> Result<T, Errno> {
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the bytes of `value`, which are zeroed, are a valid slice.
    let bytes =
        unsafe { std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
    copy_in(from as usize, bytes)?;
    // SAFETY: any bit pattern is a valid `T`, which the caller promises.
    Ok(unsafe { value.assume_init() })
}

/// The same as [`read`] for memory that the kernel has just read or written in the program's call,
/// so that its pages need no trying.
///
/// # Safety
/// Any bit pattern must be a valid `T`.
pub unsafe fn read_used<T: Copy>(from: *const T) -> Result<T, Errno> {
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the bytes of `value`, which are zeroed, are a valid slice.
    let bytes =
        unsafe { std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
    UsedMemory.read(from as usize, bytes)?;
    // SAFETY: any bit pattern is a valid `T`, which the caller promises.
    Ok(unsafe { value.assume_init() })
}

/// Stores a value of a plain C type into the program's memory.
pub fn write<T: Copy>(to: *mut T, value: &T) -> Result<(), Errno> {
    // SAFETY: these are the bytes of a live value; padding is copied as it is.
    let bytes =
        unsafe { std::slice::from_raw_parts((value as *const T).cast::<u8>(), size_of::<T>()) };
    copy_out(to as usize, bytes)
}

/// Can the first and the last of these bytes be read? An array of a program's that begins and ends
/// in its memory is taken to lie in it.
#[inline]
pub fn ends_readable(at: usize, len: usize) -> bool {
    if !in_user_space(at, len) {
        return false;
    }
    let last = at + len.saturating_sub(1);
    if !guarded() {
        return accessible(at, 1, Access::Read) == 1 && accessible(last, 1, Access::Read) == 1;
    }
    // SAFETY: a fault is caught.
    let can_read = |at| unsafe { guard::can_read(at) };
    can_read(at) && (last / PAGE == at / PAGE || can_read(last))
}

/// Stores a value of two bytes into the program's memory, as [`write`] does.
#[inline]
pub fn write_short(to: *mut i16, value: i16) -> Result<(), Errno> {
    if !guarded() || !in_user_space(to as usize, size_of::<i16>()) {
        return write(to, &value);
    }
    // SAFETY: the program gave the memory to be written, and a fault is caught.
    match unsafe { guard::put(to as usize, value as u16) } {
        true => Ok(()),
        false => Err(EFAULT),
    }
}

/// The bytes of a C string of the program's, without the NUL.
///
/// # Errors
/// - EFAULT: the string cannot be read.
/// - ENAMETOOLONG: it has 4096 bytes or more.
pub fn c_string<'a>(from: *const libc::c_char) -> Result<&'a [u8], Errno> {
    string(from, guarded())
}

/// The same as [`c_string`] for a string that the kernel has just read, so that its pages need no
/// trying.
pub fn c_string_that_was_read<'a>(from: *const libc::c_char) -> Result<&'a [u8], Errno> {
    string(from, true)
}

fn string<'a>(from: *const libc::c_char, at_once: bool) -> Result<&'a [u8], Errno> {
    const MOST: usize = libc::PATH_MAX as usize;
    let start = from as usize;
    let room = USER_SPACE.checked_sub(start).ok_or(EFAULT)?.min(MOST);
    let mut length = 0;
    while length < room {
        // Otherwise one page is looked at at a time.
        let some = if at_once {
            room
        } else if accessible(start + length, 1, Access::Read) == 1 {
            (PAGE - ((start + length) & (PAGE - 1))).min(room - length)
        } else {
            return Err(EFAULT);
        };
        // SAFETY: the program's memory was tried above, or a fault in it is caught.
        let found = unsafe { guard::string_length(start + length, some) }.ok_or(EFAULT)?;
        length += found;
        if found < some {
            // SAFETY: all bytes from `start` to here are readable, and the string lives as long as
            // the caller's argument.
            return Ok(unsafe { std::slice::from_raw_parts(start as *const u8, length) });
        }
    }
    Err(if room == MOST {
        Errno(libc::ENAMETOOLONG)
    } else {
        EFAULT
    })
}

/// The program's memory, which is this process's own.
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

/// The program's memory in a process in which a bad pointer ends in [`guard::land`], so that no
/// page is tried.
#[derive(Clone, Copy)]
pub struct GuardedMemory(());

impl GuardedMemory {
    /// Returns it if the process is such a one, and nothing else speaks against reading at once.
    #[inline(always)]
    pub fn if_plain() -> Option<GuardedMemory> {
        plain::is().then_some(GuardedMemory(()))
    }
}

impl Memory for GuardedMemory {
    #[inline]
    fn read(&self, at: usize, into: &mut [u8]) -> Result<(), Errno> {
        UsedMemory.read(at, into)
    }
    #[inline]
    fn write(&self, at: usize, from: &[u8]) -> Result<(), Errno> {
        UsedMemory.write(at, from)
    }
    #[inline(always)]
    fn write_shared(&self, at: usize, from: SharedBytes<'_>) -> Result<(), Errno> {
        // SAFETY: the destination is memory that the program gave to be written, and as many bytes
        // are mapped at the source, which others may write at the same time.
        match unsafe { guard::copy(at, from.address(), from.len()) } {
            0 => Ok(()),
            _ => Err(EFAULT),
        }
    }
    fn string<'r>(&self, at: usize, room: &'r mut [u8]) -> Result<&'r [u8], Errno> {
        OwnMemory.string(at, room)
    }
}

/// The program's memory, as far as the kernel has just read or written it in the program's call:
/// its pages need no trying, and what the kernel has stored can be stored again.
#[derive(Clone, Copy)]
pub struct UsedMemory;

impl Memory for UsedMemory {
    fn read(&self, at: usize, into: &mut [u8]) -> Result<(), Errno> {
        if !in_user_space(at, into.len()) {
            return Err(EFAULT);
        }
        // SAFETY: `into` is borrowed for writing.
        match unsafe { guard::copy(into.as_mut_ptr() as usize, at, into.len()) } {
            0 => Ok(()),
            _ => Err(EFAULT),
        }
    }
    fn write(&self, at: usize, from: &[u8]) -> Result<(), Errno> {
        if !in_user_space(at, from.len()) {
            return Err(EFAULT);
        }
        // SAFETY: `from` is borrowed, and the destination is memory that the program gave to be
        // written.
        match unsafe { guard::copy(at, from.as_ptr() as usize, from.len()) } {
            0 => Ok(()),
            _ => Err(EFAULT),
        }
    }
    fn string<'r>(&self, at: usize, room: &'r mut [u8]) -> Result<&'r [u8], Errno> {
        OwnMemory.string(at, room)
    }
}
