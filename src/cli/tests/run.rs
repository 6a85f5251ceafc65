//! `memtun run`: statuses, signals, nets, and what it says about programs that cannot work.

mod common;

use common::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the net in which a program under `run` was, and which it has printed.
fn net_of(out: &str) -> PathBuf {
    PathBuf::from(out.lines().next().expect("the program printed its net"))
}

#[test]
fn the_status_is_the_programs_own() {
    for (script, status) in [
        ("true", 0),
        ("exit 7", 7),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
    ] {
        let run = cli(["run", "--", "sh", "-c", script]);
        assert_eq!(
            (run.status, run.err.as_str()),
            (Some(status), ""),
            "{script}"
        );
    }
}

#[test]
fn a_command_that_cannot_start_is_126_or_127() {
    let scratch = Scratch::new();
    let lost = scratch.write("lost-interpreter", "#!/no/such/interpreter\n");
    Command::new("chmod").arg("+x").arg(&lost).status().unwrap();
    cli(["run", "--", "no-such-command-anywhere"])
        .fails(127, &["no-such-command-anywhere", "PATH"]);
    cli(["run", "--", "/no/such/path"]).fails(127, &["/no/such/path: not found"]);
    cli(["run", "--", "/etc/passwd"]).fails(126, &["/etc/passwd", "permission denied"]);
    cli([Path::new("run"), Path::new("--"), &lost]).fails(126, &["interpreter does not exist"]);
}

#[test]
fn its_own_net_goes_with_it() {
    let run = cli([
        "run",
        "--",
        "sh",
        "-c",
        "echo $MEMTUN_NET; test -d $MEMTUN_NET",
    ])
    .ok();
    assert!(!net_of(&run.out).exists());
}

#[test]
fn its_own_net_goes_with_it_also_when_a_signal_ends_it() {
    for number in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1] {
        let scratch = Scratch::new();
        let file = scratch.path("net-name");
        let script = format!(
            "echo $MEMTUN_NET > {0}.new; mv {0}.new {0}; exec sleep 60",
            file.display()
        );
        let child = memtun()
            .args(["run", "--", "sh", "-c", &script])
            .spawn()
            .unwrap();
        until("the program has started", || file.exists());
        signal(child.id(), number);
        assert_eq!(finish(child).status, Some(128 + number));
        assert!(!net_of(&std::fs::read_to_string(&file).unwrap()).exists());
    }
}

#[test]
fn who_is_killed_takes_the_program_along() {
    let scratch = Scratch::new();
    let file = scratch.path("pid");
    let script = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 60",
        file.display()
    );
    let mut child = memtun()
        .args(["run", "--", "sh", "-c", &script])
        .spawn()
        .unwrap();
    until("the program has started", || file.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let pid = std::fs::read_to_string(&file).unwrap();
    let alive = || {
        let state =
            std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        state
            .rsplit(')')
            .next()
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
    };
    until("the program has gone", || !alive());
    // The next run that makes a net of its own removes what was left.
    cli(["run", "--", "true"]).ok();
}

#[test]
fn a_program_that_handles_a_signal_decides_itself() {
    let scratch = Scratch::new();
    let file = scratch.path("ready");
    let script = format!(
        "trap 'exit 5' TERM; touch {}; while :; do sleep 0.01; done",
        file.display()
    );
    let child = memtun()
        .args(["run", "--", "sh", "-c", &script])
        .spawn()
        .unwrap();
    until("the program has started", || file.exists());
    signal(child.id(), libc::SIGTERM);
    assert_eq!(finish(child).status, Some(5));
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let script = "trap '' HUP; exec \"$0\" run -- sh -c 'kill -HUP $$; echo alive'";
    let run = done(
        memtun()
            .env_clear()
            .env("MEMTUN_LIBRARY", library())
            .env("PATH", "/usr/bin:/bin")
            .args(["run", "--"])
            .args(["sh", "-c", script, env!("CARGO_BIN_EXE_memtun")]),
    );
    assert_eq!(
        (run.status, run.out.as_str()),
        (Some(0), "alive\n"),
        "{}",
        run.err
    );
}

#[test]
fn a_named_net_stays() {
    let scratch = Scratch::new();
    let net = scratch.path("net");
    done(
        memtun()
            .args(["run", "--net"])
            .arg(&net)
            .args(["--", "true"]),
    )
    .ok();
    let list = done(memtun().args(["ls", "--net"]).arg(&net)).ok();
    assert_eq!(list.out.lines().count(), 1);
}

