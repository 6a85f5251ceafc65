//! Waiting for what a program is to do, no longer than there is somebody who can do it.

use crate::{Error, ErrorKind, Interface, Net, Result};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How often somebody looks whether the program runs.
const TURN: Duration = Duration::from_millis(50);

impl Net {
    /// Waits as [`Net::wait_interface`] until the program has made an interface of this name, but only as long as it, or
    /// something that it has left behind in the net, runs.
    ///
    /// Errors: ENODEV when the time (None: for ever) is over, or, with the program's status in the sentence, when it has ended
    /// before its TUNSETIFF, or so soon after it that the interface was not seen; ECHILD when its end has been waited for by other means.
    pub fn wait_interface_of(
        &self,
        program: &mut Child,
        name: &str,
        timeout: Option<Duration>,
    ) -> Result<Interface> {
        let end = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            let left = end.map(|e| e.saturating_duration_since(Instant::now()));
            let last = left.is_some_and(|left| left <= TURN);
            let absent = match self.wait_interface(name, Some(left.unwrap_or(TURN).min(TURN))) {
                Err(e) if e.errno().0 == libc::ENODEV => e,
                answer => return answer,
            };
            if last {
                return Err(absent);
            }
            let ended = program.try_wait().map_err(|e| {
                let errno = e.raw_os_error().unwrap_or(libc::ECHILD);
                Error::new(errno, format!("the program (pid {}): {e}", program.id()))
            })?;
            let Some(status) = ended else { continue };
            if is_inhabited(self) {
                continue;
            }
            // It may have made it just before its end.
            return match self.interface(name)? {
                Some(interface) => Ok(interface),
                None => Err(self.ended(name, program.id(), status)?),
            };
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

/// Does anything run that was started in the net, by whomever? A daemon does so when its parent has ended.
fn is_inhabited(net: &Net) -> bool {
    let Ok(dir) = std::path::absolute(net.path()) else {
        return true;
    };
    let wanted = [b"MEMTUN_NET=", dir.as_os_str().as_bytes()].concat();
    let own = std::process::id().to_string();
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return true;
    };
    processes
        .flatten()
        .filter(|process| {
            let name = process.file_name();
            name.as_bytes().iter().all(u8::is_ascii_digit) && *name != *own
        })
        .filter_map(|process| std::fs::read(process.path().join("environ")).ok())
        .any(|environment| environment.split(|b| *b == 0).any(|entry| entry == wanted))
}
