// SPDX-License-Identifier: GPL-2.0-only

//! The gate between in-band work and oob mode: a device belongs to one of them at a time.
//!
//! ```text
//!    in-band work           Free         oob mode
//!   Inband <-------------- (0, 0) ---------------> Oob
//!      |   try_enter_inband       try_enter_oob     |
//!      +-----> exit_inband   Free   exit_oob <------+
//! ```
//!
//! The gate is a state machine and never waits. A caller that is refused tries again when the other
//! side's `exit` returned `true`, or after some time. While oob mode is *wanted* no new in-band
//! work gets in, so a queue of messages that never runs dry cannot keep oob mode out. A driver
//! enters the gate before it prepares any DMA, and leaves it after it has undone all.

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU32, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering};

const INBAND: u32 = 1 << 0;
const OOB: u32 = 1 << 1;
const WANTED: u32 = 1 << 2;

/// See the module.
pub struct Gate(AtomicU32);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Gate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Gate")
            .field(&self.0.load(Ordering::Relaxed))
            .finish()
    }
}

impl Gate {
    /// A free device.
    pub fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    fn update(&self, mut next: impl FnMut(u32) -> Option<u32>) -> Result<u32, u32> {
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let Some(new) = next(seen) else {
                return Err(seen);
            };
            match self
                .0
                .compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Ok(seen),
                Err(now) => seen = now,
            }
        }
    }

    /// Begins in-band work. Returns `false` while oob mode is on or wanted, and while other in-band
    /// work is under way.
    #[must_use]
    pub fn try_enter_inband(&self) -> bool {
        self.update(|seen| (seen == 0).then_some(INBAND)).is_ok()
    }

    /// Ends in-band work. Returns whether oob mode may be waiting for that.
    pub fn exit_inband(&self) -> bool {
        self.update(|seen| Some(seen & !INBAND))
            .is_ok_and(|seen| seen & WANTED != 0)
    }

    /// Enters oob mode. Where this returns `false`, oob mode is wanted from now on: the caller
    /// tries again, or calls [`Self::give_up_oob`]. Callers exclude one another.
    #[must_use]
    pub fn try_enter_oob(&self) -> bool {
        self.update(|seen| {
            Some(match seen & (INBAND | OOB) {
                0 => OOB,
                _ => seen | WANTED,
            })
        })
        .is_ok_and(|seen| seen & (INBAND | OOB) == 0)
    }

    /// Withdraws the wish to enter oob mode. Returns whether in-band work may be waiting.
    pub fn give_up_oob(&self) -> bool {
        self.update(|seen| Some(seen & !WANTED))
            .is_ok_and(|seen| seen & WANTED != 0)
    }

    /// Leaves oob mode. Returns whether in-band work may be waiting.
    pub fn exit_oob(&self) -> bool {
        self.update(|seen| Some(seen & !(OOB | WANTED)))
            .is_ok_and(|seen| seen & OOB != 0)
    }

    /// Whether oob mode has the device.
    pub fn is_oob(&self) -> bool {
        self.0.load(Ordering::Acquire) & OOB != 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_side_at_a_time() {
        let gate = Gate::new();
        assert!(gate.try_enter_inband());
        assert!(!gate.try_enter_inband(), "one piece of work at a time");
        assert!(!gate.try_enter_oob());
        assert!(gate.exit_inband(), "oob mode waits for this");
        assert!(!gate.try_enter_inband(), "oob mode is wanted: no new work");
        assert!(gate.try_enter_oob());
        assert!(gate.is_oob());
        assert!(!gate.try_enter_inband());
        assert!(gate.exit_oob());
        assert!(gate.try_enter_inband());
        assert!(!gate.exit_inband(), "no thread waits");
    }

    #[test]
    fn a_wish_that_is_given_up_lets_inband_work_in_again() {
        let gate = Gate::new();
        assert!(gate.try_enter_inband());
        assert!(!gate.try_enter_oob());
        assert!(gate.give_up_oob());
        assert!(!gate.exit_inband());
        assert!(gate.try_enter_inband());
        assert!(!gate.give_up_oob());
    }
}
