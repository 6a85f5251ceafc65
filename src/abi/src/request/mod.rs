//! Requests of ioctl(2) on tunnels and about interfaces. They stand in one table, from which come
//! the dispatch, the grammar of faults, the log lines about what is missing, docs/fidelity.md and
//! the conformance suite's walk through all requests.
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
    by_name, is_by_value, is_of_socket, may_change_machine, name_of, on_socket, on_tunnel,
    takes_fault, LARGEST,
};
pub use option::{
    may_name_interface, may_route_multicasts, option_of, Designation, SocketOption, SOCKET_OPTIONS,
};
pub use row::{Answer, Argument, Named, Need, On, Request};
pub use table::{number, REQUESTS};
