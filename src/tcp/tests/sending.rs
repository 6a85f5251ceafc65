//! What leaves and when, for what the other side says of it.

mod common;

use std::time::Duration;

use common::{given, here, polled, settings, shown, there, told, MILLI};
use memtun_tcp::segment::{ACK, FIN, PSH, SYN};
use memtun_tcp::{Connection, Hold, Segment, Settings};

const SECOND: Duration = Duration::from_secs(1);
/// A segment's bytes, and the time of a round trip.
const SIZE: u32 = 1460;
const TRIP: Duration = Duration::from_millis(100);

/// A connection whose other side the test plays.
struct Played {
    connection: Connection,
    first: u32,
    now: Duration,
    window: u16,
}

/// What left: offset from the first byte, flags, bytes.
type Left = Vec<(i32, u8, usize)>;

impl Played {
    fn new(sacks: bool) -> Played {
        Played::told(sacks, &settings(7))
    }

    fn told(sacks: bool, settings: &Settings) -> Played {
        let began = 10 * SECOND;
        let mut connection = Connection::connect(here(), there(), settings, began).expect("one");
        let syn = polled(&mut connection, began).remove(0);
        let first = Segment::parse(&syn)
            .expect("a segment")
            .sequence
            .wrapping_add(1);
        let options: &[u8] = if sacks {
            &[2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7]
        } else {
            &[2, 4, 5, 180, 1, 3, 3, 7]
        };
        let mut played = Played {
            connection,
            first,
            now: began + TRIP,
            window: 64_000,
        };
        played.gives(5000, 0, SYN | ACK, options);
        played.window = 4000;
        played.left();
        // The window of a SYN is not scaled.
        played.acknowledges(0, &[]);
        played.left();
        played
    }

    fn gives(&mut self, sequence: u32, offset: u32, flags: u8, options: &[u8]) {
        let number = self.first.wrapping_add(offset);
        let packet = told(sequence, number, flags, self.window, options);
        given(&mut self.connection, &packet, self.now);
    }

    /// Acknowledges so many segments, and says that these others are there.
    fn acknowledges(&mut self, segments: u32, blocks: &[(u32, u32)]) {
        self.says(segments * SIZE, blocks);
    }

    fn says(&mut self, bytes: u32, blocks: &[(u32, u32)]) {
        let mut options = Vec::new();
        if !blocks.is_empty() {
            options.extend([1, 1, 5, 2 + 8 * blocks.len() as u8]);
            for &(from, to) in blocks {
                for place in [from, to] {
                    let number = self.first.wrapping_add(place * SIZE);
                    options.extend(number.to_be_bytes());
                }
            }
        }
        self.gives(5001, bytes, ACK, &options);
    }

    fn writes(&mut self, segments: u32) {
        let bytes = vec![7; (segments * SIZE) as usize];
        assert_eq!(self.connection.write(&bytes), bytes.len());
    }

    fn left(&mut self) -> Left {
        let packets = polled(&mut self.connection, self.now);
        let all = shown(&packets);
        all.iter()
            .map(|&(sequence, _, flags, count)| {
                (sequence.wrapping_sub(self.first) as i32, flags, count)
            })
            .collect()
    }

    /// The same in segments from the beginning.
    fn segments(&mut self) -> Vec<u32> {
        self.left()
            .iter()
            .map(|&(at, ..)| at as u32 / SIZE)
            .collect()
    }

    /// Goes on to the next timer. Returns how long that took.
    fn waits(&mut self) -> Duration {
        let at = self.connection.poll_at(self.now).expect("a timer");
        let took = at - self.now;
        self.now = at;
        took
    }
}

#[test]
fn ten_segments_leave_at_first_and_two_for_each_that_arrives() {
    let mut played = Played::new(true);
    played.writes(60);
    assert_eq!(played.segments(), (0..10).collect::<Vec<_>>());
    played.now += TRIP;
    played.acknowledges(3, &[]);
    assert_eq!(played.segments(), (10..16).collect::<Vec<_>>());
}