#[test]
fn the_owner_of_the_net_is_told_by_number() {
    let scratch = Scratch::new();
    // SAFETY: geteuid(2) has no arguments and cannot fail.
    let uid = unsafe { libc::geteuid() };
    let told = |owner: &str| {
        let net = scratch.path("net");
        let script = ["--", "sh", "-c", "echo $MEMTUN_NET_OWNER"];
        let mut run = memtun();
        run.args(["run", "--owner", owner, "--net"]).arg(net);
        done(run.args(script)).ok().out
    };
    assert_eq!(told(&uid.to_string()), format!("{uid}\n"));
    if uid == 0 {
        assert_eq!(told("root"), "0\n");
    }
    assert_eq!(told(""), "\n", "nothing was said");
    // The owner is the one of the net that MEMTUN_NET names; a fresh net is the caller's own.
    done(
        memtun()
            .env("MEMTUN_NET_OWNER", "0")
            .args(["run", "--", "true"]),
    )
    .fails(2, &["without a net", "MEMTUN_NET_OWNER"]);
}

#[test]
fn processes_left_behind_are_reported() {
    let script = "\"$0\" tun0 >/dev/null 2>&1 & echo $MEMTUN_NET; echo $!; sleep 0.2";
    let echo = udp_echo();
    let run = cli(["run", "--", "sh", "-c", script, echo.to_str().unwrap()])
        .fails(0, &["left behind", "--net DIR"]);
    assert!(!net_of(&run.out).exists());
    signal(
        run.out.lines().nth(1).unwrap().parse().unwrap(),
        libc::SIGKILL,
    );
    // A process without a tunnel is named as well.
    let run = cli([
        "run",
        "--",
        "sh",
        "-c",
        "sleep 60 >/dev/null 2>&1 & echo $!; until grep -q sleep /proc/$!/comm; do :; done",
    ])
    .fails(0, &["left behind", "still run in this net", "sleep ("]);
    signal(run.out.trim().parse().unwrap(), libc::SIGKILL);
    // A process that was told to end is not named.
    let script = "\"$0\" tun0 & sleep 0.2; kill $!";
    cli(["run", "--", "sh", "-c", script, echo.to_str().unwrap()]).ok();
}

#[test]
fn the_environment_has_what_the_library_wants() {
    let script = "echo $LD_PRELOAD; echo $MEMTUN_DEVICES; echo $MEMTUN_LINK";
    let arguments = [
        "run", "--device", "/dev/a", "--device", "/dev/b", "--link", "down", "--", "sh", "-c",
        script,
    ];
    let run = done(memtun().args(arguments).env("LD_PRELOAD", "libm.so.6")).ok();
    let lines: Vec<&str> = run.out.lines().collect();
    assert!(
        lines[0].ends_with("/libmemtun.so:libm.so.6"),
        "{}",
        lines[0]
    );
    assert_eq!(lines[1..], ["/dev/a:/dev/b", "down"]);
}

#[test]
fn an_interface_can_be_there_before_the_program() {
    let arguments = [
        "run",
        "--tun",
        "tun7",
        "--tap",
        "tap7",
        "--",
        env!("CARGO_BIN_EXE_memtun"),
        "ls",
    ];
    let run = cli(arguments).ok();
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", run.out);
    assert!(
        lines[1].starts_with("tun7  tun") && lines[1].contains("0+persist"),
        "{}",
        run.out
    );
    assert!(lines[2].starts_with("tap7  tap"), "{}", run.out);
}

#[test]
fn permissions_and_faults_hold_from_the_start() {
    let echo = udp_echo();
    let echo = echo.to_str().unwrap();
    for (options, words) in [
        (["--deny", "open"], "Operation not permitted"),
        (["--deny", "ioctl"], "Operation not permitted"),
        (["--deny", "net_admin"], "Operation not permitted"),
        (["--fault", "open=ENOENT"], "No such file"),
        (["--fault", "ioctl:TUNSETIFF=EBUSY@1"], "busy"),
    ] {
        let run = cli(["run", options[0], options[1], "--", echo, "tun0", "0"]);
        assert_eq!(run.status, Some(1), "{options:?}");
        assert!(run.err.contains(words), "{options:?}: {}", run.err);
    }
}

