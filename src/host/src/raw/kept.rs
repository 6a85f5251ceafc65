//! What the next host process needs to know of packet sockets and raw ones, so that programs do not
//! notice that one has ended.
#![forbid(unsafe_code)]

use super::socket::Socket;
use super::sockets::{forget, Raw};
use memtun_kernel::bpf::Instruction;
use memtun_kernel::net::NetDir;
use memtun_stack::sockets::raw::kept::{Kept, GROUP};
use memtun_stack::sockets::raw::{octets_of, of_octets, Action, Order, Setting};
use memtun_stack::wire::u32_at;

fn to_bytes(socket: &Socket) -> Vec<u8> {
    let kept = Kept {
        order: Order {
            action: Action::Bind,
            inode: socket.inode,
            kind: socket.kind,
            bound: socket.bound,
        },
        own: socket.own,
        peer: socket.peer,
        unwanted: socket.unwanted,
        id: socket.id,
        port: socket.port,
        chosen: socket.chosen,
    };
    let program: Vec<u8> = socket.program.iter().flat_map(|it| it.to_bytes()).collect();
    let counts = [socket.options.len(), socket.groups.len(), program.len()];
    let mut bytes = kept.to_bytes(counts).to_vec();
    for ((level, option), value) in &socket.options {
        let setting = Setting {
            level: *level,
            option: *option,
            value: *value,
        };
        bytes.extend(setting.to_bytes());
    }
    for (index, group) in &socket.groups {
        bytes.extend(index.to_ne_bytes());
        bytes.extend(octets_of(Some(*group)));
    }
    bytes.extend(program);
    bytes
}

/// Reads a socket, and connects with it. Returns the bytes behind it, too; no socket where it is
/// closed.
fn of_bytes<'b>(net: &NetDir, bytes: &'b [u8]) -> Option<(Option<Socket>, &'b [u8])> {
    let (kept, [options, groups, program], rest) = Kept::of_bytes(bytes)?;
    let order = kept.order;
    let Ok(mut socket) = Socket::new(net, order.inode, order.kind) else {
        forget(net, order.inode);
        return Some((None, rest));
    };
    socket.bound = order.bound;
    (socket.own, socket.peer) = (kept.own, kept.peer);
    (socket.id, socket.port, socket.chosen) = (kept.id, kept.port, kept.chosen);
    socket.unwanted = kept.unwanted;
    for setting in options.chunks_exact(Setting::LENGTH).map(Setting::of_bytes) {
        let key = (setting.level, setting.option);
        socket.options.insert(key, setting.value);
    }
    for group in groups.chunks_exact(GROUP) {
        let address = of_octets(group[4..].try_into().ok()?);
        let index = u32_at(group, 0).unwrap_or(0);
        socket.groups.extend(address.map(|it| (index, it)));
    }
    socket.program = Instruction::each(program).collect();
    Some((Some(socket), rest))
}

impl Raw {
    /// Keeps what is known now.
    pub(super) fn keep(&self, net: &NetDir) {
        let bytes: Vec<u8> = self.lock().sockets.iter().flat_map(to_bytes).collect();
        if let Err(e) = net.keep_packets(&bytes) {
            log::warn!("what packet sockets are for cannot be kept: {e}");
        }
    }

    /// Goes on with what the last host process has kept.
    pub fn resume(&self, net: &NetDir) {
        let Ok(bytes) = net.kept_packets() else {
            return;
        };
        let mut rest = &bytes[..];
        while let Some((socket, behind)) = of_bytes(net, rest) {
            self.lock().sockets.extend(socket);
            rest = behind;
        }
        self.follow(net);
    }
}
