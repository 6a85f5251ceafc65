//! SIOCGIFCONF: the host's interfaces whose names belong to the net are removed from the list.
//! Interfaces of the net have no addresses, so none is added.
#![forbid(unsafe_code)]

use super::call::{Socket, SocketCall};
use crate::memory::Memory;
use memtun_abi::uapi::IfReq;

/// Offset of the pointer to the list in `struct ifconf`; in front of it is the list's length in
/// bytes.
const LIST: usize = 8;

/// Removes the net's names from the program's list, which the host has filled.
pub(super) fn drop_known<S: Socket, M: Memory>(call: &SocketCall<'_, S, M>) {
    let length = call.bytes(call.arg).map(i32::from_ne_bytes);
    let list = call.bytes(call.at(LIST).at).map(usize::from_ne_bytes);
    let (Some(length), Some(list)) = (length, list) else {
        return;
    };
    let shorter = match list {
        0 => without_a_list(call, length),
        _ => in_list(call, list, length.max(0) as usize / IfReq::SIZE),
    };
    if let Some(length) = shorter {
        let _ = call.memory.write(call.arg, &length.to_ne_bytes());
    }
}

/// Returns the length in bytes without the net's names, where only the length was asked. None means
/// that the host did not answer, and nothing has to change.
fn without_a_list<S: Socket, M: Memory>(call: &SocketCall<'_, S, M>, length: i32) -> Option<i32> {
    let mut room = [IfReq::default(); 64];
    let count = call.socket.host_addresses(&mut room).ok()?;
    let known = room.iter().take(count).filter(|r| call.is_known(&r.name()));
    Some(length - (known.count() * IfReq::SIZE) as i32)
}

fn in_list<S: Socket, M: Memory>(
    call: &SocketCall<'_, S, M>,
    list: usize,
    count: usize,
) -> Option<i32> {
    let mut kept = 0;
    for i in 0..count {
        let request = IfReq(call.bytes(list + i * IfReq::SIZE)?);
        if call.is_known(&request.name()) {
            continue;
        }
        if kept < i {
            let to = list + kept * IfReq::SIZE;
            call.memory.write(to, &request.0).ok()?;
        }
        kept += 1;
    }
    (kept < count).then_some((kept * IfReq::SIZE) as i32)
}
