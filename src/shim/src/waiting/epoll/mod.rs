//! Makes epoll(7) report the driver's readiness in the states in which the bell (the FIFO that is
//! the tunnel's descriptor for the kernel) alone would report something else.
//!
//! While a tunnel is attached and its link is up, the kernel's registration of the bell suffices.
//! In the other states this module changes that registration before a thread waits:
//!
//! - A tunnel whose link is down is registered without EPOLLOUT until the link comes up.
//! - A tunnel whose interface was deleted reports EPOLLERR.
//! - A tunnel that is registered while it is unattached has no wait queue, as with the driver. It
//!   is looked at only while it stands on epoll's ready list, it stays there while a look finds
//!   something (level-triggered), and only EPOLL_CTL_MOD puts it there again.
//! - A tunnel that is not writable because the process that captures is behind is registered
//!   without EPOLLOUT as well. It is looked at every few milliseconds until it is writable again,
//!   which is an edge.
//!
//! epoll_ctl(2) passes a new registration on to the kernel with the events that the program asks.
//! So a thread that already sleeps in epoll_wait(2) wakes, finds that no event is true, and from
//! then on waits with this module's care. What is known of an instance holds for all its
//! descriptors ([`instances`]). What other processes have registered is read from the kernel
//! ([`adopt`]). A registration that this process cannot change, because the registered number is
//! closed or the process does not hold the tunnel, is looked at every few milliseconds.
//!
//! | module | subject |
//! |---|---|
//! | [`instances`] | which descriptors belong to the same instance |
//! | [`marks`] | marks on places |
//! | [`index`] | where a registration stands, so that none is looked for among all |
//! | [`registrations`] | what is registered in the instances, as far as this process knows |
//! | [`adopt`] | how the registrations of other processes are read from /proc |
//! | [`sharing`] | when they are read again, because another process has changed them |
//! | [`care`] | which events the kernel is told for a registration |
//! | [`control`] | epoll_ctl(2), and which descriptors need care when a thread waits |
//! | [`wait`] | epoll_wait(2), and which of the kernel's events are true |

mod adopt;
mod care;
mod control;
mod index;
mod instances;
mod marks;
mod registrations;
mod sharing;
mod wait;

pub use adopt::{adopt, datum_of, each_of};
pub use care::look;
pub use control::{
    before_exec, closed, closed_range, concerns, concerns_truly, control, created, duplicated,
    hold_few, is_any, is_instance, is_target, knows_some, knows_tunnels, refused,
};
pub use instances::numbers_below;
pub use registrations::{number_closed as tunnel_closed, tunnel_ended};
pub use sharing::{before_fork, forked, is_behind};
pub use wait::{correct, is_ready, wait};