#[test]
fn the_last_of_the_segments_that_a_device_would_cut_from_one_says_push() {
    let mut played = Played::new(true);
    played.writes(60);
    let pushes = |left: Left| -> Vec<bool> { left.iter().map(|it| it.1 & PSH != 0).collect() };
    // What is sent in a millisecond comes to less than two segments, so that two are one piece.
    assert_eq!(pushes(played.left()), [false, true].repeat(5));
    played.now += TRIP;
    played.acknowledges(1, &[]);
    assert_eq!(pushes(played.left()), [false, true]);
}

#[test]
fn all_holes_are_filled_in_one_round_trip_and_the_window_goes_down_once() {
    let mut played = Played::new(true);
    played.writes(100);
    played.left();
    played.now += TRIP;
    played.acknowledges(10, &[]);
    assert_eq!(played.segments().len(), 20);
    played.now += TRIP;
    // 10, 13 and 16 are lost.
    played.acknowledges(10, &[(11, 13)]);
    let mut left = played.segments();
    played.acknowledges(10, &[(14, 16), (11, 13)]);
    left.extend(played.segments());
    played.acknowledges(10, &[(17, 30), (14, 16), (11, 13)]);
    left.extend(played.segments());
    let again: Vec<u32> = left.iter().copied().filter(|&place| place < 30).collect();
    assert_eq!(again, [10, 13, 16]);
    played.now += TRIP;
    // All that has left arrives: what leaves then is the window, seven tenths of twenty, and one or
    // two that it has grown by.
    let done = left.iter().max().expect("one") + 1;
    played.acknowledges(done, &[]);
    let flight = played.segments().len();
    assert!((14..=16).contains(&flight), "{flight}");
}

#[test]
fn a_repetition_that_is_lost_is_sent_again_without_a_timer() {
    let mut played = Played::new(true);
    played.writes(100);
    played.left();
    played.now += TRIP;
    played.acknowledges(0, &[(1, 10)]);
    let left = played.segments();
    assert_eq!(left[0], 0);
    let fresh: Vec<u32> = left[1..].to_vec();
    assert!(!fresh.is_empty(), "the window lets new data leave, too");
    played.now += TRIP;
    // What left after the repetition has arrived, the repetition has not.
    played.acknowledges(0, &[(1, fresh[fresh.len() - 1] + 1)]);
    assert_eq!(played.segments()[0], 0);
}

#[test]
fn a_lost_repetition_with_nothing_behind_it_is_noticed_before_the_timer() {
    let mut played = Played::new(true);
    played.writes(10);
    played.left();
    played.now += TRIP;
    played.acknowledges(0, &[(1, 10)]);
    assert_eq!(played.segments(), [0]);
    assert_eq!(played.waits(), TRIP * 2 + 2 * MILLI);
    assert_eq!(played.segments(), [0]);
    // Once only: then the timer has its turn.
    assert!(played.waits() > TRIP * 2 + 2 * MILLI);
}

#[test]
fn without_blocks_three_equal_answers_show_a_hole_and_each_answer_the_next() {
    let mut played = Played::new(false);
    played.writes(100);
    played.left();
    played.now += TRIP;
    for _ in 0..2 {
        played.acknowledges(0, &[]);
        assert!(!played.segments().contains(&0));
    }
    played.acknowledges(0, &[]);
    assert!(played.segments().contains(&0));
    played.now += TRIP;
    played.acknowledges(4, &[]);
    let left = played.segments();
    assert!(left.contains(&4), "{left:?}");
}

#[test]
fn the_timer_doubles_up_to_two_minutes() {
    let mut played = Played::new(false);
    played.writes(1);
    assert_eq!(played.left(), [(0, PSH | ACK, 1460)]);
    let mut times = Vec::new();
    for _ in 0..11 {
        times.push(played.waits().as_millis());
        assert_eq!(played.left(), [(0, PSH | ACK, 1460)]);
    }
    // The round trip is 100 ms; what the deviation adds is 200 ms at least.
    assert_eq!(times[..4], [300, 600, 1200, 2400]);
    assert_eq!(times[9..], [120_000, 120_000]);
}

