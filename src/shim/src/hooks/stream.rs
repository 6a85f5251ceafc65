//! Streams of stdio on a tunnel.
//!
//! libc reads and writes a stream's descriptor with calls of its own, past the hooks. So a stream
//! of a tunnel is one with functions of this library behind it (fopencookie(3)); libc knows no
//! descriptor of it, and fileno(3) is hooked to give it.

use super::open::{closed, ours};
use super::rw;
use crate::foreign::is_tunnel;
use crate::real::{hooks, real};
use crate::route::{self, Route};
use crate::table::{is_ours, mark};
use crate::{closing, errno, fdinfo, ops, uaccess, view};
use libc::{c_char, c_int, c_void, off64_t, size_t, ssize_t, FILE};
use memtun_abi::Errno;
use memtun_calls::path::is_missing;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize};

/// A stream and its descriptor.
struct Stream {
    file: AtomicPtr<FILE>,
    fd: AtomicI32,
}

/// All streams that this library has made and that are open. Programs have one or two; further ones
/// have no fileno.
static STREAMS: [Stream; 64] = [const {
    Stream {
        file: AtomicPtr::new(std::ptr::null_mut()),
        fd: AtomicI32::new(-1),
    }
}; 64];
static COUNT: AtomicUsize = AtomicUsize::new(0);

#[repr(C)]
struct Functions {
    read: extern "C" fn(*mut c_void, *mut c_char, size_t) -> ssize_t,
    write: extern "C" fn(*mut c_void, *const c_char, size_t) -> ssize_t,
    seek: extern "C" fn(*mut c_void, *mut off64_t, c_int) -> c_int,
    close: extern "C" fn(*mut c_void) -> c_int,
}

extern "C" {
    static mut stdin: *mut FILE;
    static mut stdout: *mut FILE;
    static mut stderr: *mut FILE;
    fn fopencookie(cookie: *mut c_void, mode: *const c_char, functions: Functions) -> *mut FILE;
}

/// The descriptor of a stream, which is the stream's cookie.
fn fd_of(cookie: *mut c_void) -> c_int {
    cookie as usize as c_int
}

extern "C" fn read_stream(cookie: *mut c_void, buf: *mut c_char, n: size_t) -> ssize_t {
    // SAFETY: the buffer is libc's own. The hook is called, because the descriptor may have become
    // another file's.
    unsafe { rw::my_read(fd_of(cookie), buf.cast(), n) }
}

extern "C" fn write_stream(cookie: *mut c_void, buf: *const c_char, n: size_t) -> ssize_t {
    // The write function of a cookie returns 0 for an error.
    // SAFETY: the buffer is libc's own.
    unsafe { rw::my_write(fd_of(cookie), buf.cast(), n).max(0) }
}

extern "C" fn seek_stream(_: *mut c_void, _: *mut off64_t, _: c_int) -> c_int {
    errno::set(libc::ESPIPE);
    -1
}

extern "C" fn close_stream(cookie: *mut c_void) -> c_int {
    let fd = fd_of(cookie);
    crate::table::unmark(fd);
    // SAFETY: the descriptor is the stream's own, and the stream is closed.
    let closed = closing::close(fd, || unsafe { memtun_sys::close(fd) }.map_or(-1, |()| 0));
    forget(fd);
    closed
}

/// Forgets the stream of this descriptor.
fn forget(fd: c_int) {
    for stream in &STREAMS {
        if stream.fd.load(Relaxed) == fd
            && !stream.file.swap(std::ptr::null_mut(), Release).is_null()
        {
            COUNT.fetch_sub(1, Relaxed);
        }
    }
}

extern "C" fn seek_view(cookie: *mut c_void, offset: *mut off64_t, whence: c_int) -> c_int {
    // SAFETY: libc gives its own number, and takes the new offset in it.
    let at = memtun_sys::seek(fd_of(cookie), unsafe { *offset }, whence);
    match at {
        // SAFETY: as above.
        Ok(at) => unsafe { *offset = at as off64_t },
        Err(e) => return errno::give::<c_int>(Err(e)) as c_int,
    }
    0
}

