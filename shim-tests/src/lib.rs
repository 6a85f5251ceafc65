//! Conformance of memtun with Linux: the same programs run on the kernel's own tun driver and under
//! the shim, and what they print must be equal.
//!
//! | part | what it is |
//! |---|---|
//! | `conformance/programs/*.c` | small programs, one subject each, that print `label: result` lines; `driver.h` is the far side of the interface in both worlds |
//! | `conformance/transcripts/*.txt` | what they print on the kernel's driver; `MEMTUN_RECORD=1` rewrites them |
//! | `conformance/known-differences.txt` | lines that differ under the shim, each with both answers and the reason |
//! | [`fidelity`] | docs/fidelity.md, made from these and from memtun's table of requests |
//! | `random/*.c`, `tests/random.rs` | programs of random calls, from seeds, compared with the kernel without a record |
//! | `tests/conformance.rs` | one test per program and variant |
//! | [`requests`], `conformance/programs/requests.c`, `tests/requests.rs` | memtun's table of requests, walked on the kernel and under the shim, and beside the headers |
//! | `tools/*.sh`, [`tools`], `tests/tools.rs` | commands of net-tools, ethtool and iproute2, unmodified, and what they print on the kernel |
//! | `configured/*.sh`, [`configured`], `tests/configured.rs` | real programs that give their interfaces addresses and routes, and what the machine shows then |
//! | `users/`, [`users`], `tests/users/` | several users on one machine, one of whom means harm |
//! | `hostile/`, [`hostile`] | programs and tests that stop, kill, interrupt and corrupt |
//! | `regressions/*.c` | the smallest program that shows a bug which was found, or a limit that must hold |
//! | `bystanders/` | programs that have nothing to do with tunnels, and must not notice the library |
//! | `real-programs/`, [`real_programs`], `tests/real_*.rs` | programs that others wrote, unmodified |
//!
//! The modules follow a program's way: [`build`] makes it and the shim, [`sides`] runs it on the
//! kernel (`unshare -Urn`) or under the shim (as a user without any privilege), [`watchdog`] ends
//! it if it hangs, and [`transcript`] compares. Where user namespaces are missing, the recorded
//! transcripts stand in for the kernel, and every test says so ([`not_run`]; `scripts/test` ends
//! with the list).

pub mod build;
pub mod configured;
pub mod conformance;
pub mod fidelity;
pub mod hostile;
pub mod hosts;
pub mod not_run;
pub mod real_programs;
pub mod requests;
pub mod sides;
pub mod tools;
pub mod transcript;
pub mod users;
pub mod watchdog;
