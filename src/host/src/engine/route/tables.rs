//! Which tables of routes there are (`fib_get_table`, `fib_new_table`).
#![forbid(unsafe_code)]

use crate::World;

const LOCAL: u32 = libc::RT_TABLE_LOCAL as u32;
const MAIN: u32 = libc::RT_TABLE_MAIN as u32;

fn make(world: &mut World<'_>, family: i32, table: u32) {
    let made = (family as u8, table);
    if !world.state.tables.contains(&made) {
        world.state.tables.push(made);
    }
}

/// Makes a table of IPv4 if there is none.
pub fn make_v4(world: &mut World<'_>, table: u32) {
    make(world, libc::AF_INET, table);
    if table == LOCAL && !world.state.ruled[0] {
        // The table of local addresses begins as a part of the main one, while nobody has changed
        // the rules.
        make(world, libc::AF_INET, MAIN);
    }
}

/// Makes a table of IPv6 if there is none.
pub fn make_v6(world: &mut World<'_>, table: u32) {
    make(world, libc::AF_INET6, table);
}

fn has(world: &World<'_>, family: i32, table: u32) -> bool {
    let made = (family as u8, table);
    let v4 = family == libc::AF_INET;
    world.state.tables.contains(&made) || !world.routes_of_table(table, v4).is_empty()
}

/// Is there such a table of IPv4?
pub fn has_v4(world: &World<'_>, table: u32) -> bool {
    has(world, libc::AF_INET, table)
}

/// Is there such a table of IPv6? The two that every host has are always there.
pub fn has_v6(world: &World<'_>, table: u32) -> bool {
    table == MAIN || table == LOCAL || has(world, libc::AF_INET6, table)
}
