//! A list that knows how much of it has not been touched, so that a long one need not be compared
//! with what has been published.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::ops::Deref;

/// A list of things that are changed one by one.
pub struct List<T> {
    items: Vec<T>,
    /// So many items at its beginning and at its end are what they were when it was settled.
    same: Cell<(usize, usize)>,
}

impl<T> List<T> {
    fn touch(&mut self, from: usize, to: usize) {
        let (front, back) = self.same.get();
        let behind = self.items.len().saturating_sub(to);
        self.same.set((front.min(from), back.min(behind)));
    }

    /// Puts an item in.
    pub fn insert(&mut self, at: usize, item: T) {
        self.touch(at, at);
        self.items.insert(at, item);
    }

    /// Appends an item.
    pub fn push(&mut self, item: T) {
        self.insert(self.items.len(), item);
    }

    /// Takes an item out.
    pub fn remove(&mut self, at: usize) -> T {
        self.touch(at, at + 1);
        self.items.remove(at)
    }

    /// Returns an item, to be changed.
    pub fn change(&mut self, at: usize) -> &mut T {
        self.touch(at, at + 1);
        &mut self.items[at]
    }

    /// Returns all items, to be changed.
    pub fn change_all(&mut self) -> &mut Vec<T> {
        self.same.set((0, 0));
        &mut self.items
    }

    /// Returns how many items at the beginning and at the end are what they were when this was
    /// called before.
    pub fn settle(&self) -> (usize, usize) {
        self.same.replace((self.items.len(), self.items.len()))
    }
}

impl<T> Deref for List<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
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
            items,
            same: Cell::default(),
        }
    }
}

impl<T: Clone> Clone for List<T> {
    /// Nobody has settled the copy.
    fn clone(&self) -> List<T> {
        self.items.clone().into()
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
