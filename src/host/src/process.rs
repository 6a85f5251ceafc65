//! The host process: how it takes its place in a net, how long it stays, and what wakes it.
#![forbid(unsafe_code)]

use crate::devices::net::{Found, NetDevices};
use crate::first::First;
use crate::inet::readers::Reader;
use crate::inet::tcp::legs::Legs;
use crate::inet::tcp::serve;
use crate::inet::Shared;
use crate::server::Server;
use crate::service::{self, Replaced, Service};
use crate::standby::Standby;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{place, stopped};
use memtun_stack::state::{base, Log};
use memtun_stack::State;
use memtun_sys::{self as sys, Fd};
use rustix::process::{pidfd_open, pidfd_send_signal, Pid, PidfdFlags, Signal};
use std::cell::Cell;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the host process looks by itself: for interfaces whose program was killed, and for
/// listeners that are gone, which wakes nobody, and for the end of the net, which may not.
const TICK: Duration = Duration::from_secs(1);

/// How long a child of fork(2) may take until it is a member of the net.
const BIRTH: Duration = Duration::from_millis(50);

/// How long the end of a process that is killed may take, in a machine that is busy.
const DEATH: Duration = Duration::from_millis(500);

/// How soon what is due is tried again.
const AGAIN: Duration = Duration::from_millis(5);

/// How many connections wait to be accepted.
const BACKLOG: i32 = 128;

/// How long a host process stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stay {
    /// As long as the process that hosts it, unless another one takes its place.
    WithProcess,
    /// Until the net is gone, or nobody has asked for so long, and nobody listens. What it knows
    /// stays in the net.
    UntilIdle(Duration),
}

/// Why a host process has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The net is gone.
    Gone,
    /// Another one has taken its place.
    Replaced,
    /// Nobody needs it.
    Idle,
}

/// A host process that listens and does not answer yet.
pub struct Host {
    epoch: u64,
    listener: Fd,
    state: State,
    log: Log,
    over: Arc<AtomicBool>,
    deserted: Arc<AtomicBool>,
    wakes: UnixStream,
    woken: UnixStream,
}

/// Ends a host process that a thread of this process is.
pub struct Stopper {
    over: Arc<AtomicBool>,
    wakes: UnixStream,
}

impl Stopper {
    /// Ends it before its next question.
    pub fn stop(&self) {
        self.over.store(true, SeqCst);
        let _ = (&self.wakes).write(&[0]);
    }
}

/// Ends the host process of this epoch if it is stopped: it is not needed any more, but programs
/// would wait at the other ends of its connections, and for what it has locked. One that is a
/// thread of another process, as of `memtun run`, is left alone.
fn end_stopped(net: &NetDir, epoch: u64) {
    let Some(pid) = stopped(net, epoch).and_then(Pid::from_raw) else {
        return;
    };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    // The number may have been another process's before it was opened, and this says of whom it is.
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let is_host = words.split(|byte| *byte == 0).nth(1) == Some(b"host");
    if is_host && stopped(net, epoch) == Some(pid.as_raw_pid()) {
        log::warn!("the host process of the net ({pid}) was stopped; it is ended and replaced");
        if pidfd_send_signal(&process, Signal::KILL).is_ok() {
            // Its ports are free when it has ended, which takes some milliseconds.
            let _ = sys::poll(&mut [wait_for(process.as_raw_fd())], Some(DEATH));
        }
    }
}

