//! The host process of the net, as a thread of this command: it listens from the beginning, which
//! costs next to nothing, and answers whoever asks.
#![forbid(unsafe_code)]

use crate::failure::Failure;
use crate::host::not_begun;
use crate::logging;
use memtun::Net;
use memtun_host::first::{First, Uplink};
use memtun_host::process::{Host, Stay, Stopper};
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
    if let Ok(Some(state)) = State::load(dir) {
        if named && state.view != view {
            return Err(Failure::bad_input(format!(
                "net {shown}: what it shows of the machine was decided when it was first used; use another net"
            )));
        }
        let known = |uplink: &Uplink| state.links.iter().any(|link| link.name == uplink.name);
        if let Some(new) = uplinks.iter().find(|uplink| !known(uplink)) {
            return Err(Failure::bad_input(format!(
                "net {shown}: has no uplink {}, and it is too late to declare one; use another net",
                new.name
            )));
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
        host.serve(net.dir(), Stay::WithProcess);
    });
    Ok(Some(Hosting {
        stopper,
        thread: Some(thread),
    }))
}

impl Drop for Hosting {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
