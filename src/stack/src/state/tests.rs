//! A file is read whole or not at all, change by change, whatever of it is there; and what a shadow
//! says of a change makes of the old bytes the new ones.
#![forbid(unsafe_code)]

use super::super::{Answered, Hidden, Label, Listener, Shadow, State, Sysctl, View, LONGEST};
use super::*;
use crate::{Neighbour, Nexthop, Route};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn file_of(bytes: &[u8]) -> Fd {
    let file = sys::memory_file(c"state", 0).expect("a file");
    assert_eq!(sys::pwrite(file.raw(), bytes, 0), Ok(bytes.len()));
    file
}

/// The messages of a file.
fn read(bytes: &[u8]) -> Result<Vec<u8>, Errno> {
    let (pieces, _) = Pieces::read(&file_of(bytes), &mut [0; LONGEST])?;
    let part = |piece: &Piece| &bytes[piece.at as usize..(piece.at + piece.length) as usize];
    Ok(pieces.all().iter().map(part).collect::<Vec<_>>().concat())
}

fn carry_out(messages: &mut Vec<u8>, splices: &[Splice]) {
    for splice in splices {
        let from = splice.position as usize;
        messages.splice(
            from..from + splice.removed as usize,
            splice.bytes.iter().copied(),
        );
    }
}

fn splice(position: u64, removed: u64, bytes: &[u8]) -> Splice {
    let bytes = bytes.to_vec();
    Splice {
        position,
        removed,
        bytes,
    }
}

/// A file with two changes; where each part of it ends; and the messages up to there.
fn with_two_changes() -> (Vec<u8>, [usize; 3], [Vec<u8>; 3]) {
    let first = b"aaaabbbbccccdddd".to_vec();
    let changes = [
        vec![
            splice(4, 8, b"XXXX"),
            splice(0, 0, b"0000"),
            splice(16, 0, b"last"),
        ],
        vec![splice(4, 12, b""), splice(8, 0, b"12345678")],
    ];
    let mut bytes = base(&first);
    let (mut ends, mut messages) = ([bytes.len(); 3], [first.clone(), first.clone(), first]);
    for (number, splices) in changes.iter().enumerate() {
        bytes.extend(change(splices, bytes.len() as u64));
        ends[number + 1] = bytes.len();
        let mut now = messages[number].clone();
        carry_out(&mut now, splices);
        messages[number + 1] = now;
    }
    assert_eq!(messages[1], b"0000aaaaXXXXddddlast");
    assert_eq!(messages[2], b"0000last12345678");
    (bytes, ends, messages)
}

#[test]
fn of_a_change_that_is_not_whole_there_is_nothing() {
    let (bytes, ends, messages) = with_two_changes();
    for cut in ends[0]..=bytes.len() {
        let whole = ends.iter().rposition(|end| *end <= cut).expect("a base");
        assert_eq!(
            read(&bytes[..cut]).as_ref(),
            Ok(&messages[whole]),
            "{cut} bytes"
        );
        // What a file is lengthened by before it is written is zeroes.
        let mut longer = bytes[..cut].to_vec();
        longer.resize(bytes.len() + 64, 0);
        let whole = ends.iter().rposition(|end| longer[..*end] == bytes[..*end]);
        let whole = whole.expect("a base");
        assert_eq!(
            read(&longer).as_ref(),
            Ok(&messages[whole]),
            "{cut} and zeroes"
        );
    }
}

#[test]
fn a_change_with_a_wrong_byte_is_none() {
    let (bytes, ends, messages) = with_two_changes();
    for at in ends[1]..bytes.len() {
        for bit in 0..8 {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1 << bit;
            assert_eq!(
                read(&wrong).as_ref(),
                Ok(&messages[1]),
                "bit {bit} of byte {at}"
            );
        }
    }
}

