//! A copy of the state as it has been published, and where in the file each thing of it stands, so
//! that a change costs what it changes.
#![forbid(unsafe_code)]

use super::file::Splice;
use super::{parts, Answered, State};
use crate::wire::Writer;

/// A state with the length in bytes of each of its things in the file.
#[derive(Default, Debug)]
pub struct Shadow {
    state: State,
    lengths: [Vec<u32>; parts::COUNT],
    /// A bit for each part that the last state was different in.
    changed: u32,
}

impl Shadow {
    /// Makes the shadow of a state. The splices of [`Shadow::follow`] begin from its bytes.
    pub fn of(state: &State) -> Shadow {
        let mut shadow = Shadow::default();
        shadow.follow(state);
        shadow
    }

    /// Was the last state another one for whoever looks for the way of a packet? Neighbours, those
    /// who listen, and what was answered say nothing about ways.
    pub fn has_other_ways(&self) -> bool {
        let nothing = 1 << parts::NEIGHBOURS | 1 << parts::LISTENERS | 1 << parts::ANSWERED;
        self.changed & !nothing != 0
    }

    /// Becomes the shadow of `state`. Returns what has to be changed for that in the messages.
    pub fn follow(&mut self, state: &State) -> Vec<Splice> {
        let mut to = Splices {
            lengths: &mut self.lengths,
            all: Vec::new(),
            changed: 0,
        };
        // The last first, so that what stands in front of them is where it was.
        let at = parts::ANSWERED;
        to.forget(at, &mut self.state.answered, &state.answered);
        to.edit(
            at,
            &mut self.state.answered,
            &state.answered,
            parts::answered,
        );
        let at = parts::HIDDEN;
        to.edit(at, &mut self.state.hidden, &state.hidden, |to, it| {
            parts::hidden(to, it)
        });
        let at = parts::LISTENERS;
        to.edit(
            at,
            &mut self.state.listeners,
            &state.listeners,
            parts::listener,
        );
        let mut labels: Vec<_> = self.state.labels.take().into_iter().collect();
        to.edit(
            parts::LABELS,
            &mut labels,
            state.labels.as_slice(),
            parts::labels,
        );
        self.state.labels = labels.pop();
        let at = parts::SYSCTLS;
        to.edit(at, &mut self.state.sysctls, &state.sysctls, parts::sysctl);
        let at = parts::TRAFFIC;
        to.edit(at, &mut self.state.traffic, &state.traffic, parts::traffic);
        let at = parts::NEIGHBOURS;
        to.edit(
            at,
            &mut self.state.neighbours,
            &state.neighbours,
            parts::neighbour,
        );
        let at = parts::RULES;
        to.edit(at, &mut self.state.rules, &state.rules, parts::rule);
        let at = parts::TABLES;
        to.edit(at, &mut self.state.tables, &state.tables, parts::table);
        let at = parts::OBJECTS;
        to.edit(at, &mut self.state.objects, &state.objects, parts::object);
        to.edit_between(
            parts::ROUTES,
            self.state.routes.change_all(),
            &state.routes,
            state.routes.settle(),
            |to, route| parts::route(to, route),
        );
        let at = parts::ADDRESSES;
        to.edit(
            at,
            &mut self.state.addresses,
            &state.addresses,
            parts::address,
        );
        let at = parts::LINKS;
        to.edit(at, &mut self.state.links, &state.links, parts::link);
        let mut about = match to.lengths[parts::ABOUT].is_empty() {
            true => Vec::new(),
            false => vec![(self.state.view, self.state.ruled, self.state.last_object)],
        };
        to.edit(
            parts::ABOUT,
            &mut about,
            &[(state.view, state.ruled, state.last_object)],
            parts::about,
        );
        (self.state.view, self.state.ruled) = (state.view, state.ruled);
        self.state.last_object = state.last_object;
        self.changed = to.changed;
        to.all
    }
}

struct Splices<'s> {
    lengths: &'s mut [Vec<u32>; parts::COUNT],
    all: Vec<Splice>,
    changed: u32,
}

impl Splices<'_> {
    /// Takes the oldest answers out that are not in `new`: they would otherwise be compared with
    /// those that have moved into their places.
    fn forget(&mut self, part: usize, old: &mut Vec<Answered>, new: &[Answered]) {
        let kept = old.iter().position(|it| Some(it) == new.first());
        let gone = kept.unwrap_or(old.len());
        self.put(part, 0, gone, &[], Vec::new());
        old.drain(..gone);
    }

    /// Makes the list `old` of a part of the state `new`.
    fn edit<T: Clone + PartialEq>(
        &mut self,
        part: usize,
        old: &mut Vec<T>,
        new: &[T],
        write: impl Fn(&mut Writer, &T),
    ) {
        self.edit_between(part, old, new, (0, 0), write);
    }

    /// Does the same where so many things at the beginning and at the end are known to be equal.
    fn edit_between<T: Clone + PartialEq>(
        &mut self,
        part: usize,
        old: &mut Vec<T>,
        new: &[T],
        (front, back): (usize, usize),
        write: impl Fn(&mut Writer, &T),
    ) {
        let shorter = old.len().min(new.len());
        let front = front.min(shorter);
        let same = old[front..].iter().zip(&new[front..]);
        let same = front + same.take_while(|(a, b)| a == b).count();
        let back = back.min(shorter - same);
        let rest = old[same..].iter().rev().zip(new[same..].iter().rev());
        let behind = rest.skip(back).take_while(|(a, b)| a == b).count() + back;
        let (removed, added) = (old.len() - behind - same, &new[same..new.len() - behind]);
        let (mut to, mut lengths) = (Writer::default(), Vec::new());
        for it in added {
            let before = to.len();
            write(&mut to, it);
            lengths.push((to.len() - before) as u32);
        }
        self.put(part, same, removed, &lengths, to.take());
        old.splice(same..same + removed, added.iter().cloned());
    }

    /// Notes that `removed` things of a part, from number `from` on, become those of `bytes`.
    fn put(&mut self, part: usize, from: usize, removed: usize, lengths: &[u32], bytes: Vec<u8>) {
        if removed == 0 && bytes.is_empty() {
            return;
        }
        self.changed |= 1 << part;
        let length = |lengths: &[u32]| lengths.iter().map(|n| u64::from(*n)).sum::<u64>();
        let before: u64 = self.lengths[..part].iter().map(|of| length(of)).sum();
        let here = &mut self.lengths[part];
        self.all.push(Splice {
            position: before + length(&here[..from]),
            removed: length(&here[from..from + removed]),
            bytes,
        });
        here.splice(from..from + removed, lengths.iter().copied());
    }
}
