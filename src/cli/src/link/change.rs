//! `set` and `delete`: what an administrator does to an interface while the program uses it.
#![forbid(unsafe_code)]

use crate::failure::{Failure, Outcome};
use crate::options::InterfaceArgs;
use crate::values::{self, User};
use clap::{Args, ValueEnum};
use std::process::ExitCode;

/// Change an interface under the program, as ip link set does
#[derive(Args)]
pub struct SetArgs {
    #[command(flatten)]
    interface: InterfaceArgs,
    /// Set the link up or down
    #[arg(value_name = "up|down", hide_possible_values = true)]
    state: Option<State>,
    /// Largest packet in bytes
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u32>,
    /// Packets that each queue holds
    #[arg(long, value_name = "PACKETS")]
    txqueuelen: Option<u32>,
    /// Link carrier, on or off
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    carrier: Option<Carrier>,
    /// User who may attach where programs lack net_admin (memtun deny), a name or a number; '' for
    /// any
    #[arg(long, value_name = "USER", value_parser = values::user)]
    user: Option<User>,
    /// Group whose members may attach where programs lack net_admin, a name or a number; '' for
    /// any
    #[arg(long, value_name = "GROUP", value_parser = values::group)]
    group: Option<User>,
    /// Another name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Delete an interface under the program, as ip link del does
#[derive(Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    interface: InterfaceArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Up,
    Down,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Carrier {
    On,
    Off,
}

/// Runs `memtun set`.
pub fn set(args: &SetArgs) -> Outcome {
    let nothing = args.state.is_none()
        && args.mtu.is_none()
        && args.txqueuelen.is_none()
        && args.carrier.is_none()
        && args.user.is_none()
        && args.group.is_none()
        && args.name.is_none();
    if nothing {
        return Err(Failure::bad_input(
            "nothing to set: give up, down or an option; see memtun set --help",
        ));
    }
    let interface = args.interface.wait(args.interface.deadline())?;
    if let Some(mtu) = args.mtu {
        interface.set_mtu(mtu)?;
    }
    if let Some(packets) = args.txqueuelen {
        interface.set_txqueuelen(packets)?;
    }
    if let Some(carrier) = args.carrier {
        interface.set_carrier(carrier == Carrier::On)?;
    }
    if let Some(user) = args.user {
        interface.set_owner(user.0)?;
    }
    if let Some(group) = args.group {
        interface.set_group(group.0)?;
    }
    if let Some(name) = &args.name {
        interface.rename(name)?;
    }
    if let Some(state) = args.state {
        interface.set_up(state == State::Up)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `memtun delete`.
pub fn delete(args: &DeleteArgs) -> Outcome {
    args.interface.wait(args.interface.deadline())?.delete()?;
    Ok(ExitCode::SUCCESS)
}
