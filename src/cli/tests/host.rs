//! `memtun host`: it answers, is started by those who need it, and is replaced when it dies or
//! stops.

mod hosting;

use hosting::*;
use memtun::Net;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{ask, Question, What};
use memtun_stack::wire::{u32_at, Messages};
use memtun_stack::State;
use memtun_sys as sys;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

#[test]
fn who_asks_starts_it_and_it_answers() {
    let net = Net::temporary().expect("net");
    let start = Counted::default();
    for _ in 0..100 {
        let links = question(What::Links);
        assert_eq!(ask(net.dir(), &start, &links, &[], &mut |_| {}), Ok(()));
    }
    assert_eq!(start.0.load(SeqCst), 1, "it was started once");
    assert_eq!(set(net.dir(), &start, "all", "0x1\n"), Ok(()));
    assert_eq!(get(net.dir(), "all").as_deref(), Some("1"));
    assert_eq!(set(net.dir(), &start, "all", "x"), Err(Errno(libc::EINVAL)));
    let [pid] = hosts(net.path())[..] else {
        panic!("one host process");
    };
    let fds: Vec<_> = (0..3)
        .map(|fd| std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).expect("open"))
        .collect();
    assert!(fds.iter().all(|to| to == Path::new("/dev/null")), "{fds:?}");
    let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).expect("cwd");
    assert_eq!(cwd, Path::new("/"));
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("fields")
        .split(' ')
        .collect();
    let (parent, session, terminal) = (fields[2], fields[4], fields[5]);
    assert_ne!(parent, process::id().to_string(), "not a child of ours");
    assert_ne!(session, "0");
    assert_eq!(terminal, "0", "no controlling terminal");
    let environ = std::fs::read(format!("/proc/{pid}/environ")).expect("environ");
    assert_eq!(environ, b"MEMTUN_HOST=merged\0");
    end(net);
}

#[test]
fn who_listens_hears_of_changes_that_nobody_tells_the_host_of() {
    let net = Net::temporary().expect("net");
    let start = Counted::default();
    let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_USERSOCK);
    let socket = socket.expect("socket");
    sys::bind_netlink(socket.as_fd(), 0).expect("bound");
    let port = sys::netlink_name(socket.raw()).expect("name").port;
    let inode = sys::fstat(socket.raw()).expect("inode").st_ino;
    // Inode, groups, and a seal, by which a program's socket would know the host's datagrams.
    let mut payload = [inode.to_ne_bytes(), 1u64.to_ne_bytes()].concat();
    payload.extend([7; memtun_stack::state::SEAL]);
    let listen = Question {
        port,
        ..question(What::Listen)
    };
    let listened = ask(net.dir(), &start, &listen, &[&payload], &mut |_| {});
    assert_eq!(listened, Ok(()));
    let mut room = vec![0; 65536];
    // Returns the next event's type, index, and whether the link is up.
    let mut hear = |what: &str| {
        let mut found = None;
        until(what, || {
            let n = sys::receive(socket.as_fd(), &mut room, 0).unwrap_or(0);
            found = Messages(&room[..n]).next().map(|message| {
                let word = |at| u32_at(message.body, at).expect("ifinfomsg");
                (message.kind, word(4), word(8) & libc::IFF_UP as u32 != 0)
            });
            // The machine's own links are told of as well.
            found.is_some_and(|(_, index, _)| index > 1000)
        });
        found.expect("an event")
    };
    let index = interface(&net, "tun0");
    assert_eq!(hear("it is made"), (libc::RTM_NEWLINK, index, false));
    let change = |flags: u32| {
        let _lock = net.dir().lock().expect("locked");
        let local = memtun_kernel::net::NoTunnels;
        let tun = net
            .dir()
            .find_by_index(index, &local)
            .expect("read")
            .expect("there");
        net.dir().set_flags(&tun, flags, &local);
    };
    let until_is = |up: bool, hear: &mut dyn FnMut(&str) -> (u16, u32, bool)| loop {
        // What was told of the attachment and its end comes first.
        let (kind, at, is_up) = hear("up or down");
        assert_eq!((kind, at), (libc::RTM_NEWLINK, index));
        if is_up == up {
            return;
        }
    };
    change(libc::IFF_UP as u32);
    until_is(true, &mut hear);
    change(0);
    until_is(false, &mut hear);
    net.interface("tun0")
        .expect("read")
        .expect("there")
        .delete()
        .expect("deleted");
    while hear("it is gone").0 != libc::RTM_DELLINK {}
    assert_eq!(start.0.load(SeqCst), 1);
    drop(socket);
    until("who is gone is struck off", || {
        let state = State::load(net.dir()).expect("readable").expect("there");
        state.listeners.is_empty()
    });
    end(net);
}

