//! The table of neighbours and their states (NUD_*).
#![forbid(unsafe_code)]

use crate::inet::view::View;
use memtun_ip::ethernet::Mac;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Most entries (gc_thresh3).
const MOST: usize = 1024;
/// Most bytes that wait for one neighbour (unres_qlen_bytes).
const MOST_KEPT: usize = 212_992;
/// How often everybody is asked, and how often the one who was known (mcast_solicit,
/// ucast_solicit).
const QUESTIONS: u32 = 3;
/// The time between two questions (retrans_time_ms).
const AGAIN: Duration = Duration::from_secs(1);
/// For how long one who answered is taken to be there (base_reachable_time_ms).
const REACHABLE_TIME: Duration = Duration::from_secs(30);
/// For how long one who may have gone is used before it is asked (delay_first_probe_time).
const DELAY: Duration = Duration::from_secs(5);
/// For how long another link-layer address is not believed (locktime).
const LOCK_TIME: Duration = Duration::from_secs(1);

const NONE: u16 = 0;
const INCOMPLETE: u16 = libc::NUD_INCOMPLETE;
const REACHABLE: u16 = libc::NUD_REACHABLE;
const STALE: u16 = libc::NUD_STALE;
const DELAYED: u16 = libc::NUD_DELAY;
const PROBE: u16 = libc::NUD_PROBE;
const FAILED: u16 = libc::NUD_FAILED;
const FIXED: u16 = libc::NUD_PERMANENT | libc::NUD_NOARP;

/// The index of the interface, and the address.
pub(super) type Key = (u32, IpAddr);

struct Entry {
    state: u16,
    mac: Option<Mac>,
    router: bool,
    kept: VecDeque<Vec<u8>>,
    kept_bytes: usize,
    asked: u32,
    due: Option<Duration>,
    confirmed: Duration,
    used: Duration,
    updated: Duration,
    /// State and address that the net's state has.
    published: Option<(u16, Option<Mac>)>,
    /// Has something changed that the net's state should have?
    changed: bool,
}

impl Entry {
    fn new(now: Duration) -> Entry {
        Entry {
            state: NONE,
            mac: None,
            router: false,
            kept: VecDeque::new(),
            kept_bytes: 0,
            asked: 0,
            due: None,
            confirmed: now,
            used: now,
            updated: now,
            published: None,
            changed: false,
        }
    }

    fn is_valid(&self) -> bool {
        self.state & memtun_stack::neighbour::NUD_VALID != 0
    }

    fn set(&mut self, state: u16) {
        self.changed |= self.state != state;
        self.state = state;
    }

    fn keep(&mut self, packet: &[u8]) {
        self.kept.push_back(packet.to_vec());
        self.kept_bytes += packet.len();
        while self.kept_bytes > MOST_KEPT {
            let oldest = self.kept.pop_front();
            self.kept_bytes -= oldest.map_or(self.kept_bytes, |packet| packet.len());
        }
    }
}

/// What is known of a neighbour that something is to be sent to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Resolved {
    /// It has been asked for already; the packet waits.
    Kept,
    /// It has to be asked for; the packet waits.
    Asked,
}

/// What is due with a neighbour.
pub(super) struct Due {
    pub key: Key,
    /// It has to be asked for.
    pub asks: bool,
    /// Who alone is asked.
    pub whom: Option<Mac>,
    /// The first packet that waits.
    pub first: Option<Vec<u8>>,
    /// Packets that cannot be sent.
    pub failed: Vec<Vec<u8>>,
}

/// What a packet says of a neighbour.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Heard {
    pub state: u16,
    pub mac: Option<Mac>,
    /// Another link-layer address replaces the one that is known.
    pub replaces: bool,
    /// One that may not replace it makes it doubtful (NEIGH_UPDATE_F_WEAK_OVERRIDE).
    pub weak: bool,
    /// Is it a router, where the packet says?
    pub router: Option<bool>,
    /// The neighbour is made where it is new.
    pub creates: bool,
}

