// SPDX-License-Identifier: GPL-2.0-only

//! The trace: it makes every choice of a run and records what happened.
//!
//! A seed determines a run for one version of the random number generator only. The lock file pins
//! that version.

use crate::time::{Instant, Ns};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::string::String;

/// The number of recent entries that are kept for printing.
const RECENT: usize = 40;

/// An event. Threads and handlers are given by their numbers.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Entry {
    /// A thread runs.
    Run(usize),
    /// A thread was woken.
    Wake(usize),
    /// The date of a thread's wait came.
    Expire(usize),
    /// A handler was called.
    Handler(u64),
    /// In-band code computes before all in-band threads.
    Burst(Ns),
    /// An in-band thread stalls.
    Stall(usize, Ns),
    /// In-band code has interrupts off.
    HardOff(Ns),
    /// A thread has ended.
    End(usize),
}

pub(super) struct Trace {
    seed: u64,
    random: fastrand::Rng,
    hash: DefaultHasher,
    recent: VecDeque<(Instant, Entry)>,
}

impl Trace {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            random: fastrand::Rng::with_seed(seed),
            hash: DefaultHasher::new(),
            recent: VecDeque::new(),
        }
    }

    pub(super) const fn seed(&self) -> u64 {
        self.seed
    }

    /// A random number from 0 to `most`.
    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        self.random.u64(0..=most)
    }

    /// True once in `odds` times; never if `odds` is 0.
    pub(super) fn one_in(&mut self, odds: u64) -> bool {
        odds > 0 && self.up_to(odds - 1) == 0
    }

    pub(super) fn note(&mut self, now: Instant, entry: Entry) {
        (now, entry).hash(&mut self.hash);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((now, entry));
    }

    /// A hash of all entries.
    pub(super) fn digest(&self) -> u64 {
        self.hash.finish()
    }

    /// The last entries, one per line.
    pub(super) fn last_lines(&self) -> String {
        let line = |(date, entry): &(Instant, Entry)| std::format!("{:>12} {entry:?}\n", date.0);
        self.recent.iter().map(line).collect()
    }
}
