//! What a program in an isolated net sends goes over the net or is refused. It never reaches the
//! machine's network because the library could not look: in a sandbox, as another user, in another
//! root directory, without descriptors, in children, on sockets that it has not seen. The machine
//! is a network namespace that has every address that is sent to, and a watcher who sees each
//! packet.

use shim_tests::build;
use shim_tests::hostile::{Process, Stage};
use shim_tests::not_run::not_run;
use shim_tests::sides::TempDir;
use shim_tests::watchdog;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The machine has what the net leads to, and what it does not lead to.
const APART: &str = "for address in 10.9.0.2/32 192.0.2.7/32; do ip addr add $address dev lo; done
for address in fd09::2/128 2001:db8::7/128; do ip addr add $address dev lo; done
";
/// It has a way to both.
const SEEN: &str = "ip addr add 192.0.2.7/32 dev lo
ip addr add 2001:db8::7/128 dev lo
ip route add default dev lo src 192.0.2.7
ip -6 route add default dev lo
";

/// One line of the program's.
struct Attempt<'l> {
    line: &'l str,
    situation: &'l str,
    call: &'l str,
    arrived: u32,
    lines: u32,
    answers: Vec<&'l str>,
}

impl Attempt<'_> {
    fn of(line: &str) -> Option<Attempt<'_>> {
        let mut words = line.split_whitespace();
        Some(Attempt {
            line,
            situation: words.next()?,
            call: words.next()?,
            arrived: words.next()?.parse().ok()?,
            lines: words.next()?.parse().ok()?,
            answers: words.collect(),
        })
    }

    /// Is it a call on a socket of TCP or UDP?
    fn is_ordinary(&self) -> bool {
        !["ping", "raw", "packet"].contains(&self.call)
    }

    /// Was sending to what the net leads to refused by this library, without a word?
    fn is_silent(&self) -> bool {
        const OF_LIBRARY: [&str; 6] = [
            "ENETUNREACH",
            "EADDRNOTAVAIL",
            "EACCES",
            "ENOBUFS",
            "ENOENT",
            "ETIMEDOUT",
        ];
        // A line of the log has the process's number in it. Other sockets may be refused by the
        // machine.
        let may_say = !self.situation.ends_with("-getpid");
        let first = self.answers.first();
        let refused = first.is_some_and(|first| OF_LIBRARY.contains(first));
        refused && self.lines == 0 && may_say && self.is_ordinary()
    }

    /// Is this what the call answers where nothing is in the way?
    fn is_usual(&self) -> bool {
        let usual: &[&str] = match self.call {
            call if call.starts_with("tcp") => &["EINPROGRESS", "ENETUNREACH"],
            // Of the loopback's packets an isolated program sees nothing.
            "packet" => &["ENXIO", "ENXIO"],
            // Nobody answers for the only nameserver.
            "name" | "name-later" => &["ENXIO", "ENXIO"],
            "serve" => &["EAGAIN", "EADDRINUSE"],
            "listen" => &["done", "done"],
            "join" | "join6" => &["ENODEV", "ENODEV"],
            _ => &["done", "ENETUNREACH"],
        };
        // These have sockets of the machine's own, which are refused, or cannot be had.
        let is_unseen =
            self.situation.starts_with("unseen") || self.situation.starts_with("passed");
        self.answers == usual || is_unseen && !self.is_ordinary()
    }
}

/// Goes through the situations that begin so, on this machine. None where there are no namespaces.
fn run(machine: &str, nameserver: &str, begin: &str, merged: bool) -> Option<String> {
    let stage = Stage::new(&format!("leaks-{merged}"));
    let dir = TempDir::new(&std::env::temp_dir(), 0o755, None);
    let net = dir.path().join("net");
    fs::create_dir(&net).expect("a directory");
    let resolv = dir.path().join("resolv.conf");
    let text = format!("nameserver {nameserver}\noptions timeout:1 attempts:1\n");
    fs::write(&resolv, text).expect("a file");
    // SAFETY: geteuid has no precondition.
    let is_root = unsafe { libc::geteuid() } == 0;
    let mut command = Command::new("unshare");
    // All processes of the namespace end with its first one. Root can become another user.
    let spaces = if is_root { "-nmpf" } else { "-Urnmpf" };
    let script = format!(
        "mount --bind \"$RESOLV\" /etc/resolv.conf
        ip link set lo up
        ip link add m0 type veth peer name m1 && ip link set m0 up && ip link set m1 up
        {machine}
        exec \"$PROGRAM\" machine \"$NET\" \"$LIBRARY\" \"$COMMAND\" \"$BEGIN\""
    );
    command.args([spaces, "--kill-child", "--mount-proc", "sh", "-ec", &script]);
    command.env("RESOLV", &resolv).env("NET", &net);
    command.env("PROGRAM", stage.program("leaks"));
    command.env("LIBRARY", &build::shim().library);
    command.env("COMMAND", &build::shim().command);
    command.env("BEGIN", begin).env_remove("LEAKS_MERGED");
    if merged {
        command.env("LEAKS_MERGED", "1");
    }
    let limit = Duration::from_secs(300);
    let out = TempDir::new(&std::env::temp_dir(), 0o755, None);
    let ran = watchdog::run(&mut command, out.path(), limit).expect("unshare");
    if ran.stderr.contains("unshare failed") {
        not_run("packets past a net", "no namespaces");
        return None;
    }
    assert!(ran.ended.success(), "{}: {}", ran.ended, ran.stderr);
    Some(ran.stdout)
}

