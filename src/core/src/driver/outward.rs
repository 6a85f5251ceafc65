//! How a driver's datagrams get into the queues of interfaces.
#![forbid(unsafe_code)]

use crate::Errno;
use memtun_calls::inet::datagram::{Transmits, Ways};
use memtun_kernel::link::transmit::{find_interface, Queues, Transmit};
use memtun_kernel::net::{Local, NetDir};
use memtun_kernel::tun::room::Wait;
use memtun_shm::layout::InterfaceState;
use memtun_shm::Mapped;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Number of interfaces and of sockets of which something is kept.
const KEPT: usize = 64;

/// What is kept of a net for the next datagram.
pub(crate) struct Outward {
    ways: Ways,
    links: Mutex<VecDeque<Arc<Link>>>,
    /// What the options of each socket were, by its cookie.
    options: Mutex<VecDeque<(u64, u64)>>,
}

struct Link {
    index: u32,
    state: Mapped<InterfaceState>,
    queues: Queues,
}

impl Default for Outward {
    fn default() -> Outward {
        Outward {
            ways: Ways::new(),
            links: Mutex::default(),
            options: Mutex::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outward {
    /// Says what the options of a socket are now: where that is not what they were, no way is
    /// right any more.
    pub(crate) fn note_options(&self, cookie: u64, digest: u64) {
        let mut known = lock(&self.options);
        if known.contains(&(cookie, digest)) {
            return;
        }
        self.ways.forget_options();
        known.retain(|(other, _)| *other != cookie);
        known.truncate(KEPT - 1);
        known.push_front((cookie, digest));
    }

    fn link(&self, net: &NetDir, index: u32) -> Result<Arc<Link>, Errno> {
        let mut links = lock(&self.links);
        let is_it = |link: &&Arc<Link>| {
            link.index == index
                && !link.state.is_going()
                && link.state.ifindex.load(Relaxed) == index
        };
        if let Some(known) = links.iter().find(is_it) {
            return Ok(known.clone());
        }
        let link = Arc::new(Link {
            index,
            state: find_interface(net, index)?,
            queues: Queues::default(),
        });
        links.retain(|other| other.index != index);
        links.truncate(KEPT - 1);
        links.push_front(link.clone());
        Ok(link)
    }
}

/// A driver of a net that sends.
pub(crate) struct Sender<'s> {
    /// The net.
    pub(crate) net: &'s NetDir,
    /// The tunnels of this process.
    pub(crate) local: &'s dyn Local,
    /// What is kept.
    pub(crate) outward: &'s Outward,
}

impl Transmits for Sender<'_> {
    // A driver hears of it by the call that fails.
    fn too_long(&self, _cookie: u64, _to: std::net::SocketAddr, _mtu: u32) {}
    fn transmit(&self, ifindex: u32, frame: &[u8]) -> Result<(), Errno> {
        let link = self.outward.link(self.net, ifindex)?;
        let way = Transmit {
            net: self.net,
            local: self.local,
            interface: &link.state,
            queues: &link.queues,
        };
        let _quiet = memtun_sys::hold_signals();
        let Err(refusal) = way.send(frame, None, Wait::Never) else {
            return Ok(());
        };
        way.refused(frame, None, refusal, Wait::Never);
        match refusal.errno.0 {
            // A device drops what its queue has no room for, and what it has no carrier for.
            libc::EAGAIN | libc::ENOTCONN => Ok(()),
            libc::ENETDOWN if link.state.is_up() => Ok(()),
            _ => Err(refusal.errno),
        }
    }

    fn ways(&self) -> &Ways {
        &self.outward.ways
    }
}
