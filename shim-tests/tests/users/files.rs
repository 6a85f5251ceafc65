//! Nets whose files are something else than they should be: another kind of file, a link to
//! somebody else's file, cut short, of another version, or full of rubbish. Every use of them ends
//! with an error in time.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{symlink, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use shim_tests::users::*;

/// The files of a net, by the beginning of their names. The last one exists only while another file
/// is being made, so the tests plant it.
const FILES: [&str; 7] = [
    ".memtun-net-state",
    ".memtun-tunnel-",
    ".memtun-bell-",
    ".memtun-link-",
    "tun0",
    ".memtun-capturer",
    ".memtun-new-1-1-1",
];

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    LinkToRootsFile,
    LinkToNothing,
    HardLinkToRootsFile,
    Fifo,
    Directory,
    Device,
    Alices,
    OpenToEverybody,
    Empty,
    Cut,
    Huge,
    OtherVersion,
    Rubbish,
    RubbishBehindTheHeader,
}

const FATES: [Fate; 14] = [
    Fate::LinkToRootsFile,
    Fate::LinkToNothing,
    Fate::HardLinkToRootsFile,
    Fate::Fifo,
    Fate::Directory,
    Fate::Device,
    Fate::Alices,
    Fate::OpenToEverybody,
    Fate::Empty,
    Fate::Cut,
    Fate::Huge,
    Fate::OtherVersion,
    Fate::Rubbish,
    Fate::RubbishBehindTheHeader,
];

/// Number of bytes of the header that every state file begins with; the version is its third word.
const HEADER: usize = 32;
const VERSION: usize = 8;
/// Number of bytes that the fields of a state file take.
const HEAD: usize = 4096;

