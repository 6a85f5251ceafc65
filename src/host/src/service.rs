//! One question after another: what the net is now, the answer, and what is published, told and
//! remembered of it.
#![forbid(unsafe_code)]

use crate::devices::net::{Found, NetDevices};
use crate::engine;
use crate::inet::ground::Ground;
use crate::listeners::Teller;
use crate::machine::{part_of, Reader};
use crate::world::{Event, Machine, Watched, World};
use crate::{generic, ioctl, netlink};
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{option, Answer, Question, What, LONGEST};
use memtun_stack::family;
use memtun_stack::state::{Answered, Listener, Log, Shadow, Splice, State, View, ANSWERS};
use memtun_stack::wire::{u32_at, Messages};
use memtun_sys as sys;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Most listeners of a net.
const MOST_LISTENERS: usize = 4096;

/// The packets of an answer, each with its head.
pub type Packets = Vec<Vec<u8>>;

/// Why a host process can answer no more: another one has taken its place, or the net is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replaced;

/// The host's knowledge, and the ways to the machine and to those who listen.
pub struct Service<'n> {
    net: &'n NetDir,
    epoch: u64,
    state: Watched,
    /// How often the state had been borrowed for a change when `shadow` was like it.
    compared: u64,
    /// How often the state was found to have changed.
    version: u64,
    /// The same of what ways depend on.
    ways: u64,
    /// The state as it is in the net's file with what is in `pending`.
    shadow: Shadow,
    /// What has to be published.
    pending: Vec<Splice>,
    /// The net's file.
    log: Log,
    /// None where the machine is not seen, or cannot be, or was not asked for yet.
    machine: Option<Reader>,
    teller: Option<Teller>,
    /// What devices answered ethtool(8), for those who listen to that.
    seen: generic::Seen,
    /// The type of the messages of that, which the machine's kernel knows. None before it was
    /// asked.
    family: Option<u16>,
    /// The net's interfaces as they were found last.
    found: Found,
    /// How often a change was published.
    published: u64,
    /// When something becomes due by itself, in hundredths of a second of CLOCK_BOOTTIME.
    due: Option<u32>,
}

impl<'n> Service<'n> {
    /// Goes on with a state that has been published, in this file.
    pub fn new(net: &'n NetDir, epoch: u64, state: State, log: Log) -> Service<'n> {
        Service {
            net,
            epoch,
            shadow: Shadow::of(&state),
            pending: Vec::new(),
            log,
            compared: 0,
            version: 0,
            ways: 0,
            state: state.into(),
            machine: None,
            teller: None,
            seen: generic::Seen::default(),
            family: None,
            found: Found::default(),
            published: 0,
            due: None,
        }
    }

    /// Opens the sockets to the machine and to listeners, which nobody needs before the first
    /// question. What cannot be had now is tried again.
    fn open(&mut self) {
        if self.machine.is_none() && self.state.view == View::Merged {
            match Reader::new() {
                Ok(reader) => self.machine = Some(reader),
                Err(e) => log::warn!("the machine's interfaces cannot be read: {e}"),
            }
        }
        if self.teller.is_none() {
            self.teller = Teller::new().ok();
        }
    }

    /// Has the host something to do though nobody asks: listeners that want to be told?
    pub fn has_listeners(&self) -> bool {
        !self.state.listeners.is_empty()
    }

    /// Returns what is known.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Returns the net.
    pub fn net(&self) -> &'n NetDir {
        self.net
    }

    /// Returns how often a change was published.
    pub fn published(&self) -> u64 {
        self.published
    }

    /// Is this still the host process that may answer?
    ///
    /// # Errors
    ///
    /// [`Replaced`] when it is not.
    pub fn turn(&self) -> Result<(), Replaced> {
        match self.net.is_hosts_turn(self.epoch) {
            true => Ok(()),
            false => Err(Replaced),
        }
    }

