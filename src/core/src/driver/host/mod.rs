//! What a test gives its net's host: addresses, routes and neighbours, as ip-address(8),
//! ip-route(8) and ip-neighbour(8) do.
#![forbid(unsafe_code)]

mod address;
mod change;
mod neighbour;
mod of_interface;
mod of_net;
mod route;
mod words;

pub use address::Address;
pub use neighbour::Neighbour;
pub use route::Route;

pub(crate) use change::links_have_changed;
