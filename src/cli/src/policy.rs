//! `fault`, `deny`, `permit`, `reset`: calls that fail on purpose, while the program runs.
#![forbid(unsafe_code)]

use crate::failure::{Failure, Outcome};
use crate::options::NetArgs;
use crate::output::Output;
use clap::Args;
use memtun::{Fault, Net, Permission};
use serde::Serialize;
use std::process::ExitCode;

/// Make calls fail, or list the faults and the permissions taken away
///
/// SPEC is OPERATION[:REQUEST]=ERRNO[@WHEN]: the operation is open, read, write, ioctl or close;
/// WHEN counts calls from now: N, N-M or N-. Without it every call fails until the fault is taken
/// back.
#[derive(Args)]
pub struct FaultArgs {
    #[command(flatten)]
    net: NetArgs,
    /// Take a fault back, written as it was set
    #[arg(long, value_name = "SPEC")]
    take_back: Vec<Fault>,
    /// List as JSON
    #[arg(long, conflicts_with_all = ["take_back", "faults"])]
    json: bool,
    /// Faults to set, as write=EINTR@1 or ioctl:TUNSETIFF=EBUSY
    #[arg(value_name = "SPEC")]
    faults: Vec<Fault>,
}

/// Take permissions away: open or ioctl then fails with EPERM, and without net_admin what the
/// kernel asks CAP_NET_ADMIN for
///
/// Without net_admin programs make no interfaces, attach only to those whose owner and group they
/// are (memtun set --user, --group), and change none.
#[derive(Args)]
pub struct DenyArgs {
    #[command(flatten)]
    net: NetArgs,
    /// open, ioctl or net_admin
    #[arg(value_name = "OPERATION", required = true)]
    permissions: Vec<Permission>,
}

/// Give permissions back
#[derive(Args)]
pub struct PermitArgs {
    #[command(flatten)]
    net: NetArgs,
    /// open, ioctl or net_admin
    #[arg(value_name = "OPERATION", required = true)]
    permissions: Vec<Permission>,
}

/// Take back every fault, grant every permission, lift the limit of the send buffer and the
/// renaming
#[derive(Args)]
pub struct ResetArgs {
    #[command(flatten)]
    net: NetArgs,
}

#[derive(Serialize)]
struct Policy {
    faults: Vec<String>,
    denied: Vec<String>,
}

/// Runs `memtun fault`.
pub fn fault(args: &FaultArgs) -> Outcome {
    if args.faults.is_empty() && args.take_back.is_empty() {
        return list(&args.net.existing()?, args.json);
    }
    let net = if args.faults.is_empty() {
        args.net.existing()?
    } else {
        args.net.open()?
    };
    for fault in &args.take_back {
        if !net.take_back(fault)? {
            return Err(Failure::not_done(format!(
                "{fault}: no such fault is set; memtun fault lists those that are"
            )));
        }
    }
    for fault in &args.faults {
        net.fault(fault)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list(net: &Net, json: bool) -> Outcome {
    let granted = net.permissions();
    let denied = Permission::ALL.into_iter().filter(|p| !granted.contains(p));
    let policy = Policy {
        faults: net.faults().iter().map(Fault::to_string).collect(),
        denied: denied.map(|p| p.to_string()).collect(),
    };
    let mut out = Output::new();
    if json {
        out.json(&policy)?;
    } else {
        for fault in policy.faults {
            out.line(fault)?;
        }
        for permission in policy.denied {
            out.line(format_args!("{permission} denied"))?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `memtun deny`.
pub fn deny(args: &DenyArgs) -> Outcome {
    let net = args.net.open()?;
    args.permissions
        .iter()
        .for_each(|permission| net.deny(*permission));
    Ok(ExitCode::SUCCESS)
}

/// Runs `memtun permit`.
pub fn permit(args: &PermitArgs) -> Outcome {
    let net = args.net.existing()?;
    args.permissions
        .iter()
        .for_each(|permission| net.permit(*permission));
    Ok(ExitCode::SUCCESS)
}

/// Runs `memtun reset`.
pub fn reset(args: &ResetArgs) -> Outcome {
    args.net.existing()?.reset()?;
    Ok(ExitCode::SUCCESS)
}
