//! Starts `memtun host` for a net, from within any program.
#![forbid(unsafe_code)]

use super::Start;
use memtun_abi::{Decimal, Errno};
use memtun_kernel::net::NetDir;
use memtun_kernel::settings::{self, Host};
use memtun_sys::{self as sys, PathBuf};
use std::ffi::CStr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// Where the command is looked for, and what it is told. Allocates nothing.
#[derive(Clone, Copy, Default, Debug)]
pub struct Command<'a> {
    /// Value of MEMTUN_COMMAND: the command itself.
    pub given: Option<&'a [u8]>,
    /// Path of `libmemtun.so`: the command is beside it, or in `../bin` or `../../bin` from there.
    pub library: Option<&'a [u8]>,
    /// Value of PATH.
    pub path: Option<&'a [u8]>,
    /// Value of MEMTUN_HOST, which the first host process of a net follows. What is no value is
    /// taken as isolated, as by the program.
    pub host: Option<&'a [u8]>,
    /// Value of MEMTUN_LOG. Where it says something, the host process's log goes to the caller's
    /// standard error, unless that is a pipe or a socket, whose reader would wait for the end of a
    /// process that stays after the caller.
    pub log: Option<&'a [u8]>,
}

/// Places of the command relative to the library's directory: in a build; installed with the
/// library in `lib`; with it in `lib/memtun` or a directory of the architecture's in `lib`.
const BESIDE: [&[u8]; 3] = [b"/memtun", b"/../bin/memtun", b"/../../bin/memtun"];

/// Was it said that there is no command, or none that can be executed?
static SAID: AtomicBool = AtomicBool::new(false);

impl Command<'_> {
    /// Returns the path of the command, or None where it is nowhere.
    pub fn find(&self) -> Option<PathBuf> {
        self.places(|path| sys::access(path.cstr(), libc::X_OK).is_ok())
    }

    /// Returns the first file in one of the places that `is_it`.
    fn places(&self, is_it: impl Fn(&PathBuf) -> bool) -> Option<PathBuf> {
        let beside = self.library.and_then(|library| {
            let end = library.iter().rposition(|b| *b == b'/')?;
            Some(&library[..end])
        });
        let given = self.given.filter(|given| !given.is_empty());
        let given = given.map(|given| [given, b""]);
        let beside = beside
            .into_iter()
            .flat_map(|dir| BESIDE.iter().map(move |place| [dir, *place]));
        let path = self
            .path
            .into_iter()
            .flat_map(|path| path.split(|b| *b == b':'));
        let path = path.map(|dir| [dir, b"/memtun"]);
        let places = given.into_iter().chain(beside).chain(path);
        places
            // Another directory than that of the program's moment would be searched otherwise.
            .filter(|[dir, _]| dir.first() == Some(&b'/'))
            .filter_map(|parts| PathBuf::concat(&parts).ok())
            .find(|path| is_file(path) && is_it(path))
    }
}

impl Command<'_> {
    fn say_missing(&self) {
        if SAID.swap(true, Relaxed) {
            return;
        }
        let name = settings::COMMAND;
        let given = self.given.unwrap_or_default();
        let is_it = |path: &PathBuf| path.bytes() == given;
        if !given.is_empty() && self.places(is_it).is_none() {
            log::warn!(
                "{name}={}: there is no such file by this path, which has to be absolute",
                given.escape_ascii()
            );
        }
        if let Some(path) = self.places(|_| true) {
            return say_unusable(&path, Errno(libc::EACCES));
        }
        log::warn!(
            "no command memtun beside the library or in PATH: addresses and routes of interfaces cannot be set or asked \
             for; install it there, or set {name} to its path"
        );
    }
}

/// Says that a command cannot be executed, and why.
fn say_unusable(path: &PathBuf, why: Errno) {
    let reason = match why.0 {
        libc::EACCES => "its mode, or a mount with noexec, forbids it",
        libc::ENOENT => "the interpreter or loader that it names is not there",
        _ => "it is no program for this machine",
    };
    log::warn!(
        "{}: cannot be executed as the net's host process: {why}: {reason}; install the command memtun of this \
         library, or set {} to its path",
        path.bytes().escape_ascii(),
        settings::COMMAND
    );
}

/// Is this a regular file?
fn is_file(path: &PathBuf) -> bool {
    sys::fstatat(libc::AT_FDCWD, path.cstr(), 0).is_ok_and(|st| sys::is_kind(&st, libc::S_IFREG))
}

/// Is this a descriptor of which nobody hears whether a process still has it?
fn nobody_waits_for(fd: i32) -> bool {
    let kinds = [libc::S_IFREG, libc::S_IFCHR];
    sys::fstat(fd).is_ok_and(|st| kinds.iter().any(|kind| sys::is_kind(&st, *kind)))
}

