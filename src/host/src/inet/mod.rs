//! What a kernel does with packets above a network device: IP, ICMP, UDP, TCP, for the net's own
//! interfaces. It begins with the first address on one of them, and ends with the last.
//!
//! | module | what it is |
//! |---|---|
//! | `input` | what becomes of a packet that came in |
//! | `forward`, `redirect` | packets for others |
//! | `icmp` | echoes and errors |
//! | [`neighbour`] | who has which address on a tap: ARP, neighbour discovery |
//! | [`route`], [`view`], [`ground`] | ways, own addresses and settings, and whence they are known |
//! | `fragment`, [`multicast`], [`limit`] | pieces, groups, how many errors are sent |
//! | [`links`] | the queues of the interfaces |
//! | [`local`] | who gets the packets that are for this host |
//! | [`device`], [`readers`], `pace` | packets that programs have written to their tunnels: one thread for each interface |
//! | [`meta`] | how a packet came in, and what has become of it |
//! | [`stack`], [`output`] | packets that this host sends |
//! | `questions` | what programs ask about their sockets |
//! | [`sockets`] | the table of sockets, names and ports, and what programs ask about them |
//! | [`udp`] | datagrams for sockets |
//! | [`tcp`] | connections |
//!
//! All of it stands behind one mutex, together with the `Service`: see [`All`].
#![forbid(unsafe_code)]

pub mod device;
mod forward;
mod fragment;
pub mod ground;
pub mod groups;
mod icmp;
mod input;
pub mod limit;
pub mod links;
pub mod local;
pub mod meta;
pub mod multicast;
pub mod neighbour;
pub mod output;
mod pace;
mod questions;
pub mod readers;
mod redirect;
pub mod route;
pub mod sockets;
pub mod stack;
pub mod tcp;
pub mod udp;
pub mod view;

use crate::raw::Raw;
use crate::reply::Reply;
use crate::service::{packet, Packets, Replaced, Service};
use ground::Ground as _;
pub use local::Local;
use memtun_ip::{Embedded, IcmpError, Packet};
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{Question, What};
pub use meta::{Cast, Meta, Taken};
use readers::Readers;
use sockets::Sockets;
use stack::{Output, Stack};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tcp::Tcp;
use udp::Udp;

/// Who gets the packets of this host: its sockets.
pub struct Ends {
    /// Names, ports and the table.
    pub sockets: Sockets,
    /// Datagrams.
    pub udp: Udp,
    /// Connections.
    pub tcp: Tcp,
    /// Packet sockets and raw sockets.
    pub raw: Raw,
}

impl Local for Ends {
    fn raw(&mut self, out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>) -> bool {
        self.raw.received(&out.stack.groups, meta, packet)
    }

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
        let net = out.service.net();
        self.raw.failed(net, meta, offender, of, kind);
        match of.protocol {
            memtun_ip::protocol::TCP => self.tcp.error(of, kind),
            _ => drop(self.udp.error(&mut self.sockets, meta, offender, of, kind)),
        }
    }

    fn echo_reply(&mut self, _: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>) {
        self.raw.replied(meta, packet);
    }
}

/// The packets' part of a host process.
pub struct Inet {
    /// IP itself.
    pub stack: Stack,
    /// The sockets.
    pub ends: Ends,
    /// Who reads what programs write.
    pub readers: Readers,
    /// Wakes the thread that runs timers.
    wakes: Option<UnixStream>,
    /// The generation that the sockets have followed.
    followed: Option<(u64, u32)>,
}

impl Inet {
    /// Goes on with what the last host process has kept of sockets.
    pub fn resume(&mut self, net: &NetDir) {
        self.ends.raw.resume(net);
        let groups = &mut self.stack.groups;
        if let Ok(kept) = net.kept_groups() {
            groups.resume(&kept);
        }
        let raw = &self.ends.raw;
        groups.keep_raw(&|it| raw.has(it.inode));
    }

