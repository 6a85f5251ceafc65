//! `run --inject`: packets for the program as soon as it has an interface.
#![forbid(unsafe_code)]

use crate::failure::{say, Failure};
use crate::inject::Replay;
use crate::packet_file::PacketFile;
use crate::stop::Stop;
use memtun::{Deadline, Interface, Net, Timeout};
use std::path::Path;
use std::thread::JoinHandle;

/// A file whose packets are to be injected.
pub struct Injection {
    file: PacketFile,
    shown: String,
}

/// A file whose packets are being injected.
pub struct Running {
    stop: Stop,
    net: Net,
    thread: JoinHandle<()>,
}

impl Injection {
    /// Opens the file. This is done before the program starts, so that nothing starts with a wrong
    /// file.
    pub fn open(path: &Path) -> Result<Injection, Failure> {
        if path.as_os_str() == "-" {
            return Err(Failure::bad_input(
                "--inject -: standard input is the program's; name a file",
            ));
        }
        Ok(Injection {
            file: PacketFile::open(path)?,
            shown: path.display().to_string(),
        })
    }

    /// Waits for the program, and injects, in a thread of its own.
    pub fn start(self, net: &Net) -> Result<Running, Failure> {
        let stop = Stop::new()?;
        let (own, told, shown) = (net.clone(), stop.clone(), self.shown.clone());
        let thread = std::thread::Builder::new()
            .name("inject".into())
            .spawn(move || {
                if let Err(e) = self.inject(&own, &told) {
                    e.about(format!("--inject {shown}")).report();
                }
            });
        let thread = thread.map_err(|e| Failure::io("cannot start a thread", &e))?;
        let net = net.clone();
        Ok(Running { stop, net, thread })
    }

    fn inject(mut self, net: &Net, stop: &Stop) -> Result<(), Failure> {
        let early = "the program ended before it had taken all packets";
        let Some(interface) = first_attached(net, stop) else {
            return Err(Failure::not_done("the program attached to no interface"));
        };
        let mut replay = Replay::new(&interface, false, None).one_by_one();
        let mut whole = true;
        replay.all(&mut self.file, |_, _| {
            whole = wait_ready(net, &interface, stop);
            whole
        })?;
        if whole {
            Ok(())
        } else {
            Err(Failure::not_done(format!("{early}: {}", replay.summary())))
        }
    }
}

impl Running {
    /// Ends the thread after the program has ended.
    pub fn end(self) {
        self.stop.now();
        self.net.wake();
        if self.thread.join().is_err() {
            say("--inject: a bug in memtun; please report it");
        }
    }
}

fn first_attached(net: &Net, stop: &Stop) -> Option<Interface> {
    let mut seen = net.wait_change(0, Timeout::NOW);
    loop {
        let last = stop.is_due();
        let attached = net
            .interfaces()
            .unwrap_or_default()
            .into_iter()
            .find(|i| !i.tunnels.is_empty());
        if let Some(info) = attached {
            return net.interface(&info.name.to_string()).ok().flatten();
        }
        if last {
            return None;
        }
        seen = net.wait_change(seen, Timeout::FOREVER);
    }
}

/// Waits until packets can be injected. Returns false when that will not happen.
fn wait_ready(net: &Net, interface: &Interface, stop: &Stop) -> bool {
    let mut seen = net.wait_change(0, Timeout::NOW);
    loop {
        let info = interface.info();
        if stop.is_due() || interface.is_gone() {
            return false;
        }
        if info.is_up() && !info.tunnels.is_empty() {
            return true;
        }
        // A tunnel whose last holder was killed reports no change, so the wait is not longer than a
        // nap.
        seen = net.wait_change(seen, Deadline::NEVER.nap());
    }
}
