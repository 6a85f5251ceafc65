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
//! | `link` | `ls`, `show`, `set`, `delete`: interfaces |
//! | `datagrams` | `send-udp`, `recv-udp` |
//! | `inject`, `progress` | packets from a file |
//! | `capture`, `stop` | packets into a file, until told to end |
//! | `packet_file` | a file of packets by its path |
//! | `policy` | `fault`, `deny`, `permit`, `reset` |
//! | `generate` | completions and man pages |

mod args;
mod capture;
mod datagrams;
mod doctor;
mod failure;
mod generate;
mod inject;
mod link;
mod output;
mod packet_file;
mod policy;
mod progress;
mod run;
mod stop;
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
        Verb::Ls(args) => link::ls::ls(&args),
        Verb::Show(args) => link::show::show(&args),
        Verb::Set(args) => link::change::set(&args),
        Verb::Delete(args) => link::change::delete(&args),
        Verb::SendUdp(args) => datagrams::send(args),
        Verb::RecvUdp(args) => datagrams::receive(&args),
        Verb::Inject(args) => inject::inject(&args),
        Verb::Capture(args) => capture::capture(&args),
        Verb::Fault(args) => policy::fault(&args),
        Verb::Deny(args) => policy::deny(&args),
        Verb::Permit(args) => policy::permit(&args),
        Verb::Reset(args) => policy::reset(&args),
        Verb::Doctor(args) => doctor::doctor(&args),
        Verb::Completions(args) => generate::completions(&args),
        Verb::Man(args) => generate::man(&args),
        Verb::Probe => doctor::probe(),
    };
    match done {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