impl Host {
    /// Takes the place of the host process of epoch `before`, 0 for none, and listens. It costs a
    /// few system calls. Where the net has no state yet it gets that of `first`.
    ///
    /// # Errors
    ///
    /// - EEXIST when another process was faster.
    /// - EUCLEAN when the state of the net is damaged.
    /// - ENOSPC when there is no room for the state.
    /// - What making the socket or locking the net fails with otherwise.
    pub fn begin(net: &NetDir, before: u64, first: &First) -> Result<Host, Errno> {
        let pair = pair();
        let begun = Cell::new(None);
        let (epoch, file) = net.take_host_epoch(before, |dir, epoch| {
            end_stopped(net, before);
            let state = match State::load(net)? {
                Some(state) => state,
                None => first.begin(
                    net,
                    &mut NetDevices::new(net, &mut Found::default()).for_driver(true),
                    service::now(),
                )?,
            };
            let listener = sys::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0)?;
            let name = NetDir::host_socket(epoch)?;
            place::in_directory(dir.raw(), net.path(), &name, |path| {
                sys::bind_path(listener.as_fd(), path)
            })?;
            dir.adopt_socket(name.cstr())?;
            sys::listen(listener.as_fd(), BACKLOG)?;
            let messages = state.to_bytes();
            begun.set(Some((listener, state, messages.len())));
            Ok(base(&messages))
        })?;
        let (listener, state, length) = begun.take().ok_or(Errno(libc::EINVAL))?;
        let (wakes, woken) = pair.map_err(|e| Errno(e.raw_os_error().unwrap_or(libc::EMFILE)))?;
        Ok(Host {
            epoch,
            listener,
            state,
            log: Log::of(file, length)?,
            over: Arc::default(),
            deserted: Arc::default(),
            wakes,
            woken,
        })
    }

    /// Returns what ends this host process from another thread.
    ///
    /// # Errors
    ///
    /// EMFILE when the process may not have another descriptor.
    pub fn stopper(&self) -> Result<Stopper, Errno> {
        let wakes = self.wakes.try_clone();
        Ok(Stopper {
            over: self.over.clone(),
            wakes: wakes.map_err(|e| Errno(e.raw_os_error().unwrap_or(libc::EMFILE)))?,
        })
    }

    /// Wakes this host process when the last member of the net has gone. The thread for that ends
    /// with the process.
    fn hear_of_desertion(&self, net: &NetDir) {
        let (Ok(desertion), Ok(wakes)) = (net.desertion(), self.wakes.try_clone()) else {
            return;
        };
        let (over, deserted) = (self.over.clone(), self.deserted.clone());
        std::thread::spawn(move || {
            while !over.load(SeqCst) {
                // The child of a member that has ended may be about to become one.
                let waited = desertion.wait();
                std::thread::sleep(BIRTH);
                if waited.and_then(|()| desertion.wait()).is_ok() {
                    deserted.store(true, SeqCst);
                    let _ = (&wakes).write(&[0]);
                }
                // There may be a tunnel left, which nobody can wait for.
                std::thread::sleep(TICK);
            }
        });
    }

    /// Answers questions until the end.
    pub fn serve(self, net: &NetDir, stay: Stay, standby: Standby<'_>) -> Ended {
        let owner = net.open_dir().map(|dir| dir.id().uid);
        let Ok(owner) = owner else {
            return Ended::Gone;
        };
        let epoch = self.epoch;
        widen_descriptors(&self.wakes);
        if stay != Stay::WithProcess && net.is_private() {
            self.hear_of_desertion(net);
        }
        let known = !self.state.links.is_empty()
            || !self.state.listeners.is_empty()
            || stay != Stay::WithProcess;
        let Ok(answers) = self.wakes.try_clone() else {
            return Ended::Idle;
        };
        let shared = Shared::new(
            Service::new(net, self.epoch, self.state, self.log),
            self.wakes.try_clone().ok(),
        );
        shared.lock().inet.resume(net);
        let run = Run {
            net,
            stay,
            server: Server::new(self.listener, owner, net.mark(), answers),
            shared: &shared,
            epoch,
            standby,
            woken: self.woken,
            over: &self.over,
            deserted: &self.deserted,
            seen: None,
        };
        let (over, wakes) = (&self.over, &self.wakes);
        let seen = net.changes.load(SeqCst);
        std::thread::scope(|scope| {
            let watch = || watch(net, seen, over, wakes);
            let ended = run.until_end(
                known,
                &mut || {
                    scope.spawn(watch);
                },
                &mut |reader| {
                    scope.spawn(|| reader.run(&shared));
                },
                &mut |legs| {
                    let shared = &shared;
                    scope.spawn(move || serve::run(&legs, shared));
                },
            );
            over.store(true, SeqCst);
            let mut all = shared.lock();
            all.inet.readers.end();
            all.inet.ends.tcp.end();
            all.inet.ends.raw.end();
            drop(all);
            net.changes.fetch_add(1, SeqCst);
            sys::futex_wake_all(&net.changes);
            if net.is_gone() {
                net.clear_after_host(epoch);
            }
            ended
        })
    }
}