/// All neighbours.
#[derive(Default)]
pub struct Neighbours {
    all: BTreeMap<Key, Entry>,
    changed: bool,
    /// Who was forgotten, and stands in the net's state still.
    gone: Vec<Key>,
    /// A time before which nothing is due.
    soonest: Option<Duration>,
}

impl Neighbours {
    /// Returns when something is due.
    pub fn next_timer(&self) -> Option<Duration> {
        self.soonest
    }

    /// Finds out again when something is due.
    fn look_at_timers(&mut self) {
        self.soonest = self.all.values().filter_map(|entry| entry.due).min();
    }

    /// Forgets a neighbour.
    pub(super) fn forget(&mut self, index: u32, address: IpAddr) {
        self.all.remove(&(index, address));
    }

    /// Finds or makes an entry; None when there are too many that cannot be forgotten.
    fn entry(&mut self, key: Key, now: Duration) -> Option<&mut Entry> {
        if self.all.len() >= MOST && !self.all.contains_key(&key) {
            let entries = self.all.iter();
            let idle = entries.filter(|(_, it)| it.state & (FIXED | INCOMPLETE) == 0);
            let oldest = idle.min_by_key(|(_, it)| it.used).map(|(key, _)| *key)?;
            let forgotten = self.all.remove(&oldest);
            if forgotten.is_some_and(|it| it.published.is_some()) {
                self.gone.push(oldest);
                self.changed = true;
            }
        }
        Some(self.all.entry(key).or_insert_with(|| Entry::new(now)))
    }

    /// Looks for a neighbour that a packet is for and that is not known (`neigh_event_send`).
    pub(super) fn resolve(
        &mut self,
        index: u32,
        address: IpAddr,
        packet: &[u8],
        now: Duration,
    ) -> Resolved {
        let Some(entry) = self.entry((index, address), now) else {
            return Resolved::Kept;
        };
        entry.used = now;
        let resolved = match entry.state {
            INCOMPLETE => {
                entry.keep(packet);
                Resolved::Kept
            }
            _ => {
                entry.set(INCOMPLETE);
                (entry.asked, entry.due) = (1, Some(now + AGAIN));
                (entry.updated, entry.mac) = (now, None);
                entry.keep(packet);
                Resolved::Asked
            }
        };
        self.changed |= entry.changed;
        self.look_at_timers();
        resolved
    }

    /// Returns the address of a neighbour that something is to be sent to, where it can be used at
    /// once.
    pub(in crate::inet) fn use_known(
        &mut self,
        index: u32,
        address: IpAddr,
        now: Duration,
    ) -> Option<Mac> {
        let entry = self.all.get_mut(&(index, address))?;
        entry.used = now;
        if entry.state == REACHABLE && now >= entry.confirmed + REACHABLE_TIME {
            entry.set(STALE);
        }
        let begins = entry.state == STALE && entry.mac.is_some();
        if begins {
            entry.set(DELAYED);
            entry.due = Some(now + DELAY);
        }
        self.changed |= entry.changed;
        let mac = entry.mac.filter(|_| entry.is_valid());
        if begins {
            self.look_at_timers();
        }
        mac
    }

    /// Returns the address of a neighbour that is known.
    pub fn known(&self, index: u32, address: IpAddr) -> Option<Mac> {
        let entry = self.all.get(&(index, address))?;
        entry.mac.filter(|_| entry.is_valid())
    }

    /// Says that a neighbour has been heard of by what it sends (`dst_confirm_neigh`).
    pub fn confirm(&mut self, index: u32, address: IpAddr, now: Duration) {
        if let Some(entry) = self.all.get_mut(&(index, address)) {
            entry.confirmed = now;
        }
    }

