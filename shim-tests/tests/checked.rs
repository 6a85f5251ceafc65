//! valgrind's memcheck, AddressSanitizer with UndefinedBehaviorSanitizer, and ThreadSanitizer find
//! nothing in the conformance programs under the shim that they do not find on the kernel's driver,
//! and no program ends in another way.
//!
//! A few programs are tried each time. With `MEMTUN_TEST_CHECKERS=all` all of them are, which takes
//! ten minutes.

use std::collections::BTreeMap;
use std::process::Command;

use shim_tests::build;
use shim_tests::conformance::KERNEL_ONLY;
use shim_tests::sides::{self, UnderShim};

/// Programs that run under no checker, because they forbid themselves system calls that the checker
/// needs.
const NOT_UNDER_A_CHECKER: &[&str] = &["sandbox"];

/// What a checker found, in its own words, by a name that is the same in both worlds.
type Reports = BTreeMap<String, String>;

struct Checker {
    name: &'static str,
    /// The flags with which programs are compiled.
    flags: &'static [&'static str],
    /// The words in front of a program.
    words: &'static [&'static str],
    /// Makes of a checker's output the reports, in words that are the same in both worlds.
    found: fn(program: &str, said: &str) -> Reports,
    /// Programs that are tried each time.
    sample: &'static [&'static str],
}

const MEMCHECK: Checker = Checker {
    name: "memcheck",
    flags: &["-O0"],
    words: &["valgrind", "-q", "--vgdb=no"],
    found: of_memcheck,
    sample: &["blocking", "faultptr", "lifetime_fork", "vnet"],
};

const ADDRESS: Checker = Checker {
    name: "address",
    flags: &[
        "-O1",
        "-w",
        "-fsanitize=address,undefined",
        "-fno-omit-frame-pointer",
    ],
    // The library stands in front of the sanitizer's, which would refuse that place. No tracer is
    // there for the leak check.
    words: &[
        "env",
        "ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0:use_sigaltstack=0",
    ],
    found: of_sanitizer,
    sample: &["faultptr", "sigsegv", "lifetime_fork", "vnet"],
};

const THREAD: Checker = Checker {
    name: "thread",
    flags: &["-O1", "-w", "-fsanitize=thread"],
    words: &["setarch", "-R"],
    found: of_sanitizer,
    sample: &["blocking_close", "multiqueue"],
};

/// Reads memcheck's reports, which are paragraphs. Each stands for the line of the program that it
/// concerns; a paragraph that concerns no line, or is a warning, is a report of its own. A pointer
/// to nothing that a program passes on purpose is an argument of a system call on the kernel, of
/// which memcheck mentions some, and an access under the shim.
fn of_memcheck(program: &str, said: &str) -> Reports {
    let place = format!("({program}.c:");
    let mut found = Reports::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut end = |paragraph: &mut Vec<&str>| {
        let of_program = paragraph.iter().find_map(|line| line.split_once(&place));
        let text = paragraph.join("\n");
        // A thread other than the first has its number in front.
        let on_purpose = paragraph
            .iter()
            .find(|line| line.starts_with("at "))
            .is_some_and(|frame| frame.contains(": memtun_guard_"))
            && text.contains("is not stack'd, malloc'd or (recently) free'd");
        match (of_program, paragraph.first()) {
            _ if on_purpose => None,
            (Some((_, line)), _) => found.insert(format!("{program}.c:{line}"), text),
            (None, Some(_)) => found.insert(text.clone(), text),
            (None, None) => None,
        };
        paragraph.clear();
    };
    for line in said.lines() {
        let mark = line.get(..2).unwrap_or_default();
        let text = line.splitn(3, mark).nth(2).map(str::trim);
        match (mark, text) {
            ("==", Some("")) => end(&mut paragraph),
            ("==", Some(text)) => paragraph.push(text),
            ("--", Some(text)) => {
                end(&mut paragraph);
                paragraph.push(text);
                end(&mut paragraph);
            }
            _ => {}
        }
    }
    end(&mut paragraph);
    found
}

