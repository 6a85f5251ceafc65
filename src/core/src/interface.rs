//! The driver's side of one interface: packets in and out, datagrams, link settings.

use crate::error::{Context, Result};
use crate::netdir::Local;
use crate::shm::layout::{Attachment, InterfaceState, TunnelState};
use crate::shm::log::{Cursor, Entry, Sort};
use crate::shm::{load_name, Mapped};
use crate::sys;
use crate::uapi::*;
use crate::{bell, udp, Errno, Error, Name, Net};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{
    AtomicI32,
    Ordering::{Acquire, Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long a sleeper goes without looking whether the program is still alive: a killed program cannot wake anybody.
const LOOK_AROUND: Duration = Duration::from_millis(50);

/// An interface of a net, from the outside. Stays usable for reading what was written after the interface is gone.
pub struct Interface {
    net: Net,
    state: Arc<Mapped<InterfaceState>>,
    /// The queue that was injected into first: on most interfaces the only one, found without a lock.
    first: OnceLock<Arc<Queue>>,
    queues: Mutex<Vec<Arc<Queue>>>,
    reader: Mutex<Subscriber>,
}

/// Where descriptors are kept that programs do not expect.
const HIGH: usize = 512;

/// A tunnel that packets are injected into.
struct Queue {
    inode: u64,
    tunnel: Mapped<TunnelState>,
    /// Descriptor of its bell, -1 before the first use.
    bell: AtomicI32,
}

impl Queue {
    fn is_bell(&self, fd: i32) -> bool {
        sys::fstat(fd)
            .is_ok_and(|st| st.st_ino == self.inode && st.st_mode & libc::S_IFMT == libc::S_IFIFO)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let kept = *self.bell.get_mut();
        if kept >= 0 && self.is_bell(kept) {
            let _ = sys::close(kept);
        }
    }
}

/// A packet as the network sees it: no packet information, no vnet header; a TAP's frame whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// The bytes.
    pub data: Vec<u8>,
    /// Host byte order.
    pub ethertype: u16,
    /// When the program wrote it, nanoseconds since the epoch.
    pub time_ns: u64,
}

pub(crate) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|t| Instant::now().checked_add(t))
}

/// Time for the next nap; None when the deadline has passed.
pub(crate) fn nap(deadline: Option<Instant>) -> Option<Duration> {
    match deadline {
        None => Some(LOOK_AROUND),
        Some(end) => end
            .checked_duration_since(Instant::now())
            .filter(|d| !d.is_zero())
            .map(|d| d.min(LOOK_AROUND)),
    }
}

impl Interface {
    pub(crate) fn new(net: Net, state: Mapped<InterfaceState>) -> Interface {
        let state = Arc::new(state);
        let reader = Mutex::new(Subscriber::new(net.clone(), state.clone()));
        Interface {
            net,
            state,
            first: OnceLock::new(),
            queues: Mutex::default(),
            reader,
        }
    }

    /// Its name now.
    pub fn name(&self) -> Name {
        load_name(&self.state.name)
    }

    /// Index as in if_nametoindex(3).
    pub fn index(&self) -> u32 {
        self.state.ifindex.load(Relaxed)
    }

    /// Layer 2?
    pub fn is_tap(&self) -> bool {
        self.state.is_tap()
    }

    /// Has it been deleted, or did its last tunnel end? Looks at the processes, not only at what is on record.
    pub fn is_gone(&self) -> bool {
        if self.state.deleted.load(Acquire) == 0 {
            self.net.look_after(&self.state);
        }
        self.state.deleted.load(Acquire) != 0
    }

    /// Puts a frame as it is into the program's read queue; when this returns it is readable. `ethertype` None takes it
    /// from the packet. Waits up to `timeout` (None: for ever) while the queue is full.
    ///
    /// Errors: EAGAIN the queue stayed full; ENETDOWN link down; EMSGSIZE over the mtu; EINVAL no frame at all; ENOTCONN no
    /// program attached; ENODEV interface gone; ENOSPC no memory left for the net. A packet that is refused is not queued.
    pub fn inject(
        &self,
        frame: &[u8],
        ethertype: Option<u16>,
        timeout: Option<Duration>,
    ) -> Result<()> {
        self.inject_raw(frame, ethertype, timeout).context(|e| {
            let reason = match e.0 {
                libc::EAGAIN => "its queue is full; read from it or raise txqueuelen",
                libc::ENETDOWN => "its link is down; set it up first",
                libc::EMSGSIZE => "the packet is larger than the mtu",
                libc::EINVAL => "the packet is shorter than a header",
                libc::ENOTCONN => "no program is attached to it",
                libc::ENODEV => "it is gone",
                libc::ENOSPC => "the net's file system is full",
                _ => "the packet was not taken",
            };
            format!("{}: {e}: {reason}", self.name())
        })
    }