    /// Nothing, until an address stands on an interface.
    pub fn new() -> Inet {
        Inet {
            stack: Stack::default(),
            readers: Readers::default(),
            wakes: None,
            followed: None,
            ends: Ends {
                sockets: Sockets::default(),
                udp: Udp::default(),
                tcp: Tcp::default(),
                raw: Raw::default(),
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
    /// Begins with a service. `wakes` wakes the thread that runs timers.
    pub fn new(service: Service<'n>, wakes: Option<UnixStream>) -> Shared<'n> {
        let mut inet = Inet::new();
        inet.wakes = wakes;
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

    /// Follows what has changed: addresses, routes, neighbours, what is known of paths.
    pub fn follow(&mut self) {
        self.follow_interfaces();
        self.inet.ends.raw.follow(self.service.net());
        let paths = self.inet.stack.paths_generation();
        let now = Some((self.service.generation(), paths));
        if self.inet.followed != now {
            self.inet.followed = now;
            let Ends { sockets, tcp, .. } = &mut self.inet.ends;
            sockets.follow(&self.service);
            tcp.follow(sockets);
        }
    }

    /// Takes a frame that a program has written to the tunnel of an interface.
    pub fn receive(&mut self, ifindex: u32, frame: &[u8]) {
        let (mut out, ends) = self.parts();
        input::frame(&mut out, ends, ifindex, frame);
        self.follow();
        self.wake_timers();
    }

    /// Does what is due of IP: neighbours that do not answer, packets that are not whole in time.
    pub fn run_timers(&mut self) {
        let (mut out, ends) = self.parts();
        input::run_timers(&mut out, ends);
        let Ends { sockets, tcp, .. } = ends;
        tcp.answer_asked(sockets, &mut out);
        self.follow();
    }

    /// Hands up what came of what was sent, such as packets to this host itself.
    pub fn settle(&mut self) {
        let (mut out, ends) = self.parts();
        input::settle(&mut out, ends);
        let Ends { sockets, tcp, .. } = &mut *ends;
        if tcp.flush(sockets, &mut out) {
            // What connections have sent may be for this host.
            input::settle(&mut out, ends);
            let Ends { sockets, tcp, .. } = ends;
            tcp.flush(sockets, &mut out);
        }
        self.follow();
        self.wake_timers();
    }

    /// Wakes the thread that runs timers when one is due before that thread thinks.
    fn wake_timers(&mut self) {
        if let (true, Some(wakes)) = (self.inet.stack.is_early(), &self.inet.wakes) {
            // A byte that does not fit is not needed: the thread has been woken already.
            let _ = (&*wakes).write(&[0]);
        }
    }

    /// Does what is due by itself.
    ///
    /// # Errors
    ///
    /// `Replaced` as for `Service::answer`.
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
    /// `Replaced` says that the question must not be answered, so that it is put again.
    pub fn answer(
        &mut self,
        question: &Question,
        payload: &[u8],
        reply: Reply,
    ) -> Result<Option<Packets>, Replaced> {
        match question.what {
            What::Bind
            | What::Connect
            | What::ListenOn
            | What::Path
            | What::Packet
            | What::Join
            | What::Tune
            | What::Speaks => {
                self.answer_socket(question, payload, reply)?;
                Ok(None)
            }
            What::Info => {
                reply.forget();
                self.catch_up();
                let info = self.info(payload).unwrap_or_default();
                Ok(Some(vec![packet(question, 0, false, &info)]))
            }
            What::Sources => {
                reply.forget();
                Ok(Some(vec![match self.sources(payload) {
                    Ok(sources) => packet(question, 0, false, sources.bytes()),
                    Err(e) => packet(question, e.0, false, &[]),
                }]))
            }
            What::Raw => {
                reply.forget();
                let raw = self.inet.ends.raw.clone();
                self.service.notice()?;
                let (mut out, _) = self.parts();
                let answer = raw.answer(&mut out, payload);
                raw.leave_closed(&mut out);
                self.settle();
                Ok(Some(vec![match answer {
                    Ok(bytes) => packet(question, 0, false, &bytes),
                    Err(e) => packet(question, e.0, false, &[]),
                }]))
            }
            _ => {
                let packets = self.service.answer(question, payload);
                reply.forget();
                let packets = packets?;
                self.follow();
                Ok(Some(packets))
            }
        }
    }
}