#[test]
fn one_that_is_idle_ends_and_the_next_goes_on() {
    let net = Net::temporary().expect("net");
    let command = env!("CARGO_BIN_EXE_memtun");
    let status = |idle: &str| {
        let mut host = process::Command::new(command);
        host.args(["host", "--idle", idle, "--net"]).arg(net.path());
        host.spawn().expect("started")
    };
    let mut first = status("0");
    let start = Counted::default();
    until("it listens", || net.dir().host_epoch.load(SeqCst) != 0);
    assert_eq!(set(net.dir(), &start, "a", "1"), Ok(()));
    assert!(first.wait().expect("waited").success());
    assert_eq!(start.0.load(SeqCst), 0);
    assert_eq!(get(net.dir(), "a").as_deref(), Some("1"), "it stays known");
    assert_eq!(set(net.dir(), &start, "b", "2"), Ok(()));
    assert_eq!(start.0.load(SeqCst), 1);
    assert_eq!(get(net.dir(), "a").as_deref(), Some("1"));
    let second = status("forever").wait_with_output().expect("waited");
    assert_eq!(second.status.code(), Some(1), "there is one already");
    end(net);
}

#[test]
fn a_private_net_without_members_goes_with_it() {
    let mut run = process::Command::new(env!("CARGO_BIN_EXE_memtun"));
    run.args(["run", "sh", "-c", "echo $MEMTUN_NET; kill -9 $PPID"]);
    let run = run.output().expect("started");
    let path = String::from_utf8_lossy(&run.stdout).trim_end().to_owned();
    let net = match Net::open(&path) {
        Ok(net) => net,
        // The program itself was the last member, and removed the net.
        Err(_) => return assert!(!Path::new(&path).exists()),
    };
    assert_eq!(set(net.dir(), &Counted::default(), "a", "1"), Ok(()));
    until("the net is gone", || !Path::new(&path).exists());
    until("the host process is gone", || {
        hosts(Path::new(&path)).is_empty()
    });
}

#[test]
fn nobody_keeps_others_from_being_answered() {
    let net = Net::temporary().expect("net");
    let start = Counted::default();
    assert_eq!(set(net.dir(), &start, "a", "1"), Ok(()));
    let pids = hosts(net.path());
    let connect = || {
        let socket = sys::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0)?;
        let name = NetDir::host_socket(net.dir().host_epoch.load(SeqCst))?;
        let path = [net.dir().path(), b"/", name.bytes()].concat();
        sys::connect_path(socket.as_fd(), &path).map(|()| socket)
    };
    let over = AtomicBool::new(false);
    let mark = net.dir().mark();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut open = Vec::new();
            let mut seed = 1u64;
            while !over.load(SeqCst) {
                let Ok(socket) = connect() else {
                    open.truncate(open.len() / 2);
                    continue;
                };
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                let garbage: Vec<u8> = (0..seed >> 33 & 0xff)
                    .map(|i| (seed >> (i % 56)) as u8)
                    .collect();
                let links = Question {
                    net: mark,
                    ..question(What::Links)
                };
                let links = links.to_bytes();
                let _ = match seed >> 60 {
                    0..=3 => sys::send(socket.as_fd(), &[&garbage]),
                    4..=7 => sys::send(socket.as_fd(), &[&links, &garbage]),
                    8..=11 => sys::send(socket.as_fd(), &[&links]),
                    _ => Ok(0),
                };
                open.push(socket);
                if open.len() > 500 {
                    open.clear();
                }
            }
        });
        let _over = Over(&over);
        for i in 0..300 {
            let begin = Instant::now();
            assert_eq!(set(net.dir(), &start, "a", &i.to_string()), Ok(()));
            assert!(begin.elapsed() < Duration::from_secs(2), "round {i}");
        }
    });
    assert_eq!(hosts(net.path()), pids, "it is still the same");
    end(net);
}

