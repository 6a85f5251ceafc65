//! A socket gets a name: `__inet_bind`, `__inet6_bind`.
#![forbid(unsafe_code)]

use super::asker::{flags_of, Asker};
use super::names::{is_any, own_of, plain, with_port};
use super::open::Open;
use super::ports::Range;
use super::rules::{says, Name, Says};
use super::{Address, Sockets};
use crate::engine::route::lookup::{type_of, TABLES};
use crate::World;
use memtun_abi::Errno;
use memtun_stack::sockets::question::{set, SocketAnswer, SocketQuestion};
use memtun_stack::sockets::{flag, Entry, Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whose an address is that a socket wants to be bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    /// The net's, or any.
    Net,
    /// The machine's, or nobody's: its kernel says so.
    Machine,
}

/// What an address is that stands on no interface of the net.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A broadcast address, or one of a network that is local as a whole.
    Net,
    /// The machine's, or that of an uplink.
    Machine,
    /// Nobody's that is known here.
    Nobody,
}

impl Kind {
    /// Looks for the address in the routes of the net.
    pub fn of(world: &World<'_>, address: Ipv4Addr) -> Kind {
        let mut machine = world.machine.addresses.iter();
        let own = IpAddr::V4(address);
        match type_of(world, address, TABLES[0]) {
            libc::RTN_BROADCAST => Kind::Net,
            libc::RTN_LOCAL if machine.any(|it| it.item.local == own) => Kind::Machine,
            libc::RTN_LOCAL if world.state.addresses.iter().any(|it| it.local == own) => {
                Kind::Machine
            }
            libc::RTN_LOCAL => Kind::Net,
            _ => Kind::Nobody,
        }
    }
}

/// Returns the name of a socket that has none.
fn no_name(family: u16) -> SocketAddr {
    match i32::from(family) == libc::AF_INET6 {
        true => (Ipv6Addr::UNSPECIFIED, 0).into(),
        false => (Ipv4Addr::UNSPECIFIED, 0).into(),
    }
}

impl Sockets {
    /// Answers a question for a name. `kind_of` says what an address is that is not the net's own.
    ///
    /// # Errors
    ///
    /// What bind(2) fails with.
    pub fn bind(
        &mut self,
        asker: &Asker<'_>,
        range: &Range,
        kind_of: &mut dyn FnMut(Ipv4Addr) -> Kind,
    ) -> Result<SocketAnswer, Errno> {
        let (question, uid) = (asker.question, asker.uid);
        let name = plain(question.name.unwrap_or(no_name(question.family)));
        if !self.active {
            return Ok(SocketAnswer::Machine);
        }
        if question.name.is_none() && question.flags & set::BOUND != 0 {
            return self.refresh(asker);
        }
        let mapped = asker.is_v6() && name.is_ipv4();
        if mapped && question.flags & set::V6ONLY != 0 {
            return Err(Errno(libc::EINVAL));
        }
        let device = self.device(question, name)?;
        match self.whose(question, name.ip(), device, kind_of)? {
            Whose::Machine => return self.bind_to_machine(asker, name),
            Whose::Net => {}
        }
        let open = self.open.as_mut().ok_or(Errno(libc::ENETDOWN))?;
        let own = Name {
            device,
            ..asker.name(name.ip())
        };
        let given = name.port() != 0;
        let failed = question.failed != 0;
        if failed
            && question.failed != libc::EADDRINUSE as u32
            && question.failed != libc::EACCES as u32
        {
            return Err(Errno(question.failed as i32));
        }
        let known = open.writer.socket(question.cookie).map(|known| known.entry);
        let port = match (given, known) {
            (true, _) => {
                let taken = open.is_port_taken(&own, name.port(), question.cookie, false)
                    || failed && open.is_native_taken(&own, name.port());
                if taken {
                    open.forget(question.cookie);
                    return Err(Errno(libc::EADDRINUSE));
                }
                name.port()
            }
            _ => open.choose_port(&own, question.cookie, range, false)?,
        };
        let net = with_port(name, port, device);
        let native = open.native_name(&own, net, (uid, question.cookie), failed && given)?;
        let given_address = !name.ip().is_unspecified();
        let fallback = !given_address && !is_any(native.ip());
        let flags = flags_of(question)
            | if given_address {
                flag::ADDRESS_GIVEN
            } else {
                0
            }
            | if given { flag::PORT_GIVEN } else { 0 }
            | if fallback { flag::FALLBACK } else { 0 };
        let entry = Entry {
            flags,
            ..asker.entry(net, native)
        };
        open.put(&entry, asker.pid)?;
        Ok(SocketAnswer::Bind(native))
    }

    /// Answers a socket that gets a name of the machine's: on its loopback it stands beside those
    /// of the net that have any address.
    fn bind_to_machine(
        &mut self,
        asker: &Asker<'_>,
        name: SocketAddr,
    ) -> Result<SocketAnswer, Errno> {
        let open = self.open.as_mut().ok_or(Errno(libc::ENETDOWN))?;
        let own = asker.name(name.ip());
        let cookie = asker.question.cookie;
        let beside = name.ip().is_loopback() && name.port() != 0;
        match beside && open.is_port_taken(&own, name.port(), cookie, false) {
            true => Err(Errno(libc::EADDRINUSE)),
            false => Ok(SocketAnswer::Machine),
        }
    }