#[test]
fn nothing_of_an_isolated_program_reaches_the_machines_network() {
    let Some(said) = run(APART, "192.0.2.7", "", false) else {
        return;
    };
    let attempts: Vec<Attempt<'_>> = said.lines().filter_map(Attempt::of).collect();
    assert!(attempts.len() > 4000, "{said}");
    let wrong = |attempt: &&Attempt<'_>| {
        attempt.arrived > 0
            || attempt.is_silent()
            || attempt.situation.ends_with(":none") && !attempt.is_usual()
    };
    let wrong: Vec<&str> = attempts.iter().filter(wrong).map(|a| a.line).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unable = attempts.iter().filter(|a| a.answers == ["unable"]).count();
    eprintln!("{} attempts, {unable} of them not possible", attempts.len());
}

#[test]
fn what_a_nets_routes_lead_to_does_not_reach_a_machine_that_is_seen() {
    // A program that has used its net is shut in.
    let Some(said) = run(SEEN, "10.9.0.2", "used:", true) else {
        return;
    };
    let attempts: Vec<Attempt<'_>> = said.lines().filter_map(Attempt::of).collect();
    assert!(attempts.len() > 400, "{said}");
    // A raw socket that the machine allows is the machine's, and so is who comes from there. It has
    // links to join groups at.
    let of_machine = ["raw", "serve", "join", "join6"];
    let concerns = |attempt: &&Attempt<'_>| !of_machine.contains(&attempt.call);
    let all = attempts.iter().filter(concerns);
    let wrong: Vec<&str> = all.filter(|a| a.arrived > 0).map(|a| a.line).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sends a datagram, connects and listens, all of which leaves the loopback, and says what comes.
const USES_SOCKETS: &str = "
import errno, socket
def said(call):
    try: call()
    except OSError as e: print(errno.errorcode[e.errno])
    else: print('done')
far = ('192.0.2.7', 9)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
tcp.setblocking(False)
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
said(lambda: udp.sendto(b'x', far))
said(lambda: tcp.connect(far))
said(lambda: server.bind(('0.0.0.0', 0)) or server.listen())
";

/// Runs a script isolated in a net. Returns what it printed, and what the library said.
fn tried_isolated(stage: &Stage, net: &Path, script: &str) -> (String, String) {
    let mut command = stage.shimmed(net, "env");
    command.args(["MEMTUN_HOST=isolated", "/usr/bin/python3", "-c", script]);
    let heard = stage.path().join("heard");
    command.stdout(fs::File::create(&heard).expect("a file"));
    let status = Process::start(&mut command).ended(Duration::from_secs(20));
    let (heard, said) = (fs::read_to_string(heard).expect("read"), stage.said());
    assert_eq!(status.code(), Some(0), "{said}");
    (heard, said)
}

#[test]
fn an_isolated_program_whose_net_cannot_be_made_has_no_network() {
    let stage = Stage::new("leaks-unmade");
    let file = stage.path().join("file");
    fs::write(&file, "").expect("a file");
    let nets = ["/proc/none", "/none/net", file.to_str().expect("a path")];
    for net in nets {
        let (heard, said) = tried_isolated(&stage, net.as_ref(), USES_SOCKETS);
        assert_eq!(
            heard, "ENETUNREACH\nENETUNREACH\nEADDRNOTAVAIL\n",
            "{net}: {said}"
        );
        let line = "sockets of this program are refused";
        assert_eq!(said.matches(line).count(), 1, "{net}: {said}");
        assert!(said.contains(net), "{said}");
    }
}

#[test]
fn an_isolated_program_has_no_network_before_its_net_has_an_address() {
    let stage = Stage::new("leaks-early");
    // The net is made by the program, and is there already.
    for _ in 0..2 {
        let (heard, said) = tried_isolated(&stage, &stage.path().join("net"), USES_SOCKETS);
        assert_eq!(heard, "ENETUNREACH\nENETUNREACH\ndone\n", "{said}");
    }
}

/// Asks for the address of the loopback, which that of a new namespace does not have, before
/// anything else.
const ASKS_FIRST: &str = "
import fcntl, socket, struct
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try: print(socket.inet_ntoa(fcntl.ioctl(sock, 0x8915, struct.pack('16s24x', b'lo'))[20:24]))
except OSError as e: print(e.strerror)
";

#[test]
fn an_isolated_program_that_begins_with_an_interface_is_not_told_of_the_machines() {
    let stage = Stage::new("leaks-first");
    let (heard, said) = tried_isolated(&stage, &stage.path().join("net"), ASKS_FIRST);
    assert_eq!(heard, "Cannot assign requested address\n", "{said}");
}