    /// Takes what a packet says of a neighbour (`neigh_update`). Returns whether it is known, by
    /// now.
    pub(super) fn hear(
        &mut self,
        index: u32,
        address: IpAddr,
        heard: Heard,
        now: Duration,
    ) -> bool {
        let key = (index, address);
        if !heard.creates && !self.all.contains_key(&key) {
            return false;
        }
        let Some(entry) = self.entry(key, now) else {
            return false;
        };
        if entry.state & FIXED != 0 {
            return true;
        }
        let known = entry.is_valid();
        let mac = match (heard.mac, entry.mac) {
            (Some(mac), _) => mac,
            (None, Some(mac)) if known => mac,
            (None, _) => return true,
        };
        let other = !known || entry.mac != Some(mac);
        let mut state = heard.state;
        if state == REACHABLE {
            entry.confirmed = now;
        }
        if let Some(router) = heard.router {
            entry.router = router;
        }
        if known && other && !heard.replaces {
            if !heard.weak || entry.state & (REACHABLE | PROBE | DELAYED) == 0 {
                return true;
            }
            // It may have moved.
            entry.set(STALE);
            self.changed |= entry.changed;
            return true;
        }
        // What is as well known as before stays so.
        let connected = entry.state == REACHABLE || entry.state == DELAYED;
        if !other && state == STALE && (known && connected || entry.state == PROBE) {
            state = entry.state;
        }
        if other || entry.state != state {
            entry.updated = now;
        }
        if other {
            entry.mac = Some(mac);
            entry.changed = true;
            if state != REACHABLE {
                entry.confirmed = now.saturating_sub(REACHABLE_TIME);
            }
        }
        entry.set(state);
        if state & (DELAYED | PROBE) == 0 {
            (entry.due, entry.asked) = (None, 0);
        }
        self.changed |= entry.changed;
        true
    }

    /// May another link-layer address replace the one that is known, by its age?
    pub(super) fn may_replace(&self, index: u32, address: IpAddr, now: Duration) -> bool {
        let entry = self.all.get(&(index, address));
        entry.is_none_or(|entry| now > entry.updated + LOCK_TIME)
    }

    /// Has the neighbour been given up?
    pub(super) fn has_failed(&self, index: u32, address: IpAddr) -> bool {
        let entry = self.all.get(&(index, address));
        entry.is_some_and(|entry| entry.state == FAILED)
    }

    /// Is there an entry?
    pub(super) fn is_there(&self, index: u32, address: IpAddr) -> bool {
        self.all.contains_key(&(index, address))
    }

    /// Takes the packets that have waited for a neighbour that is known now.
    pub(super) fn take_kept(
        &mut self,
        index: u32,
        address: IpAddr,
    ) -> (Option<Mac>, VecDeque<Vec<u8>>) {
        match self.all.get_mut(&(index, address)) {
            Some(entry) if entry.is_valid() => {
                entry.kept_bytes = 0;
                (entry.mac, std::mem::take(&mut entry.kept))
            }
            _ => (None, VecDeque::new()),
        }
    }

    /// Takes the next thing that is due (`neigh_timer_handler`).
    pub(super) fn due(&mut self, now: Duration) -> Option<Due> {
        if self.soonest.is_none_or(|soonest| soonest > now) {
            return None;
        }
        let is_due = |entry: &Entry| entry.due.is_some_and(|due| due <= now);
        let found = self.all.iter().find(|(_, entry)| is_due(entry));
        let Some(key) = found.map(|(key, _)| *key) else {
            self.look_at_timers();
            return None;
        };
        let entry = self.all.get_mut(&key)?;
        let mut due = Due {
            key,
            asks: false,
            whom: None,
            first: None,
            failed: Vec::new(),
        };
        match entry.state {
            DELAYED if now < entry.confirmed + DELAY => {
                entry.set(REACHABLE);
                entry.due = None;
            }
            DELAYED => {
                entry.set(PROBE);
                (entry.asked, entry.due) = (1, Some(now + AGAIN));
                (due.asks, due.whom) = (true, entry.mac);
            }
            INCOMPLETE | PROBE if entry.asked < QUESTIONS => {
                entry.asked += 1;
                entry.due = Some(now + AGAIN);
                due.asks = true;
                due.whom = entry.mac.filter(|_| entry.state == PROBE);
                due.first = entry.kept.front().cloned();
            }
            INCOMPLETE | PROBE => {
                entry.set(FAILED);
                entry.updated = now;
                (entry.due, entry.kept_bytes) = (None, 0);
                due.failed = std::mem::take(&mut entry.kept).into();
            }
            _ => entry.due = None,
        }
        self.changed |= entry.changed;
        self.look_at_timers();
        Some(due)
    }

