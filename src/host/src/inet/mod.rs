//! What a kernel does with packets above a network device: IP, ICMP, UDP, TCP, for the net's own
//! interfaces. It begins with the first address on one of them, and ends with the last.
//!
//! | module | what it is |
//! |---|---|
//! | [`device`] | packets that programs have written to their tunnels: one thread for each interface |
//! | [`meta`] | how a packet came in, and what has become of it |
//! | [`output`] | packets that this host sends |
//! | [`sockets`] | the table of sockets, names and ports, and what programs ask about them |
//! | [`udp`] | datagrams for sockets |
//! | [`tcp`] | connections |
//!
//! All of it stands behind one mutex, together with the [`Service`]: see [`All`].
#![forbid(unsafe_code)]

pub mod device;
pub mod meta;
pub mod output;
pub mod sockets;
pub mod tcp;
pub mod udp;

use crate::reply::Reply;
use crate::service::{Packets, Replaced, Service};
use memtun_abi::Errno;
use memtun_ip::{Embedded, IcmpError, Packet};
use memtun_stack::ask::{Question, What};
use memtun_stack::sockets::question::SocketAnswer;
pub use meta::{Cast, Meta, Taken};
use output::{Output, Stack};
use sockets::Sockets;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tcp::Tcp;
use udp::Udp;

/// Who gets the packets that are for this host. [`device`] gives them.
pub trait Local {
    /// A datagram of UDP, whole, whose checksum is right.
    fn udp(&mut self, out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>) -> Taken;
    /// A segment of TCP whose checksum is right. A closed port is answered here, too.
    fn tcp(&mut self, out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>);
    /// An error that came by ICMP about a packet of this host.
    fn error(
        &mut self,
        out: &mut Output<'_, '_>,
        meta: &Meta,
        offender: std::net::IpAddr,
        of: &Embedded<'_>,
        kind: &IcmpError,
    );
    /// An echo reply, for the sockets that have sent echo requests.
    fn echo_reply(&mut self, out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>);
}

/// Who gets the packets of this host: its sockets.
pub struct Ends {
    /// Names, ports and the table.
    pub sockets: Sockets,
    /// Datagrams.
    pub udp: Udp,
    /// Connections.
    pub tcp: Tcp,
}

impl Local for Ends {
    fn udp(&mut self, out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>) -> Taken {
        self.udp.receive(&mut self.sockets, out, meta, packet)
    }

    fn tcp(&mut self, out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>) {
        self.tcp.receive(&mut self.sockets, out, meta, packet);
    }

    fn error(
        &mut self,
        out: &mut Output<'_, '_>,
        meta: &Meta,
        offender: std::net::IpAddr,
        of: &Embedded<'_>,
        kind: &IcmpError,
    ) {
        match of.protocol {
            memtun_ip::protocol::TCP => self.tcp.error(&mut self.sockets, out, meta, of, kind),
            _ => self.udp.error(&mut self.sockets, meta, offender, of, kind),
        }
    }

    fn echo_reply(&mut self, out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>) {
        self.udp.echo_reply(&mut self.sockets, out, meta, packet);
    }
}

/// The packets' part of a host process.
pub struct Inet {
    /// IP itself.
    pub stack: Stack,
    /// The sockets.
    pub ends: Ends,
}

impl Inet {
    /// Nothing, until an address stands on an interface.
    pub fn new() -> Inet {
        Inet {
            stack: Stack::default(),
            ends: Ends {
                sockets: Sockets::default(),
                udp: Udp::default(),
                tcp: Tcp::default(),
            },
        }
    }
}

impl Default for Inet {
    fn default() -> Inet {
        Inet::new()
    }
}

/// What all threads of a host process share.
pub struct All<'n> {
    /// Questions about addresses, routes and so on.
    pub service: Service<'n>,
    /// Packets and sockets.
    pub inet: Inet,
}

/// The same behind its mutex.
pub struct Shared<'n>(Mutex<All<'n>>);

impl<'n> Shared<'n> {
    /// Begins with a service.
    pub fn new(service: Service<'n>) -> Shared<'n> {
        let inet = Inet::new();
        Shared(Mutex::new(All { service, inet }))
    }

    /// Takes the lock. What a thread that has panicked left is whole enough: each entry is checked
    /// where it is used.
    pub fn lock(&self) -> MutexGuard<'_, All<'n>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'n> All<'n> {
    /// Splits it into who sends and who receives.
    pub fn parts(&mut self) -> (Output<'_, 'n>, &mut Ends) {
        let out = Output {
            service: &mut self.service,
            stack: &mut self.inet.stack,
        };
        (out, &mut self.inet.ends)
    }

    /// Does what is due by itself.
    ///
    /// # Errors
    ///
    /// [`Replaced`] as for [`Service::answer`].
    pub fn expire(&mut self) -> Result<(), Replaced> {
        match self.service.next_timer() == Some(Duration::ZERO) {
            true => self.service.notice(),
            false => Ok(()),
        }
    }

    /// Answers a question, now or by `reply` later: None.
    ///
    /// # Errors
    ///
    /// [`Replaced`] says that the question must not be answered, so that it is put again.
    pub fn answer(
        &mut self,
        question: &Question,
        payload: &[u8],
        reply: Reply,
    ) -> Result<Option<Packets>, Replaced> {
        match question.what {
            What::Bind | What::Connect | What::ListenOn | What::Path | What::Packet => {
                reply.give(Err::<&SocketAnswer, _>(Errno(libc::ENOSYS)));
                Ok(None)
            }
            _ => self.service.answer(question, payload).map(Some),
        }
    }
}