/// Makes a stream of a tunnel's descriptor. Returns NULL and sets errno when the mode is not valid.
fn of_tunnel(fd: c_int, mode: *const c_char) -> *mut FILE {
    with_functions(fd, mode, seek_stream)
}

/// Makes a stream of a descriptor of the view: one with functions of this library behind it where
/// it can be written or its text could not be made, so that the program hears of errors. libc's own
/// stream serves otherwise.
fn of_view(fd: c_int, mode: *const c_char) -> *mut FILE {
    let marks = crate::table::marks(fd).unwrap_or(0);
    if marks & mark::WRITES == 0 && marks & mark::MADE != 0 {
        return real!(fdopen(fd, mode));
    }
    with_functions(fd, mode, seek_view)
}

fn with_functions(
    fd: c_int,
    mode: *const c_char,
    seek: extern "C" fn(*mut c_void, *mut off64_t, c_int) -> c_int,
) -> *mut FILE {
    let functions = Functions {
        read: read_stream,
        write: write_stream,
        seek,
        close: close_stream,
    };
    // SAFETY: the mode is the caller's string, and the functions fit the cookie.
    let file = unsafe { fopencookie(fd as usize as *mut c_void, mode, functions) };
    if file.is_null() {
        return file;
    }
    for stream in &STREAMS {
        if stream
            .file
            .compare_exchange(std::ptr::null_mut(), file, Release, Relaxed)
            .is_ok()
        {
            stream.fd.store(fd, Release);
            COUNT.fetch_add(1, Relaxed);
            break;
        }
    }
    file
}

/// Replaces libc's streams of standard input, output and error when the program was started with a
/// tunnel there, before anybody has used them: libc's own would read and write it past the hooks.
pub fn stand_in() {
    /// Size in bytes of the buffer that libc gives a stream on a device.
    const SIZE: usize = 4096;
    static mut BUFFERS: [[c_char; SIZE]; 2] = [[0; SIZE]; 2];
    let modes = [c"r", c"w", c"w"];
    // SAFETY: the variables are libc's, the two buffers our own, and in the constructor there is
    // one thread.
    unsafe {
        let streams = [&raw mut stdin, &raw mut stdout, &raw mut stderr];
        for (fd, (stream, mode)) in streams.into_iter().zip(modes).enumerate() {
            let file = match is_tunnel(fd as c_int) {
                true => of_tunnel(fd as c_int, mode.as_ptr()),
                false => continue,
            };
            if file.is_null() {
                continue;
            }
            match fd {
                2 => libc::setvbuf(file, std::ptr::null_mut(), libc::_IONBF, 0),
                _ => libc::setvbuf(file, (&raw mut BUFFERS[fd]).cast(), libc::_IOFBF, SIZE),
            };
            *stream = file;
        }
    }
}

/// The descriptor of a stream that this library has made; `None` for any other stream.
pub fn descriptor(file: *mut FILE) -> Option<c_int> {
    if COUNT.load(Relaxed) == 0 {
        return None;
    }
    STREAMS
        .iter()
        .find(|s| s.file.load(Acquire) == file)
        .map(|s| s.fd.load(Acquire))
}

/// Bits of glibc's `_flags`, the first word of a stream. They keep their values, because programs
/// use them through old macros.
const UNBUFFERED: c_int = 0x2;
const SEEN_END: c_int = 0x10;
const SEEN_ERROR: c_int = 0x20;
/// Offsets in bytes of `_IO_read_ptr` and `_IO_read_end` in a stream.
const READ: usize = 8;
const READ_END: usize = 16;