#[test]
fn who_asks_for_a_net_that_was_at_the_path_before_is_not_answered() {
    let net = Net::temporary().expect("net");
    let start = Counted::default();
    assert_eq!(set(net.dir(), &start, "a", "1"), Ok(()));
    let asked = |mark: u32| {
        let socket = sys::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0).expect("a socket");
        let name = NetDir::host_socket(net.dir().host_epoch.load(SeqCst)).expect("a name");
        let path = [net.dir().path(), b"/", name.bytes()].concat();
        sys::connect_path(socket.as_fd(), &path).expect("connected");
        let links = Question {
            net: mark,
            ..question(What::Links)
        };
        sys::send(socket.as_fd(), &[&links.to_bytes()]).expect("sent");
        let mut fds = [libc::pollfd {
            fd: socket.raw(),
            events: libc::POLLIN,
            revents: 0,
        }];
        sys::poll(&mut fds, Some(Duration::from_secs(10))).expect("waited");
        sys::receive(socket.as_fd(), &mut [0; 4096], 0).expect("an answer or the end")
    };
    assert!(asked(net.dir().mark()) > 0);
    assert_eq!(asked(net.dir().mark() ^ 1), 0, "the connection ends");
    // Another net at this path is not asked in the name of the one that was there.
    let path = net.path().to_path_buf();
    let old = net.dir().path().to_vec();
    std::fs::rename(&path, path.with_extension("away")).expect("moved");
    let other = Net::create(&path).expect("another net");
    assert_eq!(other.dir().path(), old);
    assert_eq!(set(other.dir(), &start, "a", "2"), Ok(()));
    let gone = set(net.dir(), &start, "a", "3");
    assert_eq!(gone, Err(Errno(libc::ENOENT)));
    assert_eq!(get(other.dir(), "a").as_deref(), Some("2"));
    end(other);
    std::fs::rename(path.with_extension("away"), &path).expect("moved back");
    end(net);
}

#[test]
fn a_full_disk_is_an_errno_and_loses_nothing() {
    let name = "a_full_disk_is_an_errno_and_loses_nothing";
    let script =
        "mkdir -p /tmp/small && mount -t tmpfs -o size=100k small /tmp/small && exec \"$@\"";
    let script = script.replace("/tmp/small", &format!("/tmp/small-{}", process::id()));
    if !inside(name, &["unshare", "-Urm", "sh", "-c", &script, "sh"]) {
        let _ = std::fs::remove_dir(format!("/tmp/small-{}", process::id()));
        return;
    }
    let all = std::fs::read_to_string("/proc/mounts").expect("mounts");
    let small = all.lines().find_map(|l| l.strip_prefix("small "));
    let base = small.and_then(|l| l.split(' ').next()).expect("mounted");
    let path = Path::new(base).join("net");
    let net = Net::create(&path).expect("net");
    let start = Counted::default();
    assert_eq!(set(net.dir(), &start, "a", "1"), Ok(()));
    let full = Path::new(base).join("full");
    let mut file = std::fs::File::create(&full).expect("file");
    while file.write_all(&[0; 1024]).is_ok() {}
    drop(file);
    // What fits into the pages of the old file would still fit.
    let mut refused = None;
    for i in 0..100 {
        if let Err(e) = set(net.dir(), &start, &format!("key{i}"), "1") {
            refused = Some((i, e));
            break;
        }
    }
    let (at, e) = refused.expect("there is no room");
    assert_eq!(e, Errno(libc::ENOSPC));
    assert_eq!(get(net.dir(), "a").as_deref(), Some("1"));
    assert_eq!(get(net.dir(), &format!("key{at}")), None);
    // A host process that begins without room says why.
    for pid in hosts(&path) {
        kill(pid, libc::SIGKILL);
    }
    until("it is gone", || hosts(&path).is_empty());
    assert_eq!(
        set(net.dir(), &start, "b", "2"),
        Err(Errno(libc::ENOSPC)),
        "nobody could begin"
    );
    assert_eq!(get(net.dir(), "a").as_deref(), Some("1"));
    std::fs::remove_file(&full).expect("removed");
    assert_eq!(set(net.dir(), &start, "b", "2"), Ok(()));
    assert_eq!(get(net.dir(), "a").as_deref(), Some("1"));
    end(net);
}

