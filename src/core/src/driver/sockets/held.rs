//! A socket that nobody reads, so that the net knows that a driver receives datagrams, which it
//! reads out of the packets: the host process sends no port unreachable then.
#![forbid(unsafe_code)]

use super::kind;
use super::Sockets;
use crate::driver::joined::Joined;
use crate::sys::{self, Fd};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

/// Such a socket, which is made once the net has an address.
#[derive(Default)]
pub(crate) struct Held(Mutex<State>);

#[derive(Default)]
enum State {
    /// The net has had no address yet.
    #[default]
    Unmade,
    /// It was made, unless the name belongs to a program or to nobody.
    Made {
        /// The table's generation at that time: when it was not made, a new address may change
        /// that.
        generation: u32,
        socket: Option<Fd>,
    },
}

impl Held {
    /// Makes the socket where that is not done and may succeed now.
    pub(crate) fn look(&self, net: &Arc<Joined>, at: SocketAddr) {
        let Ok(Some(table)) = net.sockets() else {
            return;
        };
        if !table.is_active() {
            return;
        }
        let now = table.generation(net.dir());
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Made {
                generation,
                ref socket,
            } if generation == now || socket.is_some() => {}
            _ => {
                let socket = make(net, at);
                *state = State::Made {
                    generation: now,
                    socket,
                };
            }
        }
    }
}

fn make(net: &Arc<Joined>, at: SocketAddr) -> Option<Fd> {
    let socket = kind::make(&at, libc::SOCK_DGRAM).ok()?;
    // What arrives there is kept by the kernel until there is no room: the least that there can be.
    let _ = sys::set_socket_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, 0);
    Sockets(net.clone()).bind(&socket, at).ok()?;
    Some(socket)
}
