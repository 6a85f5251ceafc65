//! What programs under `memtun run` execute in their turn: sanitizers, libraries that wrappers
//! preload, sandboxes, and programs that the library cannot see.

mod common;

use common::*;
use std::path::Path;
use std::process::Command;

/// A program that attaches an interface, prints its name and what is preloaded, and runs a command
/// with system(3).
const TUNNEL: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
int main(int c, char **v) {
    char request[40] = "tun%d";
    request[16] = 1, request[17] = 0x10;
    int fd = open("/dev/net/tun", O_RDWR);
    if (fd < 0 || ioctl(fd, 0x400454ca, request)) { perror("tunnel"); return 1; }
    printf("%s %s\n", request, getenv("LD_PRELOAD"));
    fflush(stdout);
    return c > 1 && system(v[1]);
}
"#;

/// Makes the command without the rights to make a tunnel of the machine's, even where root runs the
/// tests.
fn unprivileged() -> Command {
    // SAFETY: geteuid(2) touches no memory.
    if unsafe { libc::geteuid() } != 0 {
        return memtun();
    }
    let mut command = Command::new("setpriv");
    for (name, value) in memtun().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .args([
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--ambient-caps=-all",
        ])
        .arg(env!("CARGO_BIN_EXE_memtun"));
    command
}