    /// Takes over what programs have set or taken away since the last generation.
    pub fn follow(&mut self, view: &View, now: Duration) {
        let known = view.neighbours.iter().filter(|it| !it.is_proxy());
        let known: HashSet<Key> = known.map(|it| (it.index, it.address)).collect();
        self.all.retain(|key, entry| {
            let interface = view.interface(key.0);
            let there = known.contains(key) || entry.published.is_none();
            interface.is_some_and(|it| it.up) && there
        });
        let gone = std::mem::take(&mut self.gone);
        for set in view.neighbours.iter().filter(|it| !it.is_proxy()) {
            if gone.contains(&(set.index, set.address)) {
                continue;
            }
            let mac: Option<Mac> = set.lladdr.as_slice().try_into().ok();
            let mac = mac.filter(|_| set.is_valid());
            let key = (set.index, set.address);
            let known = self.all.get(&key).and_then(|entry| entry.published);
            if known == Some((set.state, mac)) {
                continue;
            }
            if let Some(entry) = self.entry(key, now) {
                (entry.state, entry.mac, entry.due) = (set.state, mac, None);
                (entry.published, entry.changed) = (Some((set.state, mac)), false);
                (entry.confirmed, entry.updated) = (now, now);
                match set.state {
                    INCOMPLETE => (entry.asked, entry.due) = (0, Some(now)),
                    DELAYED => entry.due = Some(now + DELAY),
                    PROBE => (entry.asked, entry.due) = (0, Some(now)),
                    _ => {}
                }
            }
        }
        self.gone.extend(gone);
        self.look_at_timers();
    }

    /// Takes what the net's state does not have yet: who, the state and the address, and whether it
    /// is a router.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        if !std::mem::take(&mut self.changed) {
            return Vec::new();
        }
        let gone = self.gone.drain(..);
        let mut news: Vec<News> = gone.map(|key| (key, (NONE, None), false)).collect();
        for (key, entry) in &mut self.all {
            let now = (entry.state, entry.mac.filter(|_| entry.is_valid()));
            if std::mem::take(&mut entry.changed) && entry.published != Some(now) {
                entry.published = Some(now);
                news.push((*key, now, entry.router));
            }
        }
        news
    }
}