#[test]
fn a_timer_that_was_too_early_costs_nothing() {
    let mut played = Played::new(true);
    played.writes(100);
    played.left();
    // The probe for the tail, and then the timer; nothing was lost, all is only late.
    while !played.left().iter().any(|&(at, ..)| at == 0) {
        played.waits();
    }
    played.now += 10 * MILLI;
    played.acknowledges(1, &[]);
    let fresh = played.segments();
    assert!(fresh.iter().all(|&place| place >= 10), "{fresh:?}");
    played.now += MILLI;
    // What was sent once has arrived: the timer was wrong, and nothing else is sent again.
    played.acknowledges(9, &[]);
    let left = played.segments();
    assert!(left.iter().all(|&place| place >= 10), "{left:?}");
    assert!(left.len() >= 8, "the window is what it was: {left:?}");
}

#[test]
fn a_probe_asks_for_the_tail() {
    let mut played = Played::new(true);
    played.writes(3);
    assert_eq!(played.segments(), [0, 1, 2]);
    assert_eq!(played.waits(), TRIP * 2 + 2 * MILLI);
    assert_eq!(played.segments(), [2]);
    played.now += TRIP;
    // It was lost, and so was what is before it.
    played.acknowledges(1, &[(2, 3)]);
    if played.segments().is_empty() {
        played.waits();
        assert_eq!(played.segments(), [1]);
    }
}

#[test]
fn a_closed_window_is_asked_without_data() {
    let mut played = Played::new(true);
    played.writes(2);
    played.left();
    played.writes(2);
    played.window = 0;
    played.acknowledges(2, &[]);
    assert!(played.left().is_empty());
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(played.waits().as_millis());
        assert_eq!(played.left(), [(2 * SIZE as i32 - 1, ACK, 0)]);
    }
    assert!(
        times[1] >= 2 * times[0] - 1 && times[2] >= 2 * times[1] - 1,
        "{times:?}"
    );
    played.window = 4000;
    played.acknowledges(2, &[]);
    assert_eq!(played.segments(), [2, 3]);
}

#[test]
fn a_silent_connection_begins_with_ten_again() {
    let mut played = Played::new(true);
    played.writes(100);
    let mut done = 0;
    for _ in 0..3 {
        done += played.segments().len() as u32;
        played.now += TRIP;
        played.acknowledges(done, &[]);
    }
    done += played.segments().len() as u32;
    played.now += TRIP;
    played.acknowledges(done, &[]);
    played.left();
    played.now += TRIP;
    played.acknowledges(100, &[]);
    assert!(played.left().is_empty());
    played.now += 60 * SECOND;
    played.writes(100);
    assert_eq!(played.segments().len(), 10);
}

#[test]
fn the_end_goes_with_the_last_data() {
    let mut played = Played::new(true);
    played.writes(1);
    played.connection.close();
    assert_eq!(played.left(), [(0, FIN | PSH | ACK, 1460)]);
    played.now += TRIP;
    played.says(SIZE + 1, &[]);
    assert!(played.connection.is_finished());
}

#[test]
fn what_the_other_side_cannot_have_is_not_believed() {
    let mut played = Played::new(true);
    played.writes(20);
    played.left();
    played.now += MILLI;
    // Blocks of what was never sent, of nothing, and the wrong way round.
    played.acknowledges(0, &[(50, 60), (3, 3), (5, 4)]);
    assert!(played.left().is_empty());
    played.acknowledges(0, &[(0, 10)]);
    assert_eq!(played.segments(), (10..20).collect::<Vec<_>>());
}

#[test]
fn after_a_syn_that_was_sent_twice_data_is_sent_again_after_three_seconds() {
    let mut now = SECOND;
    let mut connection = Connection::connect(here(), there(), &settings(7), now).expect("one");
    polled(&mut connection, now);
    now = connection.poll_at(now).expect("a timer");
    let syn = polled(&mut connection, now).remove(0);
    let first = Segment::parse(&syn).expect("a segment").sequence;
    let packet = told(5000, first.wrapping_add(1), SYN | ACK, 4000, &[]);
    given(&mut connection, &packet, now);
    connection.write(b"data");
    assert_eq!(polled(&mut connection, now).len(), 1);
    assert_eq!(connection.poll_at(now), Some(now + 3 * SECOND));
}

