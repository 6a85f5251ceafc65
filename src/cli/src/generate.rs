//! Shell completions and man pages, made from the same definitions as the command line.
#![forbid(unsafe_code)]

use crate::failure::{Failure, Outcome};
use crate::output::Output;
use clap::{Args, Command};
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the definitions of the command line do not say, in roff.
const MAIN: &str = r#".SH ENVIRONMENT
.TP
\fBMEMTUN_NET\fR
Directory of the net. \fBmemtun run\fR without it and without \fB\-\-net\fR makes a fresh net, and removes it afterwards.
A net is joined only if its directory is real, belongs to you and is closed to others.
.TP
\fBMEMTUN_NET_OWNER\fR
Number of the user whose net \fBMEMTUN_NET\fR is: how root joins another user's.
.TP
\fBMEMTUN_DEVICES\fR
Special devices, \fIPATH\fR[:\fIPATH\fR...], /dev/net/tun unless set.
.TP
\fBMEMTUN_LINK\fR
\fBup\fR (the default): a new interface is up; \fBdown\fR: as the kernel leaves it.
.TP
\fBMEMTUN_BELL\fR
\fBlazy\fR (the default): a tunnel's descriptor may stay readable for the machine's kernel after the last packet was
read, until the program waits by a call of libc's; \fBexact\fR: it does not, which a program that waits by raw system
calls or io_uring needs.
.TP
\fBMEMTUN_BUSY_POLL\fR
The longest time in microseconds for which a program, or a driver, looks for a packet awake before it sleeps, 50 unless
set and at most 100000; \fB0\fR: it sleeps at once. It is done only while the peer is on another processor.
.TP
\fBMEMTUN_HOST\fR
What programs see of the machine beside the net's interfaces: \fBmerged\fR (the default), the machine's own interfaces,
addresses and routes; \fBisolated\fR, a loopback alone, and what \fBmemtun run \-\-uplink\fR declares; \fBoff\fR, the
machine as if there were no net. The first host process of a net decides for it.
.TP
\fBMEMTUN_COMMAND\fR
The command by which a program's host process is started, where it is neither beside the library, nor in ../bin from there,
nor in \fBPATH\fR.
.TP
\fBMEMTUN_LOG\fR
\fBoff\fR, \fBerror\fR, \fBwarn\fR (the default), \fBinfo\fR, \fBdebug\fR or \fBtrace\fR, to standard error.
.TP
\fBMEMTUN_LIBRARY\fR
libmemtun.so, where it is neither beside the command nor in ../lib from there.
.SH EXIT STATUS
0 when it is done; 1 when it did not happen (time over, queue full, interface gone); 2 for bad input.
\fBmemtun run\fR gives the program's own status, 128+N when signal N ended it, 127 when it was not found and 126 when it
could not be executed.
.SH SEE ALSO
\fBld.so\fR(8), \fBpcapng\fR(5), \fBip-link\fR(8), \fBip-address\fR(8), \fBip-route\fR(8), \fBip-neighbour\fR(8), \fBtshark\fR(1)
"#;

const VERB: &str = r#".SH ENVIRONMENT
See \fBmemtun\fR(1).
.SH EXIT STATUS
See \fBmemtun\fR(1).
.SH SEE ALSO
\fBmemtun\fR(1)
"#;

/// Print completions for a shell
#[derive(Args)]
pub struct CompletionsArgs {
    /// bash, elvish, fish, powershell or zsh
    shell: Shell,
}

/// Write memtun.1 and one page per verb
#[derive(Args)]
pub struct ManArgs {
    /// Directory to write into; made if missing
    directory: PathBuf,
}

/// Runs `memtun completions`.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "memtun", &mut script);
    let mut out = Output::new();
    out.bytes(&script)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `memtun man`.
pub fn man(args: &ManArgs, command: &Command) -> Outcome {
    let directory = &args.directory;
    std::fs::create_dir_all(directory)
        .map_err(|e| Failure::io(format!("{}: cannot make", directory.display()), &e))?;
    page(directory, "memtun", command.clone(), MAIN)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = format!("memtun-{}", verb.get_name());
        let shown = format!("memtun {}", verb.get_name());
        let verb = verb
            .clone()
            .display_name(&name)
            .bin_name(shown)
            .version(env!("CARGO_PKG_VERSION"))
            .disable_version_flag(true);
        page(directory, &name, verb, VERB)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn page(directory: &Path, name: &str, command: Command, more: &str) -> Result<(), Failure> {
    let path = directory.join(format!("{name}.1"));
    let mut text = Vec::new();
    let written = clap_mangen::Man::new(command)
        .manual("memtun")
        .render(&mut text);
    text.extend(more.as_bytes());
    let written = written.and_then(|()| std::fs::write(&path, &text));
    written.map_err(|e| Failure::io(format!("{}: cannot write", path.display()), &e))
}

#[cfg(test)]
mod tests {
    use super::MAIN;
    use memtun::launch::settings::{BELL, COMMAND, DEVICES, HOST, LIBRARY, LINK, LOG, NET, OWNER};

    #[test]
    fn the_manual_names_what_people_set() {
        for name in [NET, OWNER, DEVICES, LINK, BELL, HOST, COMMAND, LOG, LIBRARY] {
            assert!(MAIN.contains(&format!("\\fB{name}\\fR\n")), "{name}");
        }
    }
}
