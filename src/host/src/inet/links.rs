//! The net's interfaces, as packets are put into them.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_kernel::link::transmit::{Queues, Transmit};
use memtun_kernel::net::{NetDir, NoTunnels};
use memtun_kernel::tun::room::Wait;
use memtun_shm::layout::InterfaceState;
use memtun_shm::Mapped;
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

/// Most interfaces that are kept.
const MOST: usize = 256;

/// The interfaces that packets were put into.
#[derive(Default)]
pub struct Links(HashMap<u32, Link>);

struct Link {
    state: Mapped<InterfaceState>,
    queues: Queues,
}

impl Link {
    fn is(&self, index: u32) -> bool {
        !self.state.is_going() && self.state.ifindex.load(Relaxed) == index
    }
}

impl Links {
    /// Puts a frame into the queue of an interface. Nobody is waited for: a full queue loses it, as
    /// the kernel's does.
    pub(super) fn transmit(&mut self, net: &NetDir, index: u32, frame: &[u8]) -> Result<(), Errno> {
        if !self.0.get(&index).is_some_and(|link| link.is(index)) {
            self.find(net, index)?;
        }
        let link = self.0.get(&index).ok_or(Errno(libc::ENODEV))?;
        let transmit = Transmit {
            net,
            local: &NoTunnels,
            interface: &link.state,
            queues: &link.queues,
        };
        let sent = transmit.send(frame, None, Wait::Never);
        sent.map_err(|refusal| {
            transmit.refused(frame, None, refusal, Wait::Never);
            refusal.errno
        })
    }

    fn find(&mut self, net: &NetDir, index: u32) -> Result<(), Errno> {
        let state = {
            let _lock = net.lock()?;
            net.find_by_index(index, &NoTunnels)?
        };
        self.0.retain(|index, link| link.is(*index));
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let link = Link {
            state: state.ok_or(Errno(libc::ENODEV))?,
            queues: Queues::default(),
        };
        self.0.insert(index, link);
        Ok(())
    }
}