fn run(command: &[&str]) -> Done {
    done(unprivileged().args(["run", "--"]).args(command))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_program_with_a_sanitizer_starts_however_it_is_started() {
    let scratch = Scratch::new();
    let library = library().canonicalize().unwrap().display().to_string();
    let plain = compiled(&scratch, "plain", TUNNEL, &[]).expect("a C compiler");
    for sanitizer in ["address", "thread", "leak", "undefined"] {
        let option = format!("-fsanitize={sanitizer}");
        let Some(program) = compiled(&scratch, sanitizer, TUNNEL, &[&option]) else {
            continue;
        };
        let program = text(&program);
        let python = format!("import subprocess; subprocess.run(['{program}'], check=True)");
        let make = scratch.write("Makefile", format!("all:\n\t@{program}\n"));
        let spawn = format!("import os; os.waitpid(os.posix_spawn('{program}', ['x'], {{}}), 0)");
        for starter in [
            vec![program],
            vec!["sh", "-c", program],
            vec!["sh", "-c", "\"$0\"; true", program],
            vec!["env", program],
            vec!["env", "-i", program],
            vec!["/usr/bin/python3", "-c", &python],
            vec!["/usr/bin/python3", "-c", &spawn],
            vec!["make", "-sf", text(&make)],
            vec![text(&plain), program],
        ] {
            let run = run(&starter).ok();
            // The programs that it starts itself do not have the runtime in their environment.
            let expected = format!("tun0 {library}");
            let told = run.out.lines().filter(|line| *line == expected).count();
            assert!(told >= 1, "{starter:?}: {}", run.out);
        }
        // In this case the program starts programs with another sanitizer, and without one.
        let others = format!("{}; env -u NOTHING {}", text(&plain), text(&plain));
        let run = run(&[program, &others]).ok();
        assert_eq!(run.out.lines().count(), 3, "{}", run.out);
        assert!(
            run.out
                .lines()
                .all(|line| line.ends_with(&format!(" {library}"))),
            "{}",
            run.out
        );
        // Whoever names a runtime himself keeps it.
        if sanitizer == "address" {
            let shell = "LD_PRELOAD=\"$(cc -print-file-name=libasan.so):$LD_PRELOAD\" \"$0\"";
            let run = started(&["sh", "-c", shell, program]);
            assert!(
                run.out.starts_with("tun0 ") && run.out.contains("libasan"),
                "{}",
                run.out
            );
        }
    }
}

#[test]
fn a_sanitizer_that_is_linked_statically_is_not_taken_for_the_program() {
    let scratch = Scratch::new();
    for (sanitizer, library) in [("address", "asan"), ("leak", "lsan"), ("thread", "tsan")] {
        let option = format!("-fsanitize={sanitizer}");
        let linked = format!("-static-lib{library}");
        let Some(program) = compiled(&scratch, library, TUNNEL, &[&option, &linked]) else {
            continue;
        };
        let doctor = cli(["doctor", text(&program)]).ok();
        assert!(
            doctor.out.ends_with("nothing speaks against it\n"),
            "{}",
            doctor.out
        );
        if sanitizer == "leak" {
            // gcc's own static runtime fails its checks at the start, even when nothing is
            // preloaded.
            continue;
        }
        let run = run(&[text(&program)]).ok();
        assert!(run.out.starts_with("tun0 "), "{}", run.out);
        assert_eq!(run.err, "");
    }
}

fn started(command: &[&str]) -> Done {
    run(command).ok()
}

/// A library that has its own open, which goes to libc by a handle, as umockdev's and
/// socket_wrapper's do.
const PAST: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
int open(const char *path, int flags, int mode) {
    int (*real)(const char *, int, int) = (int (*)(const char *, int, int)) dlsym(FROM, "open");
    return real(path, flags, mode);
}
"#;

#[test]
fn a_library_that_is_preloaded_in_front_hides_no_tunnel_or_is_named() {
    let scratch = Scratch::new();
    let program = compiled(&scratch, "program", TUNNEL, &[]).expect("a C compiler");
    let options = |from| [from, "-shared", "-fPIC", "-fno-builtin", "-ldl"];
    let past = options("-DFROM=dlopen(\"libc.so.6\",RTLD_LAZY)");
    let past = compiled(&scratch, "libpast.so", PAST, &past).expect("a C compiler");
    let next = compiled(&scratch, "libnext.so", PAST, &options("-DFROM=RTLD_NEXT"));
    let next = next.expect("a C compiler");
    let directly = |first: &Path| {
        let list = format!("{}:{}", first.display(), library().display());
        done(
            Command::new(&program)
                .env("LD_PRELOAD", list)
                .env_remove("MEMTUN_NET"),
        )
    };
    // Nobody under the library has started this program, so nobody could put the library first.
    let warned = directly(&past);
    assert!(
        warned
            .err
            .contains("libpast.so stands in front of this library"),
        "{}",
        warned.err
    );
    assert!(
        warned.err.contains("put libmemtun.so first"),
        "{}",
        warned.err
    );
    // A library that passes calls on is no obstacle.
    assert!(directly(&next).ok().out.starts_with("tun0 "));
    // Under `run` the wrapper's library is put behind.
    for library in [&past, &next] {
        let shell = format!(
            "LD_PRELOAD={}:$LD_PRELOAD {}",
            library.display(),
            program.display()
        );
        let run = run(&["sh", "-c", &shell]).ok();
        let name = library.file_name().unwrap().to_str().unwrap();
        assert!(
            run.out.starts_with("tun0 ") && run.out.ends_with(&format!("{name}\n")),
            "{}",
            run.out
        );
    }
    for wrapper in [
        &["umockdev-wrapper"][..],
        &["env", "LD_PRELOAD=libsocket_wrapper.so"],
    ] {
        let there = Command::new(wrapper[0])
            .args(&wrapper[1..])
            .arg("true")
            .output();
        if there.is_ok_and(|made| made.status.success() && made.stderr.is_empty()) {
            let run = run(&[wrapper, &[text(&program)]].concat());
            assert!(
                run.out.starts_with("tun0 "),
                "{wrapper:?}: {}{}",
                run.out,
                run.err
            );
        } else {
            not_run(&format!("{wrapper:?}"), "there is none");
        }
    }
}

#[test]
fn what_a_shell_executes_past_the_library_is_named_once() {
    let scratch = Scratch::new();
    let source = "int main(void) { return 3; }\n";
    let Some(program) = compiled(&scratch, "still", source, &["-static"]) else {
        return;
    };
    let script = script(&scratch, "script", &format!("#!{}\n", program.display()));
    let shell = "$0; $0; sh -c '$0; :' $0; env $0; $1; exec $0";
    let run = cli([
        "run",
        "--",
        "sh",
        "-c",
        shell,
        text(&program),
        text(&script),
    ]);
    assert_eq!(run.status, Some(3));
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    assert!(
        run.err.contains("still: is linked statically"),
        "{}",
        run.err
    );
    let quiet = done(
        memtun()
            .args([
                "run",
                "--",
                "sh",
                "-c",
                shell,
                text(&program),
                text(&script),
            ])
            .env("MEMTUN_LOG", "error"),
    );
    assert_eq!(quiet.err, "");
    // SAFETY: geteuid(2) touches no memory.
    if unsafe { libc::geteuid() } == 0 {
        let copy = "cp /bin/true $0 && chown 65534 $0 && chmod 4755 $0 && $0 && $0";
        let program = scratch.path("lifted");
        let run = cli(["run", "--", "sh", "-c", copy, text(&program)]);
        assert_eq!(
            (run.status, run.err.lines().count()),
            (Some(0), 1),
            "{}",
            run.err
        );
        assert!(run.err.contains("lifted: is set-uid"), "{}", run.err);
    }
}

/// Helpers that Debian ships set-uid (fusermount3) or with file capabilities (ping) run on the
/// machine itself. A script that calls one goes on, and the log says what was left out, and why.
#[test]
fn helpers_with_more_rights_are_named_with_a_remedy() {
    // SAFETY: geteuid(2) touches no memory.
    if unsafe { libc::geteuid() } != 0 {
        return not_run("helpers with more rights", "only root can make some");
    }
    let scratch = Scratch::new();
    // Root gains nothing by a file's capabilities, so an ordinary user calls the helpers.
    for file in [Path::new(env!("CARGO_BIN_EXE_memtun")), &library()] {
        std::fs::copy(file, scratch.path(file.file_name().unwrap())).unwrap();
    }
    let as_user = |started: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(scratch.path("memtun")).args(["run", "--"]);
        done(command.args(started).env_remove("LD_PRELOAD"))
    };
    let helper = |name: &str, lift: &str| {
        let path = scratch.path(name);
        std::fs::copy("/bin/true", &path).unwrap();
        let lifted = Command::new("sh").args(["-c", lift]).arg(&path).status();
        (path, lifted.is_ok_and(|status| status.success()))
    };
    let (owner, group) = ("chown 1 $0; chmod 4755 $0", "chown :1 $0; chmod 2755 $0");
    let mut helpers = vec![
        (helper("fusermount", owner), "is set-uid", "is not"),
        (helper("wall", group), "is set-gid", "is not"),
    ];
    let ping = helper("ping", "setcap cap_net_raw+ep $0");
    match ping.1 {
        true => helpers.push((ping, "has file capabilities", "has none")),
        false => not_run("a helper with file capabilities", "setcap(8) gives it none"),
    }
    for ((path, lifted), why, without) in helpers {
        assert!(lifted, "{}", path.display());
        let lines = format!("#!/bin/sh\n{0} -c 1\n{0}; echo $?\n", path.display());
        let script = script(&scratch, "script", &lines);
        let python = "import os, sys; os.system(sys.argv[1])";
        for started in [
            &[text(&script)][..],
            &["sh", "-c", "exec $0 -c 1", text(&path)],
            &["env", "-i", "PATH=/bin", text(&script)],
            &["python3", "-c", python, text(&path)],
        ] {
            let run = as_user(started);
            assert_eq!(run.status, Some(0), "{started:?} {}", run.err);
            let said: Vec<&str> = run.err.lines().collect();
            let says = format!("{}: {why}, so the system starts it", path.display());
            let remedy = format!("run a copy of it that {without}");
            assert!(
                said.len() == 1 && said[0].contains(&says) && said[0].contains(&remedy),
                "{started:?}: {said:#?}"
            );
        }
    }
}

