//! What the next host process needs to know of packet sockets and raw ones, so that programs do not
//! notice that one has ended.
#![forbid(unsafe_code)]

use super::socket::Socket;
use super::sockets::{forget, Raw};
use memtun_kernel::bpf::Instruction;
use memtun_kernel::net::NetDir;
use memtun_stack::sockets::raw::{octets_of, of_octets, Action, Order, Setting, ORDER};
use memtun_stack::wire::{u16_at, u32_at};

/// Bytes of a socket in front of what has no fixed length: what it is, both addresses, the types of
/// ICMP that it does not want, its identifier, the port of the other end, what it has chosen, and
/// how many options, groups and instructions of a filter follow.
const HEAD: usize = ORDER + 32 + 32 + 8 + 12;
/// Where the identifier stands, and where the numbers.
const ID: usize = ORDER + 64;
const COUNTS: usize = ID + 8;
/// Bytes of a group.
const GROUP: usize = 20;

fn to_bytes(socket: &Socket) -> Vec<u8> {
    let order = Order {
        action: Action::Bind,
        inode: socket.inode,
        kind: socket.kind,
        bound: socket.bound,
    };
    let mut bytes = order.to_bytes().to_vec();
    bytes.extend(octets_of(socket.own));
    bytes.extend(octets_of(socket.peer));
    bytes.extend(socket.unwanted.map(u32::to_ne_bytes).as_flattened());
    let halves = [socket.id, socket.port, socket.chosen.into(), 0];
    bytes.extend(halves.map(u16::to_ne_bytes).as_flattened());
    let counts = [
        socket.options.len(),
        socket.groups.len(),
        socket.program.len(),
    ];
    bytes.extend(
        counts
            .map(|count| (count as u32).to_ne_bytes())
            .as_flattened(),
    );
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
    bytes.extend(socket.program.iter().flat_map(|it| it.to_bytes()));
    bytes
}

/// Reads a socket, and connects with it. Returns the bytes behind it, too; no socket where it is
/// closed.
fn of_bytes<'b>(net: &NetDir, bytes: &'b [u8]) -> Option<(Option<Socket>, &'b [u8])> {
    let (order, _) = Order::of_bytes(bytes)?;
    let octets = |at: usize| bytes.get(at..at + 16)?.try_into().ok();
    let (own, peer) = (octets(ORDER)?, octets(ORDER + 16)?);
    let mut unwanted = [0; 8];
    for (at, word) in unwanted.iter_mut().enumerate() {
        *word = u32_at(bytes, ORDER + 32 + 4 * at)?;
    }
    let half = |at: usize| u16_at(bytes, ID + 2 * at);
    let (id, port, chosen) = (half(0)?, half(1)?, half(2)? as u8);
    let length = |at: usize, size: usize| {
        let count = u32_at(bytes, COUNTS + 4 * at)?;
        (count as usize).checked_mul(size)
    };
    let rest = bytes.get(HEAD..)?;
    let (options, rest) = rest.split_at_checked(length(0, Setting::LENGTH)?)?;
    let (groups, rest) = rest.split_at_checked(length(1, GROUP)?)?;
    let (program, rest) = rest.split_at_checked(length(2, Instruction::SIZE)?)?;
    let Ok(mut socket) = Socket::new(net, order.inode, order.kind) else {
        forget(net, order.inode);
        return Some((None, rest));
    };
    socket.bound = order.bound;
    (socket.own, socket.peer) = (of_octets(own), of_octets(peer));
    (socket.id, socket.port, socket.chosen) = (id, port, chosen);
    socket.unwanted = unwanted;
    for setting in options.chunks_exact(Setting::LENGTH).map(Setting::of_bytes) {
        let key = (setting.level, setting.option);
        socket.options.insert(key, setting.value);
    }
    for group in groups.chunks_exact(GROUP) {
        let address = of_octets(group[4..].try_into().ok()?);
        socket
            .groups
            .extend(address.map(|it| (u32_at(group, 0).unwrap_or(0), it)));
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
