//! The table as programs read it.
#![forbid(unsafe_code)]

use super::pushing::Pushing;
use super::row::{self, places, PortKind, Translated, RAISED, REMOVED, TAKEN};
use super::{flag, Entry, Flow, Own, Ports, Protocol, ANY_V4, ANY_V6, FIRST_FLOW, SLICE_BITS};
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_shm::layout::{
    InetState, NetState, Rows, FLOWS_OF_SLICE, FLOW_WORDS, SLICES, SOCKET_WORDS,
};
use memtun_shm::Mapped;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

const INDEX: u32 = (1 << SLICE_BITS) - 1;

/// The table of a net's sockets, mapped. Reading it takes no lock, allocates nothing and makes no
/// system call.
pub struct Table {
    state: Mapped<InetState>,
    /// By native ports, the row + 1 of a socket with that port (in the upper half), and when it was
    /// seen ([`Moment`]): with each datagram it is asked whose it is, and mostly of the same few.
    /// What stands in the row says whether it is still right.
    seen: [AtomicU64; 64],
    /// When nobody has answered, with a bit that says that it was so ever.
    deaf: AtomicU64,
}

/// For so many milliseconds a socket that was seen is taken to be there.
pub const FRESH: u32 = 20;

/// For so many milliseconds nobody is asked again after nobody has answered.
const DEAF: u32 = 1000;

/// A moment, in milliseconds of a clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Moment(pub u32);

impl Moment {
    fn is_within(self, span: u32, before: u32) -> bool {
        self.0.wrapping_sub(before) < span
    }
}

/// What a socket of the net is that has a native name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It was there a moment ago.
    Seen,
    /// Nobody has noticed its end.
    Here,
    /// It has ended. What it had sent may have waited to be received.
    Ended,
}

/// What an alias is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Alias {
    /// An own address of the net, by its number.
    Own(u32),
    /// Any IPv4 address of the net.
    AnyV4,
    /// Any IPv6 address of the net.
    AnyV6,
    /// A flow, by the number of its row.
    Flow(usize),
}

impl Table {
    /// Maps the table of a net. None means that there is none.
    ///
    /// # Errors
    ///
    /// The same as [`NetDir::open_inet`].
    pub fn open(net: &NetDir) -> Result<Option<Table>, Errno> {
        Ok(net.open_inet()?.map(Table::of))
    }

    /// Reads a table that is mapped.
    pub fn of(state: Mapped<InetState>) -> Table {
        Table {
            state,
            seen: [const { AtomicU64::new(0) }; 64],
            deaf: AtomicU64::new(0),
        }
    }

    /// Returns the mapping.
    pub fn mapped(&self) -> &Mapped<InetState> {
        &self.state
    }

    /// Gives the mapping back.
    pub fn into_mapped(self) -> Mapped<InetState> {
        self.state
    }

    /// Does an address stand on an interface of the net?
    #[inline]
    pub fn is_active(&self) -> bool {
        self.state.active.load(Acquire) != 0
    }

    /// Returns a number that is different once routes, addresses, links or neighbours may have
    /// changed: what was found out about the way of packets before is worth nothing then.
    #[inline]
    pub fn generation(&self, net: &NetState) -> u32 {
        let (own, links) = (
            self.state.generation.load(Acquire),
            net.changes.load(Acquire),
        );
        // Both rise only.
        own.wrapping_add(links)
    }

    /// Returns the native ports of the host process.
    #[inline]
    pub fn ports(&self) -> Ports {
        let word = self.state.ports.load(Acquire);
        let port = |at: u32| (word >> (16 * at)) as u16;
        Ports {
            plug: port(0),
            open: port(1),
            shut: port(2),
            datagram: port(3),
        }
    }

    /// Is it a port that the machine's kernel may choose for a socket?
    pub fn is_choice(&self, port: u16) -> bool {
        let word = self.state.machine_range.load(Relaxed);
        word != 0 && (word as u16..=(word >> 16) as u16).contains(&port)
    }

    /// Returns the state itself, in which is counted.
    pub fn state(&self) -> &InetState {
        &self.state
    }

    /// Returns what a datagram of the host process begins with that is no program's, see
    /// [`Report`](super::Report).
    pub fn secret(&self) -> [u8; 16] {
        let words = [0, 1].map(|at| self.state.secret[at].load(Relaxed).to_ne_bytes());
        let mut secret = [0; 16];
        secret.copy_from_slice(words.as_flattened());
        secret
    }

