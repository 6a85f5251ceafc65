//! `UnderShim`: programs that a Rust test starts under the shim. The tests need the library, which
//! `cargo build --release -p memtun-shim` builds.

use memtun::launch::{examine, Examined, Start};
use memtun::uapi::{IFF_NO_PI, IFF_TUN, TUNSETIFF};
use memtun::{
    find_library, ifreq, IoSystem, MemoryIoSystem, Net, NetOptions, Timeout, TunnelClass, UnderShim,
};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{chown, symlink, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

mod common;

/// A directory that is removed with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "memtun-command-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a directory of our own");
        Scratch(path)
    }

    fn file(&self, name: &str, contents: &[u8], mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, contents).expect("a file of our own");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn value<'a>(command: &'a Command, name: &str) -> Option<&'a OsStr> {
    command.get_envs().find(|(key, _)| *key == name)?.1
}

fn refusal(command: &mut Command) -> (i32, String) {
    let net = Net::temporary().expect("a net");
    let error = command.under(&net).expect_err("must be refused");
    (error.errno().0, error.to_string())
}

#[test]
fn a_program_opens_its_tunnel_in_the_net_of_the_test() {
    let net = Net::temporary().expect("a net");
    // The shell keeps descriptor 3 open while it reads from this pipe.
    let mut shell = Command::new("sh")
        .args(["-c", "exec 3<>/dev/net/tun; read end"])
        .stdin(std::process::Stdio::piped())
        .under(&net)
        .expect("sh can run under the shim")
        .spawn()
        .expect("sh");
    let end = std::time::Instant::now() + common::WAIT;
    while net.tunnels().expect("a list").is_empty() {
        assert!(
            std::time::Instant::now() < end,
            "no tunnel was opened in the net"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(shell.stdin.take());
    shell.wait().expect("the shell ends with its input");
    assert!(net.tunnels().expect("a list").is_empty());
}

fn shell(net: &Net, script: &str) -> std::process::Child {
    Command::new("sh")
        .args(["-c", script])
        .under(net)
        .expect("sh can run under the shim")
        .spawn()
        .expect("sh")
}

#[test]
fn a_wait_for_an_interface_ends_with_the_program() {
    let net = Net::temporary().expect("a net");
    for (script, how) in [
        ("exit 3", "ended with status 3 before TUNSETIFF"),
        ("kill -9 $$", "was ended by signal 9 before TUNSETIFF"),
        // A process that the program leaves behind is waited for.
        ("sleep 0.3 &", "ended with status 0 before TUNSETIFF"),
    ] {
        let mut program = shell(&net, script);
        let begun = std::time::Instant::now();
        let absent = net
            .wait_interface_of_within(&mut program, "tun0", Timeout::FOREVER)
            .expect_err("nobody makes it");
        assert_eq!(absent.errno().0, libc::ENODEV);
        assert!(absent.to_string().contains(how), "{absent}");
        assert!(begun.elapsed() < common::WAIT);
    }
    let mut program = shell(&net, "exec sleep 100");
    let late = net
        .wait_interface_of_within(&mut program, "tun0", std::time::Duration::from_millis(120))
        .expect_err("it makes none");
    assert!(late.to_string().contains("in time"), "{late}");
    program.kill().expect("it runs");
    program.wait().expect("its end");
}

#[test]
fn a_program_that_made_its_interface_and_ended_did_not_end_before_that() {
    let net = Net::temporary().expect("a net");
    {
        let system = MemoryIoSystem::new(&net);
        system.register_special_device("/dev/net/tun", TunnelClass);
        let tun = system.open("/dev/net/tun", libc::O_RDWR, 0).expect("open");
        let request = ifreq("tun0", IFF_TUN | IFF_NO_PI);
        system.ioctl(tun, TUNSETIFF, &request).expect("TUNSETIFF");
    }
    let mut program = shell(&net, "exit 3");
    let absent = net
        .wait_interface_of_within(&mut program, "tun0", Timeout::FOREVER)
        .expect_err("it is gone");
    assert_eq!(absent.errno().0, libc::ENODEV);
    let text = absent.to_string();
    assert!(
        text.starts_with("interface tun0 was made and is gone: the program (pid"),
        "{text}"
    );
    assert!(text.ends_with("ended with status 3"), "{text}");
    let late = net.wait_interface_within("tun0", std::time::Duration::ZERO);
    let text = late.map(drop).expect_err("it is gone").to_string();
    assert!(text.ends_with("one was made, and is gone"), "{text}");
}

#[test]
fn a_special_device_may_have_another_path() {
    let net = Net::temporary().expect("a net");
    let output = Command::new("sh")
        .args([
            "-c",
            "exec 3<>/nowhere/mytun && exec 4<>/nowhere/mytap && echo both",
        ])
        .special_devices(["/nowhere/mytun", "/nowhere/mytap"])
        .expect("absolute paths")
        .under(&net)
        .expect("sh can run under the shim")
        .output()
        .expect("sh");
    assert_eq!(output.stdout, b"both\n", "{output:?}");
    for bad in ["relative", "/a/../b", "/a:b", "/"] {
        let mut command = Command::new("sh");
        let error = command.special_devices([bad]).expect_err("must be refused");
        assert!(error.to_string().contains(bad), "{error}");
    }
}

#[test]
fn what_is_preloaded_already_stays_behind_the_library() {
    let net = Net::temporary().expect("a net");
    let mut command = Command::new("sh");
    command.env("LD_PRELOAD", "/a.so /b.so").link_up(false);
    command.under(&net).expect("sh can run under the shim");
    let library = find_library().expect("the library is built");
    let expected = format!("{}:/a.so:/b.so", library.display());
    assert_eq!(value(&command, "LD_PRELOAD"), Some(OsStr::new(&expected)));
    assert_eq!(value(&command, "MEMTUN_LINK"), Some(OsStr::new("down")));
    assert_eq!(value(&command, "MEMTUN_NET"), Some(net.path().as_os_str()));
    command.under(&net).expect("again");
    assert_eq!(value(&command, "LD_PRELOAD"), Some(OsStr::new(&expected)));
}

#[test]
fn a_program_is_told_whose_net_it_is_where_that_was_said() {
    let scratch = Scratch::new();
    let uid = memtun_sys::effective_uid();
    let dir = scratch.0.join("net");
    let net = NetOptions::new()
        .owner(uid)
        .create(true)
        .open(&dir)
        .expect("a net");
    assert_eq!(net.owner(), Some(uid));
    let mut command = Command::new("sh");
    command.under(&net).expect("sh can run under the shim");
    let told = uid.to_string();
    assert_eq!(value(&command, "MEMTUN_NET_OWNER"), Some(OsStr::new(&told)));
    assert_eq!(Net::create(&dir).expect("the net").owner(), None);
}

#[test]
fn who_owns_a_net_is_not_told_to_programs_of_another() {
    let net = Net::temporary().expect("a net");
    let mut command = Command::new("sh");
    command.env("MEMTUN_NET_OWNER", "1234");
    command.under(&net).expect("sh can run under the shim");
    assert_eq!(value(&command, "MEMTUN_NET_OWNER"), Some(OsStr::new("")));
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let (errno, text) = refusal(&mut Command::new("./no-such-vpn"));
    assert_eq!(errno, libc::ENOENT);
    assert!(text.starts_with("./no-such-vpn: not found"), "{text}");
    let (errno, text) = refusal(&mut Command::new("no-such-vpn"));
    assert_eq!(errno, libc::ENOENT);
    assert!(text.contains("not found in PATH"), "{text}");
    let (errno, text) = refusal(Command::new("sh").env("PATH", "/nowhere"));
    assert_eq!(errno, libc::ENOENT, "{text}");
}

#[test]
fn a_relative_program_is_looked_for_where_it_will_run() {
    let scratch = Scratch::new();
    symlink("/bin/echo", scratch.0.join("say")).expect("a link");
    scratch.file("text", b"hello\n", 0o644);
    let net = Net::temporary().expect("a net");
    let mut command = Command::new("./say");
    let output = command
        .arg("hello")
        .current_dir(&scratch.0)
        .under(&net)
        .expect("echo can run under the shim")
        .output();
    assert_eq!(output.expect("echo").stdout, b"hello\n");
    let (errno, text) = refusal(Command::new("./text").current_dir(&scratch.0));
    assert_eq!(errno, libc::EACCES, "{text}");
}

/// An ELF file for this machine with one program header of this kind.
fn elf(kind: u8) -> [u8; 120] {
    let mut elf = [0u8; 120];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[18] = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    (elf[32], elf[54], elf[56], elf[64]) = (64, 56, 1, kind);
    elf
}

fn examined(program: &Path) -> Examined {
    let start = Start {
        program: program.as_os_str(),
        path: None,
        dir: None,
    };
    examine(start).expect("it can be started")
}

#[test]
fn what_the_library_cannot_see_is_a_warning_with_the_remedy() {
    let scratch = Scratch::new();
    let (load, interp) = (1, 3);
    let program = scratch.file("static", &elf(load), 0o755);
    let warnings = examined(&program).warnings;
    assert!(warnings[0].contains("link it dynamically"), "{warnings:?}");
    let program = scratch.file("dynamic", &elf(interp), 0o755);
    assert_eq!(examined(&program).warnings, [""; 0]);
    let mut foreign = elf(interp);
    foreign[18] = 22;
    let program = scratch.file("foreign", &foreign, 0o755);
    let warnings = examined(&program).warnings;
    assert!(warnings[0].contains("is built for s390x"), "{warnings:?}");
    // Programs with a warning start all the same.
    let net = Net::temporary().expect("a net");
    Command::new(&program).under(&net).expect("a warning only");
}

#[test]
fn another_users_set_uid_program_is_refused_with_the_remedy() {
    let scratch = Scratch::new();
    let program = scratch.file("program", b"", 0o755);
    if chown(&program, Some(65534), None).is_err() {
        return common::not_run("a file of another user", "only root can give one away");
    }
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).expect("its mode");
    let (errno, text) = refusal(&mut Command::new(&program));
    assert_eq!(errno, libc::EPERM, "{text}");
    assert!(
        text.contains("set-uid") && text.contains("run a copy"),
        "{text}"
    );
    let net = Net::temporary().expect("a net");
    let mut command = Command::new(&program);
    command.under_by_force(&net).expect("it is wanted");
    // The bits of a script itself have no effect, and those of its interpreter have one.
    let line = format!("#!{}\n", program.display());
    let script = scratch.file("script", line.as_bytes(), 0o755);
    let (errno, text) = refusal(&mut Command::new(&script));
    assert_eq!(errno, libc::EPERM, "{text}");
    assert!(text.contains("the interpreter of"), "{text}");
    chown(&script, Some(65534), None).expect("root can");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o4755)).expect("its mode");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
    assert_eq!(examined(&script).refusal, None);
}

