//! The state of the host in one value, and the file in the net that holds it.
//!
//! The file `.memtun-stack-EPOCH` is a sequence of netlink messages, with what has changed since
//! behind them, see `file`. A change is appended, or a new file is renamed over the old one, and
//! both are complete at each instruction at which their writer may be killed. EPOCH rises with each
//! host process ([`NetState::host_epoch`]): one that was stopped and goes on when another has taken
//! its place writes a file that nobody reads any more.
//!
//! [`NetState::host_epoch`]: memtun_shm::layout::NetState::host_epoch
#![forbid(unsafe_code)]

mod file;
mod list;
mod parts;
mod shadow;
mod things;

pub use file::{base, Log, Splice};
pub use list::List;
pub use shadow::Shadow;
pub use things::{Answered, Hidden, Label, Listener, Seal, Sysctl, View, OVERRUN, SEAL};

use file::Pieces;
use things::{
    ABOUT, ANSWERED, HIDDEN, LABELS, LAST, LISTENER, PATH, RULED, SYSCTL, TABLE, VALUE, VIEW,
};

use crate::address::Address;
use crate::link::Extra;
use crate::neighbour::Neighbour;
use crate::nexthop::{HopObject, NEWNEXTHOP};
use crate::route::Route;
use crate::rule::Rule;
use crate::traffic::Traffic;
use crate::wire::{u32_at, Attributes, Message, Messages, Writer};
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_sys as sys;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// Number of answers that are kept.
pub const ANSWERS: usize = 32;

/// All that the host knows beyond the tun driver.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// What is seen of the machine.
    pub view: View,
    /// What only the host knows of each link. Interfaces that the host has not seen yet have none.
    pub links: Vec<Extra>,
    /// The addresses, in the kernel's order for each interface.
    pub addresses: Vec<Address>,
    /// The routes, in the kernel's order for each table.
    pub routes: List<Route>,
    /// The objects of next hops, by ascending number.
    pub objects: Vec<HopObject>,
    /// The number that an object was given last because the asker gave none.
    pub last_object: u32,
    /// The tables of routes that there are, by family and number: one that was made stays when its
    /// last route is gone.
    pub tables: Vec<(u8, u32)>,
    /// The rules, by ascending priority for each family, see `ruled`.
    pub rules: Vec<Rule>,
    /// Are the rules of IPv4, and those of IPv6, all in `rules`? While they are not, the machine's
    /// hold where it is seen, or else those of a new network namespace.
    pub ruled: [bool; 2],
    /// The neighbours.
    pub neighbours: Vec<Neighbour>,
    /// The queueing disciplines and their classes, in the order in which they were made.
    pub traffic: Vec<Traffic>,
    /// What was set under /proc/sys/net.
    pub sysctls: Vec<Sysctl>,
    /// The labels of IPv6 addresses in the kernel's order, and how often they were changed. None
    /// for those of a new network namespace.
    pub labels: Option<(Vec<Label>, u32)>,
    /// Sockets that want to be told of changes.
    pub listeners: Vec<Listener>,
    /// What is hidden of the machine.
    pub hidden: Vec<Hidden>,
    /// The last answers, oldest first.
    pub answered: Vec<Answered>,
}

