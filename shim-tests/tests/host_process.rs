//! The host process of a net as programs meet it: it is started for them, and they, it, programs
//! with tunnels and `memtun run` are killed and stopped at random moments. What was acknowledged
//! stays, nothing is done twice, and nothing is left.
//!
//! `MEMTUN_KILLS` says how many rounds there are (default 200), and `MEMTUN_KILLS_SEED` repeats the
//! choices.

use memtun::{ifreq, uapi, IoSystem, MemoryIoSystem, Net, TunnelClass};
use shim_tests::hostile::{number, Process, Random, Stage, PATTERNS};
use shim_tests::hosts::{hosts, standbys, wait_for_standby};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

/// Makes a persistent interface, and returns its index.
fn interface(net: &Net, name: &str) -> u32 {
    let system = MemoryIoSystem::new(net);
    system.register_special_device("/dev/net/tun", TunnelClass);
    let fd = system.open("/dev/net/tun", libc::O_RDWR, 0).expect("open");
    let flags = uapi::IFF_TUN | uapi::IFF_NO_PI;
    let made = system.ioctl(fd, uapi::TUNSETIFF, &ifreq(name, flags));
    made.expect("made");
    let stays = system.ioctl(fd, uapi::TUNSETPERSIST, &1i32.to_ne_bytes());
    stays.expect("stays");
    system.close(fd).expect("closed");
    net.wait_interface(name).expect("there").index()
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: kill takes two integers; the process is one that this test's programs have started.
    unsafe { libc::kill(pid, signal) };
}

fn address(number: u16) -> Ipv4Addr {
    let [a, b] = number.to_be_bytes();
    Ipv4Addr::new(10, 1, a, b)
}

/// The addresses that everybody reads.
fn addresses(net: &Net) -> Vec<IpAddr> {
    let tun = net.wait_interface("tun0").expect("tun0");
    let all = tun.addresses().expect("addresses");
    let v4 = all.iter().map(|address| address.local);
    v4.filter(IpAddr::is_ipv4).collect()
}

/// Removes a net, and waits until nothing of it is left.
fn end(net: Net) {
    let path = net.path().to_owned();
    net.remove().expect("removed");
    let begin = Instant::now();
    while !hosts(&path).is_empty() || !standbys(&path).is_empty() {
        let time = begin.elapsed();
        assert!(
            time < Duration::from_secs(3),
            "a host process outlives its net"
        );
        memtun_sys::nap(Duration::from_millis(5));
    }
    assert!(!path.exists(), "something was made in it again");
}

#[test]
fn it_is_started_for_a_program_which_sees_nothing_of_it() {
    let stage = Stage::new("asker");
    let asker = stage.program("asker");
    let net = Net::temporary().expect("a net");
    let index = interface(&net, "tun0").to_string();
    for last in ["1", "2"] {
        let mut command = stage.shimmed(net.path(), &asker);
        let status = Process::start(command.args([&index, "0", last])).ended(LIMIT);
        assert_eq!(status.code(), Some(0), "{}", stage.said());
    }
    assert_eq!(hosts(net.path()).len(), 1);
    assert_eq!(addresses(&net), [address(1), address(2)]);
    end(net);
}

#[test]
fn one_that_is_stopped_is_ended_by_the_one_that_takes_its_place() {
    let stage = Stage::new("stopped-host");
    let asker = stage.program("asker");
    let net = Net::temporary().expect("a net");
    let index = interface(&net, "tun0").to_string();
    let ask = |last: &str| {
        let mut command = stage.shimmed(net.path(), &asker);
        let status = Process::start(command.args([&index, "0", last])).ended(LIMIT);
        assert_eq!(status.code(), Some(0), "{}", stage.said());
        hosts(net.path())
    };
    let first = ask("1");
    signal(first[0], libc::SIGSTOP);
    let begin = Instant::now();
    while ask("2") == first || hosts(net.path()).len() > 1 {
        assert!(begin.elapsed() < LIMIT, "the stopped one is there");
    }
    assert_eq!(addresses(&net), [address(1), address(2)]);
    end(net);
}