    /// Returns what an address of the machine's loopback is to the net; None where it is nothing.
    #[inline]
    pub fn what(&self, address: Ipv4Addr) -> Option<Alias> {
        let number = u32::from(address);
        if number >> 24 != 127 {
            return None;
        }
        let base = number & !INDEX;
        let slices = &self.state.slices;
        let slice = (0..SLICES).find(|at| slices[*at].load(Relaxed) == base)?;
        match number & INDEX {
            at if at >= FIRST_FLOW => Some(Alias::Flow(
                slice * FLOWS_OF_SLICE + (at - FIRST_FLOW) as usize,
            )),
            _ if slice != 0 => None,
            ANY_V4 => Some(Alias::AnyV4),
            ANY_V6 => Some(Alias::AnyV6),
            0 => None,
            at => Some(Alias::Own(at)),
        }
    }

    /// Returns the alias of this kind.
    pub fn address_of(&self, alias: Alias) -> Option<Ipv4Addr> {
        let (slice, at) = match alias {
            Alias::Own(at) => (0, at),
            Alias::AnyV4 => (0, ANY_V4),
            Alias::AnyV6 => (0, ANY_V6),
            Alias::Flow(at) => (
                at / FLOWS_OF_SLICE,
                FIRST_FLOW + (at % FLOWS_OF_SLICE) as u32,
            ),
        };
        let base = self.state.slices.get(slice)?.load(Relaxed);
        (base >> 24 == 127).then(|| Ipv4Addr::from(base & !INDEX | at))
    }

    /// Does the address belong to one of the net's slices?
    #[inline]
    pub fn is_alias(&self, address: Ipv4Addr) -> bool {
        self.what(address).is_some()
    }

    /// Returns the flow that an alias stands for.
    pub fn flow(&self, alias: Ipv4Addr) -> Option<Flow> {
        match self.what(alias)? {
            Alias::Flow(at) => self.flow_at(at),
            _ => None,
        }
    }

    /// Returns the flow of a row.
    pub fn flow_at(&self, at: usize) -> Option<Flow> {
        Flow::of_words(&row::read(self.flow_row(at)?.0)?)
    }

    /// Returns the words of the row of a flow, and the one that says what the program has set.
    pub fn flow_row(&self, at: usize) -> Option<(&[AtomicU64; row::SET], &AtomicU64)> {
        let row = self.state.row::<FLOW_WORDS>(Rows::Flows, at)?;
        Some((row.first_chunk()?, &row[row::SET]))
    }

    /// Changes what the program has said of when the bytes of a flow leave. The host process finds
    /// it when there is something to send.
    pub fn say_pushing(&self, alias: Ipv4Addr, change: impl Fn(Pushing) -> Pushing) {
        if let Some(set) = self.pushing_word(alias) {
            let _ = set.fetch_update(AcqRel, Acquire, |word| {
                Some(change(Pushing::of_word(word)).to_word())
            });
        }
    }

    /// Returns what the program has said of when the bytes of a flow leave, if it has.
    pub fn pushing(&self, alias: Ipv4Addr) -> Option<Pushing> {
        let word = self.pushing_word(alias)?.load(Acquire);
        (word != 0).then(|| Pushing::of_word(word))
    }

    fn pushing_word(&self, alias: Ipv4Addr) -> Option<&AtomicU64> {
        match self.what(alias)? {
            Alias::Flow(at) => Some(self.flow_row(at)?.1),
            _ => None,
        }
    }

    /// Returns the flow whose native end is this port of ::1: of a socket that hears nothing of
    /// IPv4.
    pub fn flow_of_v6_port(&self, protocol: Protocol, port: u16) -> Option<Flow> {
        let kind = match protocol {
            Protocol::Tcp => PortKind::TcpFromLoopback,
            _ => PortKind::UdpFromLoopback,
        };
        self.flow(Ipv4Addr::from(self.translated(kind, port)?))
    }

    /// Returns the own address that an alias stands for: 0.0.0.0 or :: for those that stand for
    /// any.
    pub fn own(&self, alias: Ipv4Addr) -> Option<Own> {
        let any = |address| Own { address, scope: 0 };
        match self.what(alias)? {
            Alias::Own(at) => self.own_at(at),
            Alias::AnyV4 => Some(any(Ipv4Addr::UNSPECIFIED.into())),
            Alias::AnyV6 => Some(any(Ipv6Addr::UNSPECIFIED.into())),
            Alias::Flow(_) => None,
        }
    }

