//! The program's buffers of a receive, with a buffer of this library in front of them or behind
//! them. Nothing in it has to be cleaned up but an array of many buffers, which stays mapped where
//! a thread is cancelled while it waits.

use crate::errno;
use crate::uaccess::{self, UsedMemory};
use libc::{iovec, msghdr};
use memtun_calls::Memory;
use memtun_sys as sys;

/// Number of buffers that need no mapping, with one of this library.
const FEW: usize = 9;
/// Most buffers of one call (UIO_MAXIOV).
const MOST: usize = 1024;
/// Length in bytes of a mapping.
const MAPPING: usize = (MOST + 1) * size_of::<iovec>();

const NONE: iovec = iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

/// Where the array of the buffers is.
enum Array {
    Here([iovec; FEW]),
    /// In a mapping of this library's, with one element more than [`MOST`].
    Mapped(*mut iovec),
    /// In the program's memory. The kernel refuses it, or it is as good as a copy.
    Given(*mut iovec),
}

/// Where a buffer of this library's stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In front of the program's: what is received begins with it.
    Front,
    /// Behind the program's, if they have less room than so many bytes.
    Behind(usize),
}

/// The buffers of a receive.
pub struct Buffers {
    array: Array,
    count: usize,
    place: Place,
    /// Bytes that the program has room for.
    pub room: usize,
}

impl Buffers {
    fn first(place: Place) -> usize {
        usize::from(place == Place::Front)
    }

    /// Takes one buffer.
    pub fn one(buffer: iovec, place: Place) -> Buffers {
        let mut array = [NONE; FEW];
        array[Self::first(place)] = buffer;
        Buffers {
            array: Array::Here(array),
            count: 1,
            place,
            room: buffer.iov_len,
        }
    }

    /// Takes the buffers of the program's array.
    pub fn of_array(array: *const iovec, count: usize, place: Place) -> Buffers {
        let mut this = Buffers {
            array: Array::Given(array.cast_mut()),
            count,
            place,
            room: usize::MAX,
        };
        if count > MOST {
            return this;
        }
        let mut here = [NONE; FEW];
        let mapped = match count >= FEW {
            true => {
                let access = libc::PROT_READ | libc::PROT_WRITE;
                let Ok(at) = errno::keep(|| sys::map_private(MAPPING, access)) else {
                    // Without one in front of them they are no good: the kernel refuses so many.
                    this.count += (place == Place::Front) as usize * MOST;
                    return this;
                };
                Some(at.cast::<iovec>())
            }
            false => None,
        };
        let to = mapped.unwrap_or(here.as_mut_ptr());
        let (first, mut room) = (Self::first(place), 0usize);
        for at in 0..count {
            // SAFETY: an iovec is two plain numbers.
            let read = errno::keep(|| unsafe { uaccess::read(array.wrapping_add(at)) });
            let Ok(buffer) = read else {
                unmap(mapped);
                return this;
            };
            room = room.saturating_add(buffer.iov_len);
            // SAFETY: there is room for `count` buffers behind the first one: `to` is `here` or the
            // mapping, of whose lengths `count` is less.
            unsafe { to.add(first + at).write(buffer) };
        }
        this.room = room;
        this.array = match mapped {
            Some(at) => Array::Mapped(at),
            None => Array::Here(here),
        };
        this
    }

    fn start(&mut self) -> *mut iovec {
        match &mut self.array {
            Array::Here(array) => array.as_mut_ptr(),
            Array::Mapped(at) | Array::Given(at) => *at,
        }
    }

    /// Puts the buffers into a message, with that of this library where it is needed. The message
    /// is good until this value is moved.
    pub fn put_into(&mut self, message: &mut msghdr, own: iovec) {
        let mut count = self.count;
        let place = match self.place {
            _ if matches!(self.array, Array::Given(_)) => None,
            Place::Front => Some(0),
            Place::Behind(least) => (self.room < least).then_some(count),
        };
        message.msg_iov = self.start();
        if let Some(at) = place {
            // SAFETY: the array has one element more than the program has buffers.
            unsafe { message.msg_iov.add(at).write(own) };
            count += 1;
        }
        // The last of very many has to be left out for that of this library.
        if place.is_some() {
            count = count.min(MOST);
        }
        message.msg_iovlen = count as _;
    }

    /// Copies the beginning of what the kernel has stored into the buffers of a message, and
    /// returns how much that is.
    pub fn read(message: &msghdr, stored: usize, into: &mut [u8]) -> usize {
        let mut filled = 0;
        let most = into.len().min(stored);
        // SAFETY: the array is this library's own or the program's, which the kernel has just used.
        let buffer = |at: usize| unsafe {
            uaccess::read_used(message.msg_iov.wrapping_add(at).cast_const())
        };
        for at in 0..message.msg_iovlen {
            let Ok(buffer) = buffer(at) else { break };
            let some = buffer.iov_len.min(most - filled);
            let part = &mut into[filled..filled + some];
            if UsedMemory.read(buffer.iov_base as usize, part).is_err() {
                break;
            }
            filled += some;
            if filled == most {
                break;
            }
        }
        filled
    }

    /// Called when the receive is over: a mapping goes.
    pub fn end(&mut self) {
        if let Array::Mapped(at) = self.array {
            self.array = Array::Given(std::ptr::null_mut());
            unmap(Some(at));
        }
    }
}

fn unmap(mapped: Option<*mut iovec>) {
    if let Some(at) = mapped {
        // SAFETY: this library has made the mapping for this receive, which is over.
        errno::keep(|| unsafe { sys::unmap(at.cast(), MAPPING) });
    }
}