#[test]
fn without_a_descriptor_to_spare_it_is_asked_and_started_all_the_same() {
    let name = "without_a_descriptor_to_spare_it_is_asked_and_started_all_the_same";
    if !inside(name, &["sh", "-c", "ulimit -Sn 64; exec \"$@\"", "sh"]) {
        return;
    }
    let net = Net::temporary().expect("net");
    let mut all = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        all.push(file);
    }
    let start = Counted::default();
    assert_eq!(set(net.dir(), &start, "a", "1"), Ok(()));
    drop(all);
    end(net);
}

#[test]
fn where_no_process_may_be_made_the_asker_is_told() {
    let name = "where_no_process_may_be_made_the_asker_is_told";
    // Nobody's limit counts the processes of a user who has no other ones.
    let user = [
        "setpriv",
        "--reuid=64999",
        "--regid=64999",
        "--clear-groups",
    ];
    if sys::effective_uid() != 0 && std::env::var_os("INSIDE").is_none() {
        return;
    }
    if !inside(name, &user) {
        return;
    }
    let net = Net::temporary().expect("net");
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit is a local of this function.
    unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &none) };
    let start = Counted::default();
    assert_eq!(
        set(net.dir(), &start, "a", "1"),
        Err(Errno(libc::EAGAIN)),
        "clone(2) says so"
    );
    net.remove().expect("removed");
}

#[test]
fn another_user_cannot_ask() {
    const PERL: &str = "/usr/bin/perl";
    if sys::effective_uid() != 0 || !Path::new(PERL).exists() {
        return;
    }
    let net = Net::temporary().expect("net");
    assert_eq!(set(net.dir(), &Counted::default(), "a", "1"), Ok(()));
    let name = NetDir::host_socket(net.dir().host_epoch.load(SeqCst)).expect("name");
    let socket = format!(
        "{}/{}",
        net.path().display(),
        String::from_utf8_lossy(name.bytes())
    );
    // Even where the directory and the socket let everybody in.
    for path in [net.path(), Path::new(&socket)] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(path, mode).expect("mode");
    }
    let script = format!(
        "use Socket; socket(S, AF_UNIX, SOCK_SEQPACKET, 0); connect(S, sockaddr_un('{socket}')) or die; \
         syswrite(S, \"x\" x 40); $n = sysread(S, $b, 100); print defined $n ? $n : $!"
    );
    let mut perl = process::Command::new("setpriv");
    let user = ["--reuid=64998", "--regid=64998", "--clear-groups"];
    perl.args(user).args([PERL, "-e", &script]);
    let out = perl.output().expect("started");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let closed = ["0", "Connection reset by peer", "Broken pipe"];
    assert!(closed.contains(&text.as_str()), "{text}{out:?}");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(net.path(), mode).expect("mode");
    end(net);
}

/// A program that does not see the machine has the indexes of a new network namespace, whoever has
/// made the net; another one has those above the machine's.
#[test]
fn indexes_begin_where_those_of_the_machine_are_not_seen() {
    for (host, wanted) in [("isolated", 2), ("merged", 1001)] {
        let net = Net::temporary().expect("net");
        let make = "import fcntl, os, socket, struct\n\
            fd = os.open('/dev/net/tun', os.O_RDWR)\n\
            fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH22x', b'ix0', 0x1001))\n\
            print(socket.if_nametoindex('ix0'))";
        let library = Path::new(env!("CARGO_BIN_EXE_memtun")).with_file_name("libmemtun.so");
        let mut python = process::Command::new("python3");
        python.args(["-c", make]).env("MEMTUN_HOST", host);
        python
            .env("LD_PRELOAD", library)
            .env("MEMTUN_NET", net.path());
        let out = python.output().expect("started");
        let (said, wrong) = (String::from_utf8_lossy(&out.stdout), &out.stderr);
        let wrong = String::from_utf8_lossy(wrong);
        assert_eq!(said.trim(), wanted.to_string(), "{host}: {wrong}");
    }
}

