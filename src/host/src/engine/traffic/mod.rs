//! Queueing disciplines and their classes (net/sched/sch_api.c, net/sched/sch_generic.c).
//!
//! A link whose own discipline is not among those of the state has none (`noop`), because it has
//! never been up, or because it was taken away while the link was down.
//!
//! | module | what it is |
//! |---|---|
//! | [`kinds`] | the kinds |
//! | [`options`] | what each makes of its options |
//! | `numbers` | how disciplines are numbered, and what one finds on its link |
//! | `default` | the disciplines that nobody has chosen |
//! | `rate` | rates and times as they stand in messages |
//! | [`tree`] | which discipline and which class hangs where |
//! | [`change`] | making, changing and taking away a discipline |
//! | [`class`] | the same for a class |
//! | [`told`] | a discipline or a class as it is told |
#![forbid(unsafe_code)]

pub mod change;
pub mod class;
mod default;
pub mod kinds;
mod numbers;
pub mod options;
mod rate;
pub mod told;
pub mod tree;

pub use default::{link_is_gone, link_is_up};
pub use numbers::{MAJOR, MINOR};
