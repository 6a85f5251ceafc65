//! The `memtun` command: programs under an in-memory `/dev/net/tun`, packets from the shell.
//!
//! | module | subject |
//! |---|---|
//! | `args` | the command line as a whole; what the verbs have in common |
//! | `values` | values typed by people: times, addresses, devices |
//! | `failure` | one-line errors and exit statuses |
//! | `output` | standard output, also when nobody reads it to the end |
//! | `run` | a program under the shim |
//! | `doctor` | will a program work under the shim? |
//! | `link` | `ls`, and what is known of an interface |
//! | `datagrams` | `send-udp`, `recv-udp` |

mod args;
mod datagrams;
mod doctor;
mod failure;
mod link;
mod output;
mod run;
mod values;

use args::{Cli, Verb};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return failure::of_usage(&e),
    };
    let done = match cli.verb {
        Verb::Run(args) => run::run(args),
        Verb::Ls(args) => link::ls(&args),
        Verb::SendUdp(args) => datagrams::send(args),
        Verb::RecvUdp(args) => datagrams::receive(&args),
    };
    match done {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