#[test]
fn every_operation_fails_as_the_command_says() {
    let scratch = Scratch::new();
    let calls = scratch.path("calls");
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let made = Command::new("cc")
        .arg("-I")
        .arg(sources.join("shim"))
        .arg("-o")
        .args([&calls, &sources.join("python/tests/programs/calls.c")])
        .status();
    assert!(made.is_ok_and(|made| made.success()), "cc");
    let calls = calls.to_str().unwrap();
    for (options, gave) in [
        (["--fault", "open=4000"], "open=4000 \n"),
        (["--fault", "read=EIO"], " read=5 FIONBIO=0 "),
        (["--fault", "write=5"], " TUNSETIFF=0 write=5 "),
        (["--fault", "close=EIO"], " lo=0 close=5 "),
        (
            ["--fault", "ioctl=EIO@2-"],
            " FIONBIO=5 SIOCGIFFLAGS=5 SIOCSIFADDR=5 lo=0 close=0 ",
        ),
        (["--fault", "ioctl:0x400454ca=16"], "open=0 TUNSETIFF=16 "),
        (
            ["--fault", "ioctl:SIOCGIFFLAGS=EIO"],
            " FIONBIO=0 SIOCGIFFLAGS=5 ",
        ),
        (
            ["--fault", "ioctl:0x8916=41"],
            " SIOCGIFFLAGS=0 SIOCSIFADDR=41 lo=0 ",
        ),
        (["--deny", "open"], "open=1 \n"),
        (["--deny", "ioctl"], "open=0 TUNSETIFF=1 "),
    ] {
        let run = cli(["run", options[0], options[1], "--", calls]);
        assert!(
            run.out.contains(gave),
            "{options:?}: {}{}",
            run.out,
            run.err
        );
    }
}

#[test]
fn a_limit_is_named_where_it_strikes() {
    let echo = udp_echo();
    let echo = ["--", echo.to_str().unwrap(), "tun0", "0"];
    let tun = ["--tun", "tun0", "--", "true"];
    for (limit, run, status, words) in [
        (
            "--fsize=1000",
            &tun[..],
            2,
            "EFBIG; the files of a tunnel need 136 KiB each, and the hard limit RLIMIT_FSIZE (ulimit -f) is 1000",
        ),
        ("--fsize=100000", &tun, 2, "tun0: cannot make it: EFBIG"),
        (
            "--fsize=100000",
            &echo,
            1,
            "the hard limit RLIMIT_FSIZE (ulimit -f) is 100000",
        ),
        // This little address space is enough.
        ("--as=30000000", &tun, 0, ""),
        ("--as=40000000", &echo, 0, ""),
        (
            "--nofile=5",
            &tun,
            2,
            "RLIMIT_NOFILE (ulimit -n) is 5",
        ),
    ] {
        let memtun = memtun();
        let mut limited = Command::new("prlimit");
        limited
            .arg(limit)
            .arg(memtun.get_program())
            .arg("run")
            .args(run);
        for (name, value) in memtun.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        let run = done(&mut limited);
        assert!(
            run.err.contains(words),
            "{limit}: {:?} {}",
            run.status,
            run.err
        );
        assert_eq!(run.status, Some(status), "{limit}: {}", run.err);
    }
}

#[test]
fn programs_that_cannot_be_shimmed_are_named_before_they_start() {
    let scratch = Scratch::new();
    let source = "int main(void) { return 3; }\n";
    let Some(program) = compiled(&scratch, "static", source, &["-static"]) else {
        return;
    };
    let run = done(memtun().args(["run", "--"]).arg(&program));
    run.fails(3, &["static: is linked statically", "link it dynamically"]);
    let doctor = done(memtun().arg("doctor").arg(&program));
    assert_eq!(doctor.status, Some(1));
    assert!(doctor.out.contains("link it dynamically"), "{}", doctor.out);
    let script = script(&scratch, "script", &format!("#!{}\n", program.display()));
    done(memtun().args(["run", "--"]).arg(&script))
        .fails(3, &["the interpreter of", "linked statically"]);
}

