//! The table of sockets as the host process writes it, with what it remembers of each row.
#![forbid(unsafe_code)]

mod flows;

use memtun_abi::Errno;
use memtun_shm::layout::{Rows, FLOW_WORDS, OWN_WORDS, SLICES, SOCKET_WORDS};
use memtun_stack::sockets::row::{self, places, PortKind, Translated, RAISED, REMOVED, TAKEN};
use memtun_stack::sockets::table::Alias;
use memtun_stack::sockets::{flag, Entry, Flow, Own, Ports, Protocol, Table, ANY_V4};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use std::time::{Duration, Instant};

/// For so long it is known whose what was that a socket had sent when it ended.
const LATE: Duration = Duration::from_secs(5);
/// Of so many sockets at most.
const ENDED: usize = 1024;

/// What is remembered of a socket.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// What stands in the table.
    pub entry: Entry,
    /// When it was asked for: the program may be about to bind it.
    pub since: Instant,
    /// When it was last seen alive.
    pub seen: Instant,
    /// The process that has asked for it, 0 where that is not known.
    pub asker: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Slot {
    #[default]
    Free,
    Live(Option<Instant>),
    Over(Instant),
}

type FlowKey = (Protocol, SocketAddr, SocketAddr, u32);

fn key_of(flow: &Flow) -> FlowKey {
    (flow.protocol, flow.local, flow.remote, flow.ifindex)
}

/// The table, for its only writer.
pub struct Writer {
    table: Table,
    owns: Vec<Option<Own>>,
    rows: Vec<Option<Known>>,
    free: Vec<usize>,
    /// Rows of sockets that are gone, and since when, the oldest first. What they have sent may
    /// wait in a buffer, and whoever receives it looks whose it is.
    ended: VecDeque<(Instant, usize)>,
    by_cookie: HashMap<u64, usize>,
    by_port: HashMap<(Protocol, u16), Vec<usize>>,
    slots: Vec<Slot>,
    flows: HashMap<FlowKey, usize>,
    next_flow: usize,
}

impl Writer {
    /// Takes a table over: what stands in it is gone on with, and rows in which a writer has died
    /// are cleared.
    pub fn new(table: Table) -> Writer {
        let now = Instant::now();
        let mut writer = Writer {
            owns: vec![None; Rows::Own.count()],
            rows: Vec::new(),
            free: Vec::new(),
            ended: VecDeque::new(),
            by_cookie: HashMap::new(),
            by_port: HashMap::new(),
            slots: Vec::new(),
            flows: HashMap::new(),
            next_flow: 0,
            table,
        };
        for at in 1..ANY_V4 {
            writer.owns[at as usize] = writer.table.own_at(at);
            if writer.owns[at as usize].is_none() {
                writer.clear::<OWN_WORDS>(Rows::Own, at as usize);
            }
        }
        writer.table.mapped().fallbacks.store(0, Relaxed);
        let rows = writer.table.mapped().socket_rows.load(Relaxed) as usize;
        for at in 0..rows.min(Rows::Sockets.count()) {
            let entry = writer.table.entry_at(at);
            let entry = entry.filter(|entry| writer.table.row_of(entry.cookie) == Some(at));
            writer.rows.push(entry.map(|entry| Known {
                entry,
                since: now,
                seen: now,
                asker: 0,
            }));
            match entry {
                Some(entry) => writer.note(at, &entry),
                None => {
                    writer.clear::<SOCKET_WORDS>(Rows::Sockets, at);
                    writer.free.push(at);
                }
            }
        }
        for at in 0..Rows::Flows.count() {
            let Some(row) = writer.table.mapped().row::<FLOW_WORDS>(Rows::Flows, at) else {
                break;
            };
            if row::is_torn(row) {
                row::clear(row);
            }
            let flow = writer.table.flow_at(at);
            writer.slots.push(match &flow {
                Some(_) => Slot::Over(now),
                None => Slot::Free,
            });
            if let Some(flow) = flow {
                writer.flows.insert(key_of(&flow), at);
            }
        }
        writer
    }

