//! Random sequences of calls, from seeds: what a program of `random/` prints on the kernel's driver
//! and under the shim is equal. `MEMTUN_TEST_SEEDS=7,8` or `MEMTUN_TEST_SEEDS=1-1000` tries others;
//! a failure says which seed it was, and which line.

use shim_tests::sides::{self, TempDir, UnderShim};
use shim_tests::watchdog::Finished;
use shim_tests::{build, not_run::not_run};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Number of seeds that one process of a program tries: it has a minute.
const AT_ONCE: usize = 40;

fn seeds(usual: RangeInclusive<u32>) -> Vec<u32> {
    let Ok(wanted) = std::env::var("MEMTUN_TEST_SEEDS") else {
        return usual.collect();
    };
    let number = |text: &str| text.parse::<u32>().expect("MEMTUN_TEST_SEEDS: numbers");
    let part = |part: &str| match part.split_once('-') {
        Some((first, last)) => (number(first)..=number(last)).collect::<Vec<_>>(),
        None => vec![number(part)],
    };
    wanted.split(',').flat_map(part).collect()
}

/// The lines of each seed.
fn by_seed(text: &str) -> BTreeMap<u32, Vec<&str>> {
    let mut all = BTreeMap::<u32, Vec<&str>>::new();
    for line in text.lines() {
        let seed = line.split_once('.').and_then(|(seed, _)| seed.parse().ok());
        all.entry(seed.unwrap_or(0)).or_default().push(line);
    }
    all
}

/// What a program has printed. One that died says so in what it printed last.
fn text_of(run: Finished) -> String {
    match run.ended.success() {
        true => run.stdout,
        false => format!("{}\n0.{} {}", run.stdout, run.ended, run.stderr),
    }
}

/// Returns where the two part, with what was done before.
fn difference(kernel: &str, shim: &str) -> Option<String> {
    let (kernel, shim) = (by_seed(kernel), by_seed(shim));
    let nothing = Vec::new();
    for (seed, expected) in &kernel {
        let got = shim.get(seed).unwrap_or(&nothing);
        if expected == got {
            continue;
        }
        let at = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
        let line = |lines: &[&str]| lines.get(at).copied().unwrap_or("(nothing)").to_owned();
        let before = expected[..at].join("\n");
        let (expected, got) = (line(expected), line(got));
        return Some(format!("{before}\n-- kernel\n{expected}\n-- shim\n{got}"));
    }
    (kernel.len() != shim.len()).then(|| "seeds are missing".to_owned())
}

fn file_of(seeds: &[u32], folder: &Path) -> PathBuf {
    let words: Vec<String> = seeds.iter().map(u32::to_string).collect();
    let file = folder.join("seeds");
    std::fs::write(&file, words.join(" ") + "\n").expect("a file of seeds");
    file
}

fn assert_equal(program: &str, usual: RangeInclusive<u32>) {
    if let Some(why) = sides::kernel_missing() {
        not_run(
            "random calls on the kernel's driver and under the shim",
            why,
        );
        return;
    }
    let folder = TempDir::new(&std::env::temp_dir(), 0o755, None);
    let built = build::random_program(program);
    for seeds in seeds(usual).chunks(AT_ONCE) {
        let file = file_of(seeds, folder.path());
        let kernel = text_of(sides::on_the_kernel_with(&built, &file));
        let shim = text_of(UnderShim::new(&built).run_with(&[file]));
        if let Some(report) = difference(&kernel, &shim) {
            panic!("{program}: {report}");
        }
    }
}

#[test]
fn calls_on_a_device() {
    assert_equal("device", 1..=40);
}