#[test]
fn when_the_last_process_of_a_net_is_killed_nothing_is_left_at_once() {
    const ROUNDS: u32 = 8;
    let stage = Stage::new("last");
    let configured = stage.program("configured");
    let mut time = Duration::ZERO;
    for _ in 0..ROUNDS {
        let mut command = stage.shimmed(Path::new(""), "env");
        command.args(["-u", "MEMTUN_NET"]).arg(&configured);
        let mut program = Process::start(command.stdout(Stdio::piped()));
        let mut line = [0];
        let mut said = program.0.stdout.take().expect("its output");
        let read = said.read_exact(&mut line);
        read.unwrap_or_else(|e| panic!("{e}: {}", stage.said()));
        // SAFETY: geteuid(2) has no arguments.
        let uid = unsafe { libc::geteuid() };
        let name = format!("memtun-{uid}-{}-", program.0.id());
        let nets = std::fs::read_dir("/dev/shm").expect("/dev/shm");
        let mut nets = nets.map(|net| net.expect("an entry").path());
        let net = nets.find(|net| net.to_string_lossy().contains(&name));
        let net = net.expect("a net that is named after the process");
        assert_eq!(hosts(&net).len(), 1);
        program.signal(libc::SIGKILL);
        program.ended(LIMIT);
        let begin = Instant::now();
        while net.exists() || !hosts(&net).is_empty() || !standbys(&net).is_empty() {
            assert!(begin.elapsed() < LIMIT, "something is left");
            memtun_sys::nap(Duration::from_millis(1));
        }
        time += begin.elapsed();
    }
    // A host process that looks around once in a second would take half of one.
    assert!(time < ROUNDS * Duration::from_millis(150), "{time:?}");
}

#[test]
fn where_there_is_no_command_the_log_says_so() {
    let stage = Stage::new("no-command");
    let asker = stage.program("asker");
    let library = stage.path().join("libmemtun.so");
    std::fs::copy(&shim_tests::build::shim().library, &library).expect("copied");
    let net = Net::temporary().expect("a net");
    let index = interface(&net, "tun0").to_string();
    let run = |given: &str| {
        let mut command = stage.shimmed(net.path(), "env");
        command.arg(format!("LD_PRELOAD={}", library.display()));
        command.args(["PATH=/nowhere:relative", &format!("MEMTUN_COMMAND={given}")]);
        let status = Process::start(command.arg(&asker).args([&index, "0", "1"])).ended(LIMIT);
        assert_eq!(status.code(), Some(1));
        stage.said()
    };
    let said = run("");
    assert!(said.contains("MEMTUN_COMMAND"), "{said}");
    assert_eq!(said.matches("no command memtun").count(), 1, "{said}");
    assert!(said.contains("Function not implemented"), "{said}");
    // What is there, and cannot be executed, is named with the reason.
    for (name, text, mode, why) in [
        (
            "no-mode",
            "",
            0o644,
            "EACCES: its mode, or a mount with noexec",
        ),
        ("no-program", "text", 0o755, "ENOEXEC: it is no program"),
        (
            "no-loader",
            "#!/nowhere\n",
            0o755,
            "ENOENT: the interpreter or loader",
        ),
    ] {
        let path = stage.path().join(name);
        std::fs::write(&path, text).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&path, mode).expect("its mode");
        let path = path.display().to_string();
        let said = run(&path);
        let line = said.lines().find(|line| line.contains(&path));
        let line = line.unwrap_or_else(|| panic!("{said}"));
        assert!(
            line.contains(why) && line.contains("MEMTUN_COMMAND"),
            "{line}"
        );
        assert!(said.contains("Function not implemented"), "{said}");
    }
    let said = run("/nowhere/memtun");
    assert!(
        said.contains("/nowhere/memtun: there is no such file"),
        "{said}"
    );
    end(net);
}

#[test]
fn a_wrong_word_for_the_host_keeps_nobody_waiting() {
    let stage = Stage::new("wrong-word");
    let asker = stage.program("asker");
    let net = Net::temporary().expect("a net");
    let index = interface(&net, "tun0").to_string();
    let mut command = stage.shimmed(net.path(), "env");
    // The shell names it, and those that it starts do not.
    let script = "/bin/true; \"$@\"; exec /bin/true";
    command.args(["MEMTUN_HOST=nonsense", "sh", "-c", script, "sh"]);
    let status = Process::start(command.arg(&asker).args([&index, "0", "1"])).ended(LIMIT);
    let said = stage.said();
    assert_eq!(status.code(), Some(0), "{said}");
    let named = said.matches("say merged, isolated or off; taking isolated");
    assert_eq!(named.count(), 1, "{said}");
    assert_eq!(addresses(&net), [address(1)]);
    end(net);
}

