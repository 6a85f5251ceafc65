//! The host process of the net, as a thread of this command: it listens from the beginning, which
//! costs next to nothing, and answers whoever asks.
#![forbid(unsafe_code)]

use crate::failure::Failure;
use crate::host::{not_begun, standby_of};
use crate::logging;
use memtun::Net;
use memtun_host::first::{First, Uplink};
use memtun_host::process::{Host, Stay, Stopper};
use memtun_host::standby::Standby;
use memtun_stack::ask::is_answering;
use memtun_stack::state::{State, View};
use memtun_sys as sys;
use std::sync::atomic::Ordering::Acquire;
use std::thread::JoinHandle;

/// The thread. Dropping it ends it; in a net that stays the next one who needs a host process
/// starts another.
pub struct Hosting {
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

/// Begins to host the net, unless somebody does that already. `view` is what the command line says
/// of what is seen of the machine.
pub fn begin(
    net: &Net,
    view: View,
    named: bool,
    uplinks: &[Uplink],
) -> Result<Option<Hosting>, Failure> {
    let dir = net.dir();
    let shown = net.path().display();
    check(uplinks)?;
    match State::load(dir) {
        Ok(Some(state)) => {
            if named && state.view != view {
                return Err(Failure::bad_input(format!(
                    "net {shown}: what it shows of the machine was decided when it was first used; use another net"
                )));
            }
            for uplink in uplinks {
                has_uplink(&state, uplink)
                    .map_err(|why| Failure::bad_input(format!("net {shown}: {why}")))?;
            }
        }
        _ => {
            if let Some(taken) = uplinks.iter().find(|uplink| dir.knows(&uplink.name)) {
                return Err(Failure::bad_input(format!(
                    "net {shown}: {} is or was an interface of a program; declare the uplink by another name",
                    taken.name
                )));
            }
        }
    }
    if is_answering(dir) {
        return Ok(None);
    }
    let first = First {
        view,
        uplinks: uplinks.to_vec(),
    };
    let host = match Host::begin(dir, dir.host_epoch.load(Acquire), &first) {
        Ok(host) => host,
        Err(e) if e.0 == libc::EEXIST && is_answering(dir) => return Ok(None),
        Err(e) if uplinks.is_empty() => {
            // Programs that configure nothing do not need it.
            let _ = not_begun(net, e).report();
            return Ok(None);
        }
        Err(e) => return Err(not_begun(net, e)),
    };
    // The program's standard error is this command's.
    logging::init(log::LevelFilter::Off);
    let stopper = host.stopper().map_err(|e| not_begun(net, e))?;
    let net = net.clone();
    let thread = std::thread::spawn(move || {
        // The command's signals are for the thread that passes them on.
        let _ = sys::change_mask(libc::SIG_SETMASK, u64::MAX);
        // A command that is stopped, as by a terminal, goes on with its connections later.
        let standby = Standby::new(Some(&|net, epoch| standby_of(net, epoch, None)), None);
        host.serve(net.dir(), Stay::WithProcess, standby);
    });
    Ok(Some(Hosting {
        stopper,
        thread: Some(thread),
    }))
}

/// Refuses what is declared twice.
fn check(uplinks: &[Uplink]) -> Result<(), Failure> {
    for (at, uplink) in uplinks.iter().enumerate() {
        let before = &uplinks[..at];
        let same =
            |other: &&Uplink| (other.name, other.address.0) == (uplink.name, uplink.address.0);
        if before.iter().find(same).is_some() {
            let (address, length) = uplink.address;
            return Err(Failure::bad_input(format!(
                "--uplink {}={address}/{length}: this address is declared twice; leave one out",
                uplink.name
            )));
        }
    }
    Ok(())
}

/// Is a declared uplink there, in a net that was begun before? The error is a sentence about the
/// net.
fn has_uplink(state: &State, uplink: &Uplink) -> Result<(), String> {
    let Uplink { name, address, via } = uplink;
    let mut links = state.links.iter();
    let link = match links.find(|link| link.name == *name) {
        Some(link) if link.declared => link,
        Some(_) => {
            return Err(format!(
                "{name} is an interface of a program; declare the uplink by another name"
            ))
        }
        None => {
            return Err(format!(
                "has no uplink {name}, and it is too late to declare one; use another net"
            ))
        }
    };
    let mut addresses = state.addresses.iter();
    let has_address =
        addresses.any(|own| own.index == link.index && (own.local, own.prefix) == *address);
    if !has_address {
        let (address, length) = address;
        return Err(format!(
            "its uplink {name} has not the address {address}/{length}, and it is too late to declare it; give it by \
             memtun addr add, or use another net"
        ));
    }
    let Some(via) = via else { return Ok(()) };
    let mut routes = state.routes.iter().filter(|route| route.prefix == 0);
    let has_route = routes.any(|route| {
        let mut hops = route.hops.iter();
        hops.any(|hop| hop.index == link.index && hop.gateway == Some(*via))
    });
    match has_route {
        true => Ok(()),
        false => Err(format!(
            "its uplink {name} has no default route via {via}, and it is too late to declare it; give it by memtun \
             route add, or use another net"
        )),
    }
}

impl Drop for Hosting {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