    /// [`Interface::inject`] without the sentence.
    pub fn inject_raw(
        &self,
        frame: &[u8],
        ethertype: Option<u16>,
        timeout: Option<Duration>,
    ) -> std::result::Result<(), Errno> {
        let first = self.try_inject(frame, ethertype);
        if first != Err(Errno(libc::EAGAIN)) || timeout == Some(Duration::ZERO) {
            return first.inspect_err(|e| self.refused(frame, ethertype, *e));
        }
        let end = deadline(timeout);
        loop {
            let answer = self
                .wait_for_room(frame, end)
                .and_then(|()| self.try_inject(frame, ethertype));
            match answer {
                Err(Errno(libc::EAGAIN)) if nap(end).is_some() => self.net.look_after(&self.state),
                answer => return answer.inspect_err(|e| self.refused(frame, ethertype, *e)),
            }
        }
    }

    fn refused(&self, frame: &[u8], ethertype: Option<u16>, e: Errno) {
        if [libc::EAGAIN, libc::ENOTCONN].contains(&e.0) {
            self.state.stats.tx_dropped.fetch_add(1, Relaxed);
        }
        let dir = self.net.dir();
        if dir.is_captured() {
            let Ok((lock, captured)) = dir.lock_log(&self.state, frame.len()) else {
                return;
            };
            if captured {
                self.capture(Sort::InjectRefused(e), frame, ethertype);
            }
            drop(lock);
            dir.ring_capturer();
        }
    }

    /// A record for the capturer. Wants the interface's lock.
    fn capture(&self, sort: Sort, frame: &[u8], ethertype: Option<u16>) {
        let ethertype = ethertype.unwrap_or_else(|| udp::ethertype(frame, self.state.is_tap()));
        // A packet that fits nowhere is the only one that is not taken, and no frame is as large as that.
        let _ = self.state.log_append(sort, frame.len(), |room| {
            room.copy_from_slice(frame);
            Ok(ethertype)
        });
    }

    /// Sleeps until the queue that would take this packet has room, or a moment has passed.
    fn wait_for_room(&self, frame: &[u8], end: Option<Instant>) -> std::result::Result<(), Errno> {
        let inode = self
            .state
            .select_queue(frame)
            .ok_or(Errno(libc::ENOTCONN))?;
        let tunnel = self
            .net
            .dir()
            .tunnel(inode)
            .map_err(|_| Errno(libc::ENODEV))?;
        tunnel.room_waiters.fetch_add(1, SeqCst);
        let seen = tunnel.room_event.load(SeqCst);
        if tunnel.queued() >= self.state.txqueuelen.load(Relaxed) {
            if let Some(time) = nap(end) {
                let _ = sys::futex_wait(&tunnel.room_event, seen, Some(time));
            }
        }
        tunnel.room_waiters.fetch_sub(1, SeqCst);
        Ok(())
    }

    fn try_inject(&self, frame: &[u8], ethertype: Option<u16>) -> std::result::Result<(), Errno> {
        let state = &**self.state;
        if self.state.deleted.load(Acquire) != 0 {
            return Err(Errno(libc::ENODEV));
        }
        if !state.is_up() {
            return Err(Errno(libc::ENETDOWN));
        }
        if frame.is_empty() || state.is_tap() && frame.len() < ETH_HLEN {
            return Err(Errno(libc::EINVAL));
        }
        if frame.len() > state.largest_frame() {
            return Err(Errno(libc::EMSGSIZE));
        }
        let ethertype = ethertype.unwrap_or_else(|| udp::ethertype(frame, state.is_tap()));
        let inode = state.select_queue(frame).ok_or(Errno(libc::ENOTCONN))?;
        let found;
        let queue = match self.first.get().filter(|queue| queue.inode == inode) {
            Some(first) => first,
            None => {
                found = self.queue(inode)?;
                &found
            }
        };
        let dir = self.net.dir();
        if !dir.is_captured() {
            return self.push(queue, frame, ethertype);
        }
        let (lock, captured) = dir
            .lock_log(&self.state, frame.len())
            .map_err(|e| match e.0 {
                libc::EBADFD => Errno(libc::ENODEV),
                _ => e,
            })?;
        let pushed = self.push(queue, frame, ethertype);
        // What the program answers comes behind it: nobody writes while the interface's lock is held.
        if captured && pushed.is_ok() {
            self.capture(Sort::Injected, frame, Some(ethertype));
        }
        drop(lock);
        dir.ring_capturer();
        pushed
    }

