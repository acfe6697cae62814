// SPDX-License-Identifier: GPL-2.0-only

//! A thread's record: what the thread waits for and how often, for people to read.
//!
//! ```text
//!   the thread itself: starts to wait, has waited, was switched --> Record --> a list in debugfs
//! ```
//!
//! Only the record's own thread writes to it, so a write is a plain store. A reader sees each
//! number as of some moment, but not all numbers of the same moment.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The kinds of waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Wait {
    /// For a latched event.
    Flag = 1,
    /// For a condition on a monitor's value.
    Monitor = 2,
    /// For a semaphore's count.
    Semaphore = 3,
    /// For a mutex.
    Mutex = 4,
    /// For a run of in-band work.
    Work = 5,
    /// For the other stage's threads to leave a stage lock.
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

/// One thread's record. Modules that are built separately share its layout.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Record {
    waits: AtomicU64,
    switches: AtomicU64,
    waits_for: AtomicU32,
}

impl Record {
    /// The record of a new thread.
    pub const fn new() -> Self {
        Self {
            waits: AtomicU64::new(0),
            switches: AtomicU64::new(0),
            waits_for: AtomicU32::new(NOTHING),
        }
    }

    /// Resets the record for the next thread.
    pub fn clear(&self) {
        self.waits.store(0, Ordering::Relaxed);
        self.switches.store(0, Ordering::Relaxed);
        self.waits_for.store(NOTHING, Ordering::Relaxed);
    }

    /// The calling thread, whose record this is, waits for `what` until the result is dropped.
    #[inline]
    pub fn waits_for(&self, what: Wait) -> Waiting<'_> {
        count(&self.waits);
        self.waits_for.store(what as u32, Ordering::Relaxed);
        Waiting(self)
    }

    /// The calling thread, whose record this is, had to go in-band during an out-of-band call.
    pub fn switched(&self) {
        count(&self.switches);
    }

    /// The number of waits, including one under way.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// How often the thread had to go in-band.
    pub fn switches(&self) -> u64 {
        self.switches.load(Ordering::Relaxed)
    }

    /// What the thread waits for now.
    pub fn waiting(&self) -> Option<Wait> {
        let what = self.waits_for.load(Ordering::Relaxed);
        Wait::ALL.into_iter().find(|wait| *wait as u32 == what)
    }
}

/// Increments a counter. Only one thread writes it, so no increment is lost between load and store.
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
    fn a_wait_is_shown_while_it_lasts_and_stays_counted() {
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