#[test]
fn run_declares_uplinks_and_gives_interfaces_their_addresses() {
    let base = Net::temporary().expect("net");
    let dir = base.path().with_extension("run");
    let run = |host: &str, options: &[&str]| {
        let mut run = process::Command::new(env!("CARGO_BIN_EXE_memtun"));
        run.args(["run", "--net"])
            .arg(&dir)
            .args(options)
            .arg("true");
        let out = run.env("MEMTUN_HOST", host).output().expect("started");
        (
            out.status.code(),
            String::from_utf8_lossy(&out.stderr).into_owned(),
        )
    };
    let all = [
        "--uplink=eth0=192.0.2.10/24,via=192.0.2.1",
        "--uplink=eth0=fd00::2/64",
        "--uplink=eth1=198.51.100.2/24,via=198.51.100.1",
        "--tun=t0=10.0.0.1/24",
    ];
    // Whatever has the name is told, also where no host process was there yet.
    assert_eq!(run("off", &["--tun=t0"]).0, Some(0));
    let (status, text) = run("", &["--uplink=t0=192.0.2.10/24"]);
    assert!(
        status == Some(2) && text.contains("t0 is or was an interface"),
        "{text}"
    );
    Net::open(&dir).expect("net").remove().expect("removed");
    // The net stays from one run to the next.
    for _ in 0..2 {
        assert_eq!(run("", &all), (Some(0), String::new()));
    }
    let net = Net::open(&dir).expect("net");
    let state = State::load(net.dir()).expect("readable").expect("there");
    let names: Vec<_> = state.links.iter().map(|l| l.name.to_string()).collect();
    assert_eq!(names, ["lo", "eth0", "eth1", "t0"]);
    let indexes: Vec<_> = state.links.iter().map(|l| l.index).collect();
    assert_eq!(indexes, [1, 2, 3, 4], "as in a new network namespace");
    for address in ["127.0.0.1", "::1", "192.0.2.10", "fd00::2", "10.0.0.1"] {
        let wanted: std::net::IpAddr = address.parse().expect("address");
        let found = state.addresses.iter().filter(|a| a.local == wanted).count();
        assert_eq!(found, 1, "{address}");
    }
    let defaults = state.routes.iter().filter(|r| r.prefix == 0);
    let gateways: Vec<_> = defaults.filter_map(|r| r.hops[0].gateway).collect();
    let wanted: [std::net::IpAddr; 2] = [[192, 0, 2, 1], [198, 51, 100, 1]].map(Into::into);
    assert_eq!(gateways, wanted, "the first one counts");
    // What is not there cannot be declared any more, and is not left out without a word.
    for (uplink, why) in [
        ("eth2=192.0.2.10/24", "has no uplink eth2"),
        (
            "eth0=192.0.2.11/24",
            "uplink eth0 has not the address 192.0.2.11/24",
        ),
        (
            "eth0=192.0.2.10/25",
            "uplink eth0 has not the address 192.0.2.10/25",
        ),
        (
            "eth0=192.0.2.10/24,via=192.0.2.2",
            "eth0 has no default route via 192.0.2.2",
        ),
        ("t0=192.0.2.10/24", "t0 is an interface of a program"),
    ] {
        let (status, text) = run("", &[&format!("--uplink={uplink}")]);
        assert!(status == Some(2) && text.contains(why), "{uplink}: {text}");
    }
    let (status, text) = run(
        "",
        &["--uplink=eth0=10.9.0.1/8", "--uplink=eth0=10.9.0.1/16"],
    );
    assert!(
        status == Some(2) && text.contains("eth0=10.9.0.1/16: this address is declared twice"),
        "{text}"
    );
    // An uplink is no tunnel, and no tunnel can get its name.
    for options in [["--tun=eth0"], ["--tap=lo"]] {
        let (status, text) = run("", &options);
        assert!(
            status == Some(2) && text.contains("of another kind"),
            "{text}"
        );
    }
    let (status, text) = run("merged", &[]);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("use another net"), "{text}");
    let (status, text) = run("none", &[]);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("MEMTUN_HOST=none: say merged"), "{text}");
    end(net);
}