    #[inline]
    fn push(&self, queue: &Queue, frame: &[u8], ethertype: u16) -> std::result::Result<(), Errno> {
        let state = &**self.state;
        let _lock = self.net.dir().lock_tunnel(queue.inode, &queue.tunnel)?;
        if queue.tunnel.attachment.load(Acquire) != Attachment::Attached as u32
            || queue.tunnel.ifindex.load(Relaxed) != state.ifindex.load(Relaxed)
        {
            return Err(Errno(libc::ENODEV));
        }
        let limit = state.txqueuelen.load(Relaxed);
        if !bell::will_ring(&queue.tunnel) {
            return queue.tunnel.push(frame, ethertype, limit);
        }
        // The bell first: a packet without it would lie there unheard.
        let bell = self.bell_of(queue)?;
        let pushed = queue.tunnel.push(frame, ethertype, limit);
        if pushed.is_ok() {
            bell::packet_queued(&queue.tunnel, bell);
        }
        pushed
    }

    /// A queue that is not the first.
    #[cold]
    fn queue(&self, inode: u64) -> std::result::Result<Arc<Queue>, Errno> {
        let mut queues = self
            .queues
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = queues.iter().find(|queue| queue.inode == inode) {
            return Ok(known.clone());
        }
        queues.retain(|queue| self.state.queue_inodes().any(|inode| inode == queue.inode));
        let tunnel = self
            .net
            .dir()
            .tunnel(inode)
            .map_err(|_| Errno(libc::ENODEV))?;
        let queue = Arc::new(Queue {
            inode,
            tunnel,
            bell: AtomicI32::new(-1),
        });
        let _ = self.first.set(queue.clone());
        queues.push(queue.clone());
        Ok(queue)
    }

    /// A descriptor of the bell: the process's own if it holds the tunnel itself; else one that is kept, high and
    /// close-on-exec, and looked at before each use because the process may have closed it unknowingly. Wants the tunnel's
    /// lock.
    fn bell_of(&self, queue: &Queue) -> std::result::Result<i32, Errno> {
        if let Some(own) = self.net.local().descriptor(queue.inode) {
            return Ok(own);
        }
        let kept = queue.bell.load(Relaxed);
        if kept >= 0 && queue.is_bell(kept) {
            return Ok(kept);
        }
        // Not ours any more: whoever has the number now keeps it.
        let fd = self
            .net
            .dir()
            .open_bell(queue.inode)
            .map_err(|_| Errno(libc::ENODEV))?;
        let kept = match sys::fcntl(fd.raw(), libc::F_DUPFD_CLOEXEC, HIGH) {
            Ok(high) => high,
            Err(_) => fd.into_raw(),
        };
        queue.bell.store(kept, Relaxed);
        Ok(kept)
    }

    /// Puts an IP packet into the read queue; a TAP gets an Ethernet header in front, from 00:00:00:00:00:00 to
    /// ff:ff:ff:ff:ff:ff as in the seed (`Tunnel.addToReadBuffer`). Errors as [`Interface::inject`].
    pub fn deliver(&self, ip_packet: &[u8], timeout: Option<Duration>) -> Result<()> {
        if self.is_tap() {
            self.inject(&udp::ethernet(ip_packet), None, timeout)
        } else {
            self.inject(ip_packet, None, timeout)
        }
    }

    /// Sends a datagram to the program: from `source`, or 10.1.2.3:21345 (fd00:1:2::3 for IPv6) as in the seed; from where
    /// is returned. A port 0 in `source` means 21345. Checksums are right. Errors as [`Interface::inject`], and EINVAL when
    /// the addresses are of different families or the datagram is too long.
    pub fn send_udp(
        &self,
        datagram: &[u8],
        destination: SocketAddr,
        source: Option<SocketAddr>,
        timeout: Option<Duration>,
    ) -> Result<SocketAddr> {
        let source = udp::source_for(destination, source);
        self.deliver(&udp::build(source, destination, datagram)?, timeout)?;
        Ok(source)
    }