/// What the net's state does not have yet of a neighbour. One without a state was forgotten.
pub(super) type News = (Key, (u16, Option<Mac>), bool);

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);
    const SECOND: Duration = Duration::from_secs(1);
    const MAC: Mac = [2, 0, 0, 0, 0, 9];

    fn host() -> IpAddr {
        "10.0.0.9".parse().unwrap()
    }

    fn heard(state: u16) -> Heard {
        Heard {
            state,
            mac: Some(MAC),
            replaces: true,
            creates: true,
            ..Heard::default()
        }
    }

    fn state(all: &Neighbours) -> u16 {
        all.all[&(3, host())].state
    }

    #[test]
    fn who_does_not_answer_is_asked_three_times_and_given_up() {
        let mut all = Neighbours::default();
        assert_eq!(all.resolve(3, host(), b"one", START), Resolved::Asked);
        assert_eq!(all.resolve(3, host(), b"two", START), Resolved::Kept);
        assert_eq!(all.next_timer(), Some(START + SECOND));
        assert!(all.due(START).is_none());
        for seconds in 1..3 {
            let due = all.due(START + seconds * SECOND).unwrap();
            assert!(due.asks && due.whom.is_none() && due.failed.is_empty());
            assert_eq!(due.first.as_deref(), Some(&b"one"[..]));
        }
        let due = all.due(START + 3 * SECOND).unwrap();
        assert!(!due.asks);
        assert_eq!(due.failed, [b"one", b"two"]);
        assert_eq!((state(&all), all.next_timer()), (FAILED, None));
        let news = all.take_news();
        assert_eq!(news, [((3, host()), (FAILED, None), false)]);
        assert_eq!(
            all.resolve(3, host(), b"three", START + 9 * SECOND),
            Resolved::Asked
        );
    }

    #[test]
    fn who_was_there_is_used_then_asked_alone_then_given_up() {
        let mut all = Neighbours::default();
        assert!(all.hear(3, host(), heard(REACHABLE), START));
        assert_eq!(all.use_known(3, host(), START + 29 * SECOND), Some(MAC));
        assert_eq!(state(&all), REACHABLE);
        let later = START + 31 * SECOND;
        assert_eq!(all.use_known(3, host(), later), Some(MAC));
        assert_eq!(
            (state(&all), all.next_timer()),
            (DELAYED, Some(later + DELAY))
        );
        for seconds in 5..8 {
            let due = all.due(later + seconds * SECOND).unwrap();
            assert_eq!((due.asks, due.whom), (true, Some(MAC)), "{seconds}");
            assert_eq!(all.use_known(3, host(), later), Some(MAC));
        }
        all.due(later + 8 * SECOND).unwrap();
        assert_eq!(state(&all), FAILED);
        assert_eq!(all.use_known(3, host(), later), None);
    }

    #[test]
    fn who_is_heard_of_is_not_asked() {
        let mut all = Neighbours::default();
        assert!(all.hear(3, host(), heard(STALE), START));
        assert_eq!(all.use_known(3, host(), START), Some(MAC));
        all.confirm(3, host(), START + 4 * SECOND);
        assert!(!all.due(START + DELAY).unwrap().asks);
        assert_eq!((state(&all), all.next_timer()), (REACHABLE, None));
    }

    #[test]
    fn what_waits_is_bounded_and_the_newest_stays() {
        let mut all = Neighbours::default();
        for number in 0..1000u16 {
            let mut packet = vec![0; 1000];
            packet[..2].copy_from_slice(&number.to_be_bytes());
            all.resolve(3, host(), &packet, START);
        }
        all.hear(3, host(), heard(REACHABLE), START);
        let (mac, kept) = all.take_kept(3, host());
        assert_eq!((mac, kept.len()), (Some(MAC), MOST_KEPT / 1000));
        assert_eq!(kept.back().unwrap()[..2], 999u16.to_be_bytes());
    }

    #[test]
    fn neighbours_are_bounded_and_the_state_forgets_those_that_are_forgotten() {
        let mut all = Neighbours::default();
        let address = |number: u32| IpAddr::V4((0x0a00_0000 + number).into());
        for number in 0..MOST as u32 {
            assert!(all.hear(3, address(number), heard(STALE), START + number * SECOND));
        }
        assert_eq!(all.take_news().len(), MOST);
        assert!(all.hear(3, address(5000), heard(STALE), START + 5000 * SECOND));
        assert_eq!(all.all.len(), MOST);
        let news = all.take_news();
        assert_eq!(news[0], ((3, address(0)), (NONE, None), false));
        assert_eq!(news[1].0, (3, address(5000)));
    }

    #[test]
    fn another_address_counts_only_where_it_may_replace_the_one_that_is_known() {
        let mut all = Neighbours::default();
        all.hear(3, host(), heard(REACHABLE), START);
        let other = Heard {
            mac: Some([2, 0, 0, 0, 0, 7]),
            replaces: false,
            ..heard(STALE)
        };
        all.hear(3, host(), other, START);
        assert_eq!((state(&all), all.known(3, host())), (REACHABLE, Some(MAC)));
        all.hear(
            3,
            host(),
            Heard {
                weak: true,
                ..other
            },
            START,
        );
        assert_eq!((state(&all), all.known(3, host())), (STALE, Some(MAC)));
        let replaces = Heard {
            replaces: true,
            ..other
        };
        all.hear(3, host(), replaces, START);
        assert_eq!(all.known(3, host()), other.mac);
    }
}
