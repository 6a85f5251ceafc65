//! Busy polling, as net.core.busy_poll of the kernel: whoever is about to wait for a packet first
//! looks for it for some microseconds, because going to sleep and being woken take longer than
//! that.
//!
//! It pays only where the peer runs at the same time. So whoever gives a packet notes on which
//! processor he does ([`note_here`]), and nobody looks in vain on that very processor. How long it
//! is tried follows from how it went: the time grows with each packet that came in it, and shrinks
//! where none did, so that who waits long and often pays nothing.
#![forbid(unsafe_code)]

use crate::settings;
use crate::sys;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// Bit of such a word: whoever waits asks on which processor his peer runs now.
const ASKED: u32 = 1 << 31;

/// Notes in one of the words for that on which processor the caller runs, one more than its number,
/// if that is not known or somebody has asked. Finding it out costs as much as many a packet.
#[inline(always)]
pub fn note_here(word: &AtomicU32) {
    if word.load(Relaxed) as i32 <= 0 {
        note_now(word);
    }
}

#[cold]
#[inline(never)]
fn note_now(word: &AtomicU32) {
    word.store(sys::here(), Relaxed);
}

/// The processor of a word, as it was last noted.
fn processor(word: &AtomicU32) -> u32 {
    word.load(Relaxed) & !ASKED
}

fn ask(word: &AtomicU32) {
    word.fetch_or(ASKED, Relaxed);
}

/// The longest time in microseconds, and one more; 0 before it is known.
static MOST: AtomicU32 = AtomicU32::new(0);

/// Says what `MEMTUN_BUSY_POLL` does.
pub fn set_most(microseconds: u32) {
    MOST.store(microseconds.saturating_add(1), Relaxed);
}

/// The longest time in nanoseconds. Who has no settings of his own reads them from the environment;
/// a value that makes no sense is his to name.
fn most() -> u32 {
    let known = match MOST.load(Relaxed) {
        0 => {
            let given = std::env::var(settings::BUSY_POLL).unwrap_or_default();
            set_most(settings::busy_poll(given.as_bytes()).unwrap_or(settings::BUSY_POLL_DEFAULT));
            MOST.load(Relaxed)
        }
        known => known,
    };
    (known - 1).saturating_mul(1000)
}

/// One kind of wait, and how it went lately.
pub struct Spinner {
    /// The time for which the next wait is begun awake, in nanoseconds; 1 more than that, and 0
    /// before the first wait.
    time: AtomicU32,
    /// Number of waits that were to sleep at once.
    slept: AtomicU32,
    /// Number of times that it was asked how long to wait.
    times: AtomicU32,
}

/// Reads that wait.
pub static READS: Spinner = Spinner::new();
/// poll(2), select(2) and epoll_wait(2).
pub static WAITS: Spinner = Spinner::new();
/// Drivers that receive.
pub static RECEIVES: Spinner = Spinner::new();

/// A time that is too short for a packet to come.
const NOTHING: u32 = 1000;
/// One wait of so many tries again where none is awake.
const SELDOM: u32 = 16;
/// One wait of so many asks where its peer runs. The answer is a line that both have to fetch.
const ASKS: u32 = 8;

impl Spinner {
    const fn new() -> Spinner {
        Spinner {
            time: AtomicU32::new(0),
            slept: AtomicU32::new(0),
            times: AtomicU32::new(0),
        }
    }

    /// For how many nanoseconds should a wait for a peer begin awake? `peer` is a word of
    /// [`note_here`]. `None` where it should not.
    pub fn time(&self, peer: &AtomicU32) -> Option<u32> {
        let word = peer;
        let peer = processor(word);
        let most = match peer {
            0 => 0,
            _ => most(),
        };
        if most != 0 && self.times.fetch_add(1, Relaxed).is_multiple_of(ASKS) {
            ask(word);
        }
        if most == 0 || sys::here() == peer {
            return None;
        }
        match self.time.load(Relaxed) {
            0 => Some(most),
            time if time > NOTHING => Some((time - 1).min(most)),
            _ if self.slept.fetch_add(1, Relaxed) % SELDOM == SELDOM - 1 => {
                // Who asks again before he waits gets the same answer.
                self.time.store(most + 1, Relaxed);
                Some(most)
            }
            _ => None,
        }
    }

