// SPDX-License-Identifier: GPL-2.0-only

//! The gate between in-band messages and oob mode: the bus belongs to one of them at a time.
//!
//! ```text
//!    in-band message        Free         oob mode
//!   Inband <-------------- (0, 0) ---------------> Oob
//!      |   try_enter_inband       try_enter_oob     |
//!      +-----> exit_inband   Free   exit_oob <------+
//! ```
//!
//! A pure state machine: the callers wait, by trying again when an `exit` says that it is worth it (returns `true`) or
//! when some time has passed. While oob mode is *wanted* no new in-band message gets in, so a queue of messages that
//! never runs dry cannot keep oob mode out. The bus is entered before any DMA is prepared, and left after all is undone.

use crate::sync::{AtomicU32, Ordering};

const INBAND: u32 = 1 << 0;
const OOB: u32 = 1 << 1;
const WANTED: u32 = 1 << 2;

/// See the module.
pub struct BusGate(AtomicU32);

impl Default for BusGate {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for BusGate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("BusGate")
            .field(&self.0.load(Ordering::Relaxed))
            .finish()
    }
}

impl BusGate {
    /// A free bus.
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

    /// Begins an in-band message; `false` while oob mode is on or wanted. The caller sends one message at a time.
    #[must_use]
    pub fn try_enter_inband(&self) -> bool {
        self.update(|seen| (seen == 0).then_some(INBAND)).is_ok()
    }

    /// Ends an in-band message; whether somebody may be waiting for it.
    pub fn exit_inband(&self) -> bool {
        self.update(|seen| Some(seen & !INBAND))
            .is_ok_and(|seen| seen & WANTED != 0)
    }

    /// Enters oob mode; where it returns `false`, oob mode is wanted from now on: try again, or [`Self::give_up_oob`].
    /// Callers exclude one another.
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

    /// Ends the wish to enter oob mode; whether in-band messages may be waiting.
    pub fn give_up_oob(&self) -> bool {
        self.update(|seen| Some(seen & !WANTED))
            .is_ok_and(|seen| seen & WANTED != 0)
    }

    /// Leaves oob mode; whether in-band messages may be waiting.
    pub fn exit_oob(&self) -> bool {
        self.update(|seen| Some(seen & !(OOB | WANTED)))
            .is_ok_and(|seen| seen & OOB != 0)
    }

    /// Whether oob mode has the bus.
    pub fn is_oob(&self) -> bool {
        self.0.load(Ordering::Acquire) & OOB != 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_side_at_a_time() {
        let gate = BusGate::new();
        assert!(gate.try_enter_inband());
        assert!(!gate.try_enter_inband(), "one message at a time");
        assert!(!gate.try_enter_oob());
        assert!(gate.exit_inband(), "oob mode waits for this");
        assert!(
            !gate.try_enter_inband(),
            "oob mode is wanted: no new message"
        );
        assert!(gate.try_enter_oob());
        assert!(gate.is_oob());
        assert!(!gate.try_enter_inband());
        assert!(gate.exit_oob());
        assert!(gate.try_enter_inband());
        assert!(!gate.exit_inband(), "nobody waits");
    }

    #[test]
    fn a_wish_that_is_given_up_lets_messages_in_again() {
        let gate = BusGate::new();
        assert!(gate.try_enter_inband());
        assert!(!gate.try_enter_oob());
        assert!(gate.give_up_oob());
        assert!(!gate.exit_inband());
        assert!(gate.try_enter_inband());
        assert!(!gate.give_up_oob());
    }
}