    /// Returns the socket that is readable when the machine changes.
    pub fn hears_machine(&self) -> Option<i32> {
        self.machine.as_ref().map(Reader::hears)
    }

    /// Returns how long it is until something becomes due by itself, such as the end of a lifetime.
    pub fn next_timer(&self) -> Option<Duration> {
        let left = self.due?.wrapping_sub(now()) as i32;
        Some(Duration::from_millis(left.max(0) as u64 * 10))
    }

    /// Answers a question. The change has been published, and listeners have been told of it.
    ///
    /// # Errors
    ///
    /// [`Replaced`] says that the question must not be answered, so that it is put again.
    pub fn answer(&mut self, question: &Question, payload: &[u8]) -> Result<Packets, Replaced> {
        self.open();
        log::debug!("process {} asks: {:?}", question.pid, question.what);
        if let Some(packets) = self.remembered(question.id) {
            return self.turn().map(|()| packets);
        }
        if question.what == What::Listen {
            // Who joins now hears nothing of what happened before.
            self.notice()?;
        }
        if let Some(machine) = &mut self.machine {
            machine.refresh(parts_asked_for(question, payload));
        }
        let mut events = self.heard();
        let packets = match self.carry_out(question, payload) {
            Ok((packets, told)) => {
                events.extend(told);
                packets
            }
            Err(e) => vec![packet(question, e.0, false, &[])],
        };
        match self.publish() {
            Ok(()) => {}
            Err(Errno(libc::ESTALE | libc::ENOENT)) => return Err(Replaced),
            Err(e) => {
                // The state is what it was, and what has changed in shared memory is found again.
                self.take_back()?;
                return self
                    .turn()
                    .map(|()| vec![packet(question, e.0, false, &[])]);
            }
        }
        self.tell(events)?;
        // Nothing may have been answered by another one meanwhile.
        self.turn().map(|()| packets)
    }

    /// Notices by itself what has changed, and tells those who listen.
    ///
    /// # Errors
    ///
    /// [`Replaced`] as for [`Service::answer`].
    pub fn notice(&mut self) -> Result<(), Replaced> {
        self.open();
        let events = self.look().unwrap_or_default();
        self.turn()?;
        match self.publish() {
            Ok(()) => self.tell(events),
            Err(Errno(libc::ESTALE | libc::ENOENT)) => Err(Replaced),
            Err(e) => {
                log::warn!("the host's state cannot be written: {e}; trying again later");
                self.take_back()
            }
        }
    }

    /// Does the same as [`Service::notice`], and looks for the interfaces from the beginning: one
    /// that its program was killed in making has told nobody.
    ///
    /// # Errors
    ///
    /// [`Replaced`] as for [`Service::answer`].
    pub fn look_again(&mut self) -> Result<(), Replaced> {
        self.found.forget();
        self.notice()
    }

    /// Tells those who listen what the machine has told.
    ///
    /// # Errors
    ///
    /// [`Replaced`] as for [`Service::answer`].
    pub fn relay(&mut self) -> Result<(), Replaced> {
        let events = self.heard();
        self.tell(events)
    }

    /// Strikes off those who do not listen any more.
    ///
    /// # Errors
    ///
    /// [`Replaced`] as for [`Service::answer`].
    pub fn strike_off(&mut self) -> Result<(), Replaced> {
        if let Some(teller) = &self.teller {
            // The state counts as changed once it is borrowed for that.
            let mut listeners = self.state.listeners.clone();
            if teller.strike_off(&mut listeners) {
                self.state.listeners = listeners;
                self.publish_what_can_wait()?;
            }
        }
        self.turn()
    }

    /// Returns what was answered to a question that is repeated.
    fn remembered(&self, id: u64) -> Option<Packets> {
        let mut answered = self.state.answered.iter();
        let it = answered.find(|answered| answered.id == id && id != 0)?;
        let (mut packets, mut rest) = (Vec::new(), it.packets.as_slice());
        while let Some(length) = u32_at(rest, 0) {
            packets.push(rest.get(4..4 + length as usize)?.to_vec());
            rest = &rest[4 + length as usize..];
        }
        Some(packets)
    }

