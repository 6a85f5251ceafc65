//! libc's resolver, which speaks to nameservers by calls of its own that no hook sees. Its state is
//! the thread's, as resolv.h describes it: while a call of the resolver runs, a nameserver that the
//! net leads to has the name in it by which the host process hears of what is sent to it.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::calls::{call, Descriptor};
use super::known::{self, Side};
use super::refusal::{self, How};
use crate::errno::{self, fence};
use crate::symbols;
use libc::{c_char, c_int, c_uint, c_ulong, c_void, sockaddr_in, sockaddr_in6};
use memtun_calls::inet::nameserver::NOWHERE;
use memtun_sys::inet::SocketName;
use std::ffi::CStr;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Release};

/// MAXNS of resolv.h.
const MOST: usize = 3;

/// `struct __res_state` of resolv.h.
#[repr(C)]
struct State {
    retrans: c_int,
    retry: c_int,
    options: c_ulong,
    count: c_int,
    servers: [sockaddr_in; MOST],
    id: u16,
    search: [*mut c_char; 7],
    domain: [c_char; 256],
    pfcode: c_ulong,
    bits: c_uint,
    sorted: [[u32; 2]; 10],
    hooks: [*mut c_void; 2],
    error: c_int,
    stream: c_int,
    flags: c_uint,
    rest: Rest,
}

/// `_u._ext` of it.
#[repr(C)]
struct Rest {
    count: u16,
    map: [u16; MOST],
    sockets: [c_int; MOST],
    count6: u16,
    begun: u16,
    servers: [*mut sockaddr_in6; MOST],
}

/// What was put in place of nameservers.
#[derive(Clone, Copy)]
pub struct Replaced {
    state: *mut State,
    before: [Option<sockaddr_in>; MOST],
    /// Those of IPv6, in whose place libc puts what it is given.
    before6: [Option<sockaddr_in6>; MOST],
    put: [Ipv4Addr; MOST],
}

