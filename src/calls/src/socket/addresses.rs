//! SIOCGIFCONF: the machine's addresses that belong to the net by their name, or that a program of
//! the net has deleted, are removed from the list, and the net's own are put behind.
#![forbid(unsafe_code)]

use super::address::put_address;
use super::call::{Socket, SocketCall};
use crate::host::{self, Host};
use crate::memory::Memory;
use memtun_abi::uapi::IfReq;
use memtun_abi::Errno;
use memtun_stack::brief::{each_address, is_hidden};
use memtun_stack::{state, Address};
use std::net::{IpAddr, Ipv4Addr};

/// Offset of the pointer to the list in `struct ifconf`; in front of it is the list's length in
/// bytes.
const LIST: usize = 8;

impl<S: Socket, M: Memory, H: Host> SocketCall<'_, S, M, H> {
    /// Is this the index of an interface that the net had and has not any more?
    fn is_gone(&self, index: u32) -> Result<bool, Errno> {
        if !self.net.knows_index(index) {
            return Ok(false);
        }
        let _lock = self.net.lock()?;
        Ok(self.net.find_by_index(index, self.local)?.is_none())
    }

    /// Makes the list of a program that sees nothing of the machine.
    pub(super) fn list_own(&self) -> Result<(), Errno> {
        let room = self.bytes(self.arg).map(i32::from_ne_bytes);
        let list = self.bytes(self.at(LIST).at).map(usize::from_ne_bytes);
        let (Some(room), Some(list)) = (room, list) else {
            return Err(Errno(libc::EFAULT));
        };
        host::need_state(self.host, self.net)?;
        let count = put_own(self, list, room, 0)?;
        self.memory
            .write(self.arg, &((count * IfReq::SIZE) as i32).to_ne_bytes())
    }
}

/// Corrects the program's list, which the machine has filled. `room` is its length in bytes as the
/// program gave it.
pub(super) fn correct<S: Socket, M: Memory, H: Host>(call: &SocketCall<'_, S, M, H>, room: i32) {
    let length = call.bytes(call.arg).map(i32::from_ne_bytes);
    let list = call.bytes(call.at(LIST).at).map(usize::from_ne_bytes);
    let (Some(length), Some(list)) = (length, list) else {
        return;
    };
    let count = length.max(0) as usize / IfReq::SIZE;
    let kept = match list {
        0 => without_a_list(call, count),
        _ => in_list(call, list, count),
    };
    let all = match state::is_there(call.net) {
        true => put_own(call, list, room, kept).unwrap_or(kept),
        false => kept,
    };
    if all != count {
        let length = (all * IfReq::SIZE) as i32;
        let _ = call.memory.write(call.arg, &length.to_ne_bytes());
    }
}

/// Is this element of the machine's list not to be seen?
fn is_dropped<S: Socket, M: Memory, H: Host>(
    call: &SocketCall<'_, S, M, H>,
    element: &IfReq,
) -> bool {
    let bytes = [element.0[20], element.0[21], element.0[22], element.0[23]];
    let hidden = || is_hidden(call.net, element.name().as_bytes(), Ipv4Addr::from(bytes));
    call.is_known(&element.name()) || hidden() == Ok(true)
}

/// Returns how many of the machine's `count` elements stay, where only the length was asked.
fn without_a_list<S: Socket, M: Memory, H: Host>(
    call: &SocketCall<'_, S, M, H>,
    count: usize,
) -> usize {
    let mut room = [IfReq::default(); 64];
    let Ok(found) = call.socket.host_addresses(&mut room) else {
        return count;
    };
    let dropped = room.iter().take(found).filter(|r| is_dropped(call, r));
    count - dropped.count().min(count)
}

/// Moves the elements that stay to the front of the list, and returns how many they are.
fn in_list<S: Socket, M: Memory, H: Host>(
    call: &SocketCall<'_, S, M, H>,
    list: usize,
    count: usize,
) -> usize {
    let mut kept = 0;
    for i in 0..count {
        let Some(element) = call.bytes(list + i * IfReq::SIZE).map(IfReq) else {
            return count;
        };
        if is_dropped(call, &element) {
            continue;
        }
        if kept < i {
            let to = list + kept * IfReq::SIZE;
            if call.memory.write(to, &element.0).is_err() {
                return count;
            }
        }
        kept += 1;
    }
    kept
}

/// Puts the net's addresses behind the `kept` elements of the list, as far as there is room, by
/// ascending index of the interfaces. Returns how many elements there are then. Without a list they
/// are only counted.
fn put_own<S: Socket, M: Memory, H: Host>(
    call: &SocketCall<'_, S, M, H>,
    list: usize,
    room: i32,
    kept: usize,
) -> Result<usize, Errno> {
    let (mut count, mut fault) = (kept, Ok(()));
    let most = room.max(0) as usize / IfReq::SIZE;
    each_in_order(call, |address, ip| {
        if list != 0 {
            if count >= most {
                return false;
            }
            let mut element = IfReq::default();
            element.set_name(&address.label);
            put_address(&mut element, ip);
            fault = call.memory.write(list + count * IfReq::SIZE, &element.0);
        }
        count += 1;
        fault.is_ok()
    })?;
    fault.map(|()| count)
}

/// Calls `each` with the IPv4 addresses of the state by ascending index, until it returns false.
fn each_in_order<S: Socket, M: Memory, H: Host>(
    call: &SocketCall<'_, S, M, H>,
    mut each: impl FnMut(&Address, Ipv4Addr) -> bool,
) -> Result<(), Errno> {
    let (mut index, mut skipped, mut goes_on) = (0, 0, true);
    while goes_on {
        let mut next = None;
        each_address(call.net, |address| {
            let IpAddr::V4(ip) = address.local else {
                return true;
            };
            if address.index == index && index > skipped {
                goes_on = each(address, ip);
            } else if address.index > index.max(skipped) {
                next = Some(next.map_or(address.index, |n: u32| n.min(address.index)));
            }
            goes_on
        })?;
        match next {
            // The addresses of an interface that has just gone may still be there.
            Some(found) if call.is_gone(found)? => skipped = found,
            Some(found) => index = found,
            None => break,
        }
    }
    Ok(())
}