/// fread(3) from an unbuffered stream of a tunnel. libc would ask for one byte at a time, which
/// would cut a packet to one byte. An ordinary stream reads straight into the caller's memory, and
/// so does this one. It is `None` when the stream is another one.
#[inline]
fn read_straight(at: *mut c_void, size: size_t, count: size_t, file: *mut FILE) -> Option<size_t> {
    let fd = descriptor(file)?;
    // SAFETY: the stream is one of this library's, and open; its layout is as above.
    unsafe {
        let flags = file.cast::<c_int>();
        let place = |place: usize| file.byte_add(place).cast::<*const c_char>().read();
        if *flags & UNBUFFERED == 0 {
            return None;
        }
        let whole = size.checked_mul(count).filter(|n| *n != 0)?;
        // Number of bytes that ungetc(3) has put back.
        let ahead = (place(READ_END) as usize).saturating_sub(place(READ) as usize);
        let mut done = match ahead.min(whole) {
            0 => 0,
            some => (fread.real())(at, 1, some, file),
        };
        while done < whole {
            let n = read_stream(
                fd as usize as *mut c_void,
                at.byte_add(done).cast(),
                whole - done,
            );
            if n <= 0 {
                *flags |= if n == 0 { SEEN_END } else { SEEN_ERROR };
                break;
            }
            done += n as usize;
        }
        Some(done / size)
    }
}

/// Writes out what streams of tunnels still hold when the process ends, because the tunnels end
/// before libc flushes.
pub fn flush_all() {
    for stream in STREAMS.iter().filter(|_| COUNT.load(Relaxed) != 0) {
        let file = stream.file.load(Acquire);
        if !file.is_null() {
            // SAFETY: a stream that is in the table is open.
            unsafe { libc::fflush(file) };
        }
    }
}

/// The flags of open(2) for a mode of fopen(3); `None` when the mode is not valid.
fn flags_of(mode: *const c_char) -> Option<c_int> {
    let text = uaccess::c_string(mode).ok()?;
    let direction = match (text.first()?, text.contains(&b'+')) {
        (b'r' | b'w' | b'a', true) => libc::O_RDWR,
        (b'r', _) => libc::O_RDONLY,
        (b'w' | b'a', _) => libc::O_WRONLY,
        _ => return None,
    };
    let cloexec = if text.contains(&b'e') {
        libc::O_CLOEXEC
    } else {
        0
    };
    let exclusive = if text.contains(&b'x') {
        libc::O_CREAT | libc::O_EXCL
    } else {
        0
    };
    Some(direction | cloexec | exclusive)
}

/// The flags with which fopen(3) makes or empties a file in this mode.
fn creating(mode: *const c_char) -> c_int {
    match uaccess::c_string(mode).ok().and_then(|text| text.first()) {
        Some(b'w') => libc::O_CREAT | libc::O_TRUNC,
        Some(b'a') => libc::O_CREAT | libc::O_APPEND,
        _ => 0,
    }
}

fn opening(
    path: *const c_char,
    mode: *const c_char,
    host: impl FnOnce() -> *mut FILE,
) -> *mut FILE {
    let Some(flags) = flags_of(mode) else {
        return host();
    };
    let route = route::before(libc::AT_FDCWD, path);
    if route == Route::Device {
        let fd = ours(flags, None);
        if fd < 0 {
            return std::ptr::null_mut();
        }
        let file = of_tunnel(fd, mode);
        if file.is_null() {
            close_stream(fd as usize as *mut c_void);
        }
        return file;
    }
    if route == Route::View {
        let flags = match flags & libc::O_ACCMODE {
            libc::O_RDONLY => flags,
            _ => flags | creating(mode),
        };
        if let Some(fd) = view::open(libc::AT_FDCWD, path, flags, 0o666) {
            if fd < 0 {
                return std::ptr::null_mut();
            }
            let file = of_view(fd, mode);
            if file.is_null() {
                close_stream(fd as usize as *mut c_void);
            }
            return file;
        }
    }
    let file = host();
    if file.is_null() && is_missing(Errno(errno::get())) {
        return behind_link(path, mode, flags);
    }
    if !file.is_null() {
        reached(file, flags);
        errno::keep(|| {
            // SAFETY: the stream is libc's and was just opened; nothing has been read from it.
            let fd = unsafe { libc::fileno(file) };
            fdinfo::replace(fd, uaccess::c_string(path).unwrap_or_default());
        });
    }
    file
}

