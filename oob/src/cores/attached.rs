// SPDX-License-Identifier: GPL-2.0-only

//! The shim's set of attached threads, and the record of each.
//!
//! ```text
//!   start(key) --> | key, record | key, record | empty    | key, record | empty    |  ... round
//!                  | passed: 2   | passed: 1   | passed: 1| passed: 0   | passed: 0|
//! ```
//!
//! A hash table with open addressing, over atomics. `oob_shim.ko` owns the only one. The other
//! modules look up the calling thread in it, which costs a few instructions. Rules:
//! - only the thread that a key stands for inserts, removes and looks up that key, so never
//!   concurrently with itself;
//! - other keys come and go meanwhile. An empty place that was passed may fill up, but a key never
//!   moves to another place;
//! - each place counts the keys that lie behind it because it was taken when they came. A look-up
//!   ends at a place whose count is 0. The thread itself has counted its key at each place before
//!   it, so the look-up finds the key, whatever other threads do. A removed key leaves no mark, so
//!   the look-up of an absent key ends soon;
//! - the record of an empty place is reset.

use crate::record::Record;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The number of threads that can be attached at the same time.
pub const CAPACITY: usize = 256;

const EMPTY: usize = 0;

/// Why a key was not inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// The key is in the set already.
    Present,
    /// All places are taken.
    Full,
}

#[derive(Debug)]
#[repr(C)]
struct Place {
    key: AtomicUsize,
    record: Record,
}

impl Place {
    #[inline(always)]
    fn is_of(&self, key: usize) -> bool {
        self.key.load(Ordering::Relaxed) == key
    }
}

/// A set of task addresses, each with a record. Modules that are built separately share its layout.
#[derive(Debug)]
#[repr(C)]
pub struct AttachedThreads {
    places: [Place; CAPACITY],
    /// For each place, the number of keys that were led past it. Kept apart from the places,
    /// because few look-ups need it.
    passed: [AtomicU32; CAPACITY],
}

impl Default for AttachedThreads {
    fn default() -> Self {
        Self::new()
    }
}

impl AttachedThreads {
    /// An empty set.
    pub const fn new() -> Self {
        Self {
            places: [const {
                Place {
                    key: AtomicUsize::new(EMPTY),
                    record: Record::new(),
                }
            }; CAPACITY],
            passed: [const { AtomicU32::new(0) }; CAPACITY],
        }
    }

    #[inline]
    const fn start(key: usize) -> usize {
        // Tasks come from a slab, so the low bits of their addresses are alike and the others come
        // in steps. The highest bits of the 32-bit product depend on all bits that differ.
        (key.wrapping_mul(0x61c8_8647) >> 24) % CAPACITY
    }

    /// The places for `key` in the order of the search, each with its count.
    fn chain(&self, key: usize) -> impl Iterator<Item = (&Place, &AtomicU32)> {
        let start = Self::start(key);
        let (before, after) = self.places.split_at(start);
        let (passed_before, passed_after) = self.passed.split_at(start);
        let passed = passed_after.iter().chain(passed_before);
        after.iter().chain(before).zip(passed)
    }

    /// Those places of the chain at which `key` may be.
    fn visited(&self, key: usize) -> impl Iterator<Item = &Place> {
        let mut is_over = false;
        self.chain(key).map_while(move |(place, passed)| {
            let is_last = passed.load(Ordering::Relaxed) == 0;
            (!core::mem::replace(&mut is_over, is_last)).then_some(place)
        })
    }

    #[inline(never)]
    fn place(&self, key: usize) -> Option<&Place> {
        self.visited(key).find(|place| place.is_of(key))
    }

    /// The record of `key`, if it is in the set.
    #[inline(always)]
    pub fn get(&self, key: usize) -> Option<&Record> {
        // The key is nearly always in the first place; the search is kept out of line.
        let first = self.places.get(Self::start(key));
        let place = match first {
            Some(place) if place.is_of(key) => first,
            _ => self.place(key),
        };
        place.map(|place| &place.record)
    }

