//! What the next host process needs to know of packet sockets and raw ones, so that programs do not
//! notice that one has ended.
#![forbid(unsafe_code)]

use super::socket::Socket;
use super::sockets::{forget, Raw};
use memtun_kernel::bpf::Instruction;
use memtun_kernel::net::NetDir;
use memtun_stack::sockets::raw::{octets_of, of_octets, Action, Order, ORDER};
use memtun_stack::wire::u32_at;

/// Bytes of a socket in front of its filter: what it is, both addresses, the types of ICMP that it
/// does not want, and the length of the filter.
const HEAD: usize = ORDER + 32 + 32 + 4;

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
    bytes.extend((socket.program.len() as u32).to_ne_bytes());
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
    let length = (u32_at(bytes, HEAD - 4)? as usize).checked_mul(Instruction::SIZE)?;
    let (program, rest) = bytes.get(HEAD..)?.split_at_checked(length)?;
    let Ok(mut socket) = Socket::new(net, order.inode, order.kind) else {
        forget(net, order.inode);
        return Some((None, rest));
    };
    socket.bound = order.bound;
    (socket.own, socket.peer) = (of_octets(own), of_octets(peer));
    socket.unwanted = unwanted;
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
