//! What is known of the queues of sockets that listen. The kernel is asked with each SYN: somebody
//! may have accepted, or closed the socket, just now. In a flood that would be most of the work, so
//! there the last answer counts for a moment.
#![forbid(unsafe_code)]

use crate::inet::sockets::diag::Native;
use std::collections::HashMap;
use std::time::Duration;

/// For how long an answer counts.
const MOMENT: Duration = Duration::from_millis(1);
/// So many SYNs in a moment are no flood.
const CALM: u32 = 16;
/// Of so many sockets something is known.
const MOST: usize = 1024;

struct Room {
    /// When the moment began, and how many SYNs have come since.
    since: Duration,
    came: u32,
    /// Another connection fits into the queue, as was said last. A SYN takes no place there.
    has_room: bool,
    /// How many fit into it at all.
    backlog: Option<u32>,
}

/// By the cookie of the socket.
#[derive(Default)]
pub(super) struct Rooms(HashMap<u64, Room>);

impl Rooms {
    /// A SYN comes. Is it known that its listener is there and has room?
    pub fn is_known(&mut self, listener: u64, now: Duration) -> bool {
        let Some(room) = self.0.get_mut(&listener) else {
            return false;
        };
        if now.saturating_sub(room.since) >= MOMENT {
            (room.since, room.came) = (now, 0);
        }
        room.came += 1;
        room.came > CALM && room.has_room
    }

    /// The kernel has said how the socket is.
    pub fn learn(&mut self, listener: u64, native: &Native, now: Duration) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let room = self.0.entry(listener).or_insert(Room {
            since: now,
            came: 1,
            has_room: false,
            backlog: None,
        });
        room.backlog = native.queue.map(|(_, most)| most);
        room.has_room = native.queue.is_some() && !native.is_full();
    }

    /// How many of its connections may wait for an answer to theirs (inet_csk_reqsk_queue_is_full).
    pub fn halves(&self, listener: u64) -> usize {
        let backlog = self.0.get(&listener).and_then(|room| room.backlog);
        backlog.map_or(usize::MAX, |backlog| backlog.max(1) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inet::sockets::diag::LISTEN;

    /// How often the kernel is asked when so many SYNs come, each so long after the one before.
    fn asked(rooms: &mut Rooms, queue: Option<(u32, u32)>, count: u32, apart: Duration) -> u32 {
        let native = Native {
            own: ([127, 0, 0, 1], 80).into(),
            other: ([0, 0, 0, 0], 0).into(),
            state: LISTEN,
            uid: 0,
            inode: 1,
            cookie: 1,
            queue,
        };
        let mut asked = 0;
        for at in 0..count {
            let now = apart * at;
            if !rooms.is_known(1, now) {
                asked += 1;
                rooms.learn(1, &native, now);
            }
        }
        asked
    }

    #[test]
    fn a_flood_asks_rarely_and_all_else_with_each_syn() {
        let fast = Duration::from_micros(2);
        let of = |queue, count, apart| asked(&mut Rooms::default(), queue, count, apart);
        assert!(of(Some((0, 128)), 10_000, fast) < 500);
        assert!(of(Some((0, 1)), 10_000, fast) < 500);
        assert_eq!(of(Some((0, 128)), 100, 50 * fast), 100);
        assert_eq!(of(Some((129, 128)), 10_000, fast), 10_000, "a full queue");
        assert_eq!(of(None, 10_000, fast), 10_000, "nobody says how full");
    }

    #[test]
    fn the_bound_of_those_without_an_answer_is_the_backlog() {
        let mut rooms = Rooms::default();
        assert_eq!(rooms.halves(1), usize::MAX);
        asked(&mut rooms, Some((0, 5)), 1, Duration::ZERO);
        assert_eq!(rooms.halves(1), 5);
        asked(&mut rooms, Some((0, 0)), 1, Duration::ZERO);
        assert_eq!(rooms.halves(1), 1, "the one that came last is answered");
    }
}