    fn clear<const N: usize>(&self, rows: Rows, at: usize) {
        if let Some(row) = self.table.mapped().row::<N>(rows, at) {
            if row[0].load(Relaxed) != 0 {
                row::clear(row);
            }
        }
    }

    /// Returns the table as programs read it.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Says that what is known of the ways of packets is worth nothing any more.
    pub fn bump(&self) {
        self.table.mapped().generation.fetch_add(1, AcqRel);
    }

    /// Says whether the net has an address.
    pub fn set_active(&self, active: bool) {
        self.table.mapped().active.store(active.into(), Release);
    }

    /// Tells the secret by which programs know what is no datagram. It counts once the ports are
    /// told.
    pub fn set_secret(&self, secret: [u64; 2]) {
        for (to, word) in self.table.mapped().secret.iter().zip(secret) {
            to.store(word, Relaxed);
        }
    }

    /// Tells the native ports of this host process, and those that the machine's kernel chooses,
    /// from `low` to `high`.
    pub fn set_ports(&self, ports: &Ports, (low, high): (u16, u16)) {
        let state = self.table.mapped();
        let range = u32::from(low) | u32::from(high) << 16;
        state.machine_range.store(range, Relaxed);
        let Ports {
            plug,
            open,
            shut,
            datagram,
        } = *ports;
        let all = [plug, open, shut, datagram];
        let word = all.iter().rev();
        let word = word.fold(0, |word, port| word << 16 | u64::from(*port));
        state.ports.store(word, Release);
    }

    /// Returns the first addresses of the slices, 0 for none.
    pub fn slices(&self) -> [u32; SLICES] {
        std::array::from_fn(|at| self.table.mapped().slices[at].load(Relaxed))
    }

    /// Returns the cookie of the socket by which a slice was claimed.
    pub fn claim(&self, at: usize) -> u64 {
        let claims = &self.table.mapped().claims;
        claims.get(at).map_or(0, |claim| claim.load(Relaxed))
    }

    /// Notes the cookie of the socket by which a slice is claimed.
    pub fn set_claim(&mut self, at: usize, cookie: u64) {
        if let Some(claim) = self.table.mapped().claims.get(at) {
            claim.store(cookie, Relaxed);
        }
    }

    /// Adds a slice, or replaces one that was lost; 0 removes it.
    pub fn set_slice(&mut self, at: usize, base: u32) {
        if let Some(slice) = self.table.mapped().slices.get(at) {
            slice.store(base, Release);
        }
    }

    /// Forgets everything: the slices were lost.
    pub fn forget(&mut self) {
        for at in 0..self.rows.len() {
            self.remove(at);
        }
        for at in 0..self.owns.len() {
            self.owns[at] = None;
            self.clear::<OWN_WORDS>(Rows::Own, at);
        }
        for at in 0..self.slots.len() {
            self.slots[at] = Slot::Free;
            self.clear::<FLOW_WORDS>(Rows::Flows, at);
        }
        self.flows.clear();
    }

    // ---- own addresses ----

    /// Returns the alias of an address, which gets one if it has none.
    ///
    /// # Errors
    ///
    /// ENOBUFS when there is none left.
    pub fn own_alias(&mut self, own: Own) -> Result<Ipv4Addr, Errno> {
        let known = self.owns.iter().position(|it| *it == Some(own));
        let at = match known {
            Some(at) => at,
            None => {
                let mut free = 1..ANY_V4 as usize;
                let at = free
                    .find(|at| self.owns[*at].is_none())
                    .or_else(|| self.unused_own());
                let at = at.ok_or(Errno(libc::ENOBUFS))?;
                let state = self.table.mapped();
                let row = state.row::<OWN_WORDS>(Rows::Own, at);
                row::write(row.ok_or(Errno(libc::ENOBUFS))?, &own.to_words());
                state.own_rows.fetch_max(at as u32 + 1, Release);
                self.owns[at] = Some(own);
                at
            }
        };
        let alias = self.table.address_of(Alias::Own(at as u32));
        alias.ok_or(Errno(libc::ENOBUFS))
    }

