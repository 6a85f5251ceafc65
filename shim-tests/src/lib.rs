//! Conformance of memtun with Linux: the same programs run on the kernel's own tun driver and under the shim, and what
//! they print must be equal.
//!
//! | part | what it is |
//! |---|---|
//! | `programs/*.c` | small programs, one subject each, that print `label: result` lines; `driver.h` is the far side of the interface in both worlds |
//! | `transcripts/*.txt` | what they print on the kernel's driver; `MEMTUN_RECORD=1` rewrites them |
//! | `known-differences.txt` | lines that may differ under the shim, each with its reason |
//! | `tests/conformance.rs` | one test per program and variant |
//! | `users/`, [`users`], `tests/users/` | several users on one machine, one of whom means harm |
//! | `hostile/`, [`hostile`] | programs and tests that stop, kill, interrupt and corrupt |
//! | `real-programs/`, [`programs`], `tests/real_*.rs` | programs that others wrote, unmodified |
//!
//! The modules follow a program's way: [`build`] makes it and the shim, [`world`] runs it on the kernel (`unshare -Urn`)
//! or under the shim (as a user without any privilege), [`watchdog`] ends it if it hangs, and [`transcript`] compares.
//! Where user namespaces are missing, the recorded transcripts stand in for the kernel, and every test says so.

pub mod build;
pub mod conformance;
pub mod hostile;
pub mod programs;
pub mod transcript;
pub mod users;
pub mod watchdog;
pub mod world;