/// Each of these sentences is what `run` says before it starts nothing, and what `doctor` says.
#[test]
fn run_and_doctor_agree_on_what_cannot_be_started() {
    let scratch = Scratch::new();
    let file = |name: &str, text: &str| {
        let path = script(&scratch, name, text);
        path.display().to_string()
    };
    let lost = file("lost", "#!/no/such/interpreter\n");
    let middle = file("middle", &format!("#!{lost}\n"));
    let nobody = file("nobody", "#!\n");
    let directory = file("directory", "#!/tmp\n");
    let plain = scratch.write("plain", "").display().to_string();
    let text = file("text", &format!("#!{plain}\n"));
    let words = file("words", "#!/usr/bin/env python3 -u\n");
    let dos = file("dos", "#!/bin/sh\r\n");
    let dos_env = file("dos-env", "#!/usr/bin/env sh\r\n");
    let split = file("split", "#!/usr/bin/env -S A=b no-such-interpreter -u\n");
    let circle = scratch.path("circle").display().to_string();
    file("circle", &format!("#!{circle}\n"));
    for (program, status, says) in [
        ("no-such-command-anywhere", 127, "not found in PATH"),
        ("/no/such/path", 127, "not found"),
        ("/etc/passwd", 126, "permission denied"),
        ("/etc/passwd/x", 127, "not found"),
        ("/tmp", 126, "it is a directory"),
        (&plain, 126, "look at its mode"),
        (
            &lost,
            126,
            "interpreter /no/such/interpreter does not exist",
        ),
        (
            &middle,
            126,
            "interpreter /no/such/interpreter does not exist",
        ),
        (&nobody, 126, "names no interpreter"),
        (&directory, 126, "interpreter /tmp: it is a directory"),
        (&text, 126, "permission denied"),
        (&words, 126, "several words want env -S"),
        (&split, 126, "env finds no no-such-interpreter"),
        (
            &dos,
            126,
            "/bin/sh\\r does not exist; save the script with Unix",
        ),
        (&dos_env, 126, "no sh\\r in PATH; save the script with Unix"),
        (&circle, 126, "interpreters of interpreters"),
    ] {
        let run = cli(["run", "--", program]).fails(status, &[says]);
        let doctor = cli(["doctor", program]);
        assert_eq!(doctor.status, Some(1), "{program}");
        assert_eq!(format!("memtun: {}", doctor.out), run.err);
        // The refusal is right: the system does not start the program either.
        assert!(!Command::new(program)
            .output()
            .is_ok_and(|o| o.status.success()));
    }
    for text in [
        "#!/bin/sh\nexit 0\n",
        "#!/usr/bin/env sh\nexit 0\n",
        "#!/usr/bin/env -S A=b sh -e\nexit 0\n",
        "#! /usr/bin/env   -i  \n",
        "exit 0\n",
    ] {
        let program = file("good", text);
        let doctor = cli(["doctor", &program]).ok();
        assert!(doctor.out.ends_with("nothing speaks against it\n"));
        if !text.contains("-i") {
            cli(["run", "--", &program]).ok();
        }
    }
}

/// The system's own message, "No such file or directory", is about a file that is there.
#[test]
fn a_program_without_its_dynamic_linker_is_said_to_be_one() {
    let scratch = Scratch::new();
    let source = "int main(void) { return 0; }";
    let options = ["-Wl,--dynamic-linker=/nowhere/ld-linux.so.2"];
    let Some(program) = compiled(&scratch, "unlinked", source, &options) else {
        return;
    };
    let says =
        "cannot be executed: its dynamic linker /nowhere/ld-linux.so.2 does not exist; build it";
    done(memtun().args(["run", "--"]).arg(&program)).fails(126, &[says]);
    let doctor = done(memtun().arg("doctor").arg(&program));
    assert!(doctor.out.contains(says) && doctor.status == Some(1));
}

