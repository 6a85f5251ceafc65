//! Links (net/core/dev.c, net/core/rtnetlink.c).
//!
//! A link is the tun driver's, or it is declared, or it is the machine's (see [`Extra`]).
//! What is changed on one that is not the tun driver's stays in the state, where the machine's
//! have an [`Extra`] as soon as something is changed on them.
//!
//! [`Extra`]: memtun_stack::Extra
#![forbid(unsafe_code)]

mod delete;
mod known;
mod look;
mod name;
mod receive;
mod set;
mod tell;

pub use delete::{delete, is_deletable};
pub use known::{get, inet4_is_switched, is_settled, routers_are_asked, set_anycasts};
pub use look::{inet6_is_switched, look, state_has_changed};
pub use name::{add_name, remove_name, rename, set_alias};
pub use receive::{add_group, add_received, groups_of_ip, remove_group, remove_received};
pub use set::{
    set_address, set_broadcast, set_carrier, set_features, set_flags, set_group, set_limit,
    set_link_mode, set_mtu, set_operstate, set_token, set_txqueuelen,
};
pub use tell::tell_conf4;
