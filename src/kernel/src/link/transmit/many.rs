//! Many packets at once, with one lock for a run of them.
#![forbid(unsafe_code)]

use super::{ethertype, Find, Transmit};
use crate::link::Link;
use crate::shm::TunnelGuard;
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
        let queue = match self.queues.known(inode) {
            Some(first) => first,
            None => {
                found = self.queues.find(self.net, state, inode)?;
                &found
            }
        };
        if !self.is_simple() {
            return self.send(first, said, wait).map(|()| 1);
        }
        let lock = self.lock_queue(queue, wait.for_lock())?;
        // Where there is one queue, a run is one moment of the link, for which the bell rings once:
        // what changes meanwhile has changed behind it.
        let is_only = state.attached.load(Acquire) == 1 && state.queues[0].load(Relaxed) == inode;
        let (mut sent, mut bytes) = (0, 0);
        while sent < frames.len().min(RUN) && bytes < RUN_BYTES {
            if sent > 0 && is_only && !bell::will_ring(&queue.tunnel) {
                let (more, of) = self.append_run(&lock, &frames[sent..], said, bytes, RUN - sent);
                (sent, bytes) = (sent + more, bytes + of);
                if more > 0 {
                    continue;
                }
            }
            let frame = frames[sent].as_ref();
            if sent > 0 && !(self.is_simple() && self.admit(frame) == Ok(inode)) {
                break;
            }
            let kind = said.unwrap_or_else(|| ethertype(frame, state.is_tap()));
            match self.append(queue, &lock, frame, kind) {
                Ok(()) => (sent, bytes) = (sent + 1, bytes + frame.len()),
                Err(e) if sent == 0 => return Err(e.into()),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    /// Appends frames that fit the link and lie behind each other, where the bell rings already.
    /// `bytes` are in the run by now, and `most` frames have room in it. Returns how many went in,
    /// and how many bytes.
    #[inline(never)]
    fn append_run<T: AsRef<[u8]>>(
        &self,
        lock: &TunnelGuard<'_>,
        frames: &[T],
        said: Option<u16>,
        bytes: usize,
        most: usize,
    ) -> (usize, usize) {
        let state = &**self.interface;
        let (tap, header, mtu) = (
            state.is_tap(),
            state.header_len(),
            state.mtu.load(Relaxed) as usize,
        );
        let Some(mut run) = lock.queue().run(state.txqueuelen.load(Relaxed)) else {
            return (0, 0);
        };
        let most = most.min(run.left() as usize);
        let (mut sent, mut of) = (0, 0);
        for frame in frames.iter().take(most) {
            let frame = frame.as_ref();
            let fits = !frame.is_empty() && frame.len().wrapping_sub(header) <= mtu;
            let kind = said.unwrap_or_else(|| ethertype(frame, tap));
            if !fits || bytes + of >= RUN_BYTES || !run.append(frame, kind) {
                break;
            }
            (sent, of) = (sent + 1, of + frame.len());
        }
        // Whoever captures or filters by now is asked of each of them.
        if !self.is_simple() {
            return (0, 0);
        }
        run.publish();
        (sent, of)
    }

    /// Does nobody capture or filter what goes through the interface?
    #[inline(always)]
    fn is_simple(&self) -> bool {
        self.interface.filters.load(Acquire) == 0 && !self.net.is_captured()
    }
}