    /// Marks a socket as one that listens.
    ///
    /// # Errors
    ///
    /// EADDRINUSE where another one that shares its port listens.
    pub fn listen(&mut self, asker: &Asker<'_>) -> Result<SocketAnswer, Errno> {
        let Some(open) = &mut self.open else {
            return Ok(SocketAnswer::Machine);
        };
        let Some(known) = open.writer.socket(asker.question.cookie) else {
            return Ok(SocketAnswer::Machine);
        };
        let mut entry = known.entry;
        let name = Name {
            listens: true,
            ..Name::of(&entry)
        };
        // Who binds with SO_REUSEADDR may share a port, but not listen there.
        let rows = open
            .writer
            .of_port(entry.protocol, entry.local.port())
            .to_vec();
        for row in rows {
            let other = open.writer.at(row).map(|known| known.entry);
            let other = other.filter(|other| other.cookie != entry.cookie);
            let listens = other.is_some_and(|other| other.flags & flag::LISTENS != 0);
            let conflicts =
                other.is_some_and(|other| says(&name, &Name::of(&other), false) == Says::No);
            if listens && conflicts && open.is_alive(row, super::alive::FRESH) {
                return Err(Errno(libc::EADDRINUSE));
            }
        }
        entry.flags |= flag::LISTENS;
        open.put(&entry, asker.pid)?;
        Ok(SocketAnswer::Done)
    }

    /// Returns the interface that a socket is bound to: by SO_BINDTODEVICE, or by an IPv6 address
    /// of a link.
    fn device(&self, question: &SocketQuestion, name: SocketAddr) -> Result<u32, Errno> {
        let SocketAddr::V6(name) = name else {
            return Ok(question.device);
        };
        let address = name.ip();
        let of_link = address.is_unicast_link_local() || address.segments()[0] & 0xff0f == 0xff02;
        match (of_link, name.scope_id()) {
            (false, _) => Ok(question.device),
            (true, 0) if question.device == 0 => Err(Errno(libc::EINVAL)),
            (true, 0) => Ok(question.device),
            (true, scope) => Ok(scope),
        }
    }

    /// Says whose an address is.
    fn whose(
        &self,
        question: &SocketQuestion,
        address: IpAddr,
        device: u32,
        kind_of: &mut dyn FnMut(Ipv4Addr) -> Kind,
    ) -> Result<Whose, Errno> {
        let missing = Errno(libc::EADDRNOTAVAIL);
        if address.is_unspecified() {
            return Ok(Whose::Net);
        }
        let fits = |own: &&Address| {
            let of_link = own_of(address, own.index).scope != 0;
            own.local == address && (device == 0 || own.index == device || !of_link)
        };
        let own = self.own.iter().find(fits);
        match address {
            IpAddr::V4(v4) => {
                let open = self.open.as_ref();
                let is_alias = open.is_some_and(|open| open.writer.table().is_alias(v4));
                if is_alias {
                    return Err(missing);
                }
                if v4.is_loopback() {
                    return Ok(Whose::Machine);
                }
                let broadcast =
                    v4.is_broadcast() || self.own.iter().any(|own| own.broadcast == Some(v4));
                if own.is_some() || broadcast || v4.is_multicast() {
                    return Ok(Whose::Net);
                }
                match kind_of(v4) {
                    Kind::Net => return Ok(Whose::Net),
                    Kind::Machine => return Ok(Whose::Machine),
                    Kind::Nobody => {}
                }
            }
            IpAddr::V6(v6) => {
                if v6.is_loopback() {
                    return Ok(Whose::Machine);
                }
                if v6.is_multicast() {
                    return match question.protocol {
                        Protocol::Tcp => Err(Errno(libc::EINVAL)),
                        _ => Ok(Whose::Net),
                    };
                }
                if let Some(own) = own {
                    let free = question.flags & set::FREEBIND != 0;
                    return match own.tentative && !free {
                        true => Err(missing),
                        false => Ok(Whose::Net),
                    };
                }
                // The machine has no interface of this index, which would be another error.
                let is_ours = self.own.iter().any(|own| own.index == device);
                if is_ours && v6.is_unicast_link_local() && question.flags & set::FREEBIND == 0 {
                    return Err(missing);
                }
            }
        }
        match question.flags & set::FREEBIND != 0 {
            true => Ok(Whose::Net),
            // The machine has no addresses for such a net.
            false if self.isolated => Err(missing),
            // Whether it is the machine's, its kernel says.
            false => Ok(Whose::Machine),
        }
    }
}

impl Open {
    /// Forgets a socket that has not got its name.
    pub(super) fn forget(&mut self, cookie: u64) {
        if let Some(row) = self.writer.row_of(cookie) {
            self.writer.remove(row);
        }
    }
}
