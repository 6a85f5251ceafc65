//! What a path names, and the text of a file.
#![forbid(unsafe_code)]

use super::first::{self, First};
use super::links::{Seen, Whose};
use super::place::{self, NetFile, Place, Settings};
use super::sysctl::{self, Entry};
use super::sysfs::{self, Inner, Inside};
use super::text::{Sink, Text};
use super::tree::{Sort, Tree};
use super::wide::{copy, Rest};
use crate::state::{self, View};
use memtun_abi::{Decimal, Errno, Name};
use memtun_sys::{self as sys, PathBuf};

/// What a path names.
#[allow(clippy::large_enum_variant, reason = "nothing may be allocated here")]
#[derive(Clone)]
pub enum Node {
    /// What the machine has at this path, if anything.
    Machine,
    /// A directory.
    Directory(Directory),
    /// A symbolic link with this target.
    Link(PathBuf),
    /// A file.
    File(File),
}

/// A directory.
#[allow(clippy::large_enum_variant, reason = "nothing may be allocated here")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Directory {
    /// /sys/class/net
    Class,
    /// /sys/devices/virtual/net
    Virtual,
    /// A directory of a link.
    Inner(Seen, Inner),
    /// The directory of settings of one kind.
    Settings(Settings),
    /// Such settings of a link.
    SettingsOf(Settings),
    /// What IPv6 has counted on each link.
    Counters,
    /// Settings of the whole namespace, by the path of the directory below /proc/sys/net.
    Wide(Rest),
}

/// A file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct File {
    /// What it is.
    pub(super) kind: FileKind,
    /// Its permissions.
    pub mode: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FileKind {
    Attribute(Seen, Inner, &'static str),
    Net(NetFile),
    /// What IPv6 has counted on a link.
    Counters(Seen),
    Flush,
    Setting(Settings, Of, Entry),
    /// A file that belongs to a link of the machine's, by its path in the link's directory.
    Card(Name, Rest),
    /// A setting of the whole namespace, by its path below /proc/sys/net.
    Wide(Rest),
}

/// Whose a setting is.
#[allow(clippy::large_enum_variant, reason = "nothing may be allocated here")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Of {
    /// A link's of the net.
    Link(Seen),
    /// A link's of the machine, or that of `all` or `default`.
    Name(Name),
}

impl File {
    /// Returns the index of the link in whose own directory it is, 0 for none.
    pub fn index(&self) -> u32 {
        match &self.kind {
            FileKind::Attribute(seen, ..) => seen.index,
            _ => 0,
        }
    }

    /// Returns the length in bytes that stat(2) shows.
    pub fn size(&self) -> i64 {
        match self.kind {
            FileKind::Attribute(..) | FileKind::Card(..) => 4096,
            _ => 0,
        }
    }

    /// Returns the offset in bytes of its end for lseek(2); None where that cannot be sought.
    pub fn end(&self) -> Option<i64> {
        match self.kind {
            FileKind::Net(_) | FileKind::Counters(_) => None,
            _ => Some(self.size()),
        }
    }

    /// Is it read once, from its beginning? Behind that there is nothing, however little was read.
    pub fn is_read_at_once(&self) -> bool {
        matches!(self.kind, FileKind::Setting(..) | FileKind::Wide(_))
    }
}

impl Directory {
    /// Returns the directory's permissions.
    pub fn mode(&self) -> u32 {
        match self {
            Directory::Settings(_)
            | Directory::SettingsOf(_)
            | Directory::Counters
            | Directory::Wide(_) => 0o555,
            _ => 0o755,
        }
    }

    /// Returns how many links to it stat(2) shows.
    pub fn links(&self, tree: &Tree<'_>) -> u64 {
        match self {
            Directory::Inner(seen, inner) => 2 + u64::from(inner.directories(seen)),
            Directory::Class | Directory::Counters => 2,
            Directory::Virtual => {
                let mut count = 2;
                tree.list(self, &mut |_, sort| {
                    count += u64::from(matches!(sort, Sort::Directory(_)));
                });
                count
            }
            Directory::Settings(_) | Directory::SettingsOf(_) | Directory::Wide(_) => 1,
        }
    }
}

