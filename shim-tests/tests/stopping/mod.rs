//! Stops a process exactly where it holds a lock, and measures everybody else's calls meanwhile.

use memtun::{Sending, Timeout};
use memtun_shm::layout::{InterfaceState, NetState, State, TunnelState};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::net::{Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use memtun::{Net, Result};
use shim_tests::hostile::{Process, Stage};

/// The time that a busy machine with two processors may add to a timeout.
const NOISE: Duration = Duration::from_millis(100);
/// The time that listing, deleting and other calls without a timeout may take.
const SOON: Duration = Duration::from_secs(2);

/// The longest time of each kind of call, and its limit.
#[derive(Default)]
pub struct Longest(BTreeMap<String, (Duration, Duration)>);

impl Longest {
    fn time<T>(&mut self, what: String, may: Duration, call: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let answer = call();
        let entry = self.0.entry(what).or_insert((Duration::ZERO, may));
        entry.0 = entry.0.max(begun.elapsed());
        answer
    }

    /// Makes every call of a driver's that leaves the interface in being, with each of these
    /// timeouts in milliseconds where the call has one.
    pub fn verbs(&mut self, net: &Net, name: &str, timeouts: &[u64]) {
        let known = self.time("interface".into(), SOON, || net.interface(name));
        self.time("interfaces".into(), SOON, || drop(net.interfaces()));
        self.time("tunnels".into(), SOON, || drop(net.tunnels()));
        for &ms in timeouts {
            let time = Duration::from_millis(ms);
            let mut timed = |what: &str, call: &mut dyn FnMut() -> Result<()>| {
                let _ = self.time(format!("{what} {ms} ms"), time + NOISE, call);
            };
            timed("wait_interface", &mut || {
                net.wait_interface_within("none", time).map(drop)
            });
            let Ok(Some(interface)) = &known else {
                continue;
            };
            timed("inject", &mut || {
                interface.inject_with(&[0x45; 60], Sending::new().within(time))
            });
            timed("send_udp", &mut || {
                let to = "10.0.0.1:7".parse().expect("an address");
                interface
                    .send_udp_with(b"x", to, Sending::new().within(time))
                    .map(drop)
            });
            let nobody = interface.receive_udp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 9)));
            timed("receive_udp", &mut || nobody.recv_within(time).map(drop));
            // What the program wrote is taken first, so that there is something to wait for.
            let limit = Instant::now() + SOON;
            while interface.recv_within(Timeout::NOW).is_ok() && Instant::now() < limit {}
            timed("recv", &mut || interface.recv_within(time).map(drop));
        }
        let Ok(Some(interface)) = &known else { return };
        self.time("info".into(), SOON, || interface.info());
        self.time("is_gone".into(), SOON, || interface.is_gone());
        self.time("read_buffer".into(), SOON, || interface.read_buffer());
        self.time("set_mtu".into(), SOON, || drop(interface.set_mtu(1400)));
        self.time("set_txqueuelen".into(), SOON, || {
            drop(interface.set_txqueuelen(400))
        });
        self.time("set_up".into(), SOON, || drop(interface.set_up(false)));
        self.time("set_up".into(), SOON, || drop(interface.set_up(true)));
        self.time("rename".into(), SOON, || {
            drop(interface.set_name("renamed"))
        });
        self.time("rename".into(), SOON, || drop(interface.set_name(name)));
        self.time("reset".into(), SOON, || drop(net.reset()));
    }

    /// Runs the command, in other processes, which start in some ten milliseconds. At the end the
    /// interface is deleted.
    pub fn commands(&mut self, net: &Net, stage: &Stage, name: &str) {
        let send = ["--timeout", "1", name, "10.0.0.1:7", "x"];
        let verbs: [(&str, &[&str], Duration); 3] = [
            ("send-udp", &send, Duration::from_secs(1) + 3 * NOISE),
            ("ls", &[], SOON),
            ("delete", &[name], SOON),
        ];
        // The command waits for an interface that does not exist.
        let there = matches!(net.interface(name), Ok(Some(_)));
        for (verb, arguments, may) in verbs {
            if verb == "delete" && !there {
                continue;
            }
            let mut command = stage.memtun(verb, net.path());
            command.args(arguments);
            self.time(format!("memtun {verb}"), may, || {
                Process::start(&mut command).ended(Duration::from_secs(20))
            });
        }
        let left = net.interface(name);
        assert!(
            !matches!(left, Ok(Some(_))),
            "{name} is still there after memtun delete"
        );
    }

    /// Panics when a call took longer than its limit.
    pub fn check(&self) {
        let over: Vec<_> = self
            .0
            .iter()
            .filter(|(_, (time, may))| time > may)
            .collect();
        assert!(over.is_empty(), "too long: {over:?}");
    }
}

