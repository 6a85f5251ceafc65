//! Receiving copies on packet sockets and raw sockets.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use crate::buffers::{Buffers, Place};
use crate::errno::{self, fence};
use crate::uaccess::{self, UsedMemory};
use libc::{c_int, c_void, iovec, msghdr, sockaddr, socklen_t, ssize_t};
use memtun_abi::Errno;
use memtun_calls::packet::mark;
use memtun_calls::packet::receive::{show, Sender};
use memtun_calls::Memory;
use memtun_stack::sockets::raw::{Head, HEAD};
use std::mem::zeroed;

/// A receive that is under way. Nothing in it has to be cleaned up.
pub struct Receiving {
    message: msghdr,
    head: [u8; HEAD],
    buffers: Buffers,
    flags: c_int,
    /// Where the program wants the name, how long it may be, and where its length goes.
    name: (*mut sockaddr, usize, *mut socklen_t),
    /// The program's message, if it has given one.
    given: *mut msghdr,
    control_length: usize,
    /// The queue of errors has to be told of again, which the next call was not to fail for.
    again: bool,
}

/// What a hook does after the kernel's call.
pub enum Next {
    /// It makes the call again.
    Again,
    /// The program gets this.
    Give(ssize_t),
}

impl Receiving {
    fn new(
        buffers: Buffers,
        flags: c_int,
        name: (*mut sockaddr, usize, *mut socklen_t),
    ) -> Receiving {
        Receiving {
            // SAFETY: a msghdr consists of numbers and pointers, for which zero is valid.
            message: unsafe { zeroed() },
            head: [0; HEAD],
            buffers,
            flags,
            name,
            given: std::ptr::null_mut(),
            control_length: 0,
            again: false,
        }
    }

    /// Begins to receive into one buffer.
    #[inline(never)]
    pub extern "C" fn bytes(
        buf: *mut c_void,
        n: usize,
        flags: c_int,
        name: (*mut sockaddr, usize, *mut socklen_t),
    ) -> Receiving {
        let buffer = iovec {
            iov_base: buf,
            iov_len: n,
        };
        Receiving::new(Buffers::one(buffer, Place::Front), flags, name)
    }

    /// Begins to receive into the buffers of an array.
    #[inline(never)]
    pub extern "C" fn vector(array: *const iovec, count: c_int) -> Receiving {
        let buffers = Buffers::of_array(array, count.max(0) as usize, Place::Front);
        let nobody = (std::ptr::null_mut(), 0, std::ptr::null_mut());
        Receiving::new(buffers, 0, nobody)
    }

    /// Begins to receive a message. `None` leaves the call to the kernel.
    #[inline(never)]
    pub extern "C" fn message(message: *mut msghdr, flags: c_int) -> Option<Receiving> {
        // SAFETY: a message is a plain C struct.
        let given = errno::keep(|| unsafe { uaccess::read(message.cast_const()) }).ok()?;
        let name = (
            given.msg_name.cast::<sockaddr>(),
            given.msg_namelen as usize,
            std::ptr::null_mut(),
        );
        let buffers = Buffers::of_array(given.msg_iov, given.msg_iovlen, Place::Front);
        let mut this = Receiving::new(buffers, flags, name);
        this.given = message;
        this.message.msg_control = given.msg_control;
        this.control_length = given.msg_controllen;
        Some(this)
    }

    /// Returns the message for the kernel's call, which is made before this value is moved.
    #[inline(never)]
    pub extern "C" fn prepare(&mut self) -> *mut msghdr {
        let head = iovec {
            iov_base: (&raw mut self.head).cast(),
            iov_len: HEAD,
        };
        self.buffers.put_into(&mut self.message, head);
        self.message.msg_controllen = self.control_length as _;
        self.message.msg_flags = 0;
        &raw mut self.message
    }

    /// Called with what the kernel's call has answered.
    #[cold]
    #[inline(never)]
    pub extern "C" fn judge(&mut self, fd: c_int, stored: ssize_t) -> Next {
        let next = self.judged(fd, stored);
        if matches!(next, Next::Give(_)) {
            self.buffers.end();
        }
        next
    }

    fn judged(&mut self, fd: c_int, stored: ssize_t) -> Next {
        if stored < 0 && errno::get() == libc::ECONNRESET {
            return self.fail(fd);
        }
        if std::mem::take(&mut self.again) {
            let _ = super::answer(fd, |call| call.tell_again());
        }
        if stored < 0 {
            return Next::Give(stored);
        }
        let Some(head) = Head::of_bytes(&self.head).filter(|_| stored as usize >= HEAD) else {
            // Nobody but the host process has anything to say here.
            return Next::Again;
        };
        super::stamp(fd, head.time);
        let stored = stored as usize - HEAD;
        let given = errno::keep(|| fence(|| self.give(fd, &head, stored)));
        Next::Give(given.unwrap_or(stored) as ssize_t)
    }

    /// The machine's kernel has told that an error waits.
    fn fail(&mut self, fd: c_int) -> Next {
        match super::answer(fd, |call| call.take_error()) {
            // Only the queue of errors has grown, for which no receive fails.
            Some(Ok((0, more))) => {
                self.again |= more;
                Next::Again
            }
            Some(Ok((e, more))) => {
                if more || self.again {
                    let _ = super::answer(fd, |call| call.tell_again());
                }
                errno::set(e);
                Next::Give(-1)
            }
            _ => Next::Give(-1),
        }
    }

    fn give(&mut self, fd: c_int, head: &Head, stored: usize) -> Result<usize, Errno> {
        let kind = super::kind_of(fd);
        let sender = Sender::of(kind, head);
        let (to, room, length) = self.name;
        if !to.is_null() {
            let name = sender.bytes();
            UsedMemory.write(to as usize, &name[..name.len().min(room)])?;
            if !length.is_null() {
                UsedMemory.write(length as usize, &(name.len() as u32).to_ne_bytes())?;
            }
        }
        if !self.given.is_null() {
            // SAFETY: the message is the program's, which was read before.
            let mut after = unsafe { uaccess::read_used(self.given.cast_const()) }?;
            after.msg_flags = self.message.msg_flags;
            after.msg_controllen = self.message.msg_controllen;
            if !to.is_null() {
                after.msg_namelen = sender.bytes().len() as socklen_t;
            }
            if !self.message.msg_control.is_null() {
                let used = self.message.msg_controllen;
                let (used, cut) = show(
                    &UsedMemory,
                    (kind, mark::bound(fd)),
                    head,
                    (self.message.msg_control as usize, used, self.control_length),
                )?;
                after.msg_controllen = used as _;
                if cut {
                    after.msg_flags |= libc::MSG_CTRUNC;
                }
            }
            uaccess::write(self.given, &after)?;
        }
        let whole = self.flags & libc::MSG_TRUNC != 0;
        Ok(if whole {
            stored
        } else {
            stored.min(self.buffers.room)
        })
    }
}
