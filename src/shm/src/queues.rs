//! The queues of an interface: which tunnels are attached to it, and which queue each flow goes to.
#![forbid(unsafe_code)]

use crate::layout::{InterfaceState, MAX_FLOWS, MAX_QUEUES};
use memtun_abi::Errno;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Bits of a flow's word that hold 1 + the place of its queue; the others are the hash's.
const FLOW_QUEUE: u32 = 0x1ff;
/// So many places are looked at for one flow.
const FLOW_PLACES: usize = 16;

/// What an interface was taught of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lesson {
    /// Index of the queue that gets the answers.
    pub queue: usize,
    /// Index of the flow's word.
    pub place: usize,
    /// The flow's word.
    pub word: u32,
}

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
        let last = attached + detached - 1;
        if at < attached {
            // The last attached queue takes the free place, and with it the flows that go there.
            self.queues[at].store(self.queues[attached - 1].load(Relaxed), Relaxed);
            self.attached.store(attached as u32 - 1, Release);
            self.queues[attached - 1].store(self.queues[last].load(Relaxed), Relaxed);
            self.forget_flows(attached);
        } else {
            self.queues[at].store(self.queues[last].load(Relaxed), Relaxed);
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

    /// The places where a flow may stand.
    fn flow_places(&self, hash: u32) -> impl Iterator<Item = usize> {
        let home = hash as usize % MAX_FLOWS;
        (0..FLOW_PLACES).map(move |i| (home + i) % MAX_FLOWS)
    }

    /// The place where it stands.
    fn flow_place(&self, hash: u32) -> Option<usize> {
        let is_it = |word: u32| word != 0 && word & !FLOW_QUEUE == hash & !FLOW_QUEUE;
        self.flow_places(hash)
            .find(|place| is_it(self.flows[*place].load(Relaxed)))
    }

    /// A queue is attached no more, and so many were: the driver forgets the flows of a place
    /// behind all that are left (`tun_flow_delete_by_queue`), and only those.
    fn forget_flows(&self, attached: usize) {
        for flow in &self.flows {
            if (flow.load(Relaxed) & FLOW_QUEUE) as usize == attached + 1 {
                flow.store(0, Relaxed);
            }
        }
    }

    /// Learns that the program wrote a packet with this flow hash through the queue of this inode,
    /// so that answers go there (`tun_flow_update`). A detached queue teaches nothing.
    pub fn learn_flow(&self, hash: u32, inode: u64) -> Option<Lesson> {
        let (attached, _) = self.counts();
        let mut queues = self.queues[..attached].iter();
        let queue = queues.position(|queue| queue.load(Relaxed) == inode)?;
        let place = self.flow_place(hash).or_else(|| {
            self.flow_places(hash)
                .find(|place| self.flows[*place].load(Relaxed) == 0)
        });
        let place = place.unwrap_or(hash as usize % MAX_FLOWS);
        let word = hash & !FLOW_QUEUE | (queue as u32 + 1);
        self.flows[place].store(word, Relaxed);
        Some(Lesson { queue, place, word })
    }

    /// Is what the queue of this inode has once taught still so?
    #[inline]
    pub fn knows(&self, lesson: Lesson, inode: u64) -> bool {
        let queue = self.queues.get(lesson.queue);
        let flow = self.flows.get(lesson.place);
        queue.is_some_and(|queue| queue.load(Relaxed) == inode)
            && flow.is_some_and(|flow| flow.load(Relaxed) == lesson.word && lesson.word != 0)
    }

    /// Returns the index of the queue to which a flow's answers go, if it has been learned. There
    /// may be no queue with that index any more.
    pub fn known_queue(&self, hash: u32) -> Option<usize> {
        let known = self.flows[self.flow_place(hash)?].load(Relaxed);
        ((known & FLOW_QUEUE) as usize).checked_sub(1)
    }

    /// Returns the number of attached queues.
    #[inline]
    pub fn attached_queues(&self) -> usize {
        self.counts().0
    }
}