#[test]
fn a_window_falls_while_nothing_is_sent_where_the_net_says_so() {
    for rests in [false, true] {
        let told = Settings {
            rests,
            ..settings(7)
        };
        let mut played = Played::told(true, &told);
        played.writes(10);
        played.left();
        played.now += TRIP;
        played.acknowledges(10, &[]);
        played.now += 10 * SECOND;
        played.writes(40);
        assert_eq!(played.segments().len(), if rests { 20 } else { 10 });
    }
}

#[test]
fn a_window_does_not_fall_while_the_other_side_takes_nothing() {
    let mut played = Played::new(true);
    played.writes(10);
    played.left();
    played.now += TRIP;
    played.window = 0;
    played.acknowledges(10, &[]);
    played.writes(30);
    let window = |played: &Played| {
        let info = played.connection.info(played.now);
        u32::from_ne_bytes([info[80], info[81], info[82], info[83]])
    };
    assert_eq!(window(&played), 20);
    assert_eq!(played.left(), []);
    played.waits();
    assert_eq!(played.left().len(), 1);
    assert_eq!(window(&played), 20);
    played.now += 2 * SECOND;
    played.window = 4000;
    played.acknowledges(10, &[]);
    assert_eq!(played.segments().len(), 10);
}

#[test]
fn what_is_sent_again_is_counted() {
    let mut played = Played::new(true);
    played.writes(5);
    played.left();
    let told = |played: &Played| {
        let info = played.connection.info(played.now);
        let long = |at: usize| u64::from_ne_bytes(info[at..at + 8].try_into().expect("eight"));
        let total = u32::from_ne_bytes(info[100..104].try_into().expect("four"));
        assert_eq!(total, played.connection.sent_again());
        (total, long(200), long(208))
    };
    let size = u64::from(SIZE);
    assert_eq!(told(&played), (0, 5 * size, 0));
    played.now += TRIP;
    played.acknowledges(0, &[(2, 5)]);
    let again = played.segments().len() as u64;
    assert!((1..=2).contains(&again), "{again}");
    assert_eq!(
        told(&played),
        (again as u32, (5 + again) * size, again * size)
    );
}

#[test]
fn what_is_held_back_leaves_when_it_is_let_go() {
    let corked = |bytes| Hold {
        bytes,
        corked: true,
        more: false,
    };
    let more = |bytes| Hold {
        bytes,
        corked: false,
        more: true,
    };
    let mut played = Played::new(true);
    // What was written before the cork leaves, and of what is corked the whole segments.
    played.connection.write(&[7; 40 + 10]);
    played.connection.hold(Some(corked(10)));
    assert_eq!(played.left(), [(0, ACK, 40)]);
    played.now += TRIP;
    played.says(40, &[]);
    assert_eq!(played.left(), []);
    played.connection.write(&[7; SIZE as usize]);
    played.connection.hold(Some(corked(10 + SIZE)));
    assert_eq!(played.left(), [(40, ACK, SIZE as usize)]);
    played.says(40 + SIZE, &[]);
    assert_eq!(played.left(), []);
    played.connection.push();
    assert_eq!(played.left(), [(40 + SIZE as i32, ACK | PSH, 10)]);
    played.says(50 + SIZE, &[]);
    // MSG_MORE holds back until something comes, and does not push.
    played.connection.write(&[7; 20]);
    played.connection.hold(Some(more(20)));
    assert_eq!(played.left(), []);
    played.says(50 + SIZE, &[]);
    assert_eq!(played.left(), [(50 + SIZE as i32, ACK, 20)]);
    played.says(70 + SIZE, &[]);
    // A timer lets go what nobody does, and the end takes it along.
    played.connection.write(&[7; 30]);
    played.connection.hold(Some(corked(30)));
    assert_eq!(played.left(), []);
    let waited = played.waits();
    assert!(waited >= 200 * MILLI, "{waited:?}");
    assert_eq!(played.left(), [(70 + SIZE as i32, ACK | PSH, 30)]);
    played.says(100 + SIZE, &[]);
    played.connection.write(&[7; 30]);
    played.connection.hold(Some(corked(30)));
    played.connection.close();
    assert_eq!(played.left(), [(100 + SIZE as i32, ACK | PSH | FIN, 30)]);
}
