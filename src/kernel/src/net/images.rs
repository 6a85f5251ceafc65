//! Members between two program images. exec(2) takes a process's locks away, and the library takes
//! them again in the new image. Meanwhile a word with the process id says that the member is on its
//! way.
#![forbid(unsafe_code)]

use crate::shm::layout::{NetState, BETWEEN_IMAGES};
use crate::sys::{self, Fd};
use std::mem::offset_of;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

type Words = [AtomicU64; BETWEEN_IMAGES];

/// How long a member may be on its way, in milliseconds. One that never arrives is not waited for
/// any longer.
const MOMENT: u32 = 2000;

fn now() -> u32 {
    (sys::now_ns(libc::CLOCK_REALTIME) / 1_000_000) as u32
}

fn word_of(process: u32, time: u32) -> u64 {
    (process as u64) << 32 | time as u64
}

fn process_of(word: u64) -> u32 {
    (word >> 32) as u32
}

fn is_on_the_way(word: u64, now: u32) -> bool {
    process_of(word) != 0 && now.wrapping_sub(word as u32) < MOMENT
}

/// Notes that the calling process is about to become another program.
pub fn leaving(words: &Words) {
    let (me, now) = (sys::getpid() as u32, now());
    let mine = word_of(me, now);
    if let Some(place) = words.iter().find(|w| process_of(w.load(SeqCst)) == me) {
        return place.store(mine, SeqCst);
    }
    let taken = words.iter().any(|place| {
        let old = place.load(SeqCst);
        !is_on_the_way(old, now) && place.compare_exchange(old, mine, SeqCst, SeqCst).is_ok()
    });
    if !taken {
        words[me as usize % BETWEEN_IMAGES].store(mine, SeqCst);
    }
}

/// Notes that the calling process has arrived in its new image, where its lock says that it lives.
pub fn arrived(words: &Words) {
    let me = sys::getpid() as u32;
    for place in words {
        let word = place.load(SeqCst);
        if process_of(word) == me {
            let _ = place.compare_exchange(word, 0, SeqCst, SeqCst);
        }
    }
}

/// Is a member on its way in the net that has this state file?
pub fn is_any_on_the_way(state: &Fd) -> bool {
    let mut bytes = [0u8; BETWEEN_IMAGES * 8];
    let read = sys::pread(
        state.raw(),
        &mut bytes,
        offset_of!(NetState, between_images) as u64,
    );
    let now = now();
    let mut words = bytes.chunks_exact(8);
    read == Ok(bytes.len())
        && words.any(|word| {
            let word = word.try_into().map_or(0, u64::from_ne_bytes);
            is_on_the_way(word, now)
        })
}
