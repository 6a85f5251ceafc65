//! Makes docs/fidelity.md, which shows what memtun has of the kernel's driver, from the table of
//! requests and the list of known differences.

use std::fmt::Write as _;

use memtun_abi::request::{Answer, Argument, Need, On, Request, REQUESTS, SOCKET_OPTIONS};
use memtun_abi::Errno;

use crate::transcript;

const HEAD: &str = "\
# What is as in the kernel, and what is not

Written by `scripts/fidelity` from the table of requests (`src/abi/src/request/table.rs`) and from the differences that the conformance
suite knows (`shim-tests/conformance/known-differences.txt`); CI looks whether it is current. The program `requests` of the suite makes
what is not left to the host with NULL, a bad pointer, an argument that lacks its last byte and a good one, on the kernel's driver and under memtun.

| word | meaning |
|---|---|
| exact | what the kernel does |
| approximate | what the kernel does but for what is said |
| refused | always this error, as the kernel's for such an interface |
| absent | the kernel does something, memtun gives this error and says so in the log, once for each request and interface |

";

const TUNNEL: &str = "\
## On a tunnel

A request that is not listed gets EBADFD without an interface and EINVAL with one, as from the driver. Each wants the permission
\"ioctl\"; a fault may be set on each.

";

const SOCKET: &str = "\
## On a socket, about an interface of the net

Each that changes something wants the permission \"net_admin\"; a fault may be set on each, also by number. One that is not listed is
absent, and answered EOPNOTSUPP. The same request about an interface that the net does not have and never had is the host's.

";

const HOST: &str = "\
## Left to the host

They name no interface of the net, so memtun passes them on, and a fault on them is refused: it would never strike.

";

const OPTIONS: &str = "\
## Options of sockets

";

const DIFFERENCES: &str = "\
## Lines of the conformance programs that differ

Every other line that the programs print is the same on the kernel's driver and under memtun.

";

const TAIL: &str = "\
## Functions of libc

For each function of glibc `shim-tests/libc-functions.txt` says whether it reaches a tunnel, and how: those that are hooked are in the
library's own table, those that behave by themselves, and those that pass the library by, each with its reason.
";

/// An answer in words: what it is, and why.
fn words(answer: &Answer) -> (String, &str) {
    match answer {
        Answer::Exact => ("exact".into(), ""),
        Answer::Stack => ("exact".into(), "the net's host answers"),
        Answer::Approximate(how) => ("approximate".into(), how),
        Answer::Refused(e, why) => (format!("refused, {}", Errno(*e)), why),
        Answer::Absent(e, why) => (format!("**absent**, {}", Errno(*e)), why),
        Answer::Host(why) => ("host".into(), why),
    }
}

fn argument(row: &Request) -> String {
    match row.argument {
        Argument::Unused => "unused".into(),
        Argument::Value => "a number".into(),
        Argument::In(t) => format!("gives `{}`", t.c),
        Argument::Out(t) => format!("gets `{}`", t.c),
        Argument::InOut(t) => format!("gives and gets `{}`", t.c),
    }
}

fn on(row: &Request) -> &'static str {
    match row.on {
        On::Any => "any descriptor",
        On::Tunnel => "any tunnel",
        On::Attached => "with an interface",
        On::Tap => "of a tap",
        On::Socket => "any socket",
        On::Inet => "AF_INET",
        On::Inet6 => "AF_INET6",
    }
}

fn requests(page: &mut String, which: impl Fn(&Request) -> bool) {
    page.push_str("| request | number | argument | on | needs | memtun | why, or what differs | what it is for |\n");
    page.push_str("|---|---|---|---|---|---|---|---|\n");
    for row in REQUESTS.iter().filter(|row| which(row)) {
        let (answer, why) = words(&row.answer);
        let needs = match row.need {
            Need::Nothing => "",
            Need::Ioctl => "ioctl",
            Need::NetAdmin => "net_admin",
        };
        let last = match row.count {
            1 => String::new(),
            count => format!(" to {:#x}", row.number + count - 1),
        };
        let _ = writeln!(
            page,
            "| `{}` | {:#x}{last} | {} | {} | {needs} | {answer} | {why} | {} |",
            row.name,
            row.number,
            argument(row),
            on(row),
            row.doc,
        );
    }
    page.push('\n');
}

fn options(page: &mut String) {
    page.push_str("| option | memtun | why | what it is for |\n|---|---|---|---|\n");
    for option in SOCKET_OPTIONS {
        let (answer, why) = words(&option.answer);
        let _ = writeln!(
            page,
            "| `{}` | {answer} | {why} | {} |",
            option.name, option.doc
        );
    }
    page.push('\n');
}

fn differences(page: &mut String) {
    page.push_str("| program | lines | why |\n|---|---|---|\n");
    let all = transcript::all_known_differences();
    for group in all.chunk_by(|a, b| a.program == b.program && a.known.reason == b.known.reason) {
        let labels: Vec<&str> = group.iter().map(|d| d.label.as_str()).collect();
        let (program, reason) = (&group[0].program, &group[0].known.reason);
        let _ = writeln!(page, "| `{program}` | {} | {reason} |", labels.join("; "));
    }
    page.push('\n');
}

/// The text of the page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    page += TUNNEL;
    requests(&mut page, Request::is_of_tunnel);
    let is_host = |row: &Request| matches!(row.answer, Answer::Host(_));
    page += SOCKET;
    requests(&mut page, |row| !row.is_of_tunnel() && !is_host(row));
    page += HOST;
    requests(&mut page, is_host);
    page += OPTIONS;
    options(&mut page);
    page += DIFFERENCES;
    differences(&mut page);
    page + TAIL
}