    /// Datagrams that the program sends to this host (None: any) and port, from the oldest packet kept.
    pub fn receive_udp(&self, host: Option<IpAddr>, port: u16) -> UdpReceiver {
        UdpReceiver {
            packets: self.subscribe(),
            host,
            port,
        }
    }

    /// A reader of its own of everything the program writes, from the oldest packet kept.
    pub fn subscribe(&self) -> Subscriber {
        Subscriber::new(self.net.clone(), self.state.clone())
    }

    /// The next packet that the program wrote, each once per `Interface` value. See [`Subscriber::recv`].
    pub fn recv(&self, timeout: Option<Duration>) -> Result<Packet> {
        self.reader
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .recv(timeout)
    }

    /// All that is known of it.
    pub fn info(&self) -> InterfaceInfo {
        InterfaceInfo::new(&self.net, &self.state)
    }

    fn change(
        &self,
        what: &str,
        change: impl FnOnce(&Mapped<InterfaceState>, &dyn Local) -> std::result::Result<(), Errno>,
    ) -> Result<()> {
        let dir = self.net.dir();
        let changed = dir.lock().and_then(|_lock| {
            if self.state.deleted.load(Acquire) != 0 {
                return Err(Errno(libc::ENODEV));
            }
            change(&self.state, self.net.local())
        });
        changed.context(|e| format!("{}: {what}: {e}", self.name()))
    }

    /// Sets the link up or down, as `ip link set up`.
    pub fn set_up(&self, up: bool) -> Result<()> {
        self.change("set up or down", |interface, local| {
            let flags = interface.if_flags.load(Relaxed);
            let iff_up = libc::IFF_UP as u32;
            let flags = if up { flags | iff_up } else { flags & !iff_up };
            self.net.dir().set_flags(interface, flags, local);
            Ok(())
        })
    }

    /// Largest packet in bytes: 68 to 65535, 65521 for a TAP. EINVAL beyond.
    pub fn set_mtu(&self, mtu: u32) -> Result<()> {
        self.change("set mtu", |interface, _| interface.set_mtu(mtu as i64))
    }

    /// Packets that each queue holds; of a shorter queue the oldest stay.
    pub fn set_txqueuelen(&self, packets: u32) -> Result<()> {
        self.change("set txqueuelen", |interface, local| {
            self.net.dir().set_txqueuelen(interface, packets, local)
        })
    }

    /// Link carrier (TUNSETCARRIER).
    pub fn set_carrier(&self, on: bool) -> Result<()> {
        self.change("set carrier", |interface, _| {
            interface.carrier.store(on as u32, Relaxed);
            Ok(())
        })
    }

    /// Another name. EEXIST when it is taken, EINVAL when it cannot be one.
    pub fn rename(&self, name: &str) -> Result<()> {
        let name = Name::new(name)
            .ok_or_else(|| Error::new(libc::EINVAL, format!("{name:?} is longer than 15 bytes")))?;
        self.change("rename", |interface, local| {
            self.net.dir().rename_interface(interface, &name, local)
        })
    }

    /// Deletes the interface under the program, as `ip link del`: its descriptors are unattached again.
    pub fn delete(&self) -> Result<()> {
        self.change("delete", |interface, local| {
            self.net.dir().delete_interface(interface, local);
            Ok(())
        })
    }

    /// What waits to be read in the tunnels attached now, oldest first per tunnel (the seed's `readBuffer`).
    pub fn read_buffer(&self) -> Vec<(Vec<u8>, u16)> {
        let dir = self.net.dir();
        let queued = |inode| {
            let tunnel = dir.tunnel(inode).ok()?;
            let _lock = dir.lock_tunnel(inode, &tunnel).ok()?;
            Some(tunnel.peek_all())
        };
        self.state
            .queue_inodes()
            .filter_map(queued)
            .flatten()
            .collect()
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interface")
            .field("name", &self.name())
            .field("net", &self.net)
            .finish()
    }
}

/// Reads the outbound log with a cursor of its own.
pub struct Subscriber {
    net: Net,
    state: Arc<Mapped<InterfaceState>>,
    cursor: Cursor,
    buffer: Vec<u8>,
}