/// Bytes that nobody would have written, the same ones in every run.
fn rubbish(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A net of Mallory's with a file of every kind in it, and a program that lives there.
fn living_net(m: &Machine) -> (PathBuf, Running) {
    let net = m.home(MALLORY).join("net");
    make_dir(&net, MALLORY, 0o700);
    let steps = ["open", "attach=tun0", "poll", "ready", "wait"];
    let mut program = m.program(MALLORY, Some(&net), &steps);
    // The interface is down, so that somebody waits for the link.
    let program = m.start(program.env("MEMTUN_LINK", "down"));
    (net, program)
}

/// The file of a net whose name begins like this; the file need not exist.
fn find(net: &Path, begin: &str) -> PathBuf {
    let name = names(net).into_iter().find(|name| name.starts_with(begin));
    net.join(name.unwrap_or_else(|| format!("{begin}7")))
}

/// Puts something else in the place of a file. `roots` is a directory of root's with a file
/// "precious".
fn befall(file: &Path, fate: Fate, roots: &Path) {
    // A FIFO has no contents to keep.
    let regular = fs::symlink_metadata(file).is_ok_and(|st| st.is_file());
    let mut bytes = vec![0; HEAD];
    let mut len = 0;
    if regular {
        let original = File::open(file).expect("a file of the net");
        let read = original.read_at(&mut bytes, 0).expect("its beginning");
        bytes.truncate(read);
        len = original.metadata().expect("its length").len();
    }
    let _ = fs::remove_file(file);
    let write = |bytes: &[u8], len: u64| {
        let mut fresh = File::create(file).expect("a new file");
        fresh.write_all(bytes).expect("room");
        fresh.set_len(len).expect("room");
        give(file, MALLORY);
        set_mode(file, 0o600);
    };
    match fate {
        Fate::LinkToRootsFile => symlink(roots.join("precious"), file).expect("a link"),
        Fate::LinkToNothing => symlink(roots.join("to-be-made"), file).expect("a link"),
        Fate::HardLinkToRootsFile => fs::hard_link(roots.join("precious"), file).expect("a link"),
        Fate::Fifo => make_fifo(file, MALLORY),
        Fate::Directory => make_dir(file, MALLORY, 0o777),
        Fate::Device => {
            make_null_device(file);
            give(file, MALLORY);
        }
        Fate::Alices => {
            write(&bytes, len);
            give(file, ALICE);
            set_mode(file, 0o666);
        }
        Fate::OpenToEverybody => {
            write(&bytes, len);
            set_mode(file, 0o666);
        }
        Fate::Empty => write(b"", 0),
        Fate::Cut => write(&bytes, len / 2),
        Fate::Huge => write(&bytes, 1 << 40),
        Fate::OtherVersion => {
            bytes.resize(HEAD, 0);
            bytes[VERSION] ^= 0x40;
            write(&bytes, len);
        }
        Fate::Rubbish => write(&rubbish(len, HEAD), len.max(HEAD as u64)),
        Fate::RubbishBehindTheHeader => {
            bytes.truncate(HEADER);
            let more = rubbish(len, HEAD - bytes.len());
            write(&[bytes, more].concat(), len.max(HEAD as u64));
        }
    }
}

/// The commands of a user who does everything with a net, one after the other, the removal last.
fn life(m: &Machine, uid: u32, net: &Path) -> Vec<Command> {
    let owner = (uid != MALLORY).then_some(MALLORY);
    let dir = net.to_str().expect("UTF-8");
    let file = m.home(uid).join("capture.pcapng");
    let file = file.to_str().expect("UTF-8");
    let verb = |verb: &[&str]| {
        let mut line = vec![verb[0], "--net", dir];
        if owner.is_some() {
            line.extend(["--owner", "65534"]);
        }
        line.extend(&verb[1..]);
        m.memtun(uid, &line)
    };
    let steps = [
        "open",
        "lookup=tun0",
        "attach=tun0",
        "write",
        "read",
        "poll",
        "close",
        "cycle=2",
    ];
    let mut program = m.program(uid, Some(net), &steps);
    if owner.is_some() {
        program.env("MEMTUN_NET_OWNER", "65534");
    }
    vec![
        verb(&["ls"]),
        program,
        m.driver(uid, net, owner, &["everything"]),
        verb(&["run", "--tun", "x0", "--capture", file, "--", "true"]),
        verb(&["delete", "--timeout", "0", "tun0"]),
        m.driver(uid, net, owner, &["remove"]),
    ]
}

/// The facts about root's directory. The number of links is left out, because removing one name of
/// a file that has several changes it and harms nobody.
fn facts(roots: &Path) -> Vec<(String, u32, u32, i64, u64)> {
    let fact = |name: String| {
        let path = roots.join(&name);
        let st = fs::symlink_metadata(&path).expect("root's own");
        (name, st.mode(), st.uid(), st.mtime_nsec(), st.len())
    };
    names(roots).into_iter().map(fact).collect()
}

/// Is the net's state such that nobody can use the net?
fn is_unusable(file: &str, fate: Fate) -> bool {
    file == FILES[0] && !matches!(fate, Fate::RubbishBehindTheHeader | Fate::OpenToEverybody)
}

/// A process of Mallory's that holds a lock on somebody's file, for which it needs only the
/// permission to read it.
fn holder(m: &Machine, file: &Path) -> Running {
    let mut command = m.command(MALLORY, "flock");
    command.arg("-s").arg(file);
    m.start(command.args(["sh", "-c", "echo ready; exec sleep 1000"]))
}

fn nothing_comes_of_it_but_errors(m: &Machine, victim: u32) {
    let roots = Path::new(SHM).join("roots");
    make_dir(&roots, ROOT, 0o755);
    let precious = roots.join("precious");
    // The file is empty, so that a byte in it would be noticed, and it is locked as the bell of a
    // living tunnel is.
    make_file(&precious, ROOT, 0o644, b"");
    let _holder = holder(m, &precious);
    let mut wrong = Vec::new();
    for file in FILES {
        for fate in FATES {
            let (net, program) = living_net(m);
            let path = find(&net, file);
            befall(&path, fate, &roots);
            let alices = fate == Fate::Alices;
            let before = (facts(&roots), alices.then(|| fs::read(&path).ok()));
            for mut command in life(m, victim, &net) {
                let finished = m.run_anyhow(&mut command);
                let said = format!("{}{}", finished.stdout, finished.stderr);
                let name = format!(
                    "{file} {fate:?}: {:?}",
                    command.get_args().collect::<Vec<_>>()
                );
                if let Some(why) = harm(&finished) {
                    let last = said.lines().last().unwrap_or_default();
                    wrong.push(format!("{name}: {why}, behind {last:?}"));
                }
                if is_unusable(file, fate) && !said.contains(net.to_str().expect("UTF-8")) {
                    let first = said.lines().next().unwrap_or_default();
                    wrong.push(format!(
                        "{name}: no error that names the net, but {first:?}"
                    ));
                }
                if facts(&roots) != before.0 {
                    wrong.push(format!("{name}: {:?} became {:?}", before.0, facts(&roots)));
                }
                // The file may be gone, because the directory is not Alice's.
                let now = alices.then(|| fs::read(&path).ok());
                if now != before.1 && now != Some(None) {
                    wrong.push(format!("{name}: Alice's file was written to"));
                }
            }
            drop(program);
            fs::remove_dir_all(&net).unwrap_or_default();
        }
    }
    let count = wrong.len();
    wrong.truncate(40);
    assert_eq!(count, 0, "victim: user {victim}\n{}", wrong.join("\n"));
}

#[test]
fn root_in_a_users_net_gets_errors_and_touches_nothing_of_others() {
    on_a_machine(|m| nothing_comes_of_it_but_errors(m, ROOT));
}

#[test]
fn the_user_gets_errors_and_touches_nothing_of_others() {
    on_a_machine(|m| nothing_comes_of_it_but_errors(m, MALLORY));
}

#[test]
fn a_file_that_is_cut_under_a_process_is_an_error() {
    on_a_machine(|m| {
        let mut wrong = Vec::new();
        for file in [".memtun-net-state", ".memtun-tunnel-", "tun0"] {
            let (net, lives) = living_net(m);
            let steps = [
                "open",
                "attach=tun1",
                "ready",
                "nap",
                "write",
                "read",
                "poll",
                "close",
                "cycle=2",
            ];
            let program = m.start(&mut m.program(MALLORY, Some(&net), &steps));
            let steps = ["ready", "nap", "everything"];
            let driver = m.start(&mut m.driver(ROOT, &net, Some(MALLORY), &steps));
            for name in names(&net).iter().filter(|name| name.starts_with(file)) {
                let opened = File::options().write(true).open(net.join(name));
                opened
                    .and_then(|file| file.set_len(0))
                    .expect("the user's own file");
            }
            for (who, running) in [("program", program), ("driver", driver)] {
                wrong.extend(running.ends().map(|why| format!("{file}: {who}: {why}")));
            }
            drop(lives);
            fs::remove_dir_all(&net).expect("the net");
        }
        assert_eq!(wrong, [""; 0]);
    });
}