/// A program that the loader starts without the library is not started, because it would use the
/// machine's own devices.
#[test]
fn a_program_that_would_touch_the_machine_is_refused_unless_it_is_forced() {
    let scratch = Scratch::new();
    // SAFETY: geteuid(2) touches no memory.
    if unsafe { libc::geteuid() } != 0 {
        return not_run("files of another user", "only root can give one away");
    }
    for (name, owner, mode, says) in [
        ("set-uid", "65534:0", "4755", "is set-uid"),
        ("set-gid", "0:65534", "2755", "is set-gid"),
    ] {
        let program = scratch.path(name);
        std::fs::copy("/bin/true", &program).unwrap();
        let shell = format!("chown {owner} {0} && chmod {mode} {0}", program.display());
        Command::new("sh").args(["-c", &shell]).status().unwrap();
        let run =
            |options: &[&str]| done(memtun().arg("run").args(options).arg("--").arg(&program));
        run(&[]).fails(126, &[says, "run a copy of it that is not", "--force"]);
        let doctor = done(memtun().arg("doctor").arg(&program));
        assert_eq!(doctor.status, Some(1));
        assert!(doctor.out.contains(says), "{}", doctor.out);
        run(&["--force"]).fails(0, &[says]);
        // A process that cannot gain privileges loads the library.
        let mut shell = Command::new("setpriv");
        shell.args(["--no-new-privs", env!("CARGO_BIN_EXE_memtun"), "run", "--"]);
        done(shell.arg(&program).env("MEMTUN_LIBRARY", library())).ok();
    }
}

/// The instruction itself is found, as the crate rustix has it, in a program or in a library of it;
/// the bytes with which libgcc compares are not taken for it.
#[test]
fn raw_system_calls_in_the_code_are_seen() {
    let scratch = Scratch::new();
    let raw = |number: u32, second: u32| {
        let instruction = if cfg!(target_arch = "aarch64") {
            format!(
                "mov w8, #{number}; movz w1, #{0}; movk w1, #{1}, lsl #16; svc #0",
                second & 0xffff,
                second >> 16
            )
        } else {
            format!("movl ${number}, %%eax; movl ${second}, %%esi; syscall")
        };
        format!("void f(void) {{ __asm__ volatile (\"{instruction}\" ::: \"memory\"); }}\n")
    };
    let main = "int main(int c, char **v) { (void)v; if (c > 9) f(); return 0; }\n";
    let names = [
        (libc::SYS_read, 0, "(read)"),
        (libc::SYS_ioctl, 0x4004_54ca, "(ioctl)"),
        (libc::SYS_epoll_ctl, 1, "(epoll_ctl)"),
        (libc::SYS_ioctl, 0x5413, ""),
        (libc::SYS_futex, 0, ""),
        (libc::SYS_write, 0, ""),
    ];
    for (number, second, says) in names {
        let source = format!("{}{main}", raw(number as u32, second));
        let Some(program) = compiled(&scratch, "raw", &source, &[]) else {
            return;
        };
        let run = done(memtun().args(["run", "--"]).arg(&program));
        let doctor = done(memtun().arg("doctor").arg(&program));
        if says.is_empty() {
            run.ok();
            doctor.ok();
        } else {
            run.fails(0, &["makes raw system calls", says, "calls libc"]);
            assert!(doctor.out.contains(says) && doctor.status == Some(1));
        }
    }
    // Without optimisation the number is an argument, and the name of the function is what is
    // known.
    let wrapper = |name: &str| {
        let call = if cfg!(target_arch = "aarch64") {
            "register long x8 __asm__(\"x8\") = n; __asm__ volatile (\"svc #0\" :: \"r\"(x8) : \"x0\", \"memory\");"
        } else {
            "__asm__ volatile (\"syscall\" :: \"a\"(n) : \"rcx\", \"r11\", \"memory\");"
        };
        format!("void {name}(long n) {{ {call} }}\nvoid f(void) {{ {name}(39); }}\n{main}")
    };
    for (name, says) in [
        (
            "_ZN6rustix7backend2io8syscalls4read17h0123456789abcdefE",
            "(read)",
        ),
        (
            "_RNvNtNtNtCs1234_6rustix7backend5event8syscalls9epoll_add",
            "(epoll_ctl)",
        ),
        ("_ZN6rustix7backend2io8syscalls3dup17h0123456789abcdefE", ""),
        (
            "_ZN6others7backend2io8syscalls4read17h0123456789abcdefE",
            "",
        ),
    ] {
        let Some(program) = compiled(&scratch, "unoptimised", &wrapper(name), &["-O0"]) else {
            return;
        };
        let run = done(memtun().args(["run", "--"]).arg(&program));
        if says.is_empty() {
            run.ok();
        } else {
            run.fails(0, &["makes raw system calls", says, "calls libc"]);
        }
    }
    let source = raw(libc::SYS_read as u32, 0);
    let Some(_) = compiled(&scratch, "libraw.so", &source, &["-shared", "-fPIC"]) else {
        return;
    };
    let directory = scratch.path("").display().to_string();
    let options = ["-L", &directory, "-lraw", "-Wl,-rpath,$ORIGIN"];
    let source = format!("void f(void);\n{main}");
    if let Some(program) = compiled(&scratch, "user", &source, &options) {
        let run = done(memtun().args(["run", "--"]).arg(&program));
        run.fails(
            0,
            &["its library", "libraw.so makes raw system calls (read)"],
        );
    }
    // No program that everybody has is accused wrongly; some of them contain the standard library
    // of Rust and libgcc.
    for program in [
        "bash",
        "python3",
        "git",
        "cc",
        "make",
        "perl",
        "ssh",
        env!("CARGO_BIN_EXE_memtun"),
    ] {
        let doctor = cli(["doctor", program]);
        if !doctor.out.contains("not found") {
            assert!(
                doctor.out.ends_with("nothing speaks against it\n"),
                "{}",
                doctor.out
            );
        }
    }
}

