//! What IP keeps between packets, and the lowest part of the way down: the net as it is, and frames
//! that are put into the queues of interfaces.
#![forbid(unsafe_code)]

use super::ground::Ground;
use super::groups::Groups;
use super::limit::{Limit, Redirects};
use super::links::Links;
use super::meta::Meta;
use super::neighbour::table::Neighbours;
use super::route::{Routes, Verdict};
use super::view::View;
use crate::engine::route::lookup::Flow as Wanted;
use crate::service::Service;
use memtun_abi::Errno;
use memtun_ip::reassembly::Reassembly;
use memtun_ip::{ethernet, IcmpError};
use memtun_shm::layout::InetState;
use memtun_shm::Mapped;
use memtun_stack::counters::{self, Counter};
use memtun_sys as sys;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most packets that wait to be handed up.
const MOST_WAITING: usize = 1024;

/// What IP keeps between packets: ways, neighbours, pieces.
#[derive(Default)]
pub struct Stack {
    view: Option<Arc<View>>,
    pub(super) links: Links,
    pub(super) routes: Routes,
    pub(super) neighbours: Neighbours,
    pub(super) pieces: Reassembly,
    pub(super) limit: Limit,
    pub(super) redirects: Redirects,
    /// The groups that sockets have joined.
    pub groups: Groups,
    /// What waits to be handed up to sockets, when nobody of them is running.
    pub(super) waiting: VecDeque<Waiting>,
    /// When the thread that runs timers will run them next.
    announced: Option<Duration>,
    /// Identification of the next packet that may be taken to pieces.
    id: Option<u32>,
    /// The table of the net's sockets, in which is counted.
    table: Option<Mapped<InetState>>,
    frame: Vec<u8>,
    pub(super) piece: Vec<u8>,
}

/// What waits to be handed up.
pub(super) enum Waiting {
    /// An error about a packet, found out by this host itself.
    Error(Meta, Vec<u8>, IcmpError),
    /// A packet from this host to itself.
    Packet(Vec<u8>),
}

impl Stack {
    /// Returns how long it is until [`All::run_timers`](super::All::run_timers) has something to
    /// do.
    pub fn next_timer(&self) -> Option<Duration> {
        self.due().map(|due| due.saturating_sub(clock()))
    }

    fn due(&self) -> Option<Duration> {
        let timers = [self.neighbours.next_timer(), self.pieces.next_expiry()];
        timers.into_iter().flatten().min()
    }

    /// Returns the same as [`Stack::next_timer`] to the thread that runs timers, which waits for so
    /// long.
    pub(crate) fn announce_timer(&mut self) -> Option<Duration> {
        self.announced = self.due();
        self.next_timer()
    }

    /// Is something due before the thread that runs timers thinks?
    pub(super) fn is_early(&self) -> bool {
        let due = self.due();
        due.is_some_and(|due| self.announced.is_none_or(|announced| due < announced))
    }

    /// Returns a number that changes with each MTU that is learned of a path: a way that was found
    /// before may have changed.
    pub fn paths_generation(&self) -> u32 {
        self.routes.paths_generation()
    }
}

/// The time of a clock that goes forward.
pub(super) fn clock() -> Duration {
    Duration::from_nanos(sys::now_ns(libc::CLOCK_MONOTONIC))
}

/// How packets leave: the service, which knows routes and interfaces, and what IP keeps.
pub struct Output<'o, 'n> {
    /// Addresses, routes, interfaces.
    pub service: &'o mut Service<'n>,
    /// What IP keeps between packets.
    pub stack: &'o mut Stack,
}

impl Output<'_, '_> {
    /// Counts one of a family or of the other one.
    pub(super) fn count(&mut self, v6: bool, v4: Counter, six: Counter) {
        self.counted(|table| counters::count(table, counters::of(v6, v4, six)));
    }

    /// Counts, where there is something to count in: with the first address comes the table.
    pub(crate) fn counted(&mut self, count: impl FnOnce(&InetState)) {
        if self.stack.table.is_none() {
            self.stack.table = self.service.net().open_inet().ok().flatten();
            self.stack
                .table
                .as_deref()
                .inspect(|table| counters::begin(table));
        }
        if let Some(table) = &self.stack.table {
            count(table);
        }
    }

    /// Finds out what becomes of a packet that has come in by `flow.iif`.
    pub(super) fn verdict(&mut self, flow: &Wanted) -> Verdict {
        self.stack.routes.input(self.service, flow)
    }

    /// Returns what changes when the way of a packet may have.
    pub(super) fn ways_generation(&self) -> super::route::Generation {
        self.stack.routes.generation(self.service)
    }

    /// Returns the time.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Returns the net as it is in this generation.
    pub fn view(&mut self) -> Arc<View> {
        let generation = self.service.generation();
        let known = self.stack.view.as_ref();
        if let Some(view) = known.filter(|it| it.generation == generation) {
            return view.clone();
        }
        let mut found = None;
        // To look at the net may change it, which the next call finds.
        self.service
            .consult(&mut |world| found = Some(View::of(world, generation)));
        let view = match (found, &self.stack.view) {
            (Some(found), _) => Arc::new(found),
            (None, Some(old)) => return old.clone(),
            (None, None) => Arc::new(View::empty()),
        };
        self.stack.neighbours.follow(&view, clock());
        self.stack.view = Some(view.clone());
        view
    }

    /// Returns an identification for the next packet that may be taken to pieces.
    pub fn next_id(&mut self) -> u32 {
        let id = self.stack.id.unwrap_or_else(|| sys::random() as u32);
        self.stack.id = Some(id.wrapping_add(1));
        id
    }

    /// Sends a packet with a link header.
    pub(super) fn frame(
        &mut self,
        index: u32,
        header: [u8; ethernet::HEADER],
        packet: &[u8],
    ) -> Result<(), Errno> {
        let mut room = std::mem::take(&mut self.stack.frame);
        room.clear();
        room.extend_from_slice(&header);
        room.extend_from_slice(packet);
        let sent = self.transmit(index, &room);
        self.stack.frame = room;
        sent
    }

    /// Puts a frame into the queue of an interface.
    pub(crate) fn transmit(&mut self, index: u32, frame: &[u8]) -> Result<(), Errno> {
        self.stack.links.transmit(self.service.net(), index, frame)
    }

    /// Lets whoever has sent a packet hear that it fails: a socket of this host, or another host.
    pub(super) fn fails(&mut self, meta: Meta, packet: Vec<u8>, error: IcmpError) {
        self.wait(Waiting::Error(meta, packet, error));
    }

    pub(super) fn wait(&mut self, what: Waiting) {
        if self.stack.waiting.len() < MOST_WAITING {
            self.stack.waiting.push_back(what);
        }
    }
}