impl fmt::Display for Longest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, (time, _)) in &self.0 {
            writeln!(f, "  {what:24} {:8.1} ms", time.as_secs_f64() * 1000.0)?;
        }
        Ok(())
    }
}

/// The lock that a process is to hold when it is stopped.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Lock {
    Tunnel,
    Interface,
    Net,
}

/// A process that is stopped until the value is dropped.
pub struct Held(i32);

impl Drop for Held {
    fn drop(&mut self) {
        ptrace(libc::PTRACE_DETACH, self.0);
    }
}

fn ptrace(request: libc::c_uint, pid: i32) -> i64 {
    // SAFETY: these requests neither read nor write memory of this process.
    unsafe { libc::ptrace(request, pid, 0usize, 0usize) }
}

fn wait_for_stop(pid: i32) {
    let mut status = 0;
    // SAFETY: waitpid stores one integer.
    let waited = unsafe { libc::waitpid(pid, &mut status, libc::__WALL) };
    assert!(
        waited == pid && libc::WIFSTOPPED(status),
        "{pid}: {status:#x}"
    );
}

/// Does this thread hold the lock in this file? `at` is the offset of its word.
fn holds(file: &File, at: usize, tid: i32) -> bool {
    const TID: u32 = 0x3fff_ffff;
    let mut word = [0; 4];
    file.read_exact_at(&mut word, at as u64).is_ok() && u32::from_ne_bytes(word) & TID == tid as u32
}

/// The files that have the locks of this kind now, and the offset of the lock in them.
fn files(net: &Net, lock: Lock, name: &str) -> (Vec<File>, usize) {
    let (wanted, at) = match lock {
        Lock::Tunnel => (".memtun-tunnel-", TunnelState::LOCK_AT),
        Lock::Interface => (name, InterfaceState::LOCK_AT),
        Lock::Net => (".memtun-net-state", NetState::LOCK_AT),
    };
    let entries = fs::read_dir(net.path()).into_iter().flatten().flatten();
    let found = entries
        .filter(|e| e.file_name().to_string_lossy().starts_with(wanted))
        .filter_map(|e| File::open(e.path()).ok());
    (found.collect(), at)
}

/// Runs a process instruction by instruction until it holds this lock, and keeps it there.
pub fn hold(net: &Net, pid: i32, lock: Lock, name: &str) -> Held {
    /// Number of instructions between two looks at the directory, which cost more than many
    /// instructions.
    const STEPS: u32 = 256;
    let limit = Instant::now() + Duration::from_secs(60);
    assert_eq!(
        ptrace(libc::PTRACE_SEIZE, pid),
        0,
        "{}",
        std::io::Error::last_os_error()
    );
    ptrace(libc::PTRACE_INTERRUPT, pid);
    wait_for_stop(pid);
    loop {
        let (files, at) = files(net, lock, name);
        for _ in 0..STEPS {
            if files.iter().any(|file| holds(file, at, pid)) {
                return Held(pid);
            }
            assert_eq!(ptrace(libc::PTRACE_SINGLESTEP, pid), 0);
            wait_for_stop(pid);
        }
        assert!(Instant::now() < limit, "{lock:?} is never held");
    }
}
