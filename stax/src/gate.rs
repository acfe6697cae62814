// SPDX-License-Identifier: GPL-2.0-only

//! The gate word: which stage is inside and how often, which stages wait, and whether the lock is
//! destroyed.
//!
//! ```text
//!   31     30           29        28            27 .. 0
//!   DEAD | WAITS.INBAND | WAITS.OOB | OWNER.INBAND | count of entries
//!
//!   FREE (count 0) --enter(S)--> S inside (count n) --leave--> ... --leave--> count 0
//!                                  ^   | nest: n+1              WAITS clear: FREE, OWNER is the last stage
//!                                  '---'                        WAITS set: no entry until a hand-over (queue.rs)
//! ```
//!
//! Rules:
//! - WAITS and DEAD change only under the queue lock, and only by compare-and-swap;
//! - while a WAITS bit is set no thread enters by itself; nested entries and exits still pass;
//! - so a gate with count 0 and a WAITS bit does not change while a thread holds the queue lock.

use crate::stage::Side;

const COUNT: u32 = (1 << 28) - 1;
const OWNER_INBAND: u32 = 1 << 28;
const WAITS_OOB: u32 = 1 << 29;
const WAITS_INBAND: u32 = 1 << 30;
const WAITS: u32 = WAITS_OOB | WAITS_INBAND;
const DEAD: u32 = 1 << 31;

/// A value of the gate word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Gate(u32);

/// Why a thread cannot enter at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The lock is destroyed.
    Dead,
    /// The other stage is inside, or a thread waits already.
    Busy,
    /// The stage has entered [`Gate::MAX`] times.
    Full,
}

impl Gate {
    /// The largest number of entries at the same time, including nested ones. Also the largest
    /// number of waiting threads of one stage.
    pub const MAX: u32 = COUNT;

    /// No thread is inside, and none waits.
    pub const FREE: Self = Self(0);

    /// No thread is inside, none waits, and `side` was inside last.
    #[inline(always)]
    pub const fn left_by(side: Side) -> Self {
        Self(owner_bit(side))
    }

    /// The gate of a word in memory.
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The word in memory.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The number of entries.
    #[inline(always)]
    pub const fn count(self) -> u32 {
        self.0 & COUNT
    }

    /// The stage that is inside, or else was inside last.
    #[inline(always)]
    pub const fn owner(self) -> Side {
        match self.0 & OWNER_INBAND {
            0 => Side::Oob,
            _ => Side::Inband,
        }
    }

    /// Whether any thread waits.
    #[inline(always)]
    pub const fn is_waited_for(self) -> bool {
        self.0 & WAITS != 0
    }

    /// Whether threads of `side` wait.
    pub const fn waits(self, side: Side) -> bool {
        self.0 & waits_bit(side) != 0
    }

    /// Whether the lock is destroyed.
    pub const fn is_dead(self) -> bool {
        self.0 & DEAD != 0
    }

    /// A thread of `side` enters.
    ///
    /// # Errors
    ///
    /// See [`Refusal`]; the gate stays unchanged.
    #[inline(always)]
    pub const fn enter(self, side: Side) -> Result<Self, Refusal> {
        if self.0 & (DEAD | WAITS) != 0 {
            return Err(match self.0 & DEAD {
                0 => Refusal::Busy,
                _ => Refusal::Dead,
            });
        }
        // Neither DEAD nor WAITS is set, so the word holds only owner and count.
        match self.count() {
            0 => Ok(Self(owner_bit(side) | 1)),
            _ if self.0 & OWNER_INBAND != owner_bit(side) => Err(Refusal::Busy),
            COUNT => Err(Refusal::Full),
            _ => Ok(Self(self.0.wrapping_add(1))),
        }
    }

    /// A thread that is inside enters once more; `None` if the count is [`Self::MAX`].
    #[inline(always)]
    pub const fn nest(self) -> Option<Self> {
        match self.count() {
            COUNT => None,
            _ => Some(Self(self.0.wrapping_add(1))),
        }
    }

    /// Whether an exit that found this value was the last one while threads wait. It must then hand
    /// the gate over.
    ///
    /// The exit itself is a plain decrement of the word.
    pub const fn must_hand_over(self) -> bool {
        self.count() == 1 && self.is_waited_for()
    }

    /// This gate with a thread of `side` waiting.
    #[must_use]
    pub const fn with_waiter(self, side: Side) -> Self {
        Self(self.0 | waits_bit(side))
    }

    /// This gate with no thread of `side` waiting any more.
    #[must_use]
    pub const fn without_waiter(self, side: Side) -> Self {
        Self(self.0 & !waits_bit(side))
    }

    /// All `waiting` threads of `side` enter together. The gate is free, or `side` owns it. Returns
    /// `None` if the count has no room for them.
    pub fn grant(self, side: Side, waiting: u32) -> Option<Self> {
        let count = self
            .count()
            .checked_add(waiting)
            .filter(|count| *count <= Self::MAX)?;
        let kept = self.0 & (DEAD | WAITS) & !waits_bit(side);
        Some(Self(kept | owner_bit(side) | count))
    }

    /// The gate of the destroyed lock: no thread waits any more. Threads inside still leave by
    /// themselves.
    #[must_use]
    pub const fn dead(self) -> Self {
        Self(self.0 & !WAITS | DEAD)
    }
}

#[inline(always)]
const fn owner_bit(side: Side) -> u32 {
    match side {
        Side::Oob => 0,
        Side::Inband => OWNER_INBAND,
    }
}

const fn waits_bit(side: Side) -> u32 {
    match side {
        Side::Oob => WAITS_OOB,
        Side::Inband => WAITS_INBAND,
    }
}
