//! How packets find their route: rules, tables, the longest prefix, and the source address.
#![forbid(unsafe_code)]

mod fib4;
mod fib6;
mod flow;
mod input;
mod multipath;
mod output;
mod rules;
mod source;

pub use fib4::{by_rules, in_table, searched, tree_of, type_of};
pub use fib6::{by_rules_v6, error_v6, in_table_v6, Strict};
pub use flow::{Flow, Hit, LOOPBACK, TABLES};
pub use input::input_v4;
pub use output::{link_of, lookup, needs_interface, source_v6, Found};
pub use source::{links, net_of, select_v4, select_v6};
