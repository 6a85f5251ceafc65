//! The `memtun` command: programs under an in-memory `/dev/net/tun`, packets from the shell.
//!
//! This file alone knows all verbs; each verb's arguments stand in its module.
//!
//! | module | subject |
//! |---|---|
//! | `options` | options that verbs have in common: which net, which interface, for how long |
//! | `values` | values typed by people: times, addresses, devices |
//! | `failure`, `usage` | one-line errors and exit statuses |
//! | `logging` | what a host process has to say |
//! | `output` | standard output, also when nobody reads it to the end |
//! | `run` | a program under the shim |
//! | `doctor` | will a program work under the shim? |
//! | `link` | `ls`, `show`, `set`, `delete`: interfaces |
//! | `addr` | `addr`, `route`, `neigh`, `ip`: what the net's host knows |
//! | `datagrams` | `send-udp`, `recv-udp` |
//! | `inject`, `progress` | packets from a file |
//! | `event`, `appearing` | waiting for what happens first, and for files that others make |
//! | `capture`, `stop` | packets into a file, until told to end |
//! | `packet_file` | a file of packets by its path |
//! | `policy` | `fault`, `deny`, `permit`, `reset` |
//! | `host` | the host process of a net |
//! | `generate` | completions and man pages |

mod addr;
mod appearing;
mod capture;
mod datagrams;
mod doctor;
mod event;
mod failure;
mod generate;
mod host;
mod inject;
mod link;
mod logging;
mod options;
mod output;
mod packet_file;
mod policy;
mod progress;
mod run;
mod stop;
mod usage;
mod values;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// In-memory /dev/net/tun for unmodified programs, without privileges
#[derive(Parser)]
#[command(
    name = "memtun",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
struct Cli {
    /// What to do
    #[command(subcommand)]
    verb: Verb,
}

/// The verbs.
#[derive(Subcommand)]
enum Verb {
    Run(run::RunArgs),
    Ls(link::ls::LsArgs),
    Show(link::show::ShowArgs),
    Set(link::change::SetArgs),
    Delete(link::change::DeleteArgs),
    #[command(visible_alias = "address")]
    Addr(addr::AddrArgs),
    Route(addr::RouteArgs),
    #[command(visible_aliases = ["neighbour", "neighbor"])]
    Neigh(addr::NeighArgs),
    Ip(addr::IpArgs),
    SendUdp(datagrams::SendArgs),
    RecvUdp(datagrams::ReceiveArgs),
    Inject(inject::InjectArgs),
    Capture(capture::CaptureArgs),
    Fault(policy::FaultArgs),
    Deny(policy::DenyArgs),
    Permit(policy::PermitArgs),
    Reset(policy::ResetArgs),
    Doctor(doctor::DoctorArgs),
    Host(host::HostArgs),
    #[command(hide = true)]
    StandBy(host::StandByArgs),
    #[command(hide = true)]
    Completions(generate::CompletionsArgs),
    #[command(hide = true)]
    Man(generate::ManArgs),
    /// Say whether the library is loaded into this process
    #[command(hide = true, name = doctor::PROBE)]
    Probe,
}

/// Length in bytes of the stack that every verb gets along with.
const STACK: usize = 1 << 20;

fn main() -> ExitCode {
    // A host process has the limits of the program that needs it, which may be too tight for it.
    if memtun_sys::stack_limit() < STACK as u64 {
        let thread = std::thread::Builder::new().stack_size(STACK);
        if let Ok(thread) = thread.spawn(command) {
            return thread.join().unwrap_or(ExitCode::FAILURE);
        }
    }
    command()
}

fn command() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return usage::report(&e, &Cli::command()),
    };
    let done = match cli.verb {
        Verb::Run(args) => run::run(args),
        Verb::Ls(args) => link::ls::ls(&args),
        Verb::Show(args) => link::show::show(&args),
        Verb::Set(args) => link::change::set(&args),
        Verb::Delete(args) => link::change::delete(&args),
        Verb::Addr(args) => addr::addr(&args),
        Verb::Route(args) => addr::route(&args),
        Verb::Neigh(args) => addr::neigh(&args),
        Verb::Ip(args) => addr::ip(&args),
        Verb::SendUdp(args) => datagrams::send(args),
        Verb::RecvUdp(args) => datagrams::receive(&args),
        Verb::Inject(args) => inject::inject(&args),
        Verb::Capture(args) => capture::capture(&args),
        Verb::Fault(args) => policy::fault(&args),
        Verb::Deny(args) => policy::deny(&args),
        Verb::Permit(args) => policy::permit(&args),
        Verb::Reset(args) => policy::reset(&args),
        Verb::Doctor(args) => doctor::doctor(&args),
        Verb::Host(args) => host::host(&args),
        Verb::StandBy(args) => host::stand_by(&args),
        Verb::Completions(args) => generate::completions(&args, Cli::command()),
        Verb::Man(args) => generate::man(&args, &Cli::command()),
        Verb::Probe => doctor::probe(),
    };
    match done {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    fn refusal(words: &[&str]) -> String {
        let e = Cli::command()
            .try_get_matches_from(words)
            .expect_err("must be refused");
        usage::one_line(&e.render().to_string(), words.get(1).copied())
    }

    #[test]
    fn a_wrong_command_line_is_one_line_that_names_the_thing_and_the_remedy() {
        let text = refusal(&["memtun", "recv-udp", "tun0", "7", "--cuont", "3"]);
        assert!(!text.contains('\n'), "{text}");
        assert!(
            text.contains("'--cuont'") && text.contains("'--count'"),
            "{text}"
        );
        assert!(text.ends_with("see memtun recv-udp --help"), "{text}");
    }

    #[test]
    fn missing_arguments_are_named() {
        let text = refusal(&["memtun", "run"]);
        assert!(text.contains("COMMAND") && !text.contains('\n'), "{text}");
    }
}
