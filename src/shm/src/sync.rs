//! The atomics of the code that `loom` runs: locks, rings and logs.
#![forbid(unsafe_code)]

#[cfg(loom)]
pub use loom::sync::atomic::{fence, AtomicU32, AtomicU64};
#[cfg(not(loom))]
pub use std::sync::atomic::{fence, AtomicU32, AtomicU64};