    /// Returns what the machine has told.
    fn heard(&mut self) -> Vec<Event> {
        let heard = self.machine.as_mut().map(Reader::changes);
        heard.unwrap_or_default()
    }

    /// Compares the links with what was known of them. Returns what listeners are told.
    fn look(&mut self) -> Result<Vec<Event>, Errno> {
        let mut events = self.heard();
        let ((), told) = self.with_world(0, false, bring_up_to_date)?;
        events.extend(told);
        Ok(events)
    }

    /// Carries out a question. A change is remembered with its answer.
    fn carry_out(
        &mut self,
        question: &Question,
        payload: &[u8],
    ) -> Result<(Packets, Vec<Event>), Errno> {
        if question.what == What::Listen {
            self.listen(question.port, payload)?;
        }
        let driver = question.options & option::DRIVER != 0;
        let (packets, events, touches) = self.bring_and_answer(question, payload, driver)?;
        if self.state.touches() != touches {
            let before = self.pending.len();
            self.compare();
            if self.pending.len() != before {
                self.remember(question.id, &packets);
            }
        }
        Ok((packets, events))
    }

    /// Brings the net up to date, and answers. Returns how often the state had been borrowed for a
    /// change in between, too.
    fn bring_and_answer(
        &mut self,
        question: &Question,
        payload: &[u8],
        driver: bool,
    ) -> Result<(Packets, Vec<Event>, u64), Errno> {
        let compared = self.compared;
        let mut shadow = std::mem::take(&mut self.shadow);
        let mut pending = std::mem::take(&mut self.pending);
        let done = self.with_world(question.port, driver, |world| {
            bring_up_to_date(world)?;
            let touches = world.state.touches();
            if touches != compared {
                pending.extend(shadow.follow(world.state));
            }
            Ok((answer(world, question, payload)?, touches))
        });
        (self.shadow, self.pending) = (shadow, pending);
        let ((packets, touches), events) = done?;
        Ok((packets, events, touches))
    }

