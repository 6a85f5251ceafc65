//! Routes: their tables, and how packets find them.
//!
//! | module | kernel's counterpart |
//! |---|---|
//! | [`v4`] | net/ipv4/fib_semantics.c, fib_trie.c |
//! | [`v6`] | net/ipv6/route.c, ip6_fib.c |
//! | [`parts`] | net/ipv4/metrics.c, the next hops of RTA_MULTIPATH |
//! | [`object`] | `fib_check_nexthop`, `fib6_check_nexthop` |
//! | [`tables`] | `fib_new_table` |
//! | [`told`] | `rtmsg_fib`, `inet6_rt_notify` |
//! | [`lookup`] | `ip_route_output_key`, `ip6_route_output`, the choice of the source address |
#![forbid(unsafe_code)]

use crate::Failure;

pub mod lookup;
pub mod object;
pub mod parts;
pub mod tables;
pub mod told;
pub mod v4;
pub mod v6;

pub(crate) use told::group;
pub use told::Cause;

/// Refuses a route with the kernel's sentence (EINVAL).
pub(crate) fn refuse<T>(text: &'static str) -> Result<T, Failure> {
    crate::failure::refuse(libc::EINVAL, text)
}