/// Reads a sanitizer's reports, each of which begins with a line that names it. A report stands for
/// the line of the program that led to it, which is in the outermost frame of the first stack,
/// because under the shim the library's own frames are in between.
fn of_sanitizer(program: &str, said: &str) -> Reports {
    let place = format!("/{program}.c:");
    let line_of = |line: &str| {
        let (_, after) = line.split_once(&place)?;
        after.split([' ', ':', ')']).next().map(str::to_owned)
    };
    let mut found = Reports::new();
    let lines: Vec<&str> = said.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        if line.contains("runtime error:") {
            found.insert((*line).to_owned(), (*line).to_owned());
        } else if line.contains("FATAL: ")
            || line.contains("Sanitizer: ") && !line.contains("SUMMARY")
        {
            let rest = &lines[at..];
            let first_stack = rest
                .iter()
                .skip_while(|l| !l.contains("#0 "))
                .take_while(|l| l.contains('#'));
            let name = match first_stack.filter_map(|l| line_of(l)).last() {
                Some(number) => format!("{program}.c:{number}"),
                None => (*line).to_owned(),
            };
            found.insert(name, rest.join("\n"));
        }
    }
    found
}

fn programs(checker: &Checker) -> Vec<String> {
    if std::env::var_os("MEMTUN_TEST_CHECKERS").is_none_or(|v| v != "all") {
        return checker.sample.iter().map(|&name| name.to_owned()).collect();
    }
    let mut names = build::program_names();
    let left_out = [NOT_UNDER_A_CHECKER, KERNEL_ONLY].concat();
    names.retain(|name| !left_out.contains(&name.as_str()));
    names
}

fn nothing_more_than_on_the_kernel(checker: &Checker) {
    let tool = checker.words[0];
    let there = Command::new(tool).arg("--version").output();
    assert!(there.is_ok(), "{tool} is missing; scripts/test installs it");
    if let Some(why) = sides::kernel_missing() {
        eprintln!(
            "{}: NOT RUN, there is no kernel driver here to compare with ({why})",
            checker.name
        );
        return;
    }
    let mut complaints = Vec::new();
    for name in programs(checker) {
        let program = build::checked_program(&name, checker.name, checker.flags);
        let kernel = sides::on_the_kernel_under(checker.words, &program);
        let shim = UnderShim::new(&program).run_under(checker.words);
        let known = (checker.found)(&name, &kernel.stderr);
        let found = (checker.found)(&name, &shim.stderr);
        let more = found.iter().filter(|(what, _)| !known.contains_key(*what));
        complaints.extend(
            more.map(|(what, words)| format!("{name}: {what}, only under the shim\n{words}")),
        );
        if kernel.ended.success() && !shim.ended.success() {
            complaints.push(format!(
                "{name}: {} under the shim\n{}\n{}",
                shim.ended, shim.stdout, shim.stderr
            ));
        }
    }
    assert!(
        complaints.is_empty(),
        "{}: {}",
        checker.name,
        complaints.join("\n")
    );
}

#[test]
fn memcheck() {
    nothing_more_than_on_the_kernel(&MEMCHECK);
}

#[test]
fn address_and_undefined_behaviour_sanitizer() {
    nothing_more_than_on_the_kernel(&ADDRESS);
}

#[test]
fn thread_sanitizer() {
    nothing_more_than_on_the_kernel(&THREAD);
}

#[test]
fn a_report_is_known_by_the_line_of_the_program() {
    let said = "==1== Invalid read of size 4\n==1==    at 0x48: memtun_guard_copy (in /x)\n==1==    by 0x10: main (carrier.c:33)\n==1==\n==1== Conditional jump\n==1==    at 0x1: f (in /lib)\n==1==\n--1-- WARNING: unknown\n";
    let found = of_memcheck("carrier", said);
    assert!(found.contains_key("carrier.c:33)"), "{found:?}");
    assert_eq!(found.len(), 3, "{found:?}");
}
