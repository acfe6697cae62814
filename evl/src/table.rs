// SPDX-License-Identifier: GPL-2.0-only

//! The shim's set of attached threads, and a record of each.
//!
//! ```text
//!   start(key) --> | key, record | key, record | removed | key, record | empty |  ... round
//! ```
//!
//! Open addressing over atomics. `evl_shim.ko` owns the one that there is; the other modules look up in it the thread that
//! calls them, at the cost of a few instructions. Rules:
//! - a key is inserted, removed and looked up only on behalf of the thread it stands for, never concurrently with itself;
//! - other keys come and go meanwhile, so an empty place that was passed may fill up, but a key's own place never moves;
//! - removal leaves a mark, which insertion re-uses, so a chain is never cut;
//! - a record is as new wherever there is no key.

use crate::record::Record;
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

/// A set of addresses, each with a record. Modules that are built apart share it.
#[derive(Debug)]
#[repr(transparent)]
pub struct Table([Place; CAPACITY]);

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// An empty set.
    pub const fn new() -> Self {
        Self(
            [const {
                Place {
                    key: AtomicUsize::new(EMPTY),
                    record: Record::new(),
                }
            }; CAPACITY],
        )
    }

    #[inline]
    const fn start(key: usize) -> usize {
        // Tasks come from a slab: their low bits say nothing, and the others come in steps. Of the product, the highest
        // bits of 32 depend on all of the key's that differ.
        (key.wrapping_mul(0x61c8_8647) >> 24) % CAPACITY
    }

    /// The places of `key`, in the order in which they are tried.
    fn chain(&self, key: usize) -> impl Iterator<Item = &Place> {
        let (before, after) = self.0.split_at(Self::start(key));
        after.iter().chain(before)
    }

    #[inline(never)]
    fn place(&self, key: usize) -> Option<&Place> {
        for place in self.chain(key) {
            match place.key.load(Ordering::Relaxed) {
                found if found == key => return Some(place),
                EMPTY => return None,
                _ => {}
            }
        }
        None
    }

    /// The record of `key`, where it is there.
    #[inline(always)]
    pub fn get(&self, key: usize) -> Option<&Record> {
        // Nearly always in the first place, which the exchange calls need not search for.
        let first = self.0.get(Self::start(key));
        let place = match first {
            Some(place) if place.is_of(key) => first,
            _ => self.place(key),
        };
        place.map(|place| &place.record)
    }

    /// Adds `key`, an address that is not among the first few bytes.
    ///
    /// # Errors
    ///
    /// See [`InsertError`]; the set is unchanged.
    pub fn insert(&self, key: usize) -> Result<(), InsertError> {
        if self.get(key).is_some() {
            return Err(InsertError::Present);
        }
        for place in self.chain(key) {
            for free in [REMOVED, EMPTY] {
                // Acquire: the record is as new, as who had the place before has left it.
                if place
                    .key
                    .compare_exchange(free, key, Ordering::Acquire, Ordering::Relaxed)
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
            .map(|place| {
                place.record.clear();
                place.key.store(REMOVED, Ordering::Release);
            })
            .is_some()
    }

    /// All places: what gives the key that is there at the moment, and the record. Keys come and go meanwhile.
    pub fn places(&self) -> impl Iterator<Item = (impl FnOnce() -> Option<usize> + '_, &Record)> {
        self.0.iter().map(|place| {
            let key = || Some(place.key.load(Ordering::Relaxed)).filter(|key| *key > REMOVED);
            (key, &place.record)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Wait;

    fn is_there(table: &Table, key: usize) -> bool {
        table.get(key).is_some()
    }

    #[test]
    fn who_comes_next_begins_with_a_record_of_its_own() {
        let table = Table::new();
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
        let table = Table::new();
        let same_start = |n: usize| 0x1000_0000 + n * (1 << 40);
        for n in 0..3 {
            assert_eq!(table.insert(same_start(n)), Ok(()));
        }
        assert!(table.remove(same_start(0)));
        assert!(!is_there(&table, same_start(0)));
        assert!(is_there(&table, same_start(1)) && is_there(&table, same_start(2)));
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
                        assert!(is_there(table, key));
                        assert!(table.remove(key));
                        assert!(!is_there(table, key));
                    }
                });
            }
        });
    }
}