#[test]
fn a_net_that_is_not_the_drivers_is_said_to_be_another() {
    let scratch = Scratch::new();
    let program = compiled(&scratch, "program", TUNNEL, &[]).expect("a C compiler");
    let shell = "rm -rf $MEMTUN_NET; \"$0\"";
    let run = cli(["run", "--", "sh", "-c", shell, text(&program)]);
    assert_eq!(run.status, Some(0));
    assert!(
        run.err
            .contains("is not the one in which this program was started"),
        "{}",
        run.err
    );
    // A net that was named on purpose is the one that is meant.
    let shell = format!("MEMTUN_NET={} \"$0\"", scratch.path("net").display());
    cli(["run", "--", "sh", "-c", &shell, text(&program)]).ok();
    let sandbox = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev"];
    let there = Command::new(sandbox[0])
        .args(&sandbox[1..])
        .arg("true")
        .output();
    if !there.is_ok_and(|made| made.status.success()) {
        return not_run("programs in bwrap", "there is none that works");
    }
    let in_sandbox = |more: &[&str]| {
        let run = [&["run", "--"][..], &sandbox, more, &[text(&program)]].concat();
        let run = cli(run);
        assert!(run.out.starts_with("tun0 "), "{}{}", run.out, run.err);
        run
    };
    in_sandbox(&["--bind", "/dev/shm", "/dev/shm"]).ok();
    let err = in_sandbox(&["--tmpfs", "/dev/shm"]).err;
    assert!(
        err.contains("bwrap --bind") && err.lines().count() == 1,
        "{err}"
    );
}
