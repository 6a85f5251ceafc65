//! epoll(7) where the bell alone cannot tell the truth.
//!
//! While a tunnel is attached and its link is up, the kernel's registration of the bell is all
//! there is. In the other states it is changed before somebody waits: a tunnel that is down is
//! registered without EPOLLOUT until the link comes up; one whose interface was deleted reports
//! EPOLLERR. One that is registered while unattached has no wait queue, as with the driver: it is
//! only looked at while it stands on epoll's ready list, stays there while a look finds something
//! (level-triggered), and nothing ever puts it there again but EPOLL_CTL_MOD. One that is not
//! writable because whoever captures is behind is registered without EPOLLOUT as well, and looked
//! at every few milliseconds until it is writable again, which is an edge.
//!
//! A registration itself is passed on as it is made, so that somebody who sleeps in the wait
//! already wakes, finds that it was for nothing and goes on waiting with care. What is known of an
//! instance holds for all its descriptors ([`instances`]); what others have registered is read from
//! the kernel ([`adopt`]). A registration that this process cannot change, because the number is
//! closed or the tunnel is not here, is looked at every few milliseconds.
//!
//! | module | subject |
//! |---|---|
//! | [`instances`] | which descriptors are the same instance |
//! | [`registrations`] | what is registered in them, as far as this process knows |
//! | [`adopt`] | the same, where somebody else has registered it |
//! | [`sharing`] | when that is read, because others have changed it |
//! | [`care`] | what the kernel is told of a registration |
//! | [`control`] | epoll_ctl, and when waiting needs care |
//! | [`wait`] | epoll_wait, and what is true of the kernel's answers |

mod adopt;
mod care;
mod control;
mod instances;
mod registrations;
mod sharing;
mod wait;

pub use adopt::adopt;
pub use care::look;
pub use control::{
    before_exec, closed, closed_range, concerns, concerns_truly, control, created, duplicated,
    is_target, knows_tunnels, may_know_tunnels, refused,
};
pub use instances::numbers_below;
pub use registrations::{number_closed as tunnel_closed, tunnel_ended};
pub use sharing::{before_fork, forked};
pub use wait::{correct, is_ready, wait};