impl Command<'_> {
    /// Starts a process that waits until the host process of this epoch is killed, and sees to it
    /// that there is another one; `watch` is the id of that process if it is to be replaced when it
    /// is stopped, too. The descriptor is the end of a pipe by which each of the two hears that the
    /// other one has ended.
    ///
    /// # Errors
    ///
    /// As of [`Start::start`].
    pub fn stand_by(
        &self,
        net: &NetDir,
        epoch: u64,
        watch: Option<u32>,
    ) -> Result<Option<sys::Fd>, Errno> {
        self.run(c"stand-by", net, epoch, watch)
    }

    /// Starts the command with a verb for the net and an epoch, and a process to watch.
    fn run(
        &self,
        verb: &CStr,
        net: &NetDir,
        epoch: u64,
        watch: Option<u32>,
    ) -> Result<Option<sys::Fd>, Errno> {
        let host = match settings::host(self.host.unwrap_or_default()) {
            Some(Host::Off) => return Err(Errno(libc::ENOSYS)),
            said => settings::host_word(said.unwrap_or(Host::Isolated)),
        };
        let Some(command) = self.find() else {
            self.say_missing();
            return Err(Errno(libc::ENOSYS));
        };
        let word = |bytes: &[u8]| PathBuf::concat(&[bytes]);
        let number = |number: u64| word(Decimal::new(number).as_bytes());
        let after = number(epoch)?;
        let owner = net.owner().map(|uid| number(uid.into())).transpose()?;
        let watch = watch.map(|pid| number(pid.into())).transpose()?;
        let dir = word(net.path())?;
        let host = PathBuf::concat(&[settings::HOST.as_bytes(), b"=", host.as_bytes()])?;
        let mut words = [c""; sys::MOST_WORDS];
        words[..2].copy_from_slice(&[c"memtun", verb]);
        let mut count = 2;
        let options = [
            (c"--after", Some(&after)),
            (c"--net", Some(&dir)),
            (c"--owner", owner.as_ref()),
            (c"--watch", watch.as_ref()),
        ];
        for (option, value) in options {
            if let Some(value) = value {
                words[count..count + 2].copy_from_slice(&[option, value.cstr()]);
                count += 2;
            }
        }
        let log = self.log.filter(|log| !log.is_empty());
        let level = PathBuf::concat(&[settings::LOG.as_bytes(), b"=", log.unwrap_or_default()])?;
        let variables = [host.cstr(), level.cstr()];
        let variables = &variables[..1 + usize::from(log.is_some())];
        let says = log.is_some() && nobody_waits_for(libc::STDERR_FILENO);
        sys::spawn_apart(command.cstr(), &words[..count], variables, says).map_err(|e| match e.0 {
            libc::ENOENT | libc::ENOEXEC | libc::ENOTDIR | libc::ELIBBAD | libc::EINVAL => {
                if !SAID.swap(true, Relaxed) {
                    say_unusable(&command, e);
                }
                Errno(libc::ENOSYS)
            }
            _ => e,
        })
    }
}

impl Start for Command<'_> {
    fn start(&self, net: &NetDir, before: u64) -> Result<Option<sys::Fd>, Errno> {
        self.run(c"host", net, before, None)
    }

    fn command(&self) -> Option<PathBuf> {
        self.find()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_places_in_their_order() {
        let base = std::env::temp_dir().join(format!("memtun-places-{}", std::process::id()));
        let make = |dir: &str| {
            let dir = base.join(dir);
            std::fs::create_dir_all(&dir).expect("directory");
            let file = dir.join("memtun");
            std::fs::write(&file, "").expect("file");
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&file, mode).expect("mode");
        };
        let in_base = |path: &str| base.join(path).as_os_str().as_bytes().to_vec();
        let (given, library) = (in_base("given/memtun"), in_base("lib/libmemtun.so"));
        let path = [
            b"relative:".as_slice(),
            &in_base("first"),
            b":",
            &in_base("second"),
        ]
        .concat();
        let all = Command {
            given: Some(&given),
            library: Some(&library),
            path: Some(&path),
            ..Command::default()
        };
        std::fs::create_dir_all(base.join("lib")).expect("directory");
        assert!(all.find().is_none(), "it is nowhere");
        for dir in ["second", "first", "bin", "lib", "given"] {
            make(dir);
            let found = all.find().map(|path| path.bytes().to_vec());
            let wanted = match dir {
                "bin" => in_base("lib/../bin/memtun"),
                dir => in_base(&format!("{dir}/memtun")),
            };
            assert_eq!(found, Some(wanted));
        }
        std::fs::remove_dir_all(&base).expect("cleared up");
    }
}