/// Has the kernel make its table of this process's descriptors as large as a net with a tunnel and
/// some hundred connections wants it. Once there are threads, each growth of the table waits ten
/// milliseconds for the other processors (`synchronize_rcu` in fs/file.c), and the first connection
/// with it.
fn widen_descriptors(any: &UnixStream) {
    const ROOM: i32 = 2048;
    // Where the limit is lower the table grows when it must.
    let _ = rustix::io::fcntl_dupfd_cloexec(any, ROOM - 1);
}

fn pair() -> std::io::Result<(UnixStream, UnixStream)> {
    let (wakes, woken) = UnixStream::pair()?;
    wakes.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    Ok((wakes, woken))
}

/// Wakes the host process with each change of an interface and at the end of the net, until it is
/// over. `seen` is the number of changes when it looked last.
fn watch(net: &NetDir, mut seen: u32, over: &AtomicBool, wakes: &UnixStream) {
    net.waiters.fetch_add(1, SeqCst);
    while !over.load(SeqCst) {
        let now = net.changes.load(SeqCst);
        if now != seen {
            seen = now;
            // A byte that does not fit is not needed: the host process has been woken already.
            let _ = (&*wakes).write(&[0]);
        }
        let _ = sys::futex_wait(&net.changes, seen, None);
    }
    net.waiters.fetch_sub(1, SeqCst);
}

struct Run<'n> {
    net: &'n NetDir,
    stay: Stay,
    server: Server,
    shared: &'n Shared<'n>,
    epoch: u64,
    standby: Standby<'n>,
    woken: UnixStream,
    over: &'n AtomicBool,
    deserted: &'n AtomicBool,
    /// Number of changes of interfaces when this thread looked last.
    seen: Option<u32>,
}

/// What begins with one wait.
struct Begun {
    readers: Vec<Reader>,
    legs: Option<Arc<Legs>>,
    /// Is an interface read?
    is_read: bool,
    /// The socket that says when the machine changes, or -1.
    machine: i32,
    /// The socket to which programs send datagrams by themselves, or -1.
    natives: i32,
    /// How long to wait at most.
    time: Option<Duration>,
}