    /// Returns the own address of a number.
    pub fn own_at(&self, at: u32) -> Option<Own> {
        Own::of_words(&row::read(self.state.row(Rows::Own, at as usize)?)?)
    }

    /// Returns the alias of an own address. The scope counts for IPv6 addresses of a link only.
    pub fn alias_of(&self, address: IpAddr, scope: u32) -> Option<Ipv4Addr> {
        let rows = self.state.own_rows.load(Acquire).min(ANY_V4);
        let same = |own: &Own| own.address == address && (own.scope == 0 || own.scope == scope);
        let at = (1..rows).find(|at| self.own_at(*at).as_ref().is_some_and(same))?;
        self.address_of(Alias::Own(at))
    }

    /// Returns the row of the socket with this cookie.
    pub fn row_of(&self, cookie: u64) -> Option<usize> {
        for place in places(cookie, Rows::Index.count()) {
            let [word] = self.state.row::<1>(Rows::Index, place)?;
            let word = word.load(Acquire);
            if word == 0 {
                return None;
            }
            // The upper half is the cookie's lower one.
            if word != REMOVED && (word >> 32) as u32 == cookie as u32 {
                let at = (word as u32).wrapping_sub(1) as usize;
                if self
                    .entry_at(at)
                    .is_some_and(|entry| entry.cookie == cookie)
                {
                    return Some(at);
                }
            }
        }
        None
    }

    /// Returns what stands in a row of sockets.
    pub fn entry_at(&self, at: usize) -> Option<Entry> {
        Entry::of_words(&row::read(self.state.row(Rows::Sockets, at)?)?)
    }

    /// Returns what the net knows of the socket with this cookie.
    pub fn socket(&self, cookie: u64) -> Option<Entry> {
        self.entry_at(self.row_of(cookie)?)
    }

    /// Returns the errno of an error that waits to be given to the program: that of SO_ERROR and
    /// of the next call. `take` says that it is given now, once.
    pub fn error(&self, cookie: u64, take: bool) -> Option<Errno> {
        let at = self.row_of(cookie)?;
        let row = self.state.row::<SOCKET_WORDS>(Rows::Sockets, at)?;
        let (raised, taken) = (row[RAISED].load(Acquire), row[TAKEN].load(Acquire));
        let errno = (raised >> 32) as i32;
        if raised as u32 == taken as u32 || !(1..4096).contains(&errno) {
            return None;
        }
        if take {
            let count = u64::from(raised as u32);
            let exchanged = row[TAKEN].compare_exchange(taken, count, AcqRel, Relaxed);
            exchanged.ok()?;
        }
        Some(Errno(errno))
    }

    /// Has an error ever been raised for the socket with this cookie?
    pub fn had_error(&self, cookie: u64) -> bool {
        let row = self
            .row_of(cookie)
            .and_then(|at| self.state.row::<SOCKET_WORDS>(Rows::Sockets, at));
        row.is_some_and(|row| row[RAISED].load(Acquire) != 0)
    }

    /// Returns how many errors were raised for sockets of the net.
    #[inline]
    pub fn raises(&self) -> u32 {
        self.state.raises.load(Acquire)
    }

    /// Returns the net's port that a native port stands for: another one where the machine has
    /// refused the net's.
    pub fn net_port(&self, protocol: Protocol, native: u16) -> u16 {
        let kind = match protocol {
            Protocol::Tcp => PortKind::Tcp,
            _ => PortKind::Udp,
        };
        self.translated(kind, native)
            .map_or(native, |port| port as u16)
    }

    fn translated(&self, kind: PortKind, port: u16) -> Option<u32> {
        let key = Translated::key(kind, port);
        for place in places(key.into(), Rows::Ports.count()) {
            let [word] = self.state.row::<1>(Rows::Ports, place)?;
            match word.load(Acquire) {
                0 => return None,
                REMOVED => {}
                word if (word >> 32) as u32 == key => return Some(word as u32),
                _ => {}
            }
        }
        None
    }

    /// Returns the name of a native end as the net has it: the remote end of a flow, or an own
    /// address with its port. None where the native name is not the net's.
    pub fn name_of(&self, protocol: Protocol, native: SocketAddr) -> Option<SocketAddr> {
        let alias = native_v4(native.ip())?;
        if let Some(flow) = self.flow(alias) {
            return Some(flow.remote);
        }
        let own = self.own(alias)?;
        let port = self.net_port(protocol, native.port());
        Some(match own.address {
            IpAddr::V4(address) => (address, port).into(),
            IpAddr::V6(address) => std::net::SocketAddrV6::new(address, port, 0, own.scope).into(),
        })
    }