    /// Adds `key`, an address other than 0.
    ///
    /// # Errors
    ///
    /// See [`InsertError`]; the set is unchanged.
    pub fn insert(&self, key: usize) -> Result<(), InsertError> {
        if self.get(key).is_some() {
            return Err(InsertError::Present);
        }
        for (place, passed) in self.chain(key) {
            // Acquire: this thread sees the record as the former key's thread has reset it.
            if place
                .key
                .compare_exchange(EMPTY, key, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
            {
                return Ok(());
            }
            passed.fetch_add(1, Ordering::Relaxed);
        }
        self.chain(key).for_each(|(_, passed)| uncount(passed));
        Err(InsertError::Full)
    }

    /// Removes `key`. Returns whether it was in the set.
    pub fn remove(&self, key: usize) -> bool {
        let Some(own) = self.place(key) else {
            return false;
        };
        own.record.clear();
        own.key.store(EMPTY, Ordering::Release);
        self.chain(key)
            .take_while(|(place, _)| !core::ptr::eq(*place, own))
            .for_each(|(_, passed)| uncount(passed));
        true
    }

    /// All places: for each a function that returns the present key, and the record. Keys come and
    /// go meanwhile.
    pub fn places(&self) -> impl Iterator<Item = (impl FnOnce() -> Option<usize> + '_, &Record)> {
        self.places.iter().map(|place| {
            let key = || Some(place.key.load(Ordering::Relaxed)).filter(|key| *key != EMPTY);
            (key, &place.record)
        })
    }
}

/// Decrements a place's count.
fn uncount(passed: &AtomicU32) {
    passed.fetch_sub(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Wait;

    fn is_there(table: &AttachedThreads, key: usize) -> bool {
        table.get(key).is_some()
    }

    /// Keys whose search begins at the same place.
    fn same_start(n: usize) -> usize {
        0x1000_0000 + n * (1 << 40)
    }

    #[test]
    fn the_next_key_of_a_place_gets_a_reset_record() {
        let table = AttachedThreads::new();
        for key in [0x4000, 0x8000] {
            assert_eq!(table.insert(key), Ok(()));
            let record = table.get(key).expect("just inserted");
            assert_eq!((record.waits(), record.switches()), (0, 0));
            drop(record.waits_for(Wait::Flag));
            record.switched();
            let seen: Vec<_> = table
                .places()
                .filter_map(|(key, record)| Some((key()?, record.waits())))
                .collect();
            assert_eq!(seen, [(key, 1)]);
            assert!(table.remove(key));
        }
        assert_eq!(table.places().filter_map(|(key, _)| key()).count(), 0);
    }

    #[test]
    fn keys_of_one_chain_do_not_hide_each_other() {
        let table = AttachedThreads::new();
        for n in 0..3 {
            assert_eq!(table.insert(same_start(n)), Ok(()));
        }
        assert!(table.remove(same_start(0)));
        assert!(!is_there(&table, same_start(0)));
        assert!(is_there(&table, same_start(1)) && is_there(&table, same_start(2)));
        assert_eq!(table.insert(same_start(2)), Err(InsertError::Present));
    }

    #[test]
    fn a_full_set_refuses_keys_and_a_freed_place_is_used_again() {
        let table = AttachedThreads::new();
        let key = |n: usize| 0x4000 + n * 64;
        for n in 0..CAPACITY {
            assert_eq!(table.insert(key(n)), Ok(()));
        }
        assert_eq!(table.insert(key(CAPACITY)), Err(InsertError::Full));
        assert!(table.remove(key(7)));
        assert_eq!(table.insert(key(CAPACITY)), Ok(()));
        assert!(!table.remove(key(7)));
        // A refused key has left no count, either.
        for n in 0..=CAPACITY {
            assert_eq!(table.remove(key(n)), n != 7);
        }
        assert!((0..1_000).all(|n| table.visited(key(n)).count() == 1));
    }

    #[test]
    fn removed_keys_do_not_lengthen_later_look_ups() {
        let table = AttachedThreads::new();
        let key = |n: usize| 0x1000_0000 + n * 0x1480;
        // Some keys stay, so that others are led past them.
        for n in 0..20 {
            assert_eq!(table.insert(key(n)), Ok(()));
        }
        let looks = || (0..4_000).map(|n| table.visited(key(20 + n)).count()).max();
        let before = looks();
        assert!(before < Some(16), "{before:?}");
        for n in 20..10_020 {
            assert_eq!(table.insert(key(n)), Ok(()));
            assert!(table.remove(key(n)));
        }
        assert_eq!(looks(), before);
    }

    #[test]
    fn threads_insert_and_remove_keys_at_the_same_time() {
        let table = AttachedThreads::new();
        std::thread::scope(|scope| {
            for n in 1..=4 {
                let table = &table;
                scope.spawn(move || {
                    for turn in 0..20_000 {
                        // Alternates between keys that collide and keys that do not.
                        let key = match turn % 2 {
                            0 => same_start(n),
                            _ => (n * 7919 + turn % 64) * 64 + 0x10_0000 * n,
                        };
                        assert_eq!(table.insert(key), Ok(()));
                        assert!(is_there(table, key));
                        assert!(table.remove(key));
                        assert!(!is_there(table, key));
                    }
                });
            }
        });
        assert_eq!(table.visited(same_start(1)).count(), 1);
    }
}