impl Run<'_> {
    /// Serves. `watch` begins to watch the interfaces; it is called once there is something that
    /// could follow from their changes. `read` runs the reader of an interface in a thread of its
    /// own, `serve` what waits for connections.
    fn until_end(
        mut self,
        known: bool,
        watch: &mut dyn FnMut(),
        read: &mut dyn FnMut(Reader),
        serve: &mut dyn FnMut(Arc<Legs>),
    ) -> Ended {
        let mut watched = false;
        let mut asked = Instant::now();
        let mut ticked = Instant::now();
        if known {
            watched = true;
            watch();
        }
        self.shared.lock().follow();
        loop {
            let begun = self.begun(watched, ticked);
            begun.readers.into_iter().for_each(&mut *read);
            begun.legs.into_iter().for_each(&mut *serve);
            let mut fds = vec![wait_for(self.woken.as_raw_fd())];
            let mut time = begun.time;
            if begun.is_read {
                self.standby.follow(self.net, self.epoch);
                time = [time, self.standby.timer()].into_iter().flatten().min();
            }
            let others = [begun.machine, begun.natives, self.standby.life()];
            fds.extend(others.map(wait_for));
            self.server.wait_for(&mut fds);
            match sys::poll(&mut fds, time) {
                Ok(_) | Err(Errno(libc::EINTR)) => {}
                Err(e) => {
                    log::error!("the host process cannot wait: {e}");
                    return Ended::Idle;
                }
            }
            if self.over.load(SeqCst) {
                if !self.net.has_members() {
                    self.net.resign_host(self.epoch);
                }
                return Ended::Idle;
            }
            let questions = match self.step(&fds) {
                Ok(questions) => questions,
                Err(Replaced) => return self.replaced(),
            };
            if questions > 0 {
                asked = Instant::now();
                if !watched {
                    watched = true;
                    watch();
                }
            }
            if self.deserted.swap(false, SeqCst) || ticked.elapsed() >= TICK {
                ticked = Instant::now();
                match self.tick(watched, asked) {
                    Ok(None) => {}
                    Ok(Some(ended)) => {
                        self.net.resign_host(self.epoch);
                        return ended;
                    }
                    Err(Replaced) => return self.replaced(),
                }
            }
        }
    }

    /// Says what is to be waited for, and what is to be run in threads of its own. The lock is
    /// taken once for all of it: others want it, too.
    fn begun(&self, watched: bool, ticked: Instant) -> Begun {
        let ticks = watched || self.stay != Stay::WithProcess || !self.server.is_idle();
        let tick = ticks.then(|| TICK.saturating_sub(ticked.elapsed()));
        let mut all = self.shared.lock();
        // Without listeners the machine's changes are looked for with the next question.
        let machine = all.service.hears_machine();
        let machine = machine.filter(|_| all.service.has_listeners());
        let natives = all.inet.ends.sockets.datagram_socket();
        let natives = natives.map_or(-1, |socket| socket.as_raw_fd());
        // What is due and cannot be carried out now must not keep the processor busy.
        let timer = all.service.next_timer().map(|time| time.max(AGAIN));
        let asked = all.inet.ends.tcp.answers_in();
        let packets = all.inet.stack.announce_timer();
        // A millisecond is the least that poll(2) waits.
        let packets = packets.map(|time| time.max(Duration::from_millis(1)));
        let begun = Begun {
            readers: all.inet.readers.take_fresh(),
            legs: all.inet.ends.tcp.take_fresh(),
            is_read: all.inet.readers.is_active(),
            machine: machine.unwrap_or(-1),
            natives,
            time: [tick, timer, packets, asked].into_iter().flatten().min(),
        };
        let gone = all.inet.ends.tcp.take_gone();
        drop(all);
        drop(gone);
        begun
    }

    /// Does what the descriptors of one wait say. Returns the number of questions.
    fn step(&mut self, fds: &[libc::pollfd]) -> Result<usize, Replaced> {
        if fds[0].revents != 0 {
            let _ = self.woken.read(&mut [0; 256]);
        }
        let mut all = self.shared.lock();
        if fds[0].revents != 0 {
            // An answer that was given by another thread wakes this one, too.
            let changes = Some(self.net.changes.load(SeqCst));
            if self.seen != changes {
                self.seen = changes;
                all.service.notice()?;
            }
        }
        if fds[1].revents != 0 {
            all.service.relay()?;
        }
        all.expire()?;
        all.run_timers();
        all.follow();
        if fds[2].revents != 0 {
            all.send_natives();
        }
        drop(all);
        if fds[3].revents != 0 {
            self.standby.has_ended();
        }
        self.server.serve(&fds[4..], self.shared)
    }

    /// Looks for what wakes nobody.
    fn tick(&mut self, watched: bool, asked: Instant) -> Result<Option<Ended>, Replaced> {
        if self.net.is_gone() {
            return Ok(Some(Ended::Gone));
        }
        if watched {
            self.shared.lock().service.look_again()?;
        }
        self.shared.lock().service.strike_off()?;
        let raw = self.shared.lock().inet.ends.raw.clone();
        raw.strike_off(self.net);
        raw.follow(self.net);
        let Stay::UntilIdle(idle) = self.stay else {
            return Ok(None);
        };
        if self.net.is_private() && !self.net.has_members() && self.net.remove_if_deserted() {
            return Ok(Some(Ended::Gone));
        }
        let all = self.shared.lock();
        let (service, inet) = (&all.service, &all.inet);
        let needed = service.has_listeners()
            || service.next_timer().is_some()
            // Without a member nobody sends or waits; whoever comes asks first.
            || inet.readers.is_active() && self.net.has_members()
            || !raw.is_empty()
            || !self.server.is_idle();
        Ok((!needed && asked.elapsed() >= idle).then_some(Ended::Idle))
    }

    fn replaced(&self) -> Ended {
        match self.net.is_gone() {
            true => Ended::Gone,
            false => Ended::Replaced,
        }
    }
}

fn wait_for(fd: i32) -> libc::pollfd {
    libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    }
}