/// fopen(3) of what the host did not find, and what may be in the view behind a link.
#[cold]
fn behind_link(path: *const c_char, mode: *const c_char, flags: c_int) -> *mut FILE {
    let missing = errno::get();
    if errno::keep(|| route::after(libc::AT_FDCWD, path)) == Route::View {
        let flags = flags | creating(mode);
        if let Some(fd) = view::open(libc::AT_FDCWD, path, flags, 0o666) {
            let file = match fd {
                0.. => of_view(fd, mode),
                _ => return std::ptr::null_mut(),
            };
            if file.is_null() {
                close_stream(fd as usize as *mut c_void);
            }
            return file;
        }
    }
    errno::set(missing);
    std::ptr::null_mut()
}

/// Puts the file of the view into the place of the machine's to which a link of another name led.
/// What libc writes into it is carried out when it is flushed.
fn reached(file: *mut FILE, flags: c_int) {
    if !view::is_filled() {
        return;
    }
    errno::keep(|| {
        // SAFETY: the stream was opened just now.
        let fd = unsafe { libc::fileno(file) };
        if memtun_sys::fstat(fd).is_ok_and(|st| view::may_be_reached(&st, flags)) {
            view::reached(fd, flags, &|| closed(fd));
        }
    });
}

/// freopen(3) to the device. The stream keeps a descriptor that libc knows, so only fileno and
/// ioctl work on it.
fn reopening(
    path: *const c_char,
    mode: *const c_char,
    host: impl FnOnce(*const c_char) -> *mut FILE,
) -> *mut FILE {
    let flags = if path.is_null() { None } else { flags_of(mode) };
    let Some(flags) = flags else {
        return host(path);
    };
    let fd = match route::before(libc::AT_FDCWD, path) {
        Route::Device => ours(flags, None),
        Route::View => match view::open(libc::AT_FDCWD, path, flags | creating(mode), 0o666) {
            Some(fd) => fd,
            None => return host(path),
        },
        _ => return host(path),
    };
    if fd < 0 {
        return std::ptr::null_mut();
    }
    let file = host(c"/dev/null".as_ptr());
    if !file.is_null() {
        // SAFETY: the stream is open, and its descriptor is replaced.
        unsafe {
            let number = libc::fileno(file);
            if memtun_sys::duplicate_onto(fd, number, 0).is_ok() {
                ops::duplicated(fd, number);
                view::duplicated(fd, number);
            }
        }
    }
    crate::table::unmark(fd);
    // SAFETY: the descriptor was opened here, and the stream has a number of its own.
    closing::close(fd, || unsafe { memtun_sys::close(fd) }.map_or(-1, |()| 0));
    file
}

/// Offset in bytes of a stream's descriptor, and of its wide half below: `_fileno` and `_wide_data`
/// of `struct _IO_FILE` on 64-bit machines. They keep their places, because programs know that
/// struct since putc was a macro.
const FILENO: usize = 112;
const WIDE: usize = 160;
/// Size in bytes of the block for a wide half: more than it takes. The block is zeroed, as a new
/// wide half is.
const WIDE_SIZE: usize = 512;

/// Makes one of this library's streams look to libc like an ordinary one with this descriptor:
/// freopen(3) then puts the new file under that number and makes the stream truly ordinary. A
/// stream with functions behind it has no wide half; the new one is never freed.
fn as_ordinary(file: *mut FILE, fd: c_int) {
    // SAFETY: the stream is the caller's, and its layout is as above.
    unsafe {
        let wide = libc::calloc(1, WIDE_SIZE);
        if !wide.is_null() {
            libc::fflush(file);
            file.byte_add(WIDE).cast::<*mut c_void>().write(wide);
            file.byte_add(FILENO).cast::<c_int>().write(fd);
        }
    }
    forget(fd);
}

