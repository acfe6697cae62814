// SPDX-License-Identifier: GPL-2.0-only

//! Every choice of a run comes from here, and what came of them is noted here.
//!
//! The seed decides for one version of the generator, which the lock file pins.

use crate::time::{Instant, Ns};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::string::String;

/// How much of the trace is kept for being shown.
const RECENT: usize = 40;

/// What happened; threads and handlers by their numbers.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Entry {
    /// A thread has the processor.
    Run(usize),
    /// A thread that waited need not any more.
    Wake(usize),
    /// A thread's date came.
    Expire(usize),
    /// A handler was called.
    Handler(u64),
    /// The rest of in-band has something to do before its threads.
    Burst(Ns),
    /// An in-band thread cannot go on for a while.
    Stall(usize, Ns),
    /// In-band has interrupts off.
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

    /// 0 to `most`.
    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        self.random.u64(0..=most)
    }

    /// True once in `odds` times; never for odds of 0.
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

    /// A number that stands for all that was noted.
    pub(super) fn digest(&self) -> u64 {
        self.hash.finish()
    }

    /// The last entries, one a line.
    pub(super) fn last_lines(&self) -> String {
        let line = |(date, entry): &(Instant, Entry)| std::format!("{:>12} {entry:?}\n", date.0);
        self.recent.iter().map(line).collect()
    }
}