    fn listen(&mut self, port: u32, payload: &[u8]) -> Result<(), Errno> {
        let word = |at: usize| {
            let bytes = payload.get(at..at + 8)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        let (Some(inode), Some(groups)) = (word(0), word(8)) else {
            return Err(Errno(libc::EINVAL));
        };
        let seal = payload.get(16..).and_then(|seal| seal.try_into().ok());
        let seal = seal.ok_or(Errno(libc::EINVAL))?;
        let all = &mut self.state.listeners;
        let known = all.iter().position(|listener| listener.port == port);
        let new = Listener {
            port,
            inode,
            groups,
            seal,
        };
        match known {
            Some(at) if groups == 0 => drop(all.remove(at)),
            Some(at) => all[at] = new,
            None if groups == 0 => {}
            None => {
                if let Some(teller) = &self.teller {
                    teller.strike_off(all);
                }
                if all.len() >= MOST_LISTENERS {
                    return Err(Errno(libc::ENOBUFS));
                }
                all.push(new);
            }
        }
        Ok(())
    }

    fn remember(&mut self, id: u64, packets: &Packets) {
        let mut bytes = Vec::new();
        for packet in packets {
            bytes.extend((packet.len() as u32).to_ne_bytes());
            bytes.extend(packet);
        }
        let answered = &mut self.state.answered;
        answered.push(Answered { id, packets: bytes });
        let old = answered.len().saturating_sub(ANSWERS);
        answered.drain(..old);
    }

    /// Runs `run` with the net as it is now. Returns its result, and what listeners are told.
    fn with_world<T>(
        &mut self,
        port: u32,
        driver: bool,
        run: impl FnOnce(&mut World<'_>) -> Result<T, Errno>,
    ) -> Result<(T, Vec<Event>), Errno> {
        let monitored = self.monitored();
        let mut machine = match &mut self.machine {
            Some(reader) => reader.take(&self.state.hidden)?,
            None => Machine::default(),
        };
        let net = self.net;
        machine.leave_out(|name| net.knows(name));
        let mut devices = NetDevices::new(net, &mut self.found).for_driver(driver);
        let mut world = World {
            state: &mut self.state,
            links: Vec::new(),
            machine,
            devices: &mut devices,
            events: Vec::new(),
            later: None,
            now: now(),
            port,
            sequence: 0,
        };
        let mut done = run(&mut world);
        if let (Some(family), true) = (monitored, done.is_ok()) {
            if let Err(failure) = self.seen.compare(&mut world, family) {
                done = Err(failure.errno);
            }
        }
        self.due = engine::address::next_expiry(&world);
        let (machine, events) = (world.machine, world.events);
        if let Some(reader) = &mut self.machine {
            reader.put_back(machine, !self.state.hidden.is_empty());
        }
        done.map(|done| (done, events))
    }

    /// Says that many packets are taken in one go from here on, or are taken.
    pub(crate) fn train(&mut self, begins: bool) {
        self.found.train(begins);
    }

    /// Returns the type of the messages for those who listen to ethtool(8), if there are any.
    fn monitored(&mut self) -> Option<u16> {
        let bit = 1 << (family::MONITOR - 1);
        let mut listeners = self.state.listeners.iter();
        if !listeners.any(|listener| listener.groups & bit != 0) {
            self.seen.forget();
            return None;
        }
        let ask = || family::family().map_or(0, |family| family.id);
        Some(*self.family.get_or_insert_with(ask)).filter(|family| *family != 0)
    }

    /// Compares the state with what is published, if it may have changed.
    fn compare(&mut self) {
        if self.compared != self.state.touches() {
            self.compared = self.state.touches();
            let before = self.pending.len();
            self.pending.extend(self.shadow.follow(&self.state));
            self.version += u64::from(self.pending.len() > before);
            self.ways += u64::from(self.shadow.has_other_ways());
        }
    }

    /// Publishes the state if it has changed.
    fn publish(&mut self) -> Result<(), Errno> {
        self.compare();
        if self.pending.is_empty() {
            return Ok(());
        }
        if !self.log.append(self.net, self.epoch, &self.pending)? {
            let messages = self.state.to_bytes();
            self.log = Log::begin(self.net, self.epoch, &messages)?;
        }
        self.pending.clear();
        self.published += 1;
        Ok(())
    }

    /// Makes the state what is published.
    ///
    /// # Errors
    ///
    /// [`Replaced`] says that it cannot be read, so that another host process has to try.
    fn take_back(&mut self) -> Result<(), Replaced> {
        let published = State::load(self.net).ok().flatten().ok_or(Replaced)?;
        self.shadow = Shadow::of(&published);
        self.pending.clear();
        self.state = published.into();
        self.compared = 0;
        self.version += 1;
        self.ways += 1;
        Ok(())
    }

    fn publish_what_can_wait(&mut self) -> Result<(), Replaced> {
        match self.publish() {
            Err(Errno(libc::ESTALE | libc::ENOENT)) => Err(Replaced),
            _ => Ok(()),
        }
    }

    fn tell(&mut self, events: Vec<Event>) -> Result<(), Replaced> {
        let Some(teller) = self.teller.as_ref().filter(|_| !events.is_empty()) else {
            return Ok(());
        };
        if teller.tell(&mut self.state.listeners, &events) {
            self.publish_what_can_wait()?;
        }
        Ok(())
    }
}

impl Ground for Service<'_> {
    fn generation(&self) -> u64 {
        let links = self.net.changes.load(SeqCst);
        self.version << 32 | u64::from(links)
    }

    fn ways_generation(&self) -> u64 {
        let links = self.net.changes.load(SeqCst);
        self.ways << 32 | u64::from(links)
    }

    fn consult(&mut self, run: &mut dyn FnMut(&mut World<'_>)) {
        self.open();
        let looked = self.with_world(0, true, |world| {
            bring_up_to_date(world)?;
            run(world);
            Ok(())
        });
        let Ok(((), events)) = looked else {
            return;
        };
        // Who finds out that another one has taken its place is the thread that answers questions.
        if self.turn().is_err() {
            return;
        }
        match self.publish() {
            Ok(()) => drop(self.tell(events)),
            Err(_) => drop(self.take_back()),
        }
    }
}

/// Takes into account what the links are now, and what has become due.
fn bring_up_to_date(world: &mut World<'_>) -> Result<(), Errno> {
    engine::link::look(world)?;
    engine::address::expire(world);
    Ok(())
}

/// Answers a question about links that have been looked at.
fn answer(world: &mut World<'_>, question: &Question, payload: &[u8]) -> Result<Packets, Errno> {
    match question.what {
        What::Netlink => {
            let asker = netlink::Asker {
                port: question.port,
                options: question.options,
                uid: question.uid,
            };
            let is_generic = question.options & option::GENERIC != 0;
            let datagrams = match is_generic {
                true => generic::answer(world, asker, payload),
                false => netlink::answer(world, asker, payload),
            };
            if datagrams.iter().any(|datagram| datagram.len() > LONGEST) {
                return Err(Errno(libc::EMSGSIZE));
            }
            Ok(packed(question, &datagrams))
        }
        What::Ioctl => {
            let mut argument = payload.to_vec();
            let (family, request) = (question.family, question.request);
            let done = ioctl::answer(world, family, request, &mut argument);
            let errno = done.err().map_or(0, |failure| failure.errno.0);
            Ok(vec![packet(question, errno, false, &argument)])
        }
        What::Write => {
            let end = payload.iter().position(|b| *b == 0);
            let (path, value) = payload.split_at(end.ok_or(Errno(libc::EINVAL))?);
            let done = engine::write::write(world, path, &value[1..]);
            let errno = done.err().map_or(0, |failure| failure.errno.0);
            Ok(vec![packet(question, errno, false, &[])])
        }
        _ => Ok(vec![packet(question, 0, false, &[])]),
    }
}

/// Returns the parts of the machine that a question is about.
fn parts_asked_for(question: &Question, payload: &[u8]) -> u8 {
    match question.what {
        What::Netlink if question.options & option::GENERIC == 0 => {
            Messages(payload).fold(0, |parts, m| parts | part_of(m.kind))
        }
        _ => 0,
    }
}

/// Returns one packet of an answer.
pub(crate) fn packet(question: &Question, errno: i32, more: bool, payload: &[u8]) -> Vec<u8> {
    let head = Answer {
        id: question.id,
        errno,
        more,
        datagrams: 0,
    };
    [&head.to_bytes(), payload].concat()
}

/// Returns the packets of an answer of datagrams. A packet costs the program more than a short
/// datagram, so several are in one.
fn packed(question: &Question, datagrams: &[Vec<u8>]) -> Packets {
    let mut packets: Packets = Vec::new();
    let mut rest = datagrams;
    while packets.is_empty() || !rest.is_empty() {
        let (mut payload, mut count) = (Vec::new(), 0);
        while let Some(next) = rest.get(count) {
            if count > 0 && payload.len() + 4 + next.len() > LONGEST {
                break;
            }
            payload.extend((next.len() as u32).to_ne_bytes());
            payload.extend(next);
            count += 1;
        }
        rest = &rest[count..];
        let head = Answer {
            id: question.id,
            errno: 0,
            more: !rest.is_empty(),
            datagrams: count as u16,
        };
        packets.push([&head.to_bytes(), payload.as_slice()].concat());
    }
    packets
}

/// The time in hundredths of a second of CLOCK_BOOTTIME.
pub fn now() -> u32 {
    (sys::now_ns(libc::CLOCK_BOOTTIME) / 10_000_000) as u32
}
