//! Datagrams that this process receives.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::calls::{call, AnyName, Descriptor};
use super::{errors, known};
use crate::buffers::{Buffers, Place};
use crate::errno::{self, fence};
use crate::table;
use crate::uaccess::{self, OwnMemory};
use libc::{c_int, c_uint, c_void, iovec, msghdr, sockaddr, socklen_t, ssize_t};
use memtun_abi::Errno;
use memtun_calls::buffer::Vector;
use memtun_calls::inet::datagram::receive::Heard;
use memtun_calls::inet::datagram::shown::{show, Came};
use memtun_calls::inet::Native;
use memtun_calls::Memory;
use memtun_kernel::tun::Source;
use memtun_stack::sockets::{report, Flow, Report};
use memtun_sys as sys;
use memtun_sys::inet::SocketName;
use std::mem::{zeroed, MaybeUninit};
use std::net::SocketAddr;

/// Bytes that are received at least, so that a report is known as one.
const LEAST: usize = report::HEAD;
/// What is too short for that goes on in a buffer of this library.
const PLACE: Place = Place::Behind(LEAST);

/// Bytes of control messages that the kernel gives with a datagram at most.
const CONTROL: usize = 1024;

/// Room for control messages, aligned as they have to be.
#[repr(align(8))]
struct Control([u8; CONTROL]);

/// Where the program wants what is received.
#[derive(Clone, Copy)]
enum Wanted {
    /// It wants the bytes, and a name if that is not NULL.
    Bytes(*mut sockaddr, usize, *mut socklen_t),
    /// It has given a message, which was this.
    Message(*mut msghdr, msghdr),
}

/// A receive that is under way. Nothing in it has to be cleaned up.
pub struct Receiving {
    message: msghdr,
    name: AnyName,
    buffers: Buffers,
    tail: [u8; LEAST],
    flags: c_int,
    wanted: Wanted,
    /// What the kernel says with a datagram, which the program sees in other words, which may be
    /// longer. Only a message has it, so it is not cleared for others.
    control: MaybeUninit<Control>,
}

/// What a hook does after the kernel's call.
pub enum Next {
    /// It makes the call again.
    Again,
    /// The program gets this.
    Give(ssize_t),
    /// It makes the program's own call: the descriptor is no socket.
    Other,
}

impl Receiving {
    fn new(buffers: Buffers, flags: c_int, wanted: Wanted) -> Receiving {
        Receiving {
            // SAFETY: a msghdr consists of numbers and pointers, for which zero is valid.
            message: unsafe { zeroed() },
            name: AnyName::room(),
            buffers,
            tail: [0; LEAST],
            flags,
            wanted,
            control: MaybeUninit::uninit(),
        }
    }

    /// Begins to receive into one buffer; `room` is how long the name may be.
    #[inline(never)]
    pub extern "C" fn bytes(
        buf: *mut c_void,
        n: usize,
        flags: c_int,
        (name, room, length): (*mut sockaddr, usize, *mut socklen_t),
    ) -> Receiving {
        let buffer = iovec {
            iov_base: buf,
            iov_len: n,
        };
        let wanted = Wanted::Bytes(name, room, length);
        Receiving::new(Buffers::one(buffer, PLACE), flags, wanted)
    }

    /// Begins to receive into the buffers of an array.
    #[inline(never)]
    pub extern "C" fn vector(array: *const iovec, count: c_int) -> Receiving {
        let nothing = (std::ptr::null_mut(), 0, std::ptr::null_mut());
        let wanted = Wanted::Bytes(nothing.0, nothing.1, nothing.2);
        let buffers = Buffers::of_array(array, count.max(0) as usize, PLACE);
        Receiving::new(buffers, 0, wanted)
    }

    /// Begins to receive a message. `None` leaves the call to the kernel.
    #[inline(never)]
    pub extern "C" fn message(message: *mut msghdr, flags: c_int) -> Option<Receiving> {
        // SAFETY: a message is a plain C struct.
        let given = errno::keep(|| unsafe { uaccess::read(message.cast_const()) }).ok()?;
        let buffers = Buffers::of_array(given.msg_iov, given.msg_iovlen, PLACE);
        Some(Receiving::new(
            buffers,
            flags,
            Wanted::Message(message, given),
        ))
    }

