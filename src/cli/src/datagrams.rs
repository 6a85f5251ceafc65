//! `send-udp` and `recv-udp`: datagrams to and from a program, without a network.
#![forbid(unsafe_code)]

use crate::failure::{say, Failure, Outcome};
use crate::options::InterfaceArgs;
use crate::output::Output;
use crate::values;
use clap::Args;
use memtun::Sending;
use std::ffi::OsString;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

/// Send a UDP datagram into an interface; prints the source address used
#[derive(Args)]
pub struct SendArgs {
    #[command(flatten)]
    interface: InterfaceArgs,
    /// Source address [default: 10.1.2.3:21345, or [fd00:1:2::3]:21345]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = values::source)]
    from: Option<SocketAddr>,
    /// Destination
    #[arg(value_name = "HOST:PORT", value_parser = values::endpoint)]
    to: SocketAddr,
    /// Payload [default: standard input, to its end]
    data: Option<OsString>,
}

/// Receive UDP datagrams that the program sends; prints each payload and a newline
#[derive(Args)]
pub struct ReceiveArgs {
    #[command(flatten)]
    interface: InterfaceArgs,
    /// Datagrams to receive
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Datagrams to pass over first, counted from the oldest that is kept
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip: u64,
    /// Print the datagram's source in front of each payload
    #[arg(long, short)]
    verbose: bool,
    /// Destination that the program sends to
    #[arg(value_name = "[HOST:]PORT", value_parser = values::listen)]
    at: SocketAddr,
}

/// Runs `memtun send-udp`.
pub fn send(args: SendArgs) -> Outcome {
    let payload = match args.data {
        Some(data) => data.into_vec(),
        None => standard_input()?,
    };
    // The datagram is checked before anything is waited for.
    memtun::packet::build(
        memtun::packet::source_for(args.to, args.from),
        args.to,
        &payload,
    )?;
    let end = args.interface.deadline();
    let interface = args.interface.wait(end)?;
    let source = interface.send_udp_with(
        &payload,
        args.to,
        Sending::new().source(args.from).within(end.left()),
    )?;
    let mut out = Output::new();
    out.line(source)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Reads standard input, up to what a datagram may have. More is refused later, without reading it
/// all.
fn standard_input() -> Result<Vec<u8>, Failure> {
    let mut payload = Vec::new();
    let read = std::io::stdin()
        .lock()
        .take(1 << 16)
        .read_to_end(&mut payload);
    read.map_err(|e| Failure::io("standard input", &e))?;
    Ok(payload)
}

/// Runs `memtun recv-udp`.
pub fn receive(args: &ReceiveArgs) -> Outcome {
    let end = args.interface.deadline();
    let interface = args.interface.wait(end)?;
    let receiver = interface.receive_udp(args.at);
    let mut out = Output::new();
    let wanted = args.skip.saturating_add(args.count);
    let mut received = 0;
    while received < wanted {
        match receiver.recv_from_within(end.left()) {
            Ok((payload, source)) => {
                received += 1;
                if received <= args.skip {
                    continue;
                }
                if args.verbose {
                    out.bytes(format!("{source} ").as_bytes())?;
                }
                out.bytes(&payload)?;
                out.bytes(b"\n")?;
                // Whoever reads a pipe wants each datagram when it comes.
                out.flush()?;
            }
            // The reader was overtaken: some packets are lost, but those after them are not.
            Err(e) if e.errno().0 == libc::ENOBUFS => say(&e.to_string()),
            Err(e) if e.errno().0 == libc::EAGAIN => {
                return Err(Failure::not_done(format!(
                    "{e}; received {received} of {wanted}; wait longer with --timeout, or look with memtun ls"
                )));
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(ExitCode::SUCCESS)
}