impl Subscriber {
    fn new(net: Net, state: Arc<Mapped<InterfaceState>>) -> Subscriber {
        let cursor = state.log_cursor(false);
        Subscriber {
            net,
            state,
            cursor,
            buffer: Vec::new(),
        }
    }

    /// The next packet, waiting up to `timeout` (None: for ever). With a timeout of zero it sees every packet whose write
    /// was complete before the call.
    ///
    /// Errors: EAGAIN nothing in time; ENOBUFS this subscriber was overtaken and so many packets are lost to it, the next
    /// call goes on with the middle of what is kept; ENODEV the interface is gone and everything it wrote has been read.
    pub fn recv(&mut self, timeout: Option<Duration>) -> Result<Packet> {
        let end = deadline(timeout);
        let name = |s: &Self| load_name(&s.state.name);
        loop {
            // The program may write and end between our look at the log and our look at the interface.
            let gone = self.state.deleted.load(Acquire) != 0;
            match self.state.log_read(&mut self.cursor, &mut self.buffer) {
                Entry::Packet(record) => {
                    return Ok(Packet {
                        data: std::mem::take(&mut self.buffer),
                        ethertype: record.ethertype,
                        time_ns: record.time_ns,
                    });
                }
                Entry::Lost(n) => {
                    let text = format!(
                        "{}: {n} packets were overwritten before they were received",
                        name(self)
                    );
                    return Err(Error::new(libc::ENOBUFS, text));
                }
                Entry::Empty if gone => {
                    return Err(Error::new(
                        libc::ENODEV,
                        format!("{}: the interface is gone", name(self)),
                    ));
                }
                Entry::Empty => {}
            }
            let Some(time) = nap(end) else {
                return Err(Error::new(
                    libc::EAGAIN,
                    format!("{}: no packet in time", name(self)),
                ));
            };
            self.sleep(time);
        }
    }

    fn sleep(&self, time: Duration) {
        let state = &self.state;
        state.log_waiters.fetch_add(1, SeqCst);
        let seen = state.log_event.load(SeqCst);
        let mut timed_out = false;
        if state.log_next().number() <= self.cursor.number() && state.deleted.load(Acquire) == 0 {
            timed_out =
                sys::futex_wait(&state.log_event, seen, Some(time)) == Err(Errno(libc::ETIMEDOUT));
        }
        state.log_waiters.fetch_sub(1, SeqCst);
        if timed_out {
            self.net.look_after(state);
        }
    }
}

/// Datagrams to one address, out of everything the program writes: the seed's `receiveUDP`, but it really filters.
pub struct UdpReceiver {
    packets: Subscriber,
    host: Option<IpAddr>,
    port: u16,
}

impl UdpReceiver {
    /// The next datagram's payload. Errors as [`Subscriber::recv`].
    pub fn recv(&mut self, timeout: Option<Duration>) -> Result<Vec<u8>> {
        self.recv_from(timeout).map(|(payload, _)| payload)
    }

    /// The next datagram's payload and where it came from. Fragments and datagrams with a wrong checksum are not
    /// datagrams here, as for a socket.
    pub fn recv_from(&mut self, timeout: Option<Duration>) -> Result<(Vec<u8>, SocketAddr)> {
        let end = deadline(timeout);
        loop {
            let left = end.map(|e| e.saturating_duration_since(Instant::now()));
            let packet = self.packets.recv(left)?;
            let tap = self.packets.state.is_tap();
            let Some(datagram) = udp::parse(&packet.data, packet.ethertype, tap) else {
                continue;
            };
            let to = datagram.destination;
            if to.port() == self.port && self.host.is_none_or(|h| h == to.ip()) {
                return Ok((datagram.payload.to_vec(), datagram.source));
            }
        }
    }
}

/// An interface in the columns of `ip -s -d link`; a snapshot.
#[derive(Clone, Debug)]
pub struct InterfaceInfo {
    /// Name.
    pub name: Name,
    /// Index.
    pub index: u32,
    /// Layer 2?
    pub tap: bool,
    /// SIOCGIFFLAGS.
    pub flags: u32,
    /// Framing and kind: IFF_TUN, IFF_NO_PI ...
    pub tun_flags: u32,
    /// Bytes.
    pub mtu: u32,
    /// Packets.
    pub txqueuelen: u32,
    /// TUNSETOWNER.
    pub owner: Option<u32>,
    /// TUNSETGROUP.
    pub group: Option<u32>,
    /// Hardware address of a TAP.
    pub mac: Option<[u8; 6]>,
    /// Packets, bytes, dropped and frame errors that the program wrote (the host receives).
    pub rx: [u64; 4],
    /// Packets, bytes and dropped that the program read (the host transmits).
    pub tx: [u64; 3],
    /// Its tunnels.
    pub tunnels: Vec<TunnelInfo>,
}