impl Tree<'_> {
    /// Follows a path, which is absolute, to what it names. `follow` says whether a link in the
    /// last component is followed. Returns the path without links, `.` and `..`.
    ///
    /// # Errors
    ///
    /// - ENOENT when there is no such thing, and the machine is not to be asked.
    /// - ENOTDIR when a component on the way is no directory.
    /// - ELOOP when there are too many links.
    pub fn walk(&self, path: &[u8], follow: bool) -> Result<(PathBuf, Node), Errno> {
        /// Number of links that the kernel follows at most (MAXSYMLINKS).
        const MOST_LINKS: usize = 40;
        let mut done = PathBuf::concat(&[])?;
        let mut rest = PathBuf::concat(&[path])?;
        let (mut at, mut links) = (0, 0);
        let mut node = Node::Machine;
        while at < rest.bytes().len() {
            let bytes = rest.bytes();
            let end = bytes[at..]
                .iter()
                .position(|b| *b == b'/')
                .map_or(bytes.len(), |n| at + n);
            let (name, behind) = (&bytes[at..end], end < bytes.len());
            at = end + 1;
            if let Node::File(_) = node {
                // There is a slash behind a file.
                return Err(Errno(libc::ENOTDIR));
            }
            match name {
                b"" | b"." => continue,
                b".." => {
                    let parent = done.bytes().iter().rposition(|b| *b == b'/').unwrap_or(0);
                    done.truncate(parent);
                    node = self.find(done.bytes())?;
                    continue;
                }
                _ => {
                    done.push(b"/")?;
                    done.push(name)?;
                }
            }
            node = self.find(done.bytes())?;
            if let (Node::Machine, true) = (&node, behind || follow) {
                if let Some(target) = self.machines_link(&done) {
                    node = Node::Link(target);
                }
            }
            if let (Node::Link(target), true) = (&node, behind || follow) {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno(libc::ELOOP));
                }
                let parent = done.bytes().iter().rposition(|b| *b == b'/').unwrap_or(0);
                let is_absolute = target.bytes().first() == Some(&b'/');
                done.truncate(if is_absolute { 0 } else { parent });
                let tail = rest.bytes().get(at..).unwrap_or(b"");
                let slash: &[u8] = if behind { b"/" } else { b"" };
                rest = PathBuf::concat(&[target.bytes(), slash, tail])?;
                at = 0;
                node = Node::Machine;
            }
        }
        let ends_in_slash = path.last() == Some(&b'/');
        match node {
            Node::File(_) if ends_in_slash => Err(Errno(libc::ENOTDIR)),
            node => Ok((done, node)),
        }
    }

    /// Says what a path without links, `.` and `..` names.
    fn find(&self, path: &[u8]) -> Result<Node, Errno> {
        const NONE: Errno = Errno(libc::ENOENT);
        Ok(match Place::of(path) {
            Place::Other => Node::Machine,
            Place::Class => Node::Directory(Directory::Class),
            Place::Virtual => Node::Directory(Directory::Virtual),
            Place::ClassEntry(name) => match self.whose(&name) {
                Whose::Ours(_) => {
                    let parts = [b"../../devices/virtual/net/", name.as_bytes()];
                    Node::Link(PathBuf::concat(&parts)?)
                }
                Whose::Nobodys => return Err(NONE),
                Whose::Machines => Node::Machine,
            },
            Place::Device(name, rest) => match self.whose(&name) {
                Whose::Ours(seen) => match sysfs::inside(&seen, rest)? {
                    Inside::Directory(inner) => Node::Directory(Directory::Inner(seen, inner)),
                    Inside::Subsystem => Node::Link(PathBuf::concat(&[sysfs::SUBSYSTEM])?),
                    Inside::File(inner, name, mode) => Node::File(File {
                        kind: FileKind::Attribute(seen, inner, name),
                        mode,
                    }),
                },
                Whose::Nobodys => return Err(NONE),
                Whose::Machines => self.card(path, name, rest),
            },
            Place::Card(name, rest) => match self.whose(&name) {
                Whose::Machines => self.card(path, name, rest),
                _ => return Err(NONE),
            },
            Place::Wide(rest) => self.wide_node(path, rest)?,
            Place::Counters => Node::Directory(Directory::Counters),
            Place::CountersOf(name) => match self.whose(&name) {
                Whose::Ours(seen) if seen.has_ipv6() => Node::File(File {
                    kind: FileKind::Counters(seen),
                    mode: 0o444,
                }),
                Whose::Machines => Node::Machine,
                _ => return Err(NONE),
            },
            Place::Net(file) if file.is_of_namespace() && self.view() == View::Merged => {
                Node::Machine
            }
            // A net that never had an address has no socket but these.
            Place::Net(file)
                if file.lists_sockets()
                    && self.view() == View::Merged
                    && !self.net.has_inet()
                    && self.net.packets_file().is_err() =>
            {
                Node::Machine
            }
            Place::Net(file) => Node::File(File {
                kind: FileKind::Net(file),
                mode: 0o444,
            }),
            Place::Flush => Node::File(File {
                kind: FileKind::Flush,
                mode: 0o200,
            }),
            Place::Settings(settings) => Node::Directory(Directory::Settings(settings)),
            Place::SettingsOf(settings, name) => match self.settings_of(settings, &name)? {
                Of::Link(_) => Node::Directory(Directory::SettingsOf(settings)),
                Of::Name(_) => Node::Machine,
            },
            Place::Setting(settings, name, entry) => {
                match (self.settings_of(settings, &name)?, entry) {
                    (Of::Link(_), None) => return Err(NONE),
                    (Of::Name(_), None) => self.wide_node(path, &path[place::SETTINGS.len()..])?,
                    (of, Some(entry)) => {
                        if let Of::Name(_) = of {
                            if sys::fstatat(
                                libc::AT_FDCWD,
                                machines(settings, &name, &entry)?.cstr(),
                                0,
                            )
                            .is_err()
                            {
                                return Ok(Node::Machine);
                            }
                        }
                        Node::File(File {
                            kind: FileKind::Setting(settings, of, entry),
                            mode: entry.mode(),
                        })
                    }
                }
            }
        })
    }

    /// Reads where a link of the machine's leads. Directories that are everywhere the same are not
    /// asked, and in /proc only those that may lead out of it.
    fn machines_link(&self, path: &PathBuf) -> Option<PathBuf> {
        const DIRECTORIES: [&[u8]; 4] = [b"/sys", b"/sys/class", b"/sys/devices", b"/proc"];
        let bytes = path.bytes();
        let in_proc = bytes.starts_with(b"/proc/");
        let leads_out = bytes.ends_with(b"/root") || bytes.ends_with(b"/cwd");
        if DIRECTORIES.contains(&bytes) || in_proc && !leads_out {
            return None;
        }
        let mut room = [0; 1024];
        let target = sys::readlinkat(libc::AT_FDCWD, path.cstr(), &mut room).ok()?;
        // A process may work in a directory of the net that stands for one of these.
        let stands_for = || target.strip_prefix(self.net.view_path().ok()?.bytes());
        PathBuf::concat(&[stands_for().unwrap_or(target)]).ok()
    }

    /// What is in the directory of a link of the machine's: what can be changed in a net, or looks
    /// different there, and else what the machine has.
    fn card(&self, path: &[u8], name: Name, rest: &[u8]) -> Node {
        let looks = sysfs::ON_CARDS.contains(&rest);
        self.changeable(path, looks)
            .and_then(|mode| {
                Some(Node::File(File {
                    kind: FileKind::Card(name, Rest::new(rest)?),
                    mode,
                }))
            })
            .unwrap_or(Node::Machine)
    }

    /// A setting of the whole namespace, a directory of them, or else what the machine has.
    fn wide_node(&self, path: &[u8], rest: &[u8]) -> Result<Node, Errno> {
        let Some(below) = Rest::new(rest) else {
            return Ok(Node::Machine);
        };
        let differs = self.other_than_first(rest);
        if differs == Some(First::Alone) {
            return Err(Errno(libc::ENOENT));
        }
        if first::is_in(rest) && self.view() == View::Isolated {
            let st = sys::fstatat(libc::AT_FDCWD, PathBuf::concat(&[path])?.cstr(), 0);
            if st.is_ok_and(|st| sys::is_kind(&st, libc::S_IFDIR)) {
                return Ok(Node::Directory(Directory::Wide(below)));
            }
        }
        Ok(match self.changeable(path, differs.is_some()) {
            Some(mode) => Node::File(File {
                kind: FileKind::Wide(below),
                mode: match differs {
                    Some(First::Writes) => mode & !0o222,
                    _ => mode,
                },
            }),
            None => Node::Machine,
        })
    }

    /// What is different about a setting because another namespace is shown than the first one.
    fn other_than_first(&self, rest: &[u8]) -> Option<First> {
        first::of(rest).filter(|_| self.view() == View::Isolated)
    }

    /// The permissions of a file of the machine's that may be written, or that is wanted anyhow.
    fn changeable(&self, path: &[u8], anyhow: bool) -> Option<u32> {
        let path = PathBuf::concat(&[path]).ok()?;
        let flags = libc::AT_SYMLINK_NOFOLLOW;
        let st = sys::fstatat(libc::AT_FDCWD, path.cstr(), flags).ok()?;
        let is_one = sys::is_kind(&st, libc::S_IFREG) && (anyhow || st.st_mode & 0o222 != 0);
        is_one.then_some(st.st_mode & 0o7777)
    }

    /// Is a file just as the machine has it, as long as nothing is written into it?
    pub fn is_machines(&self, file: &File) -> bool {
        match &file.kind {
            FileKind::Card(name, rest) => {
                !sysfs::ON_CARDS.contains(&rest.bytes()) || self.overlay(name).is_none()
            }
            FileKind::Wide(rest) => {
                let differs = self.other_than_first(rest.bytes());
                let is_the_same = matches!(differs, None | Some(First::Writes));
                is_the_same && !self.set_in_net(rest.bytes(), |_| {})
            }
            _ => false,
        }
    }

    /// Does a write into a file leave its offset where it is?
    pub fn keeps_offset(&self, file: &File) -> bool {
        match &file.kind {
            FileKind::Setting(.., entry) => entry.kind.keeps_offset(),
            FileKind::Wide(rest) => self.kind_of(rest.bytes()).keeps_offset(),
            _ => false,
        }
    }

    /// Says whose settings of this name are.
    fn settings_of(&self, settings: Settings, name: &Name) -> Result<Of, Errno> {
        let is_neigh = matches!(settings, Settings::Neigh4 | Settings::Neigh6);
        if is_neigh && name.as_bytes() == b"default" && self.view() == View::Isolated {
            // Only the first network namespace has these.
            return Err(Errno(libc::ENOENT));
        }
        if matches!(name.as_bytes(), b"all" | b"default") {
            return Ok(Of::Name(*name));
        }
        match self.whose(name) {
            Whose::Ours(seen) if settings.is_v6() && !seen.has_ipv6() => Err(Errno(libc::ENOENT)),
            Whose::Ours(seen) => Ok(Of::Link(seen)),
            Whose::Nobodys => Err(Errno(libc::ENOENT)),
            Whose::Machines => Ok(Of::Name(*name)),
        }
    }

    /// Makes the text of a file, as reading it from its beginning gives it.
    ///
    /// # Errors
    ///
    /// What read(2) of such a file fails with, and what the sink fails with.
    pub fn read(&self, file: &File, sink: Sink<'_>) -> Result<(), Errno> {
        let mut text = Text::new(sink);
        match &file.kind {
            FileKind::Attribute(seen, inner, name) => {
                self.attribute(seen, *inner, name, &mut text)?;
            }
            FileKind::Net(file) => self.net_file(*file, &mut text)?,
            FileKind::Counters(seen) => self.counters_of(seen, &mut text)?,
            FileKind::Flush => return Err(Errno(libc::EACCES)),
            FileKind::Card(name, rest) => self.on_card(name, rest.bytes(), &mut text)?,
            FileKind::Wide(rest) => self.wide(rest.bytes(), &mut text)?,
            FileKind::Setting(settings, of, entry) => {
                self.setting(*settings, of, *entry, &mut text)?;
            }
        }
        text.end()
    }

    /// The number that a file holds.
    pub(super) fn number_at(&self, path: &[u8]) -> Option<i64> {
        let Ok((_, Node::File(file))) = self.walk(path, true) else {
            return None;
        };
        let (mut room, mut filled) = ([0; 32], 0);
        self.read(&file, &mut |part| {
            let into = room.get_mut(filled..filled + part.len());
            into.ok_or(Errno(libc::EINVAL))?.copy_from_slice(part);
            filled += part.len();
            Ok(())
        })
        .ok()?;
        let text = std::str::from_utf8(room[..filled].trim_ascii());
        text.ok()?.parse().ok()
    }

    /// May IPv6 addresses be made of a secret? One of the link's own or of new links must be set,
    /// which nobody looks at where no link is meant.
    pub(super) fn may_use_secret(&self, settings: Settings, of: &Of) -> bool {
        let none = |name: &Name| matches!(name.as_bytes(), b"all" | b"default");
        if matches!(of, Of::Name(name) if none(name)) {
            return true;
        }
        let secret = settings.entry(b"stable_secret");
        let default = Name::new(b"default").map(Of::Name);
        let paths = [Some(*of), default].map(|of| key(settings, &of?, &secret?).ok());
        let mut found = false;
        let _ = state::each_message(self.net, |message| {
            let set = state::sysctl_of(message).map(|(own, _)| own);
            let mut wanted = paths.iter().flatten();
            found = set.is_some_and(|set| wanted.any(|path| set == path.bytes()));
            !found
        });
        found
    }

    fn setting(
        &self,
        settings: Settings,
        of: &Of,
        entry: Entry,
        text: &mut Text<'_>,
    ) -> Result<(), Errno> {
        let own = key(settings, of, &entry)?;
        let common = PathBuf::concat(&[
            settings.directory().as_bytes(),
            b"/default/",
            entry.name.as_bytes(),
        ])?;
        let (mut value, mut fresh) = (None, None);
        state::each_message(self.net, |message| {
            if let Some((path, found)) = state::sysctl_of(message) {
                if path == own.bytes() {
                    value = sysctl::Value::new(found);
                } else if path == common.bytes() {
                    fresh = sysctl::Value::new(found);
                }
            }
            value.is_none()
        })?;
        let found = match (of, value) {
            (_, Some(value)) => Some(value),
            (Of::Name(name), None) => {
                if self.view() == View::Merged || settings == Settings::Neigh4 {
                    return copy(machines(settings, name, &entry)?, text);
                }
                let all_without = name.as_bytes() == b"all";
                if all_without && entry.kind == sysctl::Kind::Secret {
                    return Err(Errno(libc::EIO));
                }
                let value = match (settings, entry.name) {
                    (Settings::Conf4, "accept_source_route") if all_without => "0",
                    (Settings::Conf6, "accept_dad") if all_without => "0",
                    (Settings::Conf6, "mtu") => "1280",
                    _ => entry.fresh,
                };
                sysctl::Value::new(value.as_bytes())
            }
            (Of::Link(seen), None) => match (settings, entry.name) {
                (Settings::Conf6, "mtu") => Some(sysctl::Value::number(seen.mtu.into())),
                // A link without a link layer does neither (`ipv6_add_dev`).
                (Settings::Conf6, "accept_dad" | "use_tempaddr")
                    if seen.link_type == memtun_abi::uapi::ARPHRD_NONE =>
                {
                    sysctl::Value::new(b"-1")
                }
                (Settings::Conf6, "use_tempaddr") if is_loopback(seen) => sysctl::Value::new(b"-1"),
                (Settings::Conf6, "accept_dad") if is_loopback(seen) => sysctl::Value::new(b"-1"),
                (Settings::Conf4, "disable_policy" | "disable_xfrm") if is_loopback(seen) => {
                    sysctl::Value::new(b"1")
                }
                _ => fresh.or_else(|| sysctl::Value::new(entry.fresh.as_bytes())),
            },
        };
        match found {
            Some(value) if !value.bytes().is_empty() => {
                text.put(value.bytes());
                text.put(b"\n");
                Ok(())
            }
            _ => Err(Errno(libc::EIO)),
        }
    }
}

/// Is it the loopback?
fn is_loopback(seen: &Seen) -> bool {
    seen.flags & libc::IFF_LOOPBACK as u32 != 0
}

/// The path of a setting in the state: `ipv4/conf/#INDEX/FILE` for a link of the net, else with the
/// name.
fn key(settings: Settings, of: &Of, entry: &Entry) -> Result<PathBuf, Errno> {
    let mut path = PathBuf::concat(&[settings.directory().as_bytes(), b"/"])?;
    match of {
        Of::Link(seen) => {
            path.push(b"#")?;
            path.push(Decimal::new(seen.index.into()).as_bytes())?;
        }
        Of::Name(name) => path.push(name.as_bytes())?,
    }
    path.push(b"/")?;
    path.push(entry.name.as_bytes())?;
    Ok(path)
}

/// The path of a setting of the machine's.
fn machines(settings: Settings, name: &Name, entry: &Entry) -> Result<PathBuf, Errno> {
    PathBuf::concat(&[
        place::SETTINGS,
        settings.directory().as_bytes(),
        b"/",
        name.as_bytes(),
        b"/",
        entry.name.as_bytes(),
    ])
}
