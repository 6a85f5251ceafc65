//! Requests of ioctl(2) on tunnels and about interfaces: one table, from which dispatch, the fault
//! grammar, the lines about what is missing, docs/fidelity.md and the walk of the conformance suite
//! come.
#![forbid(unsafe_code)]

mod code;
mod ctype;
mod find;
mod option;
mod row;
mod table;

pub use code::{kind, SOCK_IOC_TYPE};
pub use ctype::CType;
pub use find::{
    by_name, is_by_value, is_of_socket, name_of, on_socket, on_tunnel, takes_fault, LARGEST,
};
pub use option::{option_of, SocketOption, SOCKET_OPTIONS};
pub use row::{Answer, Argument, Named, Need, On, Request};
pub use table::{number, REQUESTS};