    /// Returns the number of an alias that no socket is bound to.
    fn unused_own(&self) -> Option<usize> {
        let rows = self.rows.iter().flatten();
        let used: Vec<_> = rows.map(|known| known.entry.native.ip()).collect();
        // Those that came first are addresses of interfaces, most often.
        let mut last = (1..ANY_V4 as usize).rev();
        last.find(|at| {
            let alias = self.table.address_of(Alias::Own(*at as u32));
            let natives = alias.map(|alias| [IpAddr::V4(alias), alias.to_ipv6_mapped().into()]);
            natives.is_some_and(|natives| !natives.iter().any(|it| used.contains(it)))
        })
    }

    // ---- sockets ----

    fn note(&mut self, at: usize, entry: &Entry) {
        if entry.flags & flag::FALLBACK != 0 {
            self.table.mapped().fallbacks.fetch_add(1, Release);
        }
        self.by_cookie.insert(entry.cookie, at);
        let key = (entry.protocol, entry.local.port());
        let rows = self.by_port.entry(key).or_default();
        if !rows.contains(&at) {
            rows.push(at);
        }
    }

    fn unnote(&mut self, at: usize, entry: &Entry) {
        if entry.flags & flag::FALLBACK != 0 {
            self.table.mapped().fallbacks.fetch_sub(1, Release);
        }
        if self.by_cookie.get(&entry.cookie) == Some(&at) {
            self.by_cookie.remove(&entry.cookie);
        }
        let key = (entry.protocol, entry.local.port());
        if let Some(rows) = self.by_port.get_mut(&key) {
            rows.retain(|row| *row != at);
            if rows.is_empty() {
                self.by_port.remove(&key);
            }
        }
    }

    /// Returns what is known of the socket with this cookie.
    pub fn socket(&self, cookie: u64) -> Option<&Known> {
        self.rows.get(*self.by_cookie.get(&cookie)?)?.as_ref()
    }

    /// Returns the row of the socket with this cookie.
    pub fn row_of(&self, cookie: u64) -> Option<usize> {
        self.by_cookie.get(&cookie).copied()
    }

    /// Returns what is known of the socket in a row.
    pub fn at(&self, row: usize) -> Option<&Known> {
        self.rows.get(row)?.as_ref()
    }

    /// Returns the rows of the sockets that have this port.
    pub fn of_port(&self, protocol: Protocol, port: u16) -> &[usize] {
        let rows = self.by_port.get(&(protocol, port));
        rows.map_or(&[], Vec::as_slice)
    }