#[test]
fn a_net_that_is_not_joined_is_named_where_the_machine_answers() {
    let stage = Stage::new("not-joined");
    let net = stage.path().join("net");
    std::fs::create_dir(&net).expect("a directory");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&net, open).expect("open to everybody");
    let mut command = stage.shimmed(&net, "cat");
    let status = Process::start(command.args(["/proc/net/dev", "/proc/net/route"])).ended(LIMIT);
    let said = stage.said();
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(
        said.matches("is answered by the machine").count(),
        1,
        "{said}"
    );
}

#[test]
fn why_nobody_answers_is_in_the_log_with_the_remedy() {
    let stage = Stage::new("why");
    let asker = stage.program("asker");
    let net = Net::temporary().expect("a net");
    let index = interface(&net, "tun0").to_string();
    let run = |variable: &str| {
        let mut command = stage.shimmed(net.path(), "env");
        command.arg(variable);
        let status = Process::start(command.arg(&asker).args([&index, "0", "1"])).ended(LIMIT);
        (status.code(), stage.said())
    };
    // A command that is none of memtun's.
    let (status, said) = run("MEMTUN_COMMAND=/bin/true");
    assert_eq!(status, Some(1), "{said}");
    let remedy = "/bin/true host --net";
    assert_eq!(said.matches(remedy).count(), 1, "{said}");
    assert_eq!(run("MEMTUN_LOG=warn").0, Some(0));
    for pid in hosts(net.path()) {
        signal(pid, libc::SIGKILL);
    }
    let files = std::fs::read_dir(net.path()).expect("the net");
    for file in files.flatten() {
        if file
            .file_name()
            .to_string_lossy()
            .starts_with(".memtun-stack-")
        {
            std::fs::write(file.path(), "no message at all").expect("damaged");
        }
    }
    let (status, said) = run("MEMTUN_LOG=warn");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("remove the net's directory"), "{said}");
    let refused = net.wait_interface("tun0").expect("tun0").addresses();
    let refused = refused.expect_err("damaged").to_string();
    assert!(refused.contains("remove the net's directory"), "{refused}");
    end(net);
}

#[test]
fn who_has_closed_itself_in_is_told_so_and_uses_the_host_process_of_others() {
    let stage = Stage::new("closed-in");
    let asker = stage.program("asker");
    let net = Net::temporary().expect("a net");
    let index = interface(&net, "tun0").to_string();
    let run = |last: &str, forbidden: &[&str]| {
        let mut command = stage.shimmed(net.path(), &asker);
        command.args([&index, "0", last]).args(forbidden);
        let begin = Instant::now();
        let status = Process::start(&mut command).ended(LIMIT);
        let time = begin.elapsed();
        assert!(time < Duration::from_secs(5), "{forbidden:?}: {time:?}");
        (status.code(), stage.said())
    };
    let refused = |forbidden: &str, errno: &str| {
        let (status, said) = run("9", &[forbidden]);
        assert_eq!(status, Some(1), "{forbidden}: {said}");
        assert!(said.contains(errno), "{forbidden}: {said}");
        let remedy = "let memtun run or memtun host start one outside";
        assert_eq!(said.matches(remedy).count(), 1, "{forbidden}: {said}");
    };
    refused("spawn", "Permission denied");
    refused("inherited", "Operation not permitted");
    refused("socket", "Permission denied");
    assert_eq!(hosts(net.path()).len(), 0);
    let mut outside = stage.memtun("run", net.path());
    let outside = Process::start(outside.args(["--", "sleep", "60"]));
    // Whether it answers yet is not asked of one that is closed in.
    assert_eq!(run("1", &[]).0, Some(0));
    for (last, forbidden) in [("2", "spawn"), ("3", "inherited")] {
        let (status, said) = run(last, &[forbidden]);
        assert_eq!(status, Some(0), "{forbidden}: {said}");
    }
    refused("socket", "Permission denied");
    refused("unconnected", "Permission denied");
    assert_eq!(addresses(&net), [1, 2, 3].map(address));
    drop(outside);
    end(net);
}

