//! What the tests of `memtun host` ask, and how they start it.
#![allow(dead_code, reason = "each test file uses a part")]

#[path = "../../../../shim-tests/src/hosts.rs"]
mod hosts;

pub use hosts::{hosts, standbys};
use memtun::{ifreq, uapi, IoSystem, MemoryIoSystem, Net, TunnelClass};
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{ask, Command, Question, Start, What};
use memtun_stack::wire::{u32_at, Messages, Writer};
use memtun_stack::State;
use memtun_sys as sys;
use std::process;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

/// Starts the command as the library does, and counts.
#[derive(Default)]
pub struct Counted(pub AtomicUsize);

impl Start for Counted {
    fn start(&self, net: &NetDir, before: u64) -> Result<Option<sys::Fd>, Errno> {
        self.0.fetch_add(1, SeqCst);
        let command = Command {
            given: Some(env!("CARGO_BIN_EXE_memtun").as_bytes()),
            ..Command::default()
        };
        command.start(net, before)
    }
}

pub fn question(what: What) -> Question {
    Question {
        what,
        options: 0,
        id: sys::random(),
        port: 0,
        family: 0,
        request: 0,
        uid: 0,
        pid: 0,
        net: 0,
    }
}

/// Sets a number of a link called `key`, which is a change of the state.
pub fn set(net: &NetDir, start: &dyn Start, key: &str, value: &str) -> Result<(), Errno> {
    let payload = format!("proc/sys/net/ipv4/conf/{key}/tag\0{value}");
    let parts: [&[u8]; 1] = [payload.as_bytes()];
    ask(net, start, &question(What::Write), &parts, &mut |_| {})
}

/// Adds an address to the interface of an index, as `ip address add` does. Who does that twice is
/// told EEXIST.
pub fn add_address(
    net: &NetDir,
    start: &dyn Start,
    index: u32,
    last: [u8; 2],
) -> Result<(), Errno> {
    let address = std::net::Ipv4Addr::new(10, 1, last[0], last[1]).into();
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut own = [libc::AF_INET as u8, 32, 0, 0, 0, 0, 0, 0];
    own[4..].copy_from_slice(&index.to_ne_bytes());
    let mut to = Writer::default();
    to.message(libc::RTM_NEWADDR, flags as u16, 1, 0)
        .raw(&own)
        .ip(libc::IFA_LOCAL, address)
        .ip(libc::IFA_ADDRESS, address);
    let mut answer = Err(Errno(libc::EPROTO));
    let what = question(What::Netlink);
    ask(net, start, &what, &[to.bytes()], &mut |packet| {
        for message in Messages(packet) {
            answer = match u32_at(message.body, 0) {
                Some(0) => Ok(()),
                errno => Err(Errno(-(errno.unwrap_or(0) as i32))),
            };
        }
    })?;
    answer
}

/// Makes a persistent interface, and returns its index.
pub fn interface(net: &Net, name: &str) -> u32 {
    let system = MemoryIoSystem::new(net);
    system.register_special_device("/dev/net/tun", TunnelClass);
    let fd = system.open("/dev/net/tun", libc::O_RDWR, 0).expect("open");
    let flags = uapi::IFF_TUN | uapi::IFF_NO_PI;
    system
        .ioctl(fd, uapi::TUNSETIFF, &ifreq(name, flags))
        .expect("made");
    system
        .ioctl(fd, uapi::TUNSETPERSIST, &1i32.to_ne_bytes())
        .expect("stays");
    system.close(fd).expect("closed");
    net.wait_interface(name).expect("there").index()
}

/// Returns the value that everybody reads.
pub fn get(net: &NetDir, key: &str) -> Option<String> {
    let state = State::load(net).expect("readable")?;
    let path = format!("ipv4/conf/{key}/tag").into_bytes();
    let found = state.sysctls.iter().find(|s| s.path == path)?;
    Some(String::from_utf8_lossy(&found.value).into_owned())
}

pub fn kill(pid: i32, signal: i32) {
    // SAFETY: the process is one that this test has started.
    unsafe { libc::kill(pid, signal) };
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(20), "never: {what}");
        sys::nap(Duration::from_millis(5));
    }
}

/// Sets the flag when it is dropped, by a panic as well.
pub struct Over<'f>(pub &'f AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Removes a net, and waits until its host process has gone with it.
pub fn end(net: Net) {
    let path = net.path().to_owned();
    net.remove().expect("removed");
    until("the host process goes with its net", || {
        hosts(&path).is_empty() && standbys(&path).is_empty()
    });
    assert!(!path.exists(), "something was made in it again");
}
/// Runs a test of this file again in another process, which `wrap` surrounds.
pub fn inside(test: &str, wrap: &[&str]) -> bool {
    if std::env::var_os("INSIDE").is_some() {
        return true;
    }
    let own = std::env::current_exe().expect("own path");
    let mut command = process::Command::new(wrap[0]);
    command.args(&wrap[1..]).arg(own);
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env("INSIDE", "1");
    let done = command.output().expect("started");
    let text = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success() && text.contains("1 passed"),
        "{text}{errors}"
    );
    false
}
