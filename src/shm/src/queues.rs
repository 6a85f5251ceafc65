//! The queues of an interface: which tunnels are attached to it, and which queue each flow goes to.
#![forbid(unsafe_code)]

use crate::layout::{InterfaceState, MAX_QUEUES};
use memtun_abi::Errno;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

impl InterfaceState {
    /// Returns the numbers of attached and of detached queues. Together they are never more than
    /// there is room for, whatever stands in memory.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let attached = (self.attached.load(Acquire) as usize).min(MAX_QUEUES);
        let detached = self.detached.load(Acquire) as usize;
        (attached, detached.min(MAX_QUEUES - attached))
    }
    /// Returns the number of queues, attached or not.
    pub fn queue_count(&self) -> usize {
        let (attached, detached) = self.counts();
        attached + detached
    }
    /// Is the interface left over? It is when it has no queue and is not persistent.
    pub fn is_orphan(&self) -> bool {
        self.queue_count() == 0 && !self.is_persistent()
    }
    /// Returns the inodes of the queues' bells, attached ones first, as they were at one moment.
    pub fn queue_inodes(&self) -> impl Iterator<Item = u64> {
        let n = self.queue_count();
        let inodes: [u64; MAX_QUEUES] = std::array::from_fn(|i| self.queues[i].load(Relaxed));
        inodes.into_iter().take(n)
    }

    fn position(&self, inode: u64) -> Option<usize> {
        self.queue_inodes().position(|i| i == inode)
    }

    /// Adds an attached queue. The caller holds the interface's lock.
    ///
    /// # Errors
    ///
    /// E2BIG when there are [`MAX_QUEUES`] queues.
    pub fn add_queue(&self, inode: u64) -> Result<(), Errno> {
        let (attached, detached) = self.counts();
        if attached + detached >= MAX_QUEUES {
            return Err(Errno(libc::E2BIG));
        }
        let first_detached = self.queues[attached].load(Relaxed);
        self.queues[attached + detached].store(first_detached, Relaxed);
        self.queues[attached].store(inode, Relaxed);
        self.attached.store(attached as u32 + 1, Release);
        Ok(())
    }

    /// Removes a queue, attached or not. The caller holds the interface's lock.
    pub fn remove_queue(&self, inode: u64) {
        let (attached, detached) = self.counts();
        let queues = &self.queues[..attached + detached];
        let Some(at) = queues.iter().position(|q| q.load(Relaxed) == inode) else {
            return;
        };
        for i in at..attached + detached - 1 {
            self.queues[i].store(self.queues[i + 1].load(Relaxed), Relaxed);
        }
        if at < attached {
            self.attached.store(attached as u32 - 1, Release);
            self.forget_flows();
        } else {
            self.detached
                .store(detached.saturating_sub(1) as u32, Release);
        }
    }

    /// Moves a queue between the attached and the detached ones, as TUNSETQUEUE does. The caller
    /// holds the interface's lock.
    ///
    /// # Errors
    ///
    /// E2BIG when there are [`MAX_QUEUES`] queues.
    pub fn switch_queue(&self, inode: u64, attach: bool) -> Result<(), Errno> {
        self.remove_queue(inode);
        if attach {
            return self.add_queue(inode);
        }
        let (attached, detached) = self.counts();
        let place = self.queues.get(attached + detached);
        place.ok_or(Errno(libc::E2BIG))?.store(inode, Relaxed);
        self.detached.store(detached as u32 + 1, Release);
        Ok(())
    }

    fn forget_flows(&self) {
        for flow in &self.flows {
            flow.store(0, Relaxed);
        }
    }

    /// Learns that the program wrote a packet with this flow hash through the queue of this inode,
    /// so that answers go there (`tun_flow_update`).
    pub fn learn_flow(&self, hash: u32, inode: u64) {
        if let Some(at) = self.position(inode) {
            self.flows[hash as usize & 255].store(at as u16 + 1, Relaxed);
        }
    }

    /// Returns the index of the queue to which a flow's answers go, if it has been learned.
    pub fn known_queue(&self, hash: u32) -> Option<usize> {
        match self.flows[hash as usize & 255].load(Relaxed) {
            0 => None,
            known => Some(known as usize - 1),
        }
    }

    /// Returns the number of attached queues.
    #[inline]
    pub fn attached_queues(&self) -> usize {
        self.counts().0
    }
}