#[test]
fn the_rank_and_the_limits_of_who_starts_it_are_not_its_own() {
    let stage = Stage::new("ranks");
    let asker = stage.program("asker");
    let net = Net::temporary().expect("a net");
    let index = interface(&net, "tun0").to_string();
    let script = "umask 0777; ulimit -S -t 100; ulimit -S -v 4000000; ulimit -S -f 8; \
                  echo 500 > /proc/self/oom_score_adj; \
                  exec ionice -c 3 taskset 1 chrt -b 0 \"$@\"";
    let mut command = stage.shimmed(net.path(), "sh");
    command.args(["-c", script, "sh"]).arg(&asker);
    let status = Process::start(command.args([&index, "0", "1"])).ended(LIMIT);
    assert_eq!(status.code(), Some(0), "{}", stage.said());
    let [pid] = hosts(net.path())[..] else {
        panic!("one host process");
    };
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("read");
    let limits = read("limits");
    for name in ["Max cpu time", "Max address space", "Max file size"] {
        let line = limits.lines().find(|line| line.starts_with(name));
        let mut words = line.expect("a limit")[name.len()..].split_whitespace();
        assert_eq!(words.next(), words.next(), "{name}: {limits}");
    }
    let status = read("status");
    assert!(status.contains("\nUmask:\t0022\n"), "{status}");
    let processors = |file: &str| {
        let status = std::fs::read_to_string(file).expect("status");
        let line = status
            .lines()
            .find(|line| line.starts_with("Cpus_allowed:"));
        line.expect("processors").to_owned()
    };
    let own = processors("/proc/self/status");
    assert_eq!(processors(&format!("/proc/{pid}/status")), own);
    assert_eq!(read("oom_score_adj").trim(), "0");
    // SAFETY: the arguments are numbers.
    let priority = unsafe { libc::syscall(libc::SYS_ioprio_get, 1, pid) };
    assert!(priority < 3 << 13, "idle input and output: {priority}");
    let stat = read("stat");
    let policy = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split(' ').nth(39));
    assert_eq!(policy, Some("0"), "{stat}");
    end(net);
}

#[test]
fn connections_leave_it_descriptors_for_what_else_it_does() {
    let stage = Stage::new("crowd");
    let crowd = stage.program("crowd");
    let net = Net::temporary().expect("a net");
    let script = "ulimit -n 120; export MEMTUN_LOG=warn; exec \"$@\"";
    let mut command = stage.shimmed(net.path(), "sh");
    command.args(["-c", script, "sh"]).arg(&crowd);
    let mut program = Process::start(command.stdout(Stdio::piped()));
    let status = program.ended(LIMIT);
    let mut said = String::new();
    let output = program.0.stdout.as_mut().expect("its output");
    output.read_to_string(&mut said).expect("read");
    let log = stage.said();
    assert_eq!(status.code(), Some(0), "{said}{log}");
    assert_eq!(
        said, "No buffer space available\n10.9.0.1\nSuccess\n",
        "{log}"
    );
    let remedy = "RLIMIT_NOFILE (ulimit -n) is 120: raise it";
    assert_eq!(log.matches(remedy).count(), 1, "{log}");
    end(net);
}

#[test]
fn its_log_is_where_its_starter_s_is_and_nobody_waits_for_that() {
    let stage = Stage::new("log");
    let asker = stage.program("asker");
    let net = Net::temporary().expect("a net");
    let index = interface(&net, "tun0").to_string();
    let ask = |last: &str| {
        let mut command = stage.shimmed(net.path(), "env");
        command.arg("MEMTUN_LOG=debug").arg(&asker);
        command.args([&index, "0", last]);
        command
    };
    // A pipe would be open until the host process ends, long after the program has.
    let piped = ask("1").stderr(Stdio::piped()).output();
    assert!(piped.expect("started").status.success());
    let [first] = hosts(net.path())[..] else {
        panic!("one host process");
    };
    // Who stands by would start the next one, with the log where that of the first one is.
    signal(wait_for_standby(net.path(), LIMIT), libc::SIGKILL);
    signal(first, libc::SIGKILL);
    let status = Process::start(&mut ask("2")).ended(LIMIT);
    assert_eq!(status.code(), Some(0));
    let said = stage.said();
    assert!(said.contains("memtun: host: process"), "{said}");
    end(net);
}