#[test]
fn nothing_is_started_with_what_is_not_the_library() {
    let scratch = Scratch::new();
    let empty = scratch.write("libmemtun.so", "");
    for library in [empty.as_path(), Path::new(env!("CARGO_BIN_EXE_memtun"))] {
        for verb in [["run", "--", "true"].as_slice(), &["doctor", "true"]] {
            let done = done(memtun().args(verb).env("MEMTUN_LIBRARY", library));
            assert_ne!(done.status, Some(0));
            let said = done.out + &done.err;
            assert!(said.contains("is not libmemtun.so"), "{said}");
        }
    }
}

#[test]
fn a_program_that_did_not_load_the_library_is_reported() {
    let scratch = Scratch::new();
    // This is a copy of the library that needs another library, which is nowhere.
    let library = scratch.write("libmemtun.so", "");
    let mut bytes = std::fs::read(self::library()).unwrap();
    let wanted = bytes.windows(10).position(|b| b == b"libc.so.6\0");
    bytes[wanted.expect("it needs libc")] = b'x';
    std::fs::write(&library, bytes).unwrap();
    let run = done(
        memtun()
            .args(["run", "--", "true"])
            .env("MEMTUN_LIBRARY", &library),
    );
    assert_eq!(run.status, Some(127));
    assert!(run.err.contains("xibc.so.6: cannot open"), "{}", run.err);
    let run = done(
        memtun()
            .args(["doctor", "true"])
            .env("MEMTUN_LIBRARY", &library),
    );
    assert_eq!(run.status, Some(1));
    assert!(run.out.contains("cannot be loaded"), "{}", run.out);
}

#[test]
fn doctor_finds_nothing_against_an_ordinary_program() {
    let echo = udp_echo();
    let doctor = cli(["doctor", echo.to_str().unwrap()]).ok();
    assert!(
        doctor.out.ends_with("nothing speaks against it\n"),
        "{}",
        doctor.out
    );
    cli(["doctor"]).ok();
    assert_eq!(cli(["doctor", "no-such-command-anywhere"]).status, Some(1));
}

/// Root drops all privileges first; an ordinary user has none to drop.
#[test]
fn an_ordinary_user_needs_nothing() {
    let scratch = Scratch::new();
    let script = "udp-echo tun0 & memtun send-udp tun0 10.0.0.1:7 hi && memtun recv-udp tun0 10.1.2.3:21345; kill $!";
    for (name, from) in [
        ("memtun", env!("CARGO_BIN_EXE_memtun").into()),
        ("udp-echo", udp_echo()),
        ("libmemtun.so", library()),
    ] {
        std::fs::copy(from, scratch.path(name)).unwrap();
    }
    // SAFETY: geteuid(2) touches no memory.
    let root = unsafe { libc::geteuid() } == 0;
    let drop = [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ];
    let mut command = Command::new(if root { "setpriv" } else { "env" });
    command
        .args(drop.iter().filter(|_| root))
        .arg(scratch.path("memtun"))
        .args(["run", "--", "sh", "-c", script]);
    // The library is found beside the command.
    command
        .env_remove("MEMTUN_LIBRARY")
        .env_remove("MEMTUN_NET")
        .env_remove("LD_PRELOAD");
    command.env(
        "PATH",
        format!("{}:/usr/bin:/bin", scratch.path("").display()),
    );
    let run = done(command.stderr(Stdio::piped())).ok();
    assert_eq!(run.out, "10.1.2.3:21345\nhi\n");
}