/// Runs freopen(3), which closes the stream's descriptor unseen; afterwards the number is another
/// file's.
fn given_up(file: *mut FILE, reopen: impl FnOnce() -> *mut FILE) -> *mut FILE {
    if file.is_null() || !crate::table::any() {
        return reopen();
    }
    // SAFETY: the stream is the caller's.
    let fd = errno::keep(|| unsafe { libc::fileno(file) });
    if descriptor(file).is_some() {
        as_ordinary(file, fd);
    }
    crate::waiting::stale::settle_one(fd);
    let tunnel = crate::table::unbind(fd);
    let reopened = reopen();
    if let Some(tunnel) = tunnel {
        errno::keep(|| tunnel.closed(&crate::table::OwnTunnels));
    }
    reopened
}

hooks! {
    fn fopen(path: *const c_char, mode: *const c_char) -> *mut FILE => my_fopen {
        opening(path, mode, || real!(fopen(path, mode)))
    }
    fn fopen64(path: *const c_char, mode: *const c_char) -> *mut FILE => my_fopen64 {
        opening(path, mode, || real!(fopen64(path, mode)))
    }
    fn freopen(path: *const c_char, mode: *const c_char, file: *mut FILE) -> *mut FILE => my_freopen {
        given_up(file, || reopening(path, mode, |path| real!(freopen(path, mode, file))))
    }
    fn freopen64(path: *const c_char, mode: *const c_char, file: *mut FILE) -> *mut FILE => my_freopen64 {
        given_up(file, || reopening(path, mode, |path| real!(freopen64(path, mode, file))))
    }
    fn fdopen(fd: c_int, mode: *const c_char) -> *mut FILE => my_fdopen {
        match is_ours(fd) {
            true if is_tunnel(fd) => of_tunnel(fd, mode),
            true => of_view(fd, mode),
            false => real!(fdopen(fd, mode)),
        }
    }
    fn fileno(file: *mut FILE) -> c_int => my_fileno {
        match descriptor(file) {
            Some(fd) => fd,
            None => real!(fileno(file)),
        }
    }
    fn fileno_unlocked(file: *mut FILE) -> c_int => my_fileno_unlocked {
        match descriptor(file) {
            Some(fd) => fd,
            None => real!(fileno_unlocked(file)),
        }
    }
    fn fread(at: *mut c_void, size: size_t, count: size_t, file: *mut FILE) -> size_t => my_fread {
        match read_straight(at, size, count, file) {
            Some(items) => items,
            None => real!(fread(at, size, count, file)),
        }
    }
    fn fread_unlocked(at: *mut c_void, size: size_t, count: size_t, file: *mut FILE) -> size_t => my_fread_unlocked {
        match read_straight(at, size, count, file) {
            Some(items) => items,
            None => real!(fread_unlocked(at, size, count, file)),
        }
    }
    fn __fread_chk(at: *mut c_void, room: size_t, size: size_t, count: size_t, file: *mut FILE) -> size_t => my_fread_chk {
        let fits = size.checked_mul(count).is_some_and(|n| n <= room);
        match fits.then(|| read_straight(at, size, count, file)).flatten() {
            Some(items) => items,
            None => real!(__fread_chk(at, room, size, count, file)),
        }
    }
    fn __fread_unlocked_chk(at: *mut c_void, room: size_t, size: size_t, count: size_t, file: *mut FILE) -> size_t => my_fread_unlocked_chk {
        let fits = size.checked_mul(count).is_some_and(|n| n <= room);
        match fits.then(|| read_straight(at, size, count, file)).flatten() {
            Some(items) => items,
            None => real!(__fread_unlocked_chk(at, room, size, count, file)),
        }
    }
}
