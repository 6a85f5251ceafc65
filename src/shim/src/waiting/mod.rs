//! poll, select and epoll where the bell alone cannot tell the truth.
//!
//! A FIFO is always writable and never in error. `memtun_calls::readiness` says what a tunnel is
//! instead in such a state, and what the bell is then asked for. Each module uses only those above
//! it in this table.
//!
//! | module | subject |
//! |---|---|
//! | [`deadline`] | until when a wait lasts |
//! | [`state`] | how a descriptor of this process must be asked about |
//! | [`bed`] | what a wait holds while its thread sleeps |
//! | [`stale`] | tunnels whose bells ring for nothing |
//! | [`epoll`] | what is registered in epoll instances, and epoll_wait |
//! | [`awake`] | how a wait begins in which a packet may come soon |
//! | [`poll`], [`select`] | waits for descriptors |
//! | [`news`] | files of the view that say that something has changed |
//! | [`sleepers`] | who has to be woken where a byte in the bell is a signal |

pub mod awake;
pub mod bed;
pub mod deadline;
pub mod epoll;
pub mod news;
pub mod poll;
pub mod select;
pub mod sleepers;
pub mod stale;
pub mod state;