    /// Has a socket that stands for any address this port of the net, while natively it is bound to
    /// an alias? The machine's loopback leads elsewhere then.
    pub fn is_apart(&self, protocol: Protocol, port: u16) -> bool {
        let is_it = |entry: &Entry| {
            entry.flags & flag::FALLBACK != 0
                && entry.protocol == protocol
                && entry.local.port() == port
        };
        self.state.fallbacks.load(Acquire) != 0 && self.entries().any(|entry| is_it(&entry))
    }

    /// Returns the socket of the net that has exactly this native name; where there is none, one
    /// that had it a moment ago.
    pub fn of_native(&self, protocol: Protocol, native: SocketAddr) -> Option<Entry> {
        let address = native_v4(native.ip())?;
        let all = self.rows().filter_map(|at| self.entry_at(at));
        let all = all.filter(|entry| {
            let bound = entry.native;
            entry.protocol == protocol
                && bound.port() == native.port()
                && native_v4(bound.ip()) == Some(address)
        });
        all.min_by_key(|entry| entry.flags & flag::ENDED)
    }

    /// Is this the native name of a socket of the net? Whoever is on the machine can bind a socket
    /// to an alias, so an alias alone says nothing about who speaks.
    pub fn standing(
        &self,
        protocol: Protocol,
        native: SocketAddr,
        now: Moment,
    ) -> Option<Standing> {
        let standing = |at: usize| self.standing_of(at, protocol, &native);
        let (last, seen) = self.looked_at(native.port());
        if last.and_then(standing) == Some(Standing::Here) {
            return Some(match now.is_within(FRESH, seen) {
                true => Standing::Seen,
                false => Standing::Here,
            });
        }
        let all = self.rows().filter_map(standing);
        all.min_by_key(|standing| *standing == Standing::Ended)
    }

    /// Has a socket of the net this native name, or had it a moment ago?
    pub fn has_name(&self, protocol: Protocol, native: SocketAddr) -> bool {
        let standing = |at: usize| self.standing_of(at, protocol, &native);
        self.rows().any(|at| standing(at).is_some())
    }

    /// Says that the socket with this native name was seen now.
    pub fn saw(&self, protocol: Protocol, native: SocketAddr, now: Moment) {
        let standing = |at: usize| self.standing_of(at, protocol, &native);
        if let Some(at) = self.rows().find(|at| standing(*at) == Some(Standing::Here)) {
            let word = (at as u64 + 1) << 32 | u64::from(now.0);
            self.place(native.port()).store(word, Relaxed);
        }
    }

    /// Says that nobody has answered now who could have seen.
    pub fn was_deaf(&self, now: Moment) {
        self.deaf.store(u64::from(now.0) | 1 << 32, Relaxed);
    }

    /// Has nobody answered a moment ago?
    pub fn is_deaf(&self, now: Moment) -> bool {
        let deaf = self.deaf.load(Relaxed);
        deaf != 0 && now.is_within(DEAF, deaf as u32)
    }

    fn rows(&self) -> std::ops::Range<usize> {
        let rows = self.state.socket_rows.load(Acquire) as usize;
        0..rows.min(Rows::Sockets.count())
    }

    fn standing_of(&self, at: usize, protocol: Protocol, native: &SocketAddr) -> Option<Standing> {
        let entry = self.entry_at(at)?;
        let bound = entry.native;
        let is_same = || native_v4(bound.ip()).is_some_and(|v4| native_v4(native.ip()) == Some(v4));
        let is_it = entry.protocol == protocol
            && bound.port() == native.port()
            && (bound.ip().to_canonical().is_unspecified() || is_same());
        is_it.then_some(match entry.flags & flag::ENDED {
            0 => Standing::Here,
            _ => Standing::Ended,
        })
    }

    fn place(&self, port: u16) -> &AtomicU64 {
        &self.seen[usize::from(port) % self.seen.len()]
    }

    /// Returns the row that was seen last of those with such a port, and when.
    fn looked_at(&self, port: u16) -> (Option<usize>, u32) {
        let word = self.place(port).load(Relaxed);
        (((word >> 32) as usize).checked_sub(1), word as u32)
    }

    /// Is the socket bound to an address that the program has not given?
    pub fn is_any(entry: &Entry) -> bool {
        entry.flags & flag::ADDRESS_GIVEN == 0
    }
}

/// Returns the IPv4 address of a native name, also of one that is mapped into IPv6.
pub fn native_v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    }
}
