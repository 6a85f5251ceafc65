//! Many packets at once, with one lock for a run of them.
#![forbid(unsafe_code)]

use super::{ethertype, Find, Transmit};
use crate::link::Link;
use crate::tun::bell;
use crate::tun::room::{Refusal, Wait};
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// Packets that go into a queue under one lock, so that a reader waits no longer for it than for
/// the copy of a large one.
const RUN: usize = 32;
/// Bytes of them, but for the packet with which they become so many.
const RUN_BYTES: usize = 1 << 16;

impl<F: Find> Transmit<'_, F> {
    /// Puts frames into the program's read queues, in their order, each as [`Transmit::send`] does.
    /// Returns how many were put, and why the one behind them was not.
    pub fn send_many<T: AsRef<[u8]>>(
        &self,
        frames: &[T],
        ethertype: Option<u16>,
        wait: Wait,
    ) -> (usize, Result<(), Refusal>) {
        let mut done = 0;
        while done < frames.len() {
            match self.send_run(&frames[done..], ethertype, wait) {
                Ok(sent) => done += sent,
                Err(refusal) => return (done, Err(refusal)),
            }
        }
        (done, Ok(()))
    }

    /// Puts the first of these frames, and those behind it that are as simple: for the same queue,
    /// and nobody captures, filters or has changed anything. Whatever is odd ends the run, and is
    /// looked at as the first of the next one.
    #[inline]
    fn send_run<T: AsRef<[u8]>>(
        &self,
        frames: &[T],
        said: Option<u16>,
        wait: Wait,
    ) -> Result<usize, Refusal> {
        let (state, first) = (&**self.interface, frames[0].as_ref());
        let inode = self.admit(first)?;
        let found;
        let queue = match self.queues.first(inode) {
            Some(first) => first,
            None => {
                found = self.queues.find(self.net, state, inode)?;
                &found
            }
        };
        let is_simple = || state.filters.load(Acquire) == 0 && !self.net.is_captured();
        if !is_simple() {
            return self.send(first, said, wait).map(|()| 1);
        }
        let lock = self.lock_queue(queue, wait.for_lock())?;
        let tap = state.is_tap();
        // A run is one moment of the link: what changes meanwhile has changed behind it. So where
        // there is one queue only a capturer is looked for again, and the bell rings once.
        let is_only = state.attached.load(Acquire) == 1 && state.queues[0].load(Relaxed) == inode;
        let (header, mtu) = (state.header_len(), state.mtu.load(Relaxed) as usize);
        let limit = state.txqueuelen.load(Relaxed);
        let mut rings = true;
        let (mut sent, mut bytes) = (0, 0);
        for frame in frames.iter().take(RUN) {
            let frame = frame.as_ref();
            if bytes >= RUN_BYTES {
                break;
            }
            let kind = said.unwrap_or_else(|| ethertype(frame, tap));
            let fits = !frame.is_empty() && frame.len().wrapping_sub(header) <= mtu;
            let at_once = is_only && fits && !rings && is_simple();
            if !at_once || !lock.queue().push_at_once(frame, kind, limit) {
                if sent > 0 && !(is_simple() && self.admit(frame) == Ok(inode)) {
                    break;
                }
                match self.append(queue, &lock, frame, kind) {
                    Ok(()) => rings = bell::will_ring(&queue.tunnel),
                    Err(e) if sent == 0 => return Err(e.into()),
                    Err(_) => break,
                }
            }
            (sent, bytes) = (sent + 1, bytes + frame.len());
        }
        Ok(sent)
    }
}
