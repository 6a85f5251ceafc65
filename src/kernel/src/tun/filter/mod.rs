//! What keeps packets from the program (`tun_net_xmit`): the list of addresses of TUNSETTXFILTER,
//! which belongs to the interface, and the program of TUNATTACHFILTER, which each queue has for
//! itself.
#![forbid(unsafe_code)]

mod addresses;
mod inbound;
mod program;

pub(super) use addresses::set as set_addresses;
pub use inbound::KnownProgram;
