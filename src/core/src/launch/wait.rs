//! Waiting for what a program is to do, only as long as there is a process that can do it.
#![forbid(unsafe_code)]

use super::inhabitants::{self, Watch};
use crate::{Deadline, Error, ErrorKind, Interface, Net, Result, Timeout};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

impl Net {
    /// Waits as [`Net::wait_interface`] does until the program has made an interface of this name,
    /// but only as long as the program, or a process that it has left behind in the net, runs.
    ///
    /// # Errors
    /// - ENODEV: the time is over, or the program has ended before its TUNSETIFF, or so soon after
    ///   it that the interface was not seen. If the program has ended, the sentence has its status.
    /// - ECHILD: the end of the program has been waited for by other means.
    pub fn wait_interface_of(&self, program: &mut Child, name: &str) -> Result<Interface> {
        self.wait_interface_of_within(program, name, Timeout::DEFAULT)
    }

    /// The same as [`Net::wait_interface_of`] with a timeout of the caller's.
    ///
    /// # Errors
    /// The same as [`Net::wait_interface_of`].
    pub fn wait_interface_of_within(
        &self,
        program: &mut Child,
        name: &str,
        timeout: impl Into<Timeout>,
    ) -> Result<Interface> {
        let end = Deadline::after(timeout);
        let mut watch = None;
        let mut seen = self.wait_change(0, Timeout::NOW);
        loop {
            // The status is looked at before the interface, because the program may make the
            // interface just before its end.
            let status = program.try_wait().map_err(|e| {
                let errno = e.raw_os_error().unwrap_or(libc::ECHILD);
                Error::new(errno, format!("the program (pid {}): {e}", program.id()))
            })?;
            let behind = status.map(|_| inhabitants::of_net(self.path()));
            let over = end.is_over();
            let absent = match self.wait_interface_within(name, Timeout::NOW) {
                Err(e) if e.errno().0 == libc::ENODEV => e,
                answer => return answer,
            };
            if over {
                return Err(absent);
            }
            watch = match (status, &behind) {
                (Some(status), Some(behind)) if behind.is_empty() => {
                    return Err(self.ended(name, program.id(), status)?);
                }
                // A process that the program has left behind may still make the interface.
                (_, Some(behind)) => Watch::on(self, behind.iter().map(|process| process.pid)),
                (_, None) => watch.or_else(|| Watch::on(self, [program.id()])),
            };
            let time = match watch {
                Some(_) => end.left(),
                None => end.nap(),
            };
            seen = self.wait_change(seen, time);
        }
    }

    fn ended(&self, name: &str, pid: u32, status: ExitStatus) -> Result<Error> {
        let how = said(status);
        let text = if self.had_interface(name)? {
            format!("interface {name} was made and is gone: the program (pid {pid}) {how}")
        } else {
            format!("no interface {name}: the program (pid {pid}) {how} before TUNSETIFF")
        };
        Ok(Error::new(libc::ENODEV, text).of_kind(ErrorKind::Ended))
    }
}

fn said(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}
