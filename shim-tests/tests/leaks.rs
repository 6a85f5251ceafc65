//! What a program in an isolated net sends goes over the net or is refused. It never reaches the
//! machine's network because the library could not look: in a sandbox, as another user, in another
//! root directory, without descriptors, in children, on sockets that it has not seen. The machine
//! is a network namespace that has every address that is sent to, and a watcher who sees each
//! packet.

use shim_tests::build;
use shim_tests::hostile::Stage;
use shim_tests::not_run::not_run;
use shim_tests::sides::TempDir;
use shim_tests::watchdog;
use std::fs;
use std::process::Command;
use std::time::Duration;

const MACHINE: &str = "mount --bind \"$RESOLV\" /etc/resolv.conf
ip link set lo up
for address in 10.9.0.2/32 192.0.2.7/32; do ip addr add $address dev lo; done
for address in fd09::2/128 2001:db8::7/128; do ip addr add $address dev lo; done
exec \"$PROGRAM\" machine \"$NET\" \"$LIBRARY\" \"$COMMAND\"";

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
            _ => &["done", "ENETUNREACH"],
        };
        // These have sockets of the machine's own, which are refused, or cannot be had.
        let is_unseen =
            self.situation.starts_with("unseen") || self.situation.starts_with("passed");
        self.answers == usual || is_unseen && !self.is_ordinary()
    }
}

#[test]
fn nothing_of_an_isolated_program_reaches_the_machines_network() {
    const SUBJECT: &str = "packets past an isolated net";
    let stage = Stage::new("leaks");
    let dir = TempDir::new(&std::env::temp_dir(), 0o755, None);
    let net = dir.path().join("net");
    fs::create_dir(&net).expect("a directory");
    let resolv = dir.path().join("resolv.conf");
    let text = "nameserver 192.0.2.7\noptions timeout:1 attempts:1\n";
    fs::write(&resolv, text).expect("a file");
    // SAFETY: geteuid has no precondition.
    let is_root = unsafe { libc::geteuid() } == 0;
    let mut command = Command::new("unshare");
    // All processes of the namespace end with its first one. Root can become another user.
    let spaces = if is_root { "-nmpf" } else { "-Urnmpf" };
    command.args([spaces, "--kill-child", "--mount-proc", "sh", "-ec", MACHINE]);
    command.env("RESOLV", &resolv).env("NET", &net);
    command.env("PROGRAM", stage.program("leaks"));
    command.env("LIBRARY", &build::shim().library);
    command.env("COMMAND", &build::shim().command);
    let limit = Duration::from_secs(300);
    let out = TempDir::new(&std::env::temp_dir(), 0o755, None);
    let ran = watchdog::run(&mut command, out.path(), limit).expect("unshare");
    if ran.stderr.contains("unshare failed") {
        return not_run(SUBJECT, "no namespaces");
    }
    assert!(ran.ended.success(), "{}: {}", ran.ended, ran.stderr);
    let attempts: Vec<Attempt<'_>> = ran.stdout.lines().filter_map(Attempt::of).collect();
    assert!(attempts.len() > 4000, "{}", ran.stdout);
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
