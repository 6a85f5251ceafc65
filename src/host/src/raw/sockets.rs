//! All packet sockets and raw sockets of a net, and copies on their way to them.
#![forbid(unsafe_code)]

use super::reading::Reading;
use super::socket::Socket;
use crate::inet::groups::Groups;
use crate::inet::meta::Meta;
use memtun_ip::Packet;
use memtun_kernel::net::NetDir;
use memtun_stack::sockets::raw;
use memtun_sys as sys;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most sockets of a net.
pub(super) const MOST: usize = 1024;
/// How long a full queue is waited for before it is looked at again.
const PAUSE: Duration = Duration::from_millis(100);

/// All packet sockets and raw sockets of a net. A clone stands for the same ones.
#[derive(Clone, Default)]
pub struct Raw(Arc<Common>);

#[derive(Default)]
struct Common {
    all: Mutex<All>,
    /// Something waits for room in a socket's queue.
    waits: Condvar,
}

#[derive(Default)]
pub(super) struct All {
    pub(super) sockets: Vec<Socket>,
    /// The last identifier that a socket of echo requests was given.
    pub(super) last_id: Option<u16>,
    /// Groups that sockets had joined which are closed, with their inodes.
    pub(super) left: Vec<(u64, u32, IpAddr)>,
    pub(super) readings: BTreeMap<u32, Arc<Reading>>,
    /// Frames that packet sockets which hear everything have sent, and which of them: they do not
    /// hear themselves.
    sent: VecDeque<(u64, Vec<u8>)>,
    /// Has the thread begun that sends what waits for room?
    sends: bool,
    pub(super) over: bool,
}

impl All {
    /// Notes that a socket is about to send a frame.
    pub(super) fn expect(&mut self, inode: u64, frame: &[u8]) {
        if self.sent.len() >= MOST {
            self.sent.pop_front();
        }
        self.sent.push_back((inode, frame.to_vec()));
    }

    /// Returns the socket that has sent a frame, once for each frame.
    pub(super) fn take_origin(&mut self, frame: &[u8]) -> Option<u64> {
        let at = self.sent.iter().position(|(_, sent)| sent == frame)?;
        self.sent.remove(at).map(|(inode, _)| inode)
    }
}

impl Raw {
    pub(super) fn lock(&self) -> MutexGuard<'_, All> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is there a socket with this inode?
    pub fn has(&self, inode: u64) -> bool {
        let all = self.lock();
        all.sockets.iter().any(|socket| socket.inode == inode)
    }

    /// Is there no such socket?
    pub fn is_empty(&self) -> bool {
        self.lock().sockets.is_empty()
    }

    /// Ends all threads.
    pub fn end(&self) {
        let mut all = self.lock();
        all.over = true;
        std::mem::take(&mut all.readings)
            .values()
            .for_each(|reading| reading.end());
        self.0.waits.notify_all();
    }

    /// Strikes off the sockets that are closed.
    pub fn strike_off(&self, net: &NetDir) {
        let mut all = self.lock();
        let mut left = std::mem::take(&mut all.left);
        all.sockets.retain_mut(|socket| {
            let stays = socket.is_open(net);
            if !stays {
                forget(net, socket.inode);
                let groups = socket.groups.drain(..);
                left.extend(groups.map(|(index, group)| (socket.inode, index, group)));
            }
            stays
        });
        all.left = left;
    }

    /// Gives copies to those sockets for which `copy` makes one.
    pub(super) fn give(
        &self,
        mut copy: impl FnMut(&mut Socket) -> Option<(raw::Head, Vec<u8>)>,
    ) -> bool {
        let mut all = self.lock();
        let (mut given, mut waits) = (false, false);
        for socket in &mut all.sockets {
            let Some((head, bytes)) = copy(socket) else {
                continue;
            };
            given = true;
            waits |= socket.give(&head, &bytes);
        }
        if waits {
            self.send_later(&mut all);
        }
        given
    }

    /// Copies an IP packet for this host to raw sockets. Returns whether one has taken it.
    pub fn received(&self, groups: &Groups, meta: &Meta, packet: &Packet<'_>) -> bool {
        self.give(|socket| socket.copy_of_packet(groups, meta, packet))
    }

    /// Gives an echo reply to the newest socket that has sent such a request.
    pub fn replied(&self, meta: &Meta, packet: &Packet<'_>) {
        let mut all = self.lock();
        let mut sockets = all.sockets.iter_mut().rev();
        let waits = sockets.find_map(|socket| {
            let (head, bytes) = socket.copy_of_reply(meta, packet)?;
            let waits = socket.give(&head, &bytes);
            // One that turns out to be closed has not got it.
            (!socket.closed).then_some(waits)
        });
        if waits == Some(true) {
            self.send_later(&mut all);
        }
    }

    /// Sends what waits for room, in a thread of its own.
    fn send_later(&self, all: &mut All) {
        if all.sends {
            return self.0.waits.notify_all();
        }
        all.sends = true;
        let raw = self.clone();
        std::thread::spawn(move || {
            let mut all = raw.lock();
            while !all.over {
                let mut fds: Vec<_> = all.sockets.iter().filter_map(Socket::waits_for).collect();
                if fds.is_empty() {
                    let waits = &raw.0.waits;
                    all = waits.wait(all).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                // A descriptor that is closed meanwhile is looked at in vain.
                drop(all);
                let _ = sys::poll(&mut fds, Some(PAUSE));
                all = raw.lock();
                all.sockets.iter_mut().for_each(Socket::go_on);
            }
        });
    }
}

/// Removes the name of a socket that is closed.
pub(super) fn forget(net: &NetDir, inode: u64) {
    if let (Ok(dir), Ok(name)) = (net.open_dir(), NetDir::packet_socket(inode)) {
        let _ = dir.unlink(name.cstr());
    }
}