/// A function of libc's, found once.
struct Function {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Function {
    const fn new(name: &'static CStr) -> Function {
        Function {
            name,
            found: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    fn get(&self) -> *mut c_void {
        let known = self.found.load(Acquire);
        if !known.is_null() {
            return known;
        }
        let found = symbols::next(self.name);
        self.found.store(found, Release);
        found
    }
}

static STATE: Function = Function::new(c"__res_state");
static QUERY: Function = Function::new(c"res_mkquery");
static BEGIN: Function = Function::new(c"__res_init");

/// The state of this thread, which has the nameservers of `/etc/resolv.conf` as it is now.
fn state() -> Option<*mut State> {
    type Begin = unsafe extern "C" fn() -> c_int;
    type Query = unsafe extern "C" fn(
        c_int,
        *const c_char,
        c_int,
        c_int,
        *const u8,
        c_int,
        *const u8,
        *mut u8,
        c_int,
    ) -> c_int;
    let (query, begin) = (QUERY.get(), BEGIN.get());
    let mut room = [0u8; 64];
    // SAFETY: these are libc's functions of resolv.h, of these types. To make a query reads the
    // configuration where it has to be read, writes at most 64 bytes to the room, and sends
    // nothing. The state is this thread's for its life.
    unsafe {
        match (query.is_null(), begin.is_null()) {
            (false, _) => {
                let make: Query = std::mem::transmute::<*mut c_void, Query>(query);
                let none = std::ptr::null();
                make(0, c"a".as_ptr(), 1, 1, none, 0, none, room.as_mut_ptr(), 64);
            }
            (true, false) => {
                let begin: Begin = std::mem::transmute::<*mut c_void, Begin>(begin);
                begin();
            }
            (true, true) => return None,
        }
        let get = STATE.get();
        if get.is_null() {
            return None;
        }
        let get = std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> *mut State>(get);
        let state = get();
        (!state.is_null()).then_some(state)
    }
}

fn name_of_v4(server: &sockaddr_in) -> SocketAddr {
    let address = Ipv4Addr::from(u32::from_be(server.sin_addr.s_addr));
    (address, u16::from_be(server.sin_port)).into()
}

fn v4_of_name(name: &SocketAddr) -> Option<sockaddr_in> {
    let name = SocketName::new(name);
    let bytes = name.bytes();
    // SAFETY: the bytes are as many as the struct has, and each value of it is a valid one.
    (bytes.len() == size_of::<sockaddr_in>())
        .then(|| unsafe { bytes.as_ptr().cast::<sockaddr_in>().read_unaligned() })
}

/// Called before a call of the resolver with this state, or with the thread's own where it is none.
/// Puts names in place of nameservers that the net leads to.
#[cold]
#[inline(never)]
pub extern "C" fn begin(given: *mut c_void) -> Option<Replaced> {
    errno::keep(|| fence(|| Ok(replace(given.cast()))).ok().flatten())
}

fn replace(given: *mut State) -> Option<Replaced> {
    let known = match known::side_that_leaves() {
        Side::Machine => return None,
        Side::Net(known) if !known.table.is_active() => return None,
        Side::Net(known) => Ok(known),
        Side::Nobody(why) => Err(why),
    };
    let state = match given.is_null() {
        true => state()?,
        false => given,
    };
    let socket = Descriptor(-1);
    let call = known.map(|known| call(known, &socket));
    let mut replaced = Replaced {
        state,
        before: [None; MOST],
        before6: [None; MOST],
        put: [Ipv4Addr::UNSPECIFIED; MOST],
    };
    // SAFETY: the state is this thread's, or one that the program gives to a call of libc's which
    // reads and writes it; nobody else changes it meanwhile.
    let state = unsafe { &mut *state };
    let count = (state.count.max(0) as usize).min(MOST);
    for at in 0..count {
        let server = state.servers[at];
        let v6 = state.rest.servers[at];
        let name = match i32::from(server.sin_family) {
            libc::AF_INET => name_of_v4(&server),
            0 if !v6.is_null() => {
                // SAFETY: libc keeps a nameserver of IPv6 there, as long as the state has it.
                let v6 = unsafe { v6.read_unaligned() };
                replaced.before6[at] = Some(v6);
                let address = v6.sin6_addr.s6_addr.into();
                let port = u16::from_be(v6.sin6_port);
                SocketAddrV6::new(address, port, 0, v6.sin6_scope_id).into()
            }
            _ => continue,
        };
        // A thread that was cancelled in a call has left the name there.
        let behind = call
            .as_ref()
            .ok()
            .and_then(|call| call.nameserver_behind(name));
        let before = match behind {
            None => server,
            Some(name) => v4_of_name(&name).unwrap_or(sockaddr_in {
                sin_family: 0,
                ..server
            }),
        };
        let put = match &call {
            Ok(call) => call.nameserver(behind.unwrap_or(name)),
            Err(why) => refusal::of_name(How::Sends, &name, *why).map(|_| NOWHERE),
        };
        let put = put.and_then(|to| v4_of_name(&to));
        if let Some(put) = put.or(behind.map(|_| before)) {
            replaced.before[at] = Some(before);
            replaced.put[at] = Ipv4Addr::from(u32::from_be(put.sin_addr.s_addr));
            state.servers[at] = put;
        }
    }
    replaced
        .before
        .iter()
        .any(Option::is_some)
        .then_some(replaced)
}

/// Called after the call.
#[cold]
#[inline(never)]
pub extern "C" fn end(replaced: Replaced) {
    // SAFETY: the state is this thread's, which has it for its life, or the one that the program
    // has given to the call.
    let state = unsafe { &mut *replaced.state };
    for (at, before) in replaced.before.iter().enumerate() {
        let now = Ipv4Addr::from(u32::from_be(state.servers[at].sin_addr.s_addr));
        if let Some(before) = before.filter(|_| now == replaced.put[at]) {
            state.servers[at] = before;
            let v6 = state.rest.servers[at];
            if let Some(before) = replaced.before6[at].filter(|_| !v6.is_null()) {
                // SAFETY: libc keeps a nameserver of this size there, as long as the state has it.
                unsafe { v6.write_unaligned(before) };
            }
        }
    }
}

/// Makes a call of the resolver that has its state from the thread.
#[inline(always)]
pub fn resolving<R>(call: impl FnOnce() -> R) -> R {
    resolving_by(std::ptr::null_mut(), call)
}

/// Makes a call of the resolver that the program gives this state.
#[inline(always)]
pub fn resolving_by<R>(state: *mut c_void, call: impl FnOnce() -> R) -> R {
    // It may be the first call of a program that has to do with the network.
    if !super::looks_anew() {
        return call();
    }
    let replaced = begin(state);
    let answer = call();
    if let Some(replaced) = replaced {
        end(replaced);
    }
    answer
}