    /// Returns the message for the kernel's call, which is made before this value is moved.
    #[inline(never)]
    pub extern "C" fn prepare(&mut self) -> *mut msghdr {
        let tail = iovec {
            iov_base: (&raw mut self.tail).cast(),
            iov_len: LEAST,
        };
        self.buffers.put_into(&mut self.message, tail);
        self.name.length = self.name.bytes.len() as socklen_t;
        self.message.msg_name = (&raw mut self.name.bytes).cast();
        self.message.msg_namelen = self.name.length;
        if matches!(self.wanted, Wanted::Message(..)) {
            let control = self.control.write(Control([0; CONTROL]));
            self.message.msg_control = (&raw mut control.0).cast();
            self.message.msg_controllen = CONTROL as _;
        }
        self.message.msg_flags = 0;
        &raw mut self.message
    }

    /// Called before the kernel's call. `Some` says what becomes of it without that: an error has
    /// come for the program, or another socket has the number now. (What is received from a stream
    /// into more than the program's buffers would be lost.)
    #[cold]
    #[inline(never)]
    pub extern "C" fn before(&self, fd: c_int) -> Option<Next> {
        let looked = errno::keep(|| {
            fence(|| {
                let Some(known) = known::get() else {
                    return Ok(None);
                };
                let cookie = Descriptor(fd).cookie()?;
                match known.is_still(fd, cookie) {
                    true => Ok(errors::waiting(known, cookie)),
                    false => Err(Errno(libc::ENOTSOCK)),
                }
            })
        });
        match looked {
            Ok(None) => None,
            Ok(Some(e)) => {
                errors::given(fd);
                Some(Next::Give(errno::give::<isize>(Err(e))))
            }
            Err(_) => {
                table::forget_datagrams(fd);
                Some(Next::Other)
            }
        }
    }

    /// Called with what the kernel's call has answered.
    #[cold]
    #[inline(never)]
    pub extern "C" fn judge(&mut self, fd: c_int, stored: ssize_t) -> Next {
        let next = self.judged(fd, stored);
        if !matches!(next, Next::Again) {
            self.buffers.end();
        }
        next
    }

    fn judged(&mut self, fd: c_int, stored: ssize_t) -> Next {
        if stored < 0 {
            if errno::get() == libc::ENOTSOCK {
                table::forget_datagrams(fd);
                return Next::Other;
            }
            return Next::Give(stored);
        }
        if self.flags & libc::MSG_PEEK != 0 {
            errno::keep(|| self.look_back(fd, stored as usize));
        }
        let heard = errno::keep(|| fence(|| Ok(self.hear(fd, stored as usize))));
        match heard {
            Ok(Heard::Skipped) => {
                self.take_off(fd);
                Next::Again
            }
            Ok(Heard::Report(report, flow)) => {
                let error = errno::keep(|| self.report(fd, stored as usize, report, &flow));
                self.take_off(fd);
                match error {
                    Some(e) => Next::Give(errno::give::<isize>(Err(e))),
                    None => Next::Again,
                }
            }
            Ok(Heard::From(name, flow)) => {
                if self.flags & libc::MSG_PEEK == 0 {
                    errno::keep(|| self.passed(fd));
                }
                self.given(stored, Some((name, flow)))
            }
            Ok(Heard::Machine) | Err(_) => self.given(stored, None),
        }
    }

    /// Takes back by how much a look has moved on (SO_PEEK_OFF) for what the program had no room
    /// for.
    fn look_back(&self, fd: c_int, stored: usize) {
        let room = self.buffers.room;
        let more = match room < LEAST {
            true => stored.min(room + LEAST).saturating_sub(room),
            false => 0,
        };
        let at = sys::int_option(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF).unwrap_or(-1);
        if more > 0 && at >= 0 {
            let at = at.saturating_sub(more as c_int).max(0);
            let _ = sys::set_int_option(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, at);
        }
    }

    /// Called when a datagram is given to the program.
    fn passed(&self, fd: c_int) {
        let _ = fence(|| {
            if let Some(known) = known::get().filter(|known| known.table.raises() != 0) {
                errors::passed(known, fd, Descriptor(fd).cookie()?);
            }
            Ok(())
        });
    }

    /// Keeps a report for the error queue. Returns the error that the program's call fails with.
    fn report(&self, fd: c_int, stored: usize, report: Report, flow: &Flow) -> Option<Errno> {
        let known = known::get()?;
        let cookie = Descriptor(fd).cookie().ok()?;
        let mut bytes = [0; 2048];
        let filled = self.received(stored, &mut bytes);
        let payload = bytes.get(report::HEAD..filled).unwrap_or_default();
        errors::take(known, cookie, report, flow, payload);
        errors::waiting(known, cookie)
    }