#[test]
fn a_script_with_dos_line_endings_is_refused_with_the_remedy() {
    let scratch = Scratch::new();
    for (line, what) in [
        ("#!/bin/sh\r\n", "its interpreter /bin/sh\\r does not exist"),
        ("#!/usr/bin/env sh\r\n", "env finds no sh\\r in PATH"),
    ] {
        let script = scratch.file("script", line.as_bytes(), 0o755);
        let (errno, text) = refusal(&mut Command::new(&script));
        assert_eq!(errno, libc::ENOENT, "{text}");
        let remedy = format!("{what}; save the script with Unix line endings");
        assert!(text.ends_with(&remedy), "{text}");
    }
}

/// Runs a test of this program in a copy of the program elsewhere, with an empty environment, and
/// returns what it printed.
fn copy_says(exe: &Path, variables: &[(&str, &Path)]) -> String {
    let mut copy = Command::new(exe);
    copy.args([
        "--exact",
        "prints_the_library",
        "--include-ignored",
        "--nocapture",
    ]);
    copy.env_clear().envs(variables.iter().copied());
    let Output { stdout, stderr, .. } = copy.output().expect("a copy of this program");
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    let line = text.lines().find_map(|line| line.split_once("library: "));
    line.unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

#[test]
#[ignore = "a part of other tests"]
fn prints_the_library() {
    match find_library() {
        Ok(path) => println!("library: {}", path.display()),
        Err(e) => println!("library: {e}"),
    }
}

fn copy_of_this_program(dir: &Path) -> PathBuf {
    fs::create_dir_all(dir).expect("a directory of our own");
    let to = dir.join("test");
    // Another process makes the copy: while this one had it open for writing, a child of another
    // test could hold it open as well when it is to be executed.
    let mut cp = Command::new("cp");
    cp.arg(std::env::current_exe().expect("this program"))
        .arg(&to);
    assert!(cp.status().expect("cp").success());
    to
}

#[test]
fn the_library_is_found_beside_an_installed_program_and_in_a_build() {
    let scratch = Scratch::new();
    let shown = |path: &Path| path.display().to_string();
    // The temporary directory may be a symbolic link.
    let base = fs::canonicalize(&scratch.0).expect("it exists");

    let installed = copy_of_this_program(&base.join("bin"));
    fs::create_dir_all(base.join("lib/memtun")).expect("a directory");
    let library = scratch.file("lib/memtun/libmemtun.so", b"", 0o644);
    assert_eq!(
        copy_says(&installed, &[]),
        shown(&base.join("lib/memtun/libmemtun.so"))
    );

    let built = copy_of_this_program(&base.join("target/debug/deps"));
    fs::create_dir_all(base.join("target/release")).expect("a directory");
    let old = base.join("target/debug/libmemtun.so");
    let new = base.join("target/release/libmemtun.so");
    fs::copy(&library, &old).expect("a copy");
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    let file = fs::File::options()
        .write(true)
        .open(&old)
        .expect("our own file");
    file.set_modified(past).expect("its time");
    fs::copy(&library, &new).expect("a copy");
    assert_eq!(copy_says(&built, &[]), shown(&new), "the one built last");

    let quick = base.join("target/quick/libmemtun.so");
    fs::create_dir_all(base.join("target/quick")).expect("a directory");
    fs::remove_file(&new).expect("our own file");
    fs::copy(&library, &quick).expect("a copy");
    assert_eq!(copy_says(&built, &[]), shown(&quick), "of any profile");

    fs::remove_file(&quick).expect("our own file");
    assert_eq!(copy_says(&built, &[]), shown(&old));
}

#[test]
fn the_variable_and_the_preloaded_copy_come_first() {
    let scratch = Scratch::new();
    let base = fs::canonicalize(&scratch.0).expect("it exists");
    let exe = copy_of_this_program(&base.join("bin"));
    let real = find_library().expect("the library is built");
    let link = base.join("libmemtun.so");
    symlink(&real, &link).expect("a link");
    assert_eq!(
        copy_says(&exe, &[("LD_PRELOAD", &link)]),
        link.display().to_string()
    );
    assert_eq!(
        copy_says(&exe, &[("MEMTUN_LIBRARY", &link)]),
        real.display().to_string()
    );
    let wrong = copy_says(&exe, &[("MEMTUN_LIBRARY", Path::new("/nowhere"))]);
    assert_eq!(
        wrong,
        "MEMTUN_LIBRARY=/nowhere: no such file; name libmemtun.so"
    );
    let other = scratch.file("other.so", b"#!/bin/sh\n", 0o644);
    let refused = copy_says(&exe, &[("MEMTUN_LIBRARY", &other)]);
    assert!(refused.contains("is not libmemtun.so"), "{refused}");
    let spaced = base.join("with space.so");
    fs::copy(&real, &spaced).expect("a copy");
    let refused = copy_says(&exe, &[("MEMTUN_LIBRARY", &spaced)]);
    assert!(refused.contains("no path with a space"), "{refused}");
}

#[test]
fn another_users_file_is_not_loaded() {
    let scratch = Scratch::new();
    let exe = copy_of_this_program(&scratch.0.join("bin"));
    let planted = scratch.file("bin/libmemtun.so", b"", 0o755);
    if chown(&planted, Some(65534), None).is_err() {
        return common::not_run("a file of another user", "only root can give one away");
    }
    let found = copy_says(&exe, &[]);
    assert!(!found.contains("/bin/libmemtun.so"), "{found}");
}