/// A tunnel; the attributes of the seed's `Tunnel`.
#[derive(Clone, Debug)]
pub struct TunnelInfo {
    /// Inode of the bell.
    pub inode: u64,
    /// Name of the interface, None while unattached.
    pub name: Option<Name>,
    /// Name given to TUNSETIFF, None before.
    pub requested_name: Option<Name>,
    /// Flags given to TUNSETIFF (the seed's `tunnelMode`).
    pub mode: u32,
    /// Flags of open(2) as they are now.
    pub open_flags: u32,
    /// Packets that wait to be read.
    pub queued: u32,
}

impl TunnelInfo {
    pub(crate) fn new(inode: u64, state: &Mapped<TunnelState>) -> TunnelInfo {
        let attached = state.attachment.load(Acquire) != Attachment::None as u32;
        let mode = state.requested_flags.load(Relaxed);
        TunnelInfo {
            inode,
            name: attached.then(|| load_name(&state.name)),
            requested_name: (mode != 0).then(|| load_name(&state.requested_name)),
            mode,
            open_flags: state.open_flags.load(Relaxed),
            queued: state.queued(),
        }
    }
    /// Opened without O_NONBLOCK.
    pub fn blocking(&self) -> bool {
        self.open_flags & libc::O_NONBLOCK as u32 == 0
    }
    /// Opened with O_CLOEXEC.
    pub fn close_on_exec(&self) -> bool {
        self.open_flags & libc::O_CLOEXEC as u32 != 0
    }
}

impl InterfaceInfo {
    pub(crate) fn new(net: &Net, state: &Mapped<InterfaceState>) -> InterfaceInfo {
        let stats = &state.stats;
        let id = |cell: &std::sync::atomic::AtomicI32| {
            Some(cell.load(Relaxed))
                .filter(|i| *i != -1)
                .map(|i| i as u32)
        };
        InterfaceInfo {
            name: load_name(&state.name),
            index: state.ifindex.load(Relaxed),
            tap: state.is_tap(),
            flags: state.flags(),
            tun_flags: state.tun_flags.load(Relaxed),
            mtu: state.mtu.load(Relaxed),
            txqueuelen: state.txqueuelen.load(Relaxed),
            owner: id(&state.owner),
            group: id(&state.group),
            mac: state.is_tap().then(|| state.mac()),
            rx: [
                &stats.rx_packets,
                &stats.rx_bytes,
                &stats.rx_dropped,
                &stats.rx_frame_errors,
            ]
            .map(|c| c.load(Relaxed)),
            tx: [&stats.tx_packets, &stats.tx_bytes, &stats.tx_dropped].map(|c| c.load(Relaxed)),
            tunnels: state
                .queue_inodes()
                .filter_map(|inode| Some(TunnelInfo::new(inode, &net.dir().tunnel(inode).ok()?)))
                .collect(),
        }
    }

    /// Is the link up?
    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    /// Flags as `ip link` writes them: `UP,POINTOPOINT,RUNNING`.
    pub fn flag_names(&self) -> String {
        const NAMES: &[(i32, &str)] = &[
            (libc::IFF_UP, "UP"),
            (libc::IFF_BROADCAST, "BROADCAST"),
            (libc::IFF_DEBUG, "DEBUG"),
            (libc::IFF_POINTOPOINT, "POINTOPOINT"),
            (libc::IFF_RUNNING, "RUNNING"),
            (libc::IFF_NOARP, "NOARP"),
            (libc::IFF_PROMISC, "PROMISC"),
            (libc::IFF_ALLMULTI, "ALLMULTI"),
            (libc::IFF_MULTICAST, "MULTICAST"),
        ];
        let set: Vec<&str> = NAMES
            .iter()
            .filter(|(bit, _)| self.flags & *bit as u32 != 0)
            .map(|(_, n)| *n)
            .collect();
        set.join(",")
    }
}
