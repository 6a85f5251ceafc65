//! The order in which routes stand in the files, so that the net's stand among the machine's.
#![forbid(unsafe_code)]

use super::parts::{decimal, hex};
use super::route_line::Line;
use std::net::IpAddr;

/// Where a route stands among those of its table.
pub(super) type Rank = (u128, u8, u32);

impl Line {
    pub(super) fn rank(&self) -> Rank {
        match self.to {
            IpAddr::V4(to) => rank_of_v4(to.into(), self.prefix, self.priority),
            IpAddr::V6(to) => rank_of_v6(to.into(), self.prefix, self.priority),
        }
    }
}

/// By address, of one address the smallest network first (`fib_find_alias`).
fn rank_of_v4(to: u32, prefix: u8, metric: u32) -> Rank {
    (to.into(), 32 - prefix.min(32), metric)
}

/// What is in a network stands before the network (`fib6_walk_continue`).
fn rank_of_v6(to: u128, prefix: u8, metric: u32) -> Rank {
    let hosts = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
    (to | hosts, 128 - prefix.min(128), metric)
}

/// The rank of a line of /proc/net/route; None for a line that has none.
pub(super) fn of_route(line: &[u8]) -> Option<Rank> {
    // Addresses stand as the machine's own numbers of their bytes.
    let number = |at| Some(u32::from_be_bytes((hex(line, at)? as u32).to_ne_bytes()));
    let prefix = number(7)?.leading_ones() as u8;
    Some(rank_of_v4(number(1)?, prefix, decimal(line, 6)?))
}

/// The rank of a line of /proc/net/ipv6_route; None for a line that has none.
pub(super) fn of_ipv6_route(line: &[u8]) -> Option<Rank> {
    let prefix = u8::try_from(hex(line, 1)?).ok()?;
    Some(rank_of_v6(hex(line, 0)?, prefix, hex(line, 5)? as u32))
}

/// How far the net's routes of a table were shown.
pub(super) struct Progress {
    /// Where the next one stands, at the earliest; None when there is none.
    next: Option<Rank>,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress {
            next: Some((0, 0, 0)),
        }
    }

    /// Shows the routes that stand before `until`, and all that are left for None: `each` hands on
    /// all routes of the table with their ranks to the closure, which says whether one is shown.
    pub(super) fn show<E>(
        &mut self,
        until: Option<Rank>,
        each: impl FnOnce(&mut dyn FnMut(Rank) -> bool) -> Result<(), E>,
    ) -> Result<(), E> {
        let is_before = |rank: Rank| until.is_none_or(|until| rank < until);
        let Some(from) = self.next.filter(|next| is_before(*next)) else {
            return Ok(());
        };
        let mut next: Option<Rank> = None;
        each(&mut |rank| {
            if !is_before(rank) {
                next = Some(next.map_or(rank, |next| next.min(rank)));
            }
            rank >= from && is_before(rank)
        })?;
        self.next = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_in_the_kernels_order() {
        let v4 = [
            "t0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0",
            "t0\t00000009\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0",
            "t0\t0000000A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0",
            "t0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0",
            "t0\t0000000A\t00000000\t0001\t0\t0\t5\t000000FF\t0\t0\t0",
        ];
        let ranks = v4.map(|line| of_route(line.as_bytes()).expect("a rank"));
        assert!(ranks.is_sorted(), "{ranks:?}");
        let none = "00000000000000000000000000000000";
        let v6 = [
            ("20010db8000100000000000000000000", "30", "00000400"),
            ("20010db8000000000000000000000000", "20", "00000007"),
            ("20010db8000000000000000000000000", "20", "00000400"),
            ("fd090000000000000000000000000000", "40", "00000100"),
            (none, "00", "00000400"),
        ]
        .map(|(to, prefix, metric)| {
            let line = format!("{to} {prefix} {none} 00 {none} {metric} 1 0 1 t0");
            of_ipv6_route(line.as_bytes()).expect("a rank")
        });
        assert!(v6.is_sorted(), "{v6:?}");
    }

    #[test]
    fn each_route_is_shown_once_and_in_its_place() {
        let (ours, machines) = ([2, 4, 4, 9], [1, 3, 4, 5]);
        let mut shown = Vec::new();
        let mut progress = Progress::new();
        let marks = machines.iter().map(|m| Some((*m, 0, 0))).chain([None]);
        for until in marks {
            let all = |wants: &mut dyn FnMut(Rank) -> bool| {
                let due = ours.iter().filter(|one| wants((**one, 0, 0)));
                shown.extend(due.map(|one| one * 10));
                Ok::<(), ()>(())
            };
            progress.show(until, all).expect("shown");
            shown.extend(until.map(|until| until.0));
        }
        assert_eq!(shown, [1, 20, 3, 4, 40, 40, 5, 90]);
    }
}
