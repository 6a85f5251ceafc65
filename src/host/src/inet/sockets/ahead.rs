//! The native name of the next socket that connects. Whether the machine has a name free is found
//! out by a socket that is bound to it, and the program would wait for that. Where connections
//! follow one another, it is done for the next one when this one is there.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// For so long a name is taken to be free that was so. Should it not be, the program asks again.
const FRESH: Duration = Duration::from_secs(1);

/// What is known of the next name.
#[derive(Default)]
pub struct Ahead {
    free: Option<(SocketAddr, Instant)>,
    /// When a socket connected last.
    last: Option<Instant>,
}

impl Ahead {
    /// Takes the port out that was free a moment ago with this native address.
    pub fn take(&mut self, address: IpAddr) -> Option<u16> {
        let (name, since) = self.free.take()?;
        (name.ip() == address && since.elapsed() < FRESH).then_some(name.port())
    }

    /// A socket connects. Was there another one a moment before it?
    pub fn is_wanted(&mut self) -> bool {
        let now = Instant::now();
        let last = self.last.replace(now);
        last.is_some_and(|last| now - last < FRESH)
    }

    /// Remembers a name that is free now.
    pub fn note(&mut self, name: SocketAddr) {
        self.free = Some((name, Instant::now()));
    }
}
