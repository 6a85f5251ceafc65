//! Checks that memtun's table of requests says what the headers of libc and the kernel say.

use std::fs;
use std::process::Command;

use shim_tests::requests::{expected_macros, program_of_macros};
use shim_tests::sides::TempDir;

#[test]
fn numbers_and_sizes_are_those_of_the_headers() {
    let dir = TempDir::new(&std::env::temp_dir(), 0o700, None);
    let (source, program) = (dir.path().join("macros.c"), dir.path().join("macros"));
    fs::write(&source, program_of_macros()).expect("a source");
    let built = Command::new("cc")
        .arg("-D_GNU_SOURCE")
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .output()
        .expect("the command cc, of Debian's gcc");
    let complaint = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{complaint}");
    let said = Command::new(&program).output().expect("the program");
    let said = String::from_utf8_lossy(&said.stdout);
    for (said, expected) in said.lines().zip(expected_macros().lines()) {
        assert_eq!(said, expected);
    }
    assert_eq!(said, expected_macros());
}
