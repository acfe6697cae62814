// SPDX-License-Identifier: GPL-2.0-only

//! What is written down of a thread of the stage, for people to read.
//!
//! ```text
//!   the thread itself: begins to wait, has waited, was switched --> Record --> a list in debugfs
//! ```
//!
//! Only the thread that it is about writes to a record, so that costs plain stores; whoever reads
//! one sees each number as it was at some moment, not all of them at the same one.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What a thread may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Wait {
    /// A latched event.
    Flag = 1,
    /// A value to suit it.
    Monitor = 2,
    /// A count.
    Semaphore = 3,
    /// A mutex.
    Mutex = 4,
    /// A run of work in-band.
    Work = 5,
    /// The other stage's threads to leave a stage lock.
    StageLock = 6,
}

impl Wait {
    const ALL: [Self; 6] = [
        Self::Flag,
        Self::Monitor,
        Self::Semaphore,
        Self::Mutex,
        Self::Work,
        Self::StageLock,
    ];
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Monitor => "monitor",
            Self::Semaphore => "semaphore",
            Self::Mutex => "mutex",
            Self::Work => "work",
            Self::StageLock => "stage-lock",
        })
    }
}

const NOTHING: u32 = 0;

/// One thread's record. Modules that are built apart share it.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Record {
    waits: AtomicU64,
    switches: AtomicU64,
    waits_for: AtomicU32,
}

impl Record {
    /// Of a thread that has done nothing yet.
    pub const fn new() -> Self {
        Self {
            waits: AtomicU64::new(0),
            switches: AtomicU64::new(0),
            waits_for: AtomicU32::new(NOTHING),
        }
    }

    /// Forgets all: the next thread begins here.
    pub fn clear(&self) {
        self.waits.store(0, Ordering::Relaxed);
        self.switches.store(0, Ordering::Relaxed);
        self.waits_for.store(NOTHING, Ordering::Relaxed);
    }

    /// The calling thread, whose record this is, waits until the result is dropped.
    #[inline]
    pub fn waits_for(&self, what: Wait) -> Waiting<'_> {
        count(&self.waits);
        self.waits_for.store(what as u32, Ordering::Relaxed);
        Waiting(self)
    }

    /// The calling thread, whose record this is, had to go in-band in an out-of-band call.
    pub fn switched(&self) {
        count(&self.switches);
    }

    /// How often the thread has waited; a wait under way counts.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// How often it had to go in-band.
    pub fn switches(&self) -> u64 {
        self.switches.load(Ordering::Relaxed)
    }

    /// What it waits for now.
    pub fn waiting(&self) -> Option<Wait> {
        let what = self.waits_for.load(Ordering::Relaxed);
        Wait::ALL.into_iter().find(|wait| *wait as u32 == what)
    }
}

/// Only one thread counts, so nothing is lost between load and store.
#[inline]
fn count(counter: &AtomicU64) {
    let value = counter.load(Ordering::Relaxed).wrapping_add(1);
    counter.store(value, Ordering::Relaxed);
}

/// A wait under way.
#[derive(Debug)]
pub struct Waiting<'a>(&'a Record);

impl Drop for Waiting<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.waits_for.store(NOTHING, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seen_while_it_lasts_and_counted_for_good() {
        let record = Record::new();
        for (count, what) in (1..).zip(Wait::ALL) {
            let waiting = record.waits_for(what);
            assert_eq!(record.waiting(), Some(what));
            drop(waiting);
            assert_eq!(record.waiting(), None);
            assert_eq!(record.waits(), count);
        }
        record.switched();
        assert_eq!(record.switches(), 1);
        record.clear();
        assert_eq!((record.waits(), record.switches()), (0, 0));
    }
}
