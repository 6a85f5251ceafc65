//! What programs ask about their sockets.
#![forbid(unsafe_code)]

use super::ground::Ground;
use super::groups::{Holder, Wish};
use super::meta::{Cast, Meta};
use super::output::{Output, Way};
use super::sockets::alive::is_held;
use super::sockets::asker::Asker;
use super::sockets::bind::Kind;
use super::sockets::connect::{Connected, Ports};
use super::sockets::manner::Manner;
use super::sockets::names::plain;
use super::sockets::ports::Range;
use super::{All, Ends, Local};
use crate::engine::route::lookup::LOOPBACK;
use crate::reply::Reply;
use crate::service::Replaced;
use memtun_abi::Errno;
use memtun_ip::{protocol, Packet};
use memtun_stack::ask::{Question, What};
use memtun_stack::sockets::filter::Sources;
use memtun_stack::sockets::question::{PacketQuestion, SocketAnswer, SocketQuestion, QUESTION};
use memtun_stack::sockets::Protocol;
use memtun_sys::inet;
use std::net::SocketAddr;

impl All<'_> {
    /// Answers a question about a socket, now or later.
    ///
    /// # Errors
    ///
    /// [`Replaced`] says that the question must not be answered, so that it is put again.
    pub(super) fn answer_socket(
        &mut self,
        question: &Question,
        payload: &[u8],
        reply: Reply,
    ) -> Result<(), Replaced> {
        if let Err(replaced) = self.service.turn() {
            reply.forget();
            return Err(replaced);
        }
        if self.inet.ends.sockets.want() {
            self.inet.followed = None;
        }
        self.follow();
        self.catch_up();
        if question.what == What::Packet {
            let sent = self.send_packet(payload);
            reply.give(sent.as_ref().map_err(|e| *e));
            return Ok(());
        }
        let Some(asked) = SocketQuestion::of_bytes(payload) else {
            reply.give(Err(Errno(libc::EINVAL)));
            return Ok(());
        };
        log::debug!("process {} asks: {asked:?}", question.pid);
        let asker = Asker {
            question: &asked,
            uid: question.uid,
            pid: question.pid,
        };
        let answer = match question.what {
            What::Bind => self.bind(&asker),
            What::ListenOn => {
                self.inet.ends.tcp.note(asked.cookie, Manner::of(&asked));
                self.inet.ends.sockets.listen(&asker)
            }
            What::Tune => {
                let manner = Manner::of(&asked);
                match asked.name {
                    Some(peer) => self.tune(peer, manner),
                    None => self.inet.ends.tcp.note(asked.cookie, manner),
                }
                Ok(SocketAnswer::Done)
            }
            What::Speaks => {
                let speaker = asked.name.ok_or(Errno(libc::EINVAL));
                speaker.map(
                    |speaker| match self.inet.ends.sockets.speaks(&asked, speaker) {
                        true => SocketAnswer::Done,
                        false => SocketAnswer::Machine,
                    },
                )
            }
            What::Path => self.path(&asker),
            What::Join => {
                let behind = payload.get(QUESTION..).unwrap_or(&[]);
                self.join(&asker, behind)
            }
            _ => match self.connect(&asker) {
                Ok(Connected::Opening(opening)) => {
                    let (mut out, ends) = self.parts();
                    let Ends { sockets, tcp, .. } = ends;
                    tcp.connect(sockets, &mut out, opening, reply);
                    self.settle();
                    return Ok(());
                }
                Ok(Connected::Answer(answer)) => Ok(answer),
                Ok(Connected::ByLeg(_)) => Err(Errno(libc::EADDRNOTAVAIL)),
                Err(e) => Err(e),
            },
        };
        log::debug!("process {} is answered: {answer:?}", question.pid);
        // Nothing may have been answered by another one meanwhile.
        match self.service.turn() {
            Ok(()) => reply.give(answer.as_ref().map_err(|e| *e)),
            Err(replaced) => {
                reply.forget();
                return Err(replaced);
            }
        }
        Ok(())
    }

    fn bind(&mut self, asker: &Asker<'_>) -> Result<SocketAnswer, Errno> {
        let (out, ends) = self.parts();
        let range = Range::of(out.service.state());
        let service = out.service;
        // Most addresses are the net's own, for which the whole net need not be looked at.
        ends.sockets.bind(asker, &range, &mut |address| {
            let mut kind = Kind::Nobody;
            service.consult(&mut |world| kind = Kind::of(world, address));
            kind
        })
    }

    /// A program has set something on a socket that is connected to this.
    fn tune(&mut self, peer: SocketAddr, manner: Manner) {
        let (_, ends) = self.parts();
        if let Some(flow) = ends.sockets.flow_of_leg(peer) {
            ends.tcp.tune(&flow, &manner);
            self.settle();
        }
    }

    /// What TCP_INFO says of the connection that a question is about.
    pub(super) fn info(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let peer = SocketQuestion::of_bytes(payload)?.name?;
        let (mut out, ends) = self.parts();
        let Ends { sockets, tcp, .. } = ends;
        let flow = sockets.flow_of_leg(peer)?;
        tcp.look(sockets, &flow);
        tcp.flush(sockets, &mut out);
        let info = tcp.info(&flow);
        self.settle();
        info
    }

    fn path(&mut self, asker: &Asker<'_>) -> Result<SocketAnswer, Errno> {
        let to = asker.question.name.ok_or(Errno(libc::EDESTADDRREQ))?;
        let (mut out, ends) = self.parts();
        let sockets = &mut ends.sockets;
        let generation = sockets.generation(out.service.net());
        let verdict = sockets.verdict(&mut out, asker, to, false)?;
        sockets.path(&mut out, asker, to, generation, verdict)
    }

    fn connect(&mut self, asker: &Asker<'_>) -> Result<Connected, Errno> {
        let question = asker.question;
        let (mut out, ends) = self.parts();
        let Ends {
            sockets, tcp, udp, ..
        } = ends;
        let Some(to) = question.name else {
            if question.protocol == Protocol::Tcp {
                if let Some(alias) = sockets.take_opening(question.cookie) {
                    tcp.abandon(sockets, &mut out, alias);
                }
                return Ok(Connected::Answer(SocketAnswer::Done));
            }
            return sockets.disconnect(asker).map(Connected::Answer);
        };
        if question.failed != 0 {
            let failed = question.failed as i32;
            if let Some(alias) = sockets.take_opening(question.cookie) {
                tcp.abandon(sockets, &mut out, alias);
            }
            if failed != libc::EADDRINUSE && failed != libc::EACCES {
                return Err(Errno(failed));
            }
        }
        let range = Range::of(out.service.state());
        let verdict = sockets.verdict(&mut out, asker, to, true)?;
        let ports = Ports {
            range: &range,
            is_used: &|flow| tcp.has(flow),
        };
        Ok(match sockets.connect(asker, plain(to), verdict, &ports)? {
            Connected::ByLeg(alias) => {
                let name = inet::own_name(udp.leg(sockets, alias)?.raw())?;
                Connected::Answer(SocketAnswer::Carried(None, name))
            }
            connected => connected,
        })
    }

    /// A socket joins a group at an interface of the net, or leaves it.
    fn join(&mut self, asker: &Asker<'_>, behind: &[u8]) -> Result<SocketAnswer, Errno> {
        let question = asker.question;
        use memtun_stack::sockets::question::set;
        let group = question.name.ok_or(Errno(libc::EINVAL))?.ip();
        let (mut out, ends) = self.parts();
        let index = question.out;
        if out.view().interface(index).is_none() || !group.is_multicast() {
            return Ok(SocketAnswer::Machine);
        }
        let holder = Holder {
            cookie: question.cookie,
            inode: question.inode,
            pid: asker.pid,
        };
        if out.stack.groups.is_crowded() {
            let bound = ends.sockets.bound_datagrams();
            // Those of raw sockets that are gone have left their groups.
            let is_there = |it: &Holder| {
                it.is_raw() || bound.contains(&it.cookie) || is_held(it.pid, it.inode)
            };
            out.strike_off(&is_there);
        }
        let has = |bit| question.flags & bit != 0;
        let leaves = match question.source {
            _ if has(set::SOURCES) => {
                let sources = Sources::of_bytes(behind).ok_or(Errno(libc::EINVAL))?;
                out.set_sources((index, group), holder.cookie, &sources)
                    .map(|()| false)
            }
            Some(source) if has(set::OF_SOURCE | set::BLOCKS) => {
                let wish = Wish {
                    blocks: has(set::BLOCKS),
                    adds: !has(set::LEAVES),
                    source,
                };
                out.wish(index, group, holder, wish)
            }
            _ if has(set::LEAVES) => {
                out.exit(index, group, holder.cookie);
                Ok(true)
            }
            _ => out.enter(index, group, holder).map(|()| false),
        };
        out.keep_groups();
        self.settle();
        leaves.map(|leaves| match leaves {
            true => SocketAnswer::Left,
            false => SocketAnswer::Done,
        })
    }

    /// Returns the sources of a group that a socket has joined at an interface.
    pub(super) fn sources(&self, payload: &[u8]) -> Result<Sources, Errno> {
        let asked = SocketQuestion::of_bytes(payload).ok_or(Errno(libc::EINVAL))?;
        let group = asked.name.ok_or(Errno(libc::EINVAL))?.ip();
        let groups = &self.inet.stack.groups;
        let sources = groups.sources(asked.cookie, asked.out, group);
        sources.ok_or(Errno(libc::EADDRNOTAVAIL))
    }

    /// Sends a packet for a program, or gives it to sockets of this net.
    fn send_packet(&mut self, payload: &[u8]) -> Result<SocketAnswer, Errno> {
        let wrong = Errno(libc::EINVAL);
        let (question, bytes) = PacketQuestion::of_bytes(payload).ok_or(wrong)?;
        let packet = Packet::parse(bytes).map_err(|_| wrong)?;
        let (mut out, ends) = self.parts();
        if question.ifindex == LOOPBACK {
            let way = Way::within(packet.source, packet.destination);
            let sent = send(&mut out, bytes, &way);
            self.settle();
            return sent.map(|()| SocketAnswer::Done);
        }
        let view = out.view();
        let interface = view.interface(question.ifindex);
        let interface = interface.ok_or(Errno(libc::ENETUNREACH))?;
        if question.copy {
            if packet.protocol == protocol::UDP {
                let cast = match packet.destination.is_multicast() {
                    true => Cast::Multicast,
                    false => Cast::Broadcast,
                };
                let meta = Meta {
                    hops: [packet.hop_limit, packet.traffic_class],
                    ..Meta::new(question.ifindex, cast)
                };
                ends.udp(&mut out, &meta, &packet);
            }
            return Ok(SocketAnswer::Done);
        }
        let mtu = match packet.is_v6() {
            true => interface.mtu_v6.unwrap_or(interface.mtu),
            false => interface.mtu,
        };
        let way = Way {
            mtu,
            link_mtu: mtu,
            hops: packet.hop_limit,
            ..Way::on_link(question.ifindex, packet.source, question.next_hop)
        };
        let sent = send(&mut out, bytes, &way);
        self.settle();
        sent.map(|()| SocketAnswer::Done)
    }

    /// Sends on what programs have sent to an alias by themselves, because no hook saw it.
    pub fn send_natives(&mut self) {
        /// Number of datagrams before others have their turn.
        const AT_ONCE: usize = 64;
        for _ in 0..AT_ONCE {
            let (mut out, ends) = self.parts();
            let Ends { sockets, udp, .. } = ends;
            if !udp.send_native(sockets, &mut out) {
                break;
            }
        }
        self.settle();
    }
}

fn send(out: &mut Output<'_, '_>, bytes: &[u8], way: &Way) -> Result<(), Errno> {
    out.send(bytes, Some(way))
}
