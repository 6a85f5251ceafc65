//! What the tests ask for: the transcript of a program in one world, and whether it is that of the
//! other world.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::build::{self, Variant};
use crate::not_run::not_run;
use crate::sides::{self, UnderShim};
use crate::transcript::{self, Allowed};
use crate::watchdog::Finished;

/// Hands the programs to a macro whose answers are recorded on the kernel before memtun gives them:
/// under the shim they are not run. A program that memtun answers moves from here to the list in
/// `tests/conformance.rs`.
#[macro_export]
macro_rules! kernel_only {
    ($each:ident) => {
        $each! {}
    };
}

macro_rules! names {
    ($($name:ident)*) => { &[$(stringify!($name)),*] };
}

/// The programs of [`kernel_only`](crate::kernel_only).
pub const KERNEL_ONLY: &[&str] = kernel_only!(names);

fn transcript_of(program: &str, side: &str, run: Finished) -> String {
    assert!(
        run.ended.success(),
        "{program} {side}: {}\n--- standard error\n{}--- standard output\n{}",
        run.ended,
        run.stderr,
        run.stdout
    );
    run.stdout
}

/// What the program prints on the kernel's driver. It is run once per test process.
fn kernel_transcript(program: &str, variant: Variant) -> Arc<str> {
    type Made =
        OnceLock<Mutex<std::collections::HashMap<(String, Variant), Arc<OnceLock<Arc<str>>>>>>;
    static RUNS: Made = OnceLock::new();
    build::once_per(&RUNS, (program.to_owned(), variant), || {
        let run = sides::on_the_kernel(&build::program(program, variant));
        transcript_of(program, "on the kernel", run).into()
    })
}

fn recorded(program: &str) -> String {
    transcript::recorded(program).unwrap_or_else(|| {
        panic!("no conformance/transcripts/{program}.txt: MEMTUN_RECORD=1 records what the kernel does")
    })
}

fn fail(program: &str, what: &str, report: &str) -> ! {
    panic!("{program}: {what}\n{report}")
}

/// Asserts that the program prints on this machine's kernel what was recorded, in both variants.
/// With `MEMTUN_RECORD=1` the record is rewritten first.
pub fn assert_kernel_is_as_recorded(program: &str) {
    if let Some(why) = sides::kernel_missing() {
        not_run(
            "the program on the kernel's driver; its recorded transcript stands for it",
            why,
        );
        transcript::Transcript::parse(&recorded(program));
        return;
    }
    if std::env::var_os("MEMTUN_RECORD").is_some_and(|v| v == "1") {
        transcript::record(program, &kernel_transcript(program, Variant::Plain));
    }
    for variant in Variant::ALL {
        let live = kernel_transcript(program, variant);
        if let Err(report) = transcript::compare(
            "recorded",
            &recorded(program),
            "kernel",
            &live,
            &Allowed::new(),
        ) {
            fail(
                program,
                &format!("{variant:?}: the kernel is not as recorded (MEMTUN_RECORD=1 rewrites)"),
                &report,
            );
        }
    }
}

/// The turn of a program that uses the machine's loopback, whose ports are everybody's: on the
/// kernel each namespace has one of its own.
fn turn(program: &str) -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    let uses_loopback = ["mixed_", "tcp_", "udp_"]
        .iter()
        .any(|begin| program.starts_with(begin));
    uses_loopback.then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Asserts that the program prints under the shim what it prints on the kernel, and leaves nothing
/// behind in its net.
pub fn assert_shim_is_as_kernel(program: &str, variant: Variant) {
    assert_shim_is_as_kernel_beside(program, variant, || ());
}

/// The names of all addresses with this port.
fn of_all_addresses(port: u16) -> [SocketAddr; 2] {
    [
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
    ]
}

/// What another process of the machine has: sockets that listen on a port of all addresses.
pub fn listeners(port: u16) -> impl Sized {
    // Where somebody else has it already, that serves as well.
    of_all_addresses(port).map(|name| TcpListener::bind(name).ok())
}

/// The same with sockets of datagrams.
pub fn receivers(port: u16) -> impl Sized {
    of_all_addresses(port).map(|name| UdpSocket::bind(name).ok())
}

/// What another process of the machine has left: a connection between addresses of the loopback
/// that is over a moment ago (TIME_WAIT), whose own port this is.
pub fn past_connection(port: u16) -> impl Sized {
    let made = || -> std::io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 5, 5, 5), port))?;
        let other = TcpStream::connect(listener.local_addr()?)?;
        drop(listener.accept()?);
        drop(other);
        Ok(())
    };
    made().ok()
}

/// Does the same as [`assert_shim_is_as_kernel`], while the machine has what `beside` makes.
pub fn assert_shim_is_as_kernel_beside<B>(
    program: &str,
    variant: Variant,
    beside: impl FnOnce() -> B,
) {
    let _turn = turn(program);
    let _beside = beside();
    let expected: Arc<str> = match sides::kernel_missing() {
        None => kernel_transcript(program, variant),
        Some(why) => {
            not_run(
                "the comparison with the kernel's driver; the recorded transcript stands for it",
                why,
            );
            recorded(program).into()
        }
    };
    let shim = UnderShim::new(&build::program(program, variant));
    let run = shim.run();
    let left = shim.leftovers();
    // A program that ended early has still printed something, so the report shows where it parted
    // from the kernel.
    let differences = transcript::compare(
        "kernel",
        &expected,
        "shim",
        &run.stdout,
        &transcript::known_differences(program),
    );
    if let Err(report) = differences {
        fail(
            program,
            &format!("{variant:?}: {}\n{}", run.ended, run.stderr.trim_end()),
            &report,
        );
    }
    transcript_of(program, "under the shim", run);
    assert!(
        left.is_empty(),
        "{program}: left behind in the net: {left:#?}"
    );
}

/// Asserts that `listed` has exactly the files in `conformance/programs/`, and that every record
/// and every known difference has a program.
pub fn assert_listed(listed: &[&str]) {
    let mut sorted = listed.to_vec();
    sorted.sort_unstable();
    assert_eq!(
        build::program_names(),
        sorted,
        "conformance/programs/*.c and the list in tests/conformance.rs"
    );
    for program in transcript::programs_with_known_differences() {
        assert!(
            listed.contains(&program.as_str()),
            "known-differences.txt: there is no program {program}"
        );
    }
    for entry in std::fs::read_dir(build::crate_dir().join("conformance/transcripts"))
        .expect("conformance/transcripts/")
    {
        let path = entry.expect("a directory entry").path();
        let name = path
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default();
        assert!(
            listed.contains(&name),
            "{}: there is no such program",
            Path::new(&path).display()
        );
    }
}

/// Names the programs that are recorded on the kernel only, in the list of tests that were not run,
/// and asserts that each has a record and no known difference, which would never be looked at.
pub fn name_what_is_not_compared() {
    let known = transcript::programs_with_known_differences();
    for &program in KERNEL_ONLY {
        assert!(
            !known.contains(program),
            "known-differences.txt: {program} is not compared yet"
        );
        let answers = transcript::Transcript::parse(&recorded(program)).len();
        not_run(
            &format!("{program} under the shim, {answers} answers of the kernel"),
            "not compared yet: kernel_only in src/conformance.rs",
        );
    }
}