impl State {
    /// Returns the state as messages, in the order of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        fn each<T>(to: &mut Writer, all: &[T], write: impl Fn(&mut Writer, &T)) {
            all.iter().for_each(|it| write(to, it));
        }
        let mut to = Writer::default();
        parts::about(&mut to, &(self.view, self.ruled, self.last_object));
        each(&mut to, &self.links, parts::link);
        each(&mut to, &self.addresses, parts::address);
        each(&mut to, &self.routes, |to, route| parts::route(to, route));
        each(&mut to, &self.objects, parts::object);
        each(&mut to, &self.tables, parts::table);
        each(&mut to, &self.rules, parts::rule);
        each(&mut to, &self.neighbours, parts::neighbour);
        each(&mut to, &self.traffic, parts::traffic);
        each(&mut to, &self.sysctls, parts::sysctl);
        each(&mut to, self.labels.as_slice(), parts::labels);
        each(&mut to, &self.listeners, parts::listener);
        each(&mut to, &self.hidden, |to, it| parts::hidden(to, it));
        each(&mut to, &self.answered, parts::answered);
        to.take()
    }

    /// Reads the messages of a state.
    ///
    /// # Errors
    ///
    /// EUCLEAN when the bytes are not what [`State::to_bytes`] makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<State, Errno> {
        let mut state = State::default();
        let mut length = 0;
        for message in Messages(bytes) {
            length += crate::wire::align(message.bytes.len());
            state.take(&message).ok_or(Errno(libc::EUCLEAN))?;
        }
        if length < bytes.len() {
            return Err(Errno(libc::EUCLEAN));
        }
        Ok(state)
    }

    /// Returns the name of the queueing discipline of a link; `noop` where it has none.
    pub fn qdisc(&self, index: u32) -> &[u8] {
        let mut all = self.traffic.iter();
        let own =
            all.find(|it| it.index == index && !it.is_class && it.parent == crate::traffic::ROOT);
        own.map_or(b"noop", |own| &own.kind)
    }

    fn take(&mut self, message: &Message<'_>) -> Option<()> {
        let body = message.body;
        match message.kind {
            ABOUT => {
                let attributes = Attributes::new(body);
                let ruled = attributes.get(RULED)?.value;
                self.ruled = [*ruled.first()? != 0, *ruled.get(1)? != 0];
                self.view = view_of(message)?;
                self.last_object = attributes.get(LAST).and_then(|a| a.u32()).unwrap_or(0);
            }
            libc::RTM_NEWLINK => self.links.push(Extra::read(message)?),
            libc::RTM_NEWADDR => self.addresses.push(Address::read(message)?),
            libc::RTM_NEWROUTE => self.routes.push(Route::read(message)?),
            NEWNEXTHOP => self.objects.push(HopObject::read(message)?),
            libc::RTM_NEWRULE => self.rules.push(Rule::read(message)?),
            libc::RTM_NEWNEIGH => self.neighbours.push(Neighbour::read(message)?),
            libc::RTM_NEWQDISC | libc::RTM_NEWTCLASS => self.traffic.push(Traffic::read(message)?),
            SYSCTL => {
                let (path, value) = sysctl_of(message)?;
                self.sysctls.push(Sysctl {
                    path: path.to_vec(),
                    value: value.to_vec(),
                });
            }
            LISTENER => {
                let word = |at| Some(u64::from_ne_bytes(body.get(at..at + 8)?.try_into().ok()?));
                self.listeners.push(Listener {
                    port: u32_at(body, 0)?,
                    inode: word(4)?,
                    groups: word(12)?,
                    seal: body.get(20..20 + SEAL)?.try_into().ok()?,
                });
            }
            LABELS => {
                let label = |bytes: &[u8]| {
                    Some(Label {
                        prefix: <[u8; 16]>::try_from(bytes.get(..16)?).ok()?.into(),
                        length: u8::try_from(u32_at(bytes, 16)?).ok()?,
                        index: u32_at(bytes, 20)?,
                        label: u32_at(bytes, 24)?,
                    })
                };
                let labels: Option<Vec<Label>> = body.get(4..)?.chunks(28).map(label).collect();
                self.labels = Some((labels?, u32_at(body, 0)?));
            }
            TABLE => self.tables.push(table_of(message)?),
            HIDDEN => self.hidden.push(body.to_vec()),
            ANSWERED => self.answered.push(Answered {
                id: u64::from_ne_bytes(body.get(..8)?.try_into().ok()?),
                packets: body[8..].to_vec(),
            }),
            _ => return None,
        }
        Some(())
    }

    /// Reads the state of the net as it is now. None means that the net has no host yet: no
    /// addresses, no routes, and the machine is seen merged.
    ///
    /// # Errors
    ///
    /// - EUCLEAN when the file is damaged.
    /// - What opening or reading it fails with.
    pub fn load(net: &NetDir) -> Result<Option<State>, Errno> {
        let Some(file) = open(net)? else {
            return Ok(None);
        };
        let mut room = vec![0; LONGEST];
        let (pieces, _) = Pieces::read(&file, &mut room)?;
        let mut bytes = Vec::new();
        for piece in pieces.all() {
            let from = bytes.len();
            if piece.length > MOST as u64 {
                return Err(Errno(libc::EUCLEAN));
            }
            bytes.resize(from + piece.length as usize, 0);
            read_exactly(&file, &mut bytes[from..], piece.at)?;
        }
        State::from_bytes(&bytes).map(Some)
    }
}

/// Returns what a message of the state's file says of the view; None when it says nothing.
pub(crate) fn view_of(message: &Message<'_>) -> Option<View> {
    if message.kind != ABOUT {
        return None;
    }
    let isolated = Attributes::new(message.body).get(VIEW)?.u8()? != 0;
    Some(if isolated {
        View::Isolated
    } else {
        View::Merged
    })
}

/// Returns the path and the value of a message of the state's file; None when it is no sysctl.
pub(crate) fn sysctl_of<'m>(message: &Message<'m>) -> Option<(&'m [u8], &'m [u8])> {
    if message.kind != SYSCTL {
        return None;
    }
    let attributes = Attributes::new(message.body);
    Some((attributes.get(PATH)?.value, attributes.get(VALUE)?.value))
}

