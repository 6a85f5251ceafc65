//! The ways to join a net, all of which answer the same.

use std::path::Path;

use memtun::NetOptions;

use super::{copy, harm, Machine};
use crate::build;

/// How a net is joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A program under the shim opens the device.
    Shim,
    /// The command `memtun run`.
    Run,
    /// The command `memtun ls`, which makes no net.
    Ls,
    /// The C functions `memtun_net_open` and `memtun_net_open_of_user`.
    C,
    /// The Python class `memtun.Net`.
    Python,
    /// The Rust type `memtun::NetOptions`.
    Rust,
}

impl Way {
    /// All ways.
    pub const ALL: [Way; 6] = [Way::Shim, Way::Run, Way::Ls, Way::C, Way::Python, Way::Rust];
}

/// The error of a net that was not joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The errno; `None` for the command, which gives none.
    pub errno: Option<i32>,
    /// The sentence that people read.
    pub sentence: String,
}

impl Machine {
    /// Joins a net, and leaves it again. The outer error is the harm that an attack did to the
    /// victim.
    pub fn join(
        &self,
        way: Way,
        uid: u32,
        dir: &Path,
        owner: Option<u32>,
    ) -> Result<Result<(), Refusal>, String> {
        let shown = dir.to_str().expect("a path in UTF-8");
        let number = owner.map_or("-".to_owned(), |uid| uid.to_string());
        let of_owner: Vec<&str> = match owner {
            Some(_) => vec!["--owner", &number],
            None => vec![],
        };
        let mut command = match way {
            Way::Shim => {
                let mut command = self.program(uid, Some(dir), &["open"]);
                if owner.is_some() {
                    command.env("MEMTUN_NET_OWNER", &number);
                }
                command
            }
            Way::Run => {
                let before = [&["run", "--net", shown][..], &of_owner, &["--", "true"]];
                self.memtun(uid, &before.concat())
            }
            Way::Ls => self.memtun(uid, &[&["ls", "--net", shown][..], &of_owner].concat()),
            Way::C => self.driver(uid, dir, owner, &["join"]),
            Way::Python => {
                let mut command = self.command(uid, "/usr/bin/python3");
                command
                    .env("PYTHONPATH", self.python())
                    .env("PYTHONDONTWRITEBYTECODE", "1")
                    .env("MEMTUN_LIBRARY", self.stage().join("libmemtun.so"))
                    .arg(self.python().join("driver.py"))
                    .args([shown, &number]);
                command
            }
            Way::Rust => {
                let mut command = self.command(uid, self.test_program());
                command
                    .args(["--exact", IN_RUST, "--ignored", "--nocapture"])
                    .env("NET", dir)
                    .env("OWNER", &number);
                command
            }
        };
        let finished = self.run_anyhow(&mut command);
        let said = format!("{}{}", finished.stdout, finished.stderr);
        if let Some(why) = harm(&finished) {
            return Err(format!("{way:?} {shown}: {why}\n{said}"));
        }
        let label = match way {
            Way::Run | Way::Ls => {
                return Ok(match finished.ended.code() {
                    Some(0) => Ok(()),
                    _ => Err(Refusal {
                        errno: None,
                        sentence: sentence(&said),
                    }),
                })
            }
            Way::Shim => "open: ",
            Way::C | Way::Python | Way::Rust => "join: ",
        };
        let answer = said.lines().find_map(|line| line.split_once(label));
        let Some((_, answer)) = answer else {
            return Err(format!("{way:?} {shown}: no answer: {said}"));
        };
        if answer == "ok" {
            return Ok(Ok(()));
        }
        let errno = answer.split(' ').next().and_then(|n| n.parse().ok());
        Ok(Err(Refusal {
            errno,
            sentence: sentence(&said),
        }))
    }

    /// Path of the Python package in a place where anybody can read it.
    fn python(&self) -> std::path::PathBuf {
        let place = self.stage().join("python");
        if !place.exists() {
            copy(&build::crate_dir().join("../src/python/src"), &place);
            let driver = build::crate_dir().join("users/driver.py");
            copy(&driver, &place.join("driver.py"));
        }
        place
    }

    /// Path of the running test program in a place where anybody can run it.
    fn test_program(&self) -> std::path::PathBuf {
        let place = self.stage().join("in-rust");
        if !place.exists() {
            let running = std::env::current_exe().expect("the test's own path");
            copy(&running, &place);
        }
        place
    }
}

/// Name of the test that every test program has which uses [`Way::Rust`]. It is ignored, and calls
/// [`answer_in_rust`].
const IN_RUST: &str = "a_driver_in_rust";

/// The part of the line behind "net DIR: ", DIR included.
fn sentence(said: &str) -> String {
    let mut lines = said
        .lines()
        .filter_map(|line| line.find("net /").map(|at| &line[at..]));
    lines.next_back().unwrap_or(said).trim_end().to_owned()
}

/// Joins the net that the environment names, and prints what came of it.
pub fn answer_in_rust() {
    let (Ok(net), Ok(owner)) = (std::env::var("NET"), std::env::var("OWNER")) else {
        // All tests are run, the ignored ones as well, and nothing is asked for.
        return;
    };
    let options = match owner.parse() {
        Ok(uid) => NetOptions::new().owner(uid),
        Err(_) => NetOptions::new(),
    };
    match options.create(true).open(net) {
        Ok(_) => println!("join: ok"),
        Err(e) => println!("join: {} {e}", e.errno().0),
    }
}