#[test]
fn whoever_is_killed_or_stopped_no_acknowledged_change_is_lost_or_made_twice() {
    let rounds = number("MEMTUN_KILLS", 200) as u16;
    let mut random = Random::seeded("MEMTUN_KILLS_SEED");
    let stage = Stage::new("host-process");
    let (asker, peer) = (stage.program("asker"), stage.program("peer"));
    let net = Net::temporary().expect("a net");
    let index = interface(&net, "tun0").to_string();
    let mut acknowledged = Vec::new();
    let mut tuns: Vec<Process> = Vec::new();
    let mut runs: Vec<Process> = Vec::new();
    let mut stopped: Vec<i32> = Vec::new();
    for round in 0..rounds {
        // Some rounds have a `memtun run`, which hosts the net when nobody else does.
        if random.below(8) == 0 {
            let mut run = stage.memtun("run", net.path());
            run.args(["--", "sleep", "60"]);
            runs.push(Process::start(&mut run));
        }
        // Programs with tunnels come, go and are stopped beside.
        let which = random.below(tuns.len().max(1) as u64) as usize;
        match random.below(6) {
            0 if tuns.len() < 3 => {
                let mut command = stage.shimmed(net.path(), &peer);
                // A stopped one makes others wait.
                command
                    .env("PEER_LIMIT_MS", "20000")
                    .env("MEMTUN_LOG", "off");
                command.args([*random.of(&PATTERNS), "pt0"]);
                tuns.push(Process::start(&mut command));
            }
            1 if !tuns.is_empty() => drop(tuns.swap_remove(which)),
            2 if !tuns.is_empty() => tuns[which].signal(libc::SIGSTOP),
            _ => {}
        }
        let [a, b] = round.to_be_bytes();
        let mut command = stage.shimmed(net.path(), &asker);
        command.env("MEMTUN_LOG", "off");
        command.args([&index, &a.to_string(), &b.to_string()]);
        let mut program = Process::start(&mut command);
        memtun_sys::nap(Duration::from_micros(random.below(12_000)));
        let killed = match random.below(20) {
            0..=4 => {
                program.signal(libc::SIGKILL);
                true
            }
            5..=14 => {
                for pid in hosts(net.path()) {
                    signal(pid, libc::SIGKILL);
                }
                false
            }
            15..=17 if !runs.is_empty() => {
                let which = random.below(runs.len() as u64) as usize;
                drop(runs.swap_remove(which));
                false
            }
            // Each of these takes the asker a second.
            18 if stopped.len() < 6 => {
                for pid in hosts(net.path()) {
                    signal(pid, libc::SIGSTOP);
                    stopped.push(pid);
                }
                for run in &runs {
                    run.signal(libc::SIGSTOP);
                }
                false
            }
            _ => false,
        };
        let status = program.ended(LIMIT);
        if !killed {
            let said = stage.said();
            assert_eq!(status.code(), Some(0), "round {round}: {said}");
        }
        if status.code() == Some(0) {
            acknowledged.push(IpAddr::from(address(round)));
        }
        for pid in &stopped {
            signal(*pid, libc::SIGCONT);
        }
        for process in runs.iter().chain(&tuns) {
            process.signal(libc::SIGCONT);
        }
        if round % 20 == 19 {
            let found = addresses(&net);
            let lost: Vec<_> = acknowledged.iter().filter(|a| !found.contains(a)).collect();
            assert!(lost.is_empty(), "round {round}: {lost:?} are lost");
            let mut once = found.clone();
            once.sort();
            once.dedup();
            assert_eq!(once.len(), found.len(), "round {round}: twice");
        }
    }
    drop((runs, tuns));
    assert!(acknowledged.len() > usize::from(rounds) / 2);
    end(net);
}
