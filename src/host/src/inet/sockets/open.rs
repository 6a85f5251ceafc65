//! What there is once the net has had an address: the table, the native ports, the slices.
#![forbid(unsafe_code)]

use super::ahead::Ahead;
use super::claim::{self, Claim};
use super::diag::Diag;
use super::native::{machine_range, Natives};
use super::writer::Writer;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_shm::layout::SLICES;
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::{Entry, Flow, Protocol, Table};
use memtun_sys as sys;
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::Instant;

/// What there is once the net has had an address.
pub struct Open {
    /// The table.
    pub writer: Writer,
    /// The native ports.
    pub natives: Natives,
    /// The slices.
    pub claims: Vec<Claim>,
    /// The way to ask the machine's kernel of its sockets.
    pub diag: Diag,
    /// Does the machine tell of sockets of TCP that are bound and do nothing yet?
    pub tells_all: bool,
    /// The user whose net it is.
    pub owner: u32,
    /// The name of the next socket that connects.
    pub ahead: Ahead,
}

impl Open {
    /// Begins, or goes on where the host process before has ended.
    ///
    /// # Errors
    ///
    /// What making the table or the native sockets fails with.
    pub fn new(net: &NetDir) -> Result<Open, Errno> {
        let owner = net.open_dir()?.id().uid;
        let table = net.make_inet()?;
        let writer = Writer::new(Table::of(table));
        let before = writer.table().ports().datagram;
        let natives = Natives::open(before)?;
        let mut open = Open {
            writer,
            natives,
            claims: Vec::new(),
            diag: Diag::default(),
            tells_all: false,
            owner,
            ahead: Ahead::default(),
        };
        // The port `shut` is bound and does nothing.
        let shut = open.natives.ports.shut;
        open.tells_all = !open.diag.of_port(Protocol::Tcp, shut).is_empty();
        open.claim_again()?;
        // Reports of the host process before may wait beside its datagrams.
        if before == 0 || open.natives.ports.datagram != before {
            open.writer.set_secret([sys::random(), sys::random()]);
        }
        let range = machine_range().unwrap_or((0, 0));
        open.writer.set_ports(&open.natives.ports, range);
        Ok(open)
    }

    /// Claims the slices of the host process before, or new ones where others have them now.
    fn claim_again(&mut self) -> Result<(), Errno> {
        let before: Vec<u32> = self.writer.slices().into_iter().collect();
        for base in before.into_iter().take_while(|base| *base != 0) {
            let at = self.claims.len();
            let cookie = self.writer.claim(at);
            let claimed = match claim::is_lost(&mut self.diag, base, cookie, self.owner) {
                true => Err(Errno(libc::EADDRINUSE)),
                false => claim::claim(base).or_else(|e| match e {
                    // Whoever claimed it for this net may be stopped, or be ending.
                    Errno(libc::EADDRINUSE) => Ok(Claim { base, socket: None }),
                    e => Err(e),
                }),
            };
            let Ok(claimed) = claimed else {
                self.lose_slices();
                break;
            };
            self.note_claim(at, &claimed);
            self.claims.push(claimed);
        }
        match self.claims.is_empty() {
            true => self.claim_another(),
            false => Ok(()),
        }
    }

    fn note_claim(&mut self, at: usize, claim: &Claim) {
        let Some(socket) = &claim.socket else { return };
        let cookie = sys::inet::cookie(socket.raw()).unwrap_or(0);
        self.writer.set_claim(at, cookie);
    }

    fn lose_slices(&mut self) {
        log::warn!("the net's part of the loopback's addresses was taken by others: its sockets lose their names");
        self.claims.clear();
        self.writer.forget();
        for at in 0..SLICES {
            self.writer.set_slice(at, 0);
        }
    }

    /// Claims one slice more.
    fn claim_another(&mut self) -> Result<(), Errno> {
        let at = self.claims.len();
        if at >= SLICES {
            return Err(Errno(libc::ENOBUFS));
        }
        let claim = claim::claim_any(&mut self.diag, self.owner)?;
        self.note_claim(at, &claim);
        self.writer.set_slice(at, claim.base);
        self.claims.push(claim);
        Ok(())
    }

    /// Gives an alias to a flow, and makes room for it if there is none.
    pub fn new_flow(&mut self, flow: &Flow) -> Option<Ipv4Addr> {
        if let Some(alias) = self.writer.new_flow(flow) {
            return Some(alias);
        }
        self.sweep();
        let used = self.used_aliases();
        let few = self
            .writer
            .reclaim(Instant::now(), |alias| used.contains(&alias))
            < 1024;
        if few {
            // What there is must do where no slice is free.
            let _ = self.claim_another();
        }
        self.writer.new_flow(flow)
    }

    /// Returns the addresses that native sockets have as one of their ends.
    fn used_aliases(&mut self) -> HashSet<Ipv4Addr> {
        let mut all = self.diag.of_port(Protocol::Tcp, 0);
        all.extend(self.diag.of_port(Protocol::Udp, 0));
        let ends = all.iter().flat_map(|native| [native.own, native.other]);
        ends.filter_map(|end| native_v4(end.ip())).collect()
    }

    /// Writes an entry; where there is no room, those of sockets that are gone are removed first.
    pub fn put(&mut self, entry: &Entry, asker: u32) -> Result<(), Errno> {
        match self.writer.put(entry, asker) {
            Err(Errno(libc::ENOBUFS)) => {
                self.sweep();
                self.writer.put(entry, asker)
            }
            put => put,
        }
    }
}