    /// Looks whether there is something, for this time at most, as long as the peer is on another
    /// processor. Returns whether there is.
    pub fn wait(&self, time: u32, peer: &AtomicU32, mut is_there: impl FnMut() -> bool) -> bool {
        const LOOKS: usize = 16;
        let begin = sys::now_ns(libc::CLOCK_MONOTONIC);
        loop {
            for _ in 0..LOOKS {
                if is_there() {
                    let more = time.saturating_mul(2).max(2 * NOTHING);
                    self.time.store(more.min(most()) + 1, Relaxed);
                    return true;
                }
                std::hint::spin_loop();
            }
            let passed = sys::now_ns(libc::CLOCK_MONOTONIC).saturating_sub(begin);
            if passed >= u64::from(time) || sys::here() == processor(peer) {
                ask(peer);
                self.time.store(time / 4 + 1, Relaxed);
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word of a peer that is on no processor of this machine.
    const ELSEWHERE: u32 = 1 << 20;

    #[test]
    fn nobody_looks_awake_for_a_peer_that_is_not_known() {
        assert_eq!(Spinner::new().time(&AtomicU32::new(0)), None);
    }

    #[test]
    fn the_time_grows_with_packets_and_shrinks_without() {
        set_most(50);
        let (spinner, peer) = (Spinner::new(), AtomicU32::new(ELSEWHERE));
        assert_eq!(spinner.time(&peer), Some(50_000));
        for less in [12_500, 3_125] {
            let time = spinner.time(&peer).unwrap_or(0);
            assert!(!spinner.wait(time, &peer, || false));
            assert_eq!(spinner.time(&peer), Some(less));
        }
        assert!(spinner.wait(3_125, &peer, || true));
        assert_eq!(spinner.time(&peer), Some(6_250));
        for _ in 0..8 {
            let time = spinner.time(&peer).unwrap_or(0);
            assert!(spinner.wait(time, &peer, || true));
        }
        assert_eq!(spinner.time(&peer), Some(50_000));
    }

    #[test]
    fn who_waits_in_vain_seldom_tries_again() {
        set_most(50);
        let (spinner, peer) = (Spinner::new(), AtomicU32::new(ELSEWHERE));
        assert!(!spinner.wait(NOTHING, &peer, || false));
        let tries = (0..160).filter(|_| {
            let tries = spinner.time(&peer).is_some();
            assert_eq!(tries, tries && spinner.time(&peer).is_some());
            tries && !spinner.wait(NOTHING, &peer, || false)
        });
        assert_eq!(tries.count(), 10);
    }

    #[test]
    fn a_peer_that_comes_to_this_processor_is_not_waited_for() {
        set_most(50);
        let (spinner, peer) = (Spinner::new(), AtomicU32::new(ELSEWHERE));
        let mut looks = 0;
        ask(&peer);
        let found = spinner.wait(u32::MAX, &peer, || {
            looks += 1;
            note_here(&peer);
            false
        });
        assert!(!found && looks > 0);
    }

    #[test]
    fn a_processor_is_noted_where_it_is_not_known_and_where_somebody_asks() {
        set_most(50);
        let word = AtomicU32::new(0);
        note_here(&word);
        assert_eq!(word.load(Relaxed), sys::here());
        word.store(ELSEWHERE, Relaxed);
        note_here(&word);
        assert_eq!(word.load(Relaxed), ELSEWHERE);

        let spinner = Spinner::new();
        let asks = (0..10 * ASKS).filter(|_| {
            word.store(ELSEWHERE, Relaxed);
            assert!(spinner.time(&word).is_some());
            note_here(&word);
            word.load(Relaxed) != ELSEWHERE
        });
        assert_eq!(asks.count(), 10);
        // Who has waited in vain asks at once.
        word.store(ELSEWHERE, Relaxed);
        assert!(!spinner.wait(NOTHING, &word, || false));
        assert_eq!(processor(&word), ELSEWHERE);
        note_here(&word);
        assert_eq!(word.load(Relaxed), sys::here());
    }
}
