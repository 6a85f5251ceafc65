//! Log messages that are not repeated at once.
#![forbid(unsafe_code)]

use crate::sys;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Have five seconds passed since this message was last logged? If so, the time is noted.
pub(crate) fn is_due(last_said: &AtomicU64) -> bool {
    let now = sys::now_ns(libc::CLOCK_MONOTONIC);
    let last = last_said.load(Relaxed);
    let due = last == 0 || now.saturating_sub(last) >= Duration::from_secs(5).as_nanos() as u64;
    if due {
        last_said.store(now.max(1), Relaxed);
    }
    due
}
