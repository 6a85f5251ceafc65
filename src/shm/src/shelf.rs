//! A few values that all threads of a process share, found without a lock.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

/// Word of a place that holds nothing.
const EMPTY: u32 = 0;
/// Word of a place that is being filled or emptied.
const CLAIMED: u32 = 1 << 31;
/// Word of a place whose value nobody uses; each user adds one.
const UNUSED: u32 = 1;

struct Place<T> {
    users: AtomicU32,
    /// The key of the value, 0 where it is not to be found any more.
    key: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// Room for `N` values, each with a key. Finding and putting neither wait nor allocate, so they may
/// be done in a signal handler and between fork and exec. A user who never comes back, such as a
/// thread that left by a jump or that a fork(2) did not copy, costs one place.
pub struct Shelf<T, const N: usize> {
    places: [Place<T>; N],
    /// The place that is emptied next when there is no room.
    next: AtomicUsize,
}

// SAFETY: a value is shared between threads by `Held` alone, and dropped by whoever has claimed its
// place.
unsafe impl<T: Send + Sync, const N: usize> Sync for Shelf<T, N> {}

impl<T, const N: usize> Default for Shelf<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> Shelf<T, N> {
    /// Returns a shelf without values.
    pub const fn new() -> Self {
        Shelf {
            places: [const {
                Place {
                    users: AtomicU32::new(EMPTY),
                    key: AtomicU64::new(0),
                    value: UnsafeCell::new(MaybeUninit::uninit()),
                }
            }; N],
            next: AtomicUsize::new(0),
        }
    }

    /// Returns the value that was put with this key, which is not 0.
    #[inline]
    pub fn find(&self, key: u64) -> Option<Held<'_, T>> {
        let mut places = self.places.iter();
        places.find_map(|place| {
            if place.key.load(Relaxed) != key {
                return None;
            }
            let used = |users: u32| (UNUSED..CLAIMED - 1).contains(&users).then(|| users + 1);
            place.users.fetch_update(AcqRel, Relaxed, used).ok()?;
            let held = Held { place };
            // Another value may have come between the two looks.
            (place.key.load(Relaxed) == key).then_some(held)
        })
    }

    /// Puts a value with a key, which is not 0, in place of one that nobody uses if there is no
    /// room.
    ///
    /// # Errors
    ///
    /// Gives the value back when all are in use.
    pub fn put(&self, key: u64, value: T) -> Result<Held<'_, T>, T> {
        let first = self.next.load(Relaxed);
        let claim = |from: u32, wanted: &dyn Fn(&Place<T>) -> bool| {
            let mut places = (0..N).map(|i| (first + i) % N);
            places.find(|at| {
                let place = &self.places[*at];
                let claimed = |p: &Place<T>| {
                    p.users
                        .compare_exchange(from, CLAIMED, AcqRel, Relaxed)
                        .is_ok()
                };
                wanted(place) && claimed(place)
            })
        };
        let any = |_: &Place<T>| true;
        let forgotten = |place: &Place<T>| place.key.load(Relaxed) == 0;
        let at = claim(EMPTY, &any)
            .map(|at| (at, false))
            .or_else(|| claim(UNUSED, &forgotten).map(|at| (at, true)))
            .or_else(|| claim(UNUSED, &any).map(|at| (at, true)));
        let Some((at, filled)) = at else {
            return Err(value);
        };
        self.next.store((at + 1) % N, Relaxed);
        let place = &self.places[at];
        // SAFETY: CLAIMED keeps everybody else away from the value, and a place that was not empty
        // holds one.
        unsafe {
            let cell = &mut *place.value.get();
            if filled {
                cell.assume_init_drop();
            }
            cell.write(value);
        }
        place.key.store(key, Relaxed);
        place.users.store(UNUSED + 1, Release);
        Ok(Held { place })
    }

    /// Has nobody find the value with this key any more.
    pub fn forget(&self, key: u64) {
        for place in &self.places {
            let _ = place.key.compare_exchange(key, 0, Relaxed, Relaxed);
        }
    }
}

impl<T, const N: usize> Drop for Shelf<T, N> {
    fn drop(&mut self) {
        for place in &mut self.places {
            let users = *place.users.get_mut();
            if users != EMPTY && users & CLAIMED == 0 {
                // SAFETY: the place holds a value, and `&mut self` says that nobody uses it.
                unsafe { place.value.get_mut().assume_init_drop() };
            }
        }
    }
}

/// A value of a [`Shelf`] that stays as long as this lives.
pub struct Held<'s, T> {
    place: &'s Place<T>,
}

// SAFETY: it is a shared reference to the value.
unsafe impl<T: Send + Sync> Send for Held<'_, T> {}
// SAFETY: the same.
unsafe impl<T: Send + Sync> Sync for Held<'_, T> {}

impl<T> Deref for Held<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this user is counted, so the place is filled and stays so.
        unsafe { (*self.place.value.get()).assume_init_ref() }
    }
}

impl<T> Drop for Held<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.place.users.fetch_sub(1, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn values_are_found_replaced_and_dropped() {
        let count = Arc::new(());
        let shelf = Shelf::<_, 2>::new();
        let one = shelf.put(1, (1, count.clone())).map_err(|_| ()).unwrap();
        drop(shelf.put(2, (2, count.clone())));
        assert_eq!(shelf.find(2).map(|held| held.0), Some(2));
        // The first value is in use, so the second one goes.
        drop(shelf.put(3, (3, count.clone())));
        assert!(shelf.find(2).is_none());
        assert_eq!(Arc::strong_count(&count), 3);
        let three = shelf.find(3).expect("the value was put");
        assert!(shelf.put(4, (4, count.clone())).is_err());
        shelf.forget(3);
        assert!(shelf.find(3).is_none());
        assert_eq!((one.0, three.0), (1, 3));
        drop(three);
        assert!(shelf.put(4, (4, count.clone())).is_ok());
        drop(one);
        drop(shelf);
        assert_eq!(Arc::strong_count(&count), 1);
    }

    #[test]
    fn threads_never_see_a_value_of_another_key() {
        let shelf = Shelf::<Box<u64>, 3>::new();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let shelf = &shelf;
                scope.spawn(move || {
                    for round in 0..20_000u64 {
                        let key = 1 + (round * 7 + thread) % 8;
                        match shelf.find(key) {
                            Some(held) => assert_eq!(**held, key),
                            None => drop(shelf.put(key, Box::new(key))),
                        }
                    }
                });
            }
        });
    }
}