#[test]
fn what_is_left_of_another_change_is_none() {
    let (bytes, ends, messages) = with_two_changes();
    // Behind the first change stands the second as it was meant for another place.
    let elsewhere = change(&[splice(0, 4, b"zzzz")], ends[1] as u64 + 8);
    let left = [&bytes[..ends[1]], &elsewhere].concat();
    assert_eq!(read(&left).as_ref(), Ok(&messages[1]));
    // A change that takes out what is not there has a right sum, and comes from nobody.
    let absurd = change(&[splice(1000, 4, b"")], ends[2] as u64);
    assert_eq!(read(&[bytes, absurd].concat()), Err(Errno(libc::EUCLEAN)));
    assert_eq!(read(b"aaaabbbbccccddddeeee"), Err(Errno(libc::EUCLEAN)));
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

fn route(number: usize) -> Route {
    let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    Route {
        to: Ipv4Addr::from(0x0a00_0000 + number as u32).into(),
        prefix: 32,
        from: (unspecified, 0),
        tos: 0,
        table: 254,
        protocol: 3,
        scope: 0,
        kind: 1,
        flags: 0,
        priority: number as u32,
        source: None,
        metrics: vec![(2, 1400); number % 3],
        congestion: None,
        preference: 0,
        expires: None,
        object: 0,
        grouped: false,
        hops: Vec::<Nexthop>::new(),
    }
}

/// Changes something of a state.
fn disturb(state: &mut State, random: &mut Random) {
    let number = random.below(1000);
    let routes = state.routes.len();
    match random.below(14) {
        0..=3 => state.routes.insert(random.below(routes + 1), route(number)),
        4 if routes > 0 => drop(state.routes.remove(random.below(routes))),
        5 if routes > 0 => state.routes.replace(random.below(routes), route(number)),
        6 => state.routes.change_each(
            |it| it.scope == 0,
            |it| {
                it.scope ^= 1;
                true
            },
        ),
        7 => state.tables.push((2, number as u32)),
        8 => state.view = [View::Merged, View::Isolated][number % 2],
        9 => state.sysctls.push(Sysctl {
            path: format!("ipv4/{number}").into_bytes(),
            value: vec![b'1'; number % 7],
        }),
        10 => {
            let label = Label {
                prefix: Ipv6Addr::UNSPECIFIED,
                length: 0,
                index: 0,
                label: number as u32,
            };
            state.labels =
                (!number.is_multiple_of(3)).then(|| (vec![label; number % 4], number as u32));
        }
        11 => state.listeners.insert(
            random.below(state.listeners.len() + 1),
            Listener {
                port: number as u32,
                inode: number as u64,
                groups: 1,
                seal: Default::default(),
            },
        ),
        12 => state.hidden.push(Hidden::from([7; 16])),
        _ => {
            let packets = vec![number as u8; number % 40];
            let id = number as u64;
            state.answered.push(Answered { id, packets });
            let old = state.answered.len().saturating_sub(4);
            state.answered.drain(..old);
        }
    }
}

#[test]
fn what_a_shadow_says_makes_the_new_bytes_of_the_old_ones() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut state = State::default();
    let mut shadow = Shadow::of(&state);
    let mut messages = state.to_bytes();
    let mut bytes = base(&messages);
    let (mut files, mut begin) = (0, bytes.len() as u64);
    for _ in 0..4000 {
        for _ in 0..=random.below(2) {
            disturb(&mut state, &mut random);
        }
        let splices = shadow.follow(&state);
        assert!(shadow.follow(&state).is_empty());
        carry_out(&mut messages, &splices);
        assert!(messages == state.to_bytes(), "{splices:?}");
        let (pieces, end) = Pieces::read(&file_of(&bytes), &mut [0; LONGEST]).expect("a file");
        assert_eq!(end, bytes.len() as u64);
        match added(&pieces, begin, end, &splices) {
            Some((_, change)) => bytes.extend(change),
            None => {
                bytes = base(&messages);
                begin = bytes.len() as u64;
                files += 1;
            }
        }
        assert!(read(&bytes).as_ref() == Ok(&messages));
        if state.routes.len() > 40 {
            state = State::default();
        }
    }
    assert!(files > 20, "{files} files");
}

#[test]
fn neighbours_and_listeners_make_no_other_ways() {
    let mut state = State::default();
    let mut shadow = Shadow::of(&state);
    let mut random = Random(7);
    let mut seen = [0; 2];
    for round in 0..200 {
        let before = state.clone();
        match round % 3 {
            0 => state.neighbours.push(Neighbour {
                index: 1,
                address: Ipv4Addr::from(round).into(),
                lladdr: vec![2; 6],
                state: 2,
                flags: 0,
                more_flags: 0,
                kind: 1,
                protocol: 0,
                times: [0; 3],
            }),
            _ => disturb(&mut state, &mut random),
        }
        shadow.follow(&state);
        let mut like_before = state.clone();
        like_before.neighbours = before.neighbours.clone();
        like_before.listeners = before.listeners.clone();
        like_before.answered = before.answered.clone();
        let other = like_before.to_bytes() != before.to_bytes();
        assert_eq!(shadow.has_other_ways(), other);
        seen[usize::from(other)] += 1;
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}
