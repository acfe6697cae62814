// SPDX-License-Identifier: GPL-2.0-only

//! The set of attached threads.
//!
//! Open addressing over atomics. Rules:
//! - a key is inserted, removed and looked up only on behalf of the thread it stands for, never concurrently with itself;
//! - other keys come and go meanwhile, so an empty place that was passed may fill up, but a key's own place never moves;
//! - removal leaves a mark, which insertion re-uses, so a chain is never cut.

use core::sync::atomic::{AtomicUsize, Ordering};

/// How many threads can be attached at once.
pub const CAPACITY: usize = 256;

const EMPTY: usize = 0;
const REMOVED: usize = 1;

/// Why a key was not inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// It is there already.
    Present,
    /// All places are taken.
    Full,
}

/// A set of addresses.
#[derive(Debug)]
pub struct Table([AtomicUsize; CAPACITY]);

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// An empty set.
    pub const fn new() -> Self {
        Self([const { AtomicUsize::new(EMPTY) }; CAPACITY])
    }

    #[inline]
    const fn start(key: usize) -> usize {
        // Tasks come from a slab: their low bits say nothing.
        (key >> 6 ^ key >> 14) % CAPACITY
    }

    /// The places of `key`, in the order in which they are tried.
    fn chain(&self, key: usize) -> impl Iterator<Item = &AtomicUsize> {
        let (before, after) = self.0.split_at(Self::start(key));
        after.iter().chain(before)
    }

    #[inline(never)]
    fn place(&self, key: usize) -> Option<&AtomicUsize> {
        for place in self.chain(key) {
            match place.load(Ordering::Relaxed) {
                found if found == key => return Some(place),
                EMPTY => return None,
                _ => {}
            }
        }
        None
    }

    /// Whether `key` is there.
    #[inline]
    pub fn contains(&self, key: usize) -> bool {
        // Nearly always in the first place, which the exchange calls need not search for.
        let first = self.0.get(Self::start(key));
        first.is_some_and(|place| place.load(Ordering::Relaxed) == key) || self.place(key).is_some()
    }

    /// Adds `key`, an address that is not among the first few bytes.
    ///
    /// # Errors
    ///
    /// See [`InsertError`]; the set is unchanged.
    pub fn insert(&self, key: usize) -> Result<(), InsertError> {
        if self.contains(key) {
            return Err(InsertError::Present);
        }
        for place in self.chain(key) {
            for free in [REMOVED, EMPTY] {
                if place
                    .compare_exchange(free, key, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
                {
                    return Ok(());
                }
            }
        }
        Err(InsertError::Full)
    }

    /// Removes `key`; whether it was there.
    pub fn remove(&self, key: usize) -> bool {
        self.place(key)
            .map(|place| place.store(REMOVED, Ordering::Relaxed))
            .is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_chain_do_not_hide_each_other() {
        let table = Table::new();
        let same_start = |n: usize| 0x1000_0000 + n * (1 << 40);
        for n in 0..3 {
            assert_eq!(table.insert(same_start(n)), Ok(()));
        }
        assert!(table.remove(same_start(0)));
        assert!(!table.contains(same_start(0)));
        assert!(table.contains(same_start(1)) && table.contains(same_start(2)));
        assert_eq!(table.insert(same_start(2)), Err(InsertError::Present));
    }

    #[test]
    fn a_full_set_refuses_and_a_place_given_back_serves_again() {
        let table = Table::new();
        let key = |n: usize| 0x4000 + n * 64;
        for n in 0..CAPACITY {
            assert_eq!(table.insert(key(n)), Ok(()));
        }
        assert_eq!(table.insert(key(CAPACITY)), Err(InsertError::Full));
        assert!(table.remove(key(7)));
        assert_eq!(table.insert(key(CAPACITY)), Ok(()));
        assert!(!table.remove(key(7)));
    }

    #[test]
    fn threads_come_and_go_side_by_side() {
        let table = Table::new();
        std::thread::scope(|scope| {
            for n in 1..=4 {
                let table = &table;
                scope.spawn(move || {
                    for turn in 0..20_000 {
                        let key = (n * 7919 + turn % 64) * 64 + 0x10_0000 * n;
                        assert_eq!(table.insert(key), Ok(()));
                        assert!(table.contains(key));
                        assert!(table.remove(key));
                        assert!(!table.contains(key));
                    }
                });
            }
        });
    }
}