impl list::Ends for Route {
    fn ends(&self) -> bool {
        self.expires.is_some()
    }
}

/// Returns the family and the number of a table of routes, if the message is about one.
pub fn table_of(message: &Message<'_>) -> Option<(u8, u32)> {
    if message.kind != TABLE {
        return None;
    }
    let family = u8::try_from(u32_at(message.body, 0)?).ok()?;
    Some((family, u32_at(message.body, 4)?))
}

/// Returns what a message of the state's file hides of the machine; None when it is about something
/// else.
pub(crate) fn hidden_of<'b>(message: &Message<'b>) -> Option<Message<'b>> {
    (message.kind == HIDDEN)
        .then(|| Messages(message.body).next())
        .flatten()
}

/// Has the net a host: something that [`State::load`] would read? This costs one load.
#[inline]
pub fn is_there(net: &NetDir) -> bool {
    net.host_epoch.load(Acquire) != 0
}

/// Returns the bits of the groups that the netlink socket with this inode has joined, as
/// [`Listener::groups`]; 0 when it has joined none. Allocates nothing.
///
/// # Errors
///
/// The same as [`each_message`].
pub fn groups_of(net: &NetDir, inode: u64) -> Result<u64, Errno> {
    let mut groups = 0;
    each_message(net, |message| {
        let word = |at: usize| {
            let bytes = message.body.get(at..at + 8)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        let found = message.kind == LISTENER && word(4) == Some(inode);
        if found {
            groups = word(12).unwrap_or(0);
        }
        !found
    })?;
    Ok(groups)
}

/// Reads bytes of the file that are there.
fn read_exactly(file: &sys::Fd, mut room: &mut [u8], mut at: u64) -> Result<(), Errno> {
    while !room.is_empty() {
        match sys::pread(file.raw(), room, at)? {
            0 => return Err(Errno(libc::EUCLEAN)),
            n => {
                at += n as u64;
                room = &mut room[n..];
            }
        }
    }
    Ok(())
}

/// Largest size in bytes of the file: more is not read, whoever has written it.
const MOST: i64 = 256 << 20;

/// Opens the file of the state. None means that there is none yet.
fn open(net: &NetDir) -> Result<Option<sys::Fd>, Errno> {
    /// Number of host processes that may follow one another while this tries.
    const TRIES: usize = 16;
    for _ in 0..TRIES {
        let epoch = net.host_epoch.load(Acquire);
        if epoch == 0 {
            return Ok(None);
        }
        match net.open_stack(epoch) {
            Ok(file) if sys::fstat(file.raw())?.st_size > MOST => {
                return Err(Errno(libc::EUCLEAN));
            }
            Ok(file) => return Ok(Some(file)),
            // Another host process has taken over and removed the file of the one before.
            Err(Errno(libc::ENOENT)) if net.host_epoch.load(Relaxed) != epoch => {}
            Err(e) => return Err(e),
        }
    }
    Err(Errno(libc::EAGAIN))
}

/// Length in bytes of the longest message that [`each_message`] gives whole.
pub const LONGEST: usize = 16 << 10;

/// Calls `each` with the messages of the state's file until `each` returns false, allocating
/// nothing: for the calls of a program, which may be in a signal handler. A message that is longer
/// than [`LONGEST`] is left out. Returns false where there is no state.
///
/// # Errors
///
/// - EUCLEAN when the file is damaged.
/// - What opening or reading it fails with.
pub fn each_message(
    net: &NetDir,
    mut each: impl FnMut(&Message<'_>) -> bool,
) -> Result<bool, Errno> {
    let Some(file) = open(net)? else {
        return Ok(false);
    };
    let mut room = [0; LONGEST];
    let (pieces, _) = Pieces::read(&file, &mut room)?;
    // What of the file is in the room: many small pieces are read at once.
    let (mut from, mut read) = (0, 0);
    for piece in pieces.all() {
        let (mut at, end) = (piece.at, piece.at + piece.length);
        while at < end {
            let whole = at >= from && end <= from + read as u64;
            if !whole {
                (from, read) = (at, sys::pread(file.raw(), &mut room, at)?);
            }
            let bytes = &room[(at - from) as usize..read];
            let bytes = &bytes[..bytes.len().min((end - at) as usize)];
            let mut used = 0;
            for message in Messages(bytes) {
                used += crate::wire::align(message.bytes.len());
                if !each(&message) {
                    return Ok(true);
                }
            }
            if used == 0 {
                // The message at hand is longer than the room, or damaged.
                used = match u32_at(bytes, 0) {
                    Some(length) if length as usize > LONGEST => {
                        crate::wire::align(length as usize)
                    }
                    _ => return Err(Errno(libc::EUCLEAN)),
                };
            }
            at += used as u64;
        }
    }
    Ok(true)
}
