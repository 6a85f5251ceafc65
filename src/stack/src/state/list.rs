//! A list that knows how much of it has not been touched, so that a long one need not be compared
//! with what has been published.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;

/// Something that may come to its end by itself.
pub trait Ends {
    /// Does it?
    fn ends(&self) -> bool;
}

/// A list of things that are changed one by one. It holds them elsewhere, so that a long one can be
/// moved and copied quickly.
pub struct List<T> {
    items: Vec<Arc<T>>,
    /// How many of them end by themselves. None says that nobody has counted.
    ending: Cell<Option<usize>>,
    /// So many items at its beginning and at its end are what they were when it was settled.
    same: Cell<(usize, usize)>,
}

impl<T: Ends + Clone> List<T> {
    /// Does any item end by itself?
    pub fn is_any_ending(&self) -> bool {
        let count = || self.items.iter().filter(|item| item.ends()).count();
        let ending = self.ending.get().unwrap_or_else(count);
        self.ending.set(Some(ending));
        ending > 0
    }

    /// Puts an item in.
    pub fn insert(&mut self, at: usize, item: T) {
        self.touch(at, at);
        let ending = self.ending.get();
        self.ending
            .set(ending.map(|n| n + usize::from(item.ends())));
        self.items.insert(at, Arc::new(item));
    }

    /// Appends an item.
    pub fn push(&mut self, item: T) {
        self.insert(self.items.len(), item);
    }

    /// Puts another item in the place of one.
    pub fn replace(&mut self, at: usize, item: T) {
        self.touch(at, at + 1);
        self.ending.set(None);
        self.items[at] = Arc::new(item);
    }

    /// Changes those items that a change `concerns`, if `change` says that it has.
    pub fn change_each(
        &mut self,
        concerns: impl Fn(&T) -> bool,
        mut change: impl FnMut(&mut T) -> bool,
    ) {
        for at in 0..self.items.len() {
            if !concerns(&self.items[at]) {
                continue;
            }
            let mut item = T::clone(&self.items[at]);
            if change(&mut item) {
                self.replace(at, item);
            }
        }
    }

    /// Takes an item out.
    pub fn remove(&mut self, at: usize) -> T {
        self.touch(at, at + 1);
        let item = self.items.remove(at);
        let ending = self.ending.get();
        self.ending
            .set(ending.map(|n| n - usize::from(item.ends())));
        Arc::unwrap_or_clone(item)
    }
}

impl<T> List<T> {
    fn touch(&mut self, from: usize, to: usize) {
        let (front, back) = self.same.get();
        let behind = self.items.len().saturating_sub(to);
        self.same.set((front.min(from), back.min(behind)));
    }

    /// Returns all items, to be changed.
    pub(super) fn change_all(&mut self) -> &mut Vec<Arc<T>> {
        self.same.set((0, 0));
        self.ending.set(None);
        &mut self.items
    }

    /// Returns how many items at the beginning and at the end are what they were when this was
    /// called before.
    pub fn settle(&self) -> (usize, usize) {
        self.same.replace((self.items.len(), self.items.len()))
    }
}

impl<T> Deref for List<T> {
    type Target = [Arc<T>];
    fn deref(&self) -> &[Arc<T>] {
        &self.items
    }
}

impl<T> Default for List<T> {
    fn default() -> List<T> {
        Vec::new().into()
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> List<T> {
        List {
            items: items.into_iter().map(Arc::new).collect(),
            ending: Cell::default(),
            same: Cell::default(),
        }
    }
}

impl<T> Clone for List<T> {
    /// Nobody has settled the copy.
    fn clone(&self) -> List<T> {
        List {
            items: self.items.clone(),
            ending: self.ending.clone(),
            same: Cell::default(),
        }
    }
}

impl<T: PartialEq> PartialEq for List<T> {
    fn eq(&self, other: &List<T>) -> bool {
        self.items == other.items
    }
}

impl<T: Eq> Eq for List<T> {}

impl<T: std::fmt::Debug> std::fmt::Debug for List<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.items.fmt(f)
    }
}