    /// Returns the rows of all sockets.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Known)> {
        let rows = self.rows.iter().enumerate();
        rows.filter_map(|(at, known)| Some((at, known.as_ref()?)))
    }

    /// Returns how many sockets there are.
    pub fn count(&self) -> usize {
        self.rows.len() - self.free.len() - self.ended.len()
    }

    /// Says that a socket was seen alive.
    pub fn seen(&mut self, row: usize) {
        if let Some(Some(known)) = self.rows.get_mut(row) {
            known.seen = Instant::now();
        }
    }

    /// Writes what the net knows of a socket.
    ///
    /// # Errors
    ///
    /// ENOBUFS when there is no room for another socket, ENOSPC when the file system is full.
    pub fn put(&mut self, entry: &Entry, asker: u32) -> Result<(), Errno> {
        if let Some(at) = self.row_of(entry.cookie) {
            let before = self.rows[at].map(|known| known.entry);
            if let Some(before) = before {
                self.unnote(at, &before);
            }
            let raised = self.row(at).map_or(0, |row| row[RAISED].load(Relaxed));
            self.write(at, entry, asker, raised);
            if let Some(before) = before.filter(|before| before.native != entry.native) {
                self.keep_name(&before);
            }
            return Ok(());
        }
        let at = self.next_row()?;
        let place = self.place(entry.cookie).ok_or(Errno(libc::ENOBUFS))?;
        self.take_row(at);
        if let Some(row) = self.row(at) {
            row[TAKEN].store(0, Relaxed);
        }
        self.write(at, entry, asker, 0);
        let word = entry.cookie << 32 | (at as u64 + 1);
        if let Some([index]) = self.table.mapped().row::<1>(Rows::Index, place) {
            index.store(word, Release);
        }
        Ok(())
    }

    /// Returns the row that is taken next.
    fn next_row(&mut self) -> Result<usize, Errno> {
        let most = match self.rows.len() < Rows::Sockets.count() {
            true => ENDED,
            false if self.free.is_empty() => self.ended.len().saturating_sub(1),
            false => ENDED,
        };
        self.let_go(most);
        let at = self.free.last().copied().unwrap_or(self.rows.len());
        self.table.mapped().reserve_row(Rows::Sockets, at)?;
        Ok(at)
    }

    fn take_row(&mut self, at: usize) {
        match self.free.pop() {
            Some(_) => self.rows[at] = None,
            None => self.rows.push(None),
        }
        let state = self.table.mapped();
        state.socket_rows.fetch_max(at as u32 + 1, Release);
    }

    /// A socket has another native name than this now. What it has sent from there may wait.
    fn keep_name(&mut self, before: &Entry) {
        if before.native.port() == 0 {
            return;
        }
        if let Ok(at) = self.next_row() {
            self.take_row(at);
            self.end_row(at, before);
        }
    }

    /// Notes what had a name that it has no more.
    fn end_row(&mut self, at: usize, entry: &Entry) {
        let ended = Entry {
            flags: entry.flags | flag::ENDED,
            ..*entry
        };
        if let Some(row) = self.row(at) {
            row::write(row, &ended.to_words(0));
        }
        self.ended.push_back((Instant::now(), at));
    }

    fn row(&self, at: usize) -> Option<&[std::sync::atomic::AtomicU64; SOCKET_WORDS]> {
        self.table.mapped().row::<SOCKET_WORDS>(Rows::Sockets, at)
    }

    fn write(&mut self, at: usize, entry: &Entry, asker: u32, raised: u64) {
        let now = Instant::now();
        if let Some(row) = self.row(at) {
            let mut words = entry.to_words(raised);
            words[TAKEN] = row[TAKEN].load(Relaxed);
            row::write(row, &words);
        }
        let before = self.rows[at].filter(|before| before.entry.local == entry.local);
        self.rows[at] = Some(Known {
            entry: *entry,
            since: before.map_or(now, |before| before.since),
            seen: now,
            asker,
        });
        self.note(at, entry);
    }

    /// Returns a place of the index for a cookie.
    fn place(&self, cookie: u64) -> Option<usize> {
        places(cookie, Rows::Index.count()).find(|place| {
            let row = self.table.mapped().row::<1>(Rows::Index, *place);
            row.is_some_and(|[word]| [0, REMOVED].contains(&word.load(Relaxed)))
        })
    }

    /// Removes a socket that is gone.
    pub fn remove(&mut self, at: usize) {
        let Some(known) = self.rows.get_mut(at).and_then(Option::take) else {
            return;
        };
        let cookie = known.entry.cookie;
        self.unnote(at, &known.entry);
        for place in places(cookie, Rows::Index.count()) {
            let Some([word]) = self.table.mapped().row::<1>(Rows::Index, place) else {
                break;
            };
            if word.load(Relaxed) == (cookie << 32 | (at as u64 + 1)) {
                word.store(REMOVED, Release);
            }
        }
        self.end_row(at, &known.entry);
        self.let_go(ENDED);
        if let Some(alias) = known.entry.flow {
            self.end_flow(alias);
        }
    }

    /// Forgets the sockets that have been gone for long.
    pub fn forget_late(&mut self) {
        self.let_go(ENDED);
    }

    /// Was this the cookie of a socket that has ended a moment ago?
    pub fn had(&self, cookie: u64) -> bool {
        let rows = self.ended.iter().map(|(_, row)| *row);
        let mut entries = rows.filter_map(|row| self.table.entry_at(row));
        cookie != 0 && entries.any(|entry| entry.cookie == cookie)
    }

    /// Makes rows free of sockets that have been gone for long, and others where there are more
    /// than so many.
    fn let_go(&mut self, most: usize) {
        while let Some((since, at)) = self.ended.front().copied() {
            if self.ended.len() <= most && since.elapsed() < LATE {
                break;
            }
            self.ended.pop_front();
            self.clear::<SOCKET_WORDS>(Rows::Sockets, at);
            self.free.push(at);
        }
    }

    /// Raises an error for a socket. Returns its number.
    pub fn raise(&mut self, at: usize, errno: Errno) -> u32 {
        let Some(row) = self.row(at) else { return 0 };
        let count = (row[RAISED].load(Relaxed) as u32).wrapping_add(1).max(1);
        row[RAISED].store(u64::from(count) | (errno.0 as u64) << 32, Release);
        self.table.mapped().raises.fetch_add(1, Release);
        count
    }

    // ---- ports ----

    /// Returns what a port stands for.
    pub fn translated(&self, kind: PortKind, port: u16) -> Option<u32> {
        self.place_of_port(kind, port).0.map(|(_, value)| value)
    }

    /// Returns the native ports that stand for this one of the net's, besides itself.
    pub fn standing_for(&self, kind: PortKind, port: u16) -> Vec<u16> {
        let all = (0..Rows::Ports.count()).filter_map(|place| {
            let [word] = self.table.mapped().row::<1>(Rows::Ports, place)?;
            let word = word.load(Relaxed);
            let native = (word >> 32) as u16;
            let is_it = Translated::key(kind, native) == (word >> 32) as u32
                && word as u32 == u32::from(port)
                && ![0, REMOVED].contains(&word);
            is_it.then_some(native)
        });
        all.collect()
    }

    /// Returns the place and the value of a port, and a place where it can stand.
    fn place_of_port(&self, kind: PortKind, port: u16) -> (Option<(usize, u32)>, Option<usize>) {
        let key = Translated::key(kind, port);
        let mut room = None;
        for place in places(key.into(), Rows::Ports.count()) {
            let Some([word]) = self.table.mapped().row::<1>(Rows::Ports, place) else {
                break;
            };
            match word.load(Relaxed) {
                0 => return (None, room.or(Some(place))),
                REMOVED => room = room.or(Some(place)),
                word if (word >> 32) as u32 == key => {
                    return (Some((place, word as u32)), Some(place))
                }
                _ => {}
            }
        }
        (None, room)
    }

    /// Says what a port stands for; None for nothing.
    ///
    /// # Errors
    ///
    /// ENOBUFS when there is no room for another one.
    pub fn translate(
        &mut self,
        kind: PortKind,
        port: u16,
        stands_for: Option<u32>,
    ) -> Result<(), Errno> {
        let (known, room) = self.place_of_port(kind, port);
        let (place, word) = match (known, stands_for) {
            (None, None) => return Ok(()),
            (Some((place, _)), None) => (place, REMOVED),
            (_, Some(stands_for)) => {
                let translated = Translated {
                    kind,
                    port,
                    stands_for,
                };
                (room.ok_or(Errno(libc::ENOBUFS))?, translated.to_word())
            }
        };
        if let Some([row]) = self.table.mapped().row::<1>(Rows::Ports, place) {
            row.store(word, Release);
        }
        Ok(())
    }
}