    fn given(&mut self, stored: ssize_t, from: Option<(SocketAddr, Option<Flow>)>) -> Next {
        Next::Give(match errno::keep(|| self.give(stored, from)) {
            Ok(given) => given,
            Err(e) => errno::give::<isize>(Err(e)),
        })
    }

    /// Copies the beginning of what the kernel has stored, and returns how much that is.
    fn received(&self, stored: usize, into: &mut [u8]) -> usize {
        Buffers::read(&self.message, stored, into)
    }

    fn sender(&self) -> Option<SocketAddr> {
        let length = self.message.msg_namelen as usize;
        SocketName::of_bytes(self.name.bytes.get(..length)?)?.address()
    }

    fn hear(&self, fd: c_int, stored: usize) -> Heard {
        let (Some(known), Some(sender)) = (known::get(), self.sender()) else {
            return Heard::Machine;
        };
        let mut begin = [0; LEAST];
        let filled = self.received(stored, &mut begin);
        call(known, &Descriptor(fd)).heard(&sender, &begin[..filled])
    }

    /// Takes a datagram that the program must not see out of the queue, if the program only looked
    /// at it.
    fn take_off(&self, fd: c_int) {
        if self.flags & libc::MSG_PEEK != 0 {
            let args = [fd as usize, 0, 0, libc::MSG_DONTWAIT as usize, 0, 0];
            // SAFETY: the call stores nothing.
            unsafe { sys::syscall(libc::SYS_recvfrom, args) };
        }
    }

    /// Stores what the program wants to know, and returns what its call returns.
    ///
    /// # Errors
    /// - EFAULT: what it gave for that cannot be written.
    fn give(
        &mut self,
        stored: ssize_t,
        from: Option<(SocketAddr, Option<Flow>)>,
    ) -> Result<ssize_t, Errno> {
        let cut = stored as usize > self.buffers.room;
        let given = match cut && self.flags & libc::MSG_TRUNC == 0 {
            true => self.buffers.room as ssize_t,
            false => stored,
        };
        let native_length = (self.message.msg_namelen as usize).min(self.name.bytes.len());
        let shown = from.map(|(name, _)| SocketName::new(&name));
        let name: &[u8] = match &shown {
            Some(name) => name.bytes(),
            None => &self.name.bytes[..native_length],
        };
        match self.wanted {
            Wanted::Bytes(to, room, length) => {
                if !to.is_null() {
                    // The kernel has not seen these places.
                    let mut given = [0; 4];
                    OwnMemory.read(length as usize, &mut given)?;
                    if i32::from_ne_bytes(given) < 0 {
                        return Err(Errno(libc::EINVAL));
                    }
                    OwnMemory.write(to as usize, &name[..name.len().min(room)])?;
                    OwnMemory.write(length as usize, &(name.len() as u32).to_ne_bytes())?;
                }
            }
            Wanted::Message(message, given) => {
                let mut after = given;
                after.msg_flags = self.message.msg_flags;
                let came = from.as_ref().zip(known::get());
                let came = came.map(|((name, flow), known)| Came {
                    net: known.net,
                    table: &known.table,
                    flow: flow.as_ref(),
                    is_v6: name.ip().to_canonical().is_ipv6(),
                });
                // SAFETY: `prepare` has filled it, because this is a message.
                let control = unsafe { self.control.assume_init_ref() };
                let native = &control.0[..self.message.msg_controllen.min(CONTROL)];
                let place = (given.msg_control as usize, given.msg_controllen);
                let (used, control_cut) = show(&OwnMemory, came, native, place);
                after.msg_controllen = used;
                if control_cut {
                    after.msg_flags |= libc::MSG_CTRUNC;
                }
                if !given.msg_name.is_null() {
                    let room = given.msg_namelen as usize;
                    let some = &name[..name.len().min(room)];
                    OwnMemory.write(given.msg_name as usize, some)?;
                    after.msg_namelen = name.len() as c_uint;
                }
                if cut {
                    after.msg_flags |= libc::MSG_TRUNC;
                }
                uaccess::write(message, &after)?;
            }
        }
        Ok(given)
    }
}

/// Is there anything to send, as write(2) sees it? Buffers of no bytes are nothing.
#[inline(never)]
pub extern "C" fn is_empty(array: *const iovec, count: c_int) -> bool {
    errno::keep(|| fence(|| Vector::new(OwnMemory, array as usize, count)))
        .is_ok_and(|vector| vector.len() == 0)
}
