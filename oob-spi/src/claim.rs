// SPDX-License-Identifier: GPL-2.0-only

//! The claim: who may touch the controller now, in one atomic word.
//!
//! ```text
//!            claim, claim_inband
//!   Idle ------------------------> Active | Inband          the holder runs
//!     ^                              |         ^
//!     +---- release: no stop owed ---+         | settle: landed, or out of time
//!                                    |         |
//!         take_off: generation + 1   |       Landed
//!                                    v         ^
//!                                  Flight -----+            the holder waits; land: the interrupt wakes it
//!                                    |
//!                                    | go_solo: nobody waits for this frame
//!                                    v
//!                                   Solo -----> Active      a new holder; land: the interrupt, steal: it is overdue
//! ```
//!
//! | bits | what |
//! | --- | --- |
//! | 0-7 | phase |
//! | 8-15 | stop frames that wait to be sent, one bit a chip select |
//! | 16 | an in-band call wants the claim: nobody else gets it |
//! | 32-63 | generation: how many frames have taken off |
//!
//! Rules:
//! 1. *The holder* is whoever moved the word out of Idle, or out of Solo (`land`, `steal`). It stays the holder until it
//!    moves the word to Idle or to Solo. Only the holder touches the controller and the frames' memory. Every move is a
//!    compare-and-swap that acquires and releases, so a holder sees all that the holder before it did.
//! 2. In Flight, the holder waits; the interrupt moves the word to Landed and touches nothing else.
//! 3. A completion counts for the generation that the interrupt handler read *before* it read the hardware's status. A
//!    frame that timed out was ended by `settle` or `steal`, and the next one has another generation: its late
//!    completion fails the compare-and-swap.
//! 4. A stop frame is asked for by setting its bit, in any phase. `release` gives the claim up only by a
//!    compare-and-swap that finds no bit set, so a request made while the claim is held is served by the holder, and a
//!    request made in Idle by the one who asks or by who claims first.
//!
//! `tests/model.rs` checks this, with the whole bus round it, in every interleaving.

use crate::sync::{AtomicU64, Ordering};

/// What the word says about the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody holds the claim.
    Idle,
    /// An in-band call holds it.
    Inband,
    /// A thread or a handler holds it, and runs.
    Active,
    /// A frame is in flight, and its holder waits for it.
    Flight,
    /// The holder's frame has ended.
    Landed,
    /// A frame is in flight, and nobody waits: the interrupt ends it.
    Solo,
}

const PHASE: u64 = 0xff;
const STOPS_SHIFT: u32 = 8;
const STOPS: u64 = 0xff << STOPS_SHIFT;
const WANTED: u64 = 1 << 16;
const GENERATION: u64 = 1 << 32;

/// One value of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    #[inline]
    pub(crate) const fn phase(self) -> Phase {
        match self.0 & PHASE {
            0 => Phase::Idle,
            1 => Phase::Inband,
            2 => Phase::Active,
            3 => Phase::Flight,
            4 => Phase::Landed,
            _ => Phase::Solo,
        }
    }

    /// Whether an in-band call has the claim, or will have it next.
    #[inline]
    pub(crate) fn is_inband(self) -> bool {
        self.0 & WANTED != 0 || self.phase() == Phase::Inband
    }

    /// Whether a stop frame waits to be sent.
    pub(crate) const fn owes_stop(self) -> bool {
        self.0 & STOPS != 0
    }

    #[inline]
    const fn with(self, phase: Phase) -> Self {
        let bits = match phase {
            Phase::Idle => 0,
            Phase::Inband => 1,
            Phase::Active => 2,
            Phase::Flight => 3,
            Phase::Landed => 4,
            Phase::Solo => 5,
        };
        Self((self.0 & !PHASE) | bits)
    }

    const fn same_frame(self, other: Self) -> bool {
        self.0 / GENERATION == other.0 / GENERATION
    }

    const fn next_frame(self) -> Self {
        Self(self.0.wrapping_add(GENERATION))
    }
}

/// The claim, held: made when the word leaves Idle or Solo, used up when it goes back.
#[must_use = "the bus stays claimed until this is released"]
pub(crate) struct ClaimGuard(());

/// What an interrupt found.
pub(crate) enum Landing {
    /// The frame's holder is to be woken.
    Waiter,
    /// The interrupt is the holder now, and ends the frame.
    Mine(ClaimGuard),
    /// Nobody's: no frame was in flight, or it was ended meanwhile.
    Stale,
}

/// What the holder has to do next.
pub(crate) enum Next {
    /// Send this chip select's stop frame.
    Stop(u8, ClaimGuard),
    /// Nothing: the claim is given up.
    Released,
}

pub(crate) struct Claim(AtomicU64);

impl Claim {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn read(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// Replaces the word by what `next` makes of it, until `next` gives up; what it replaced, or gave up at.
    #[inline]
    fn update(&self, next: impl Fn(Snapshot) -> Option<Snapshot>) -> Result<Snapshot, Snapshot> {
        let mut seen = self.read();
        loop {
            let Some(new) = next(seen) else {
                return Err(seen);
            };
            match self
                .0
                .compare_exchange(seen.0, new.0, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Ok(seen),
                Err(now) => seen = Snapshot(now),
            }
        }
    }

    /// Idle -> Active, unless an in-band call waits. The error says who is in the way.
    #[inline]
    pub(crate) fn claim(&self) -> Result<ClaimGuard, Snapshot> {
        self.update(|seen| {
            (seen.phase() == Phase::Idle && seen.0 & WANTED == 0).then(|| seen.with(Phase::Active))
        })
        .map(|_| ClaimGuard(()))
    }

    /// Idle -> Inband; else makes sure that nobody else gets the claim next. In-band callers exclude one another.
    pub(crate) fn claim_inband(&self) -> Result<ClaimGuard, Snapshot> {
        let seen = self.update(|seen| {
            Some(match seen.phase() {
                Phase::Idle => Snapshot(seen.0 & !WANTED).with(Phase::Inband),
                _ => Snapshot(seen.0 | WANTED),
            })
        })?;
        match seen.phase() {
            Phase::Idle => Ok(ClaimGuard(())),
            _ => Err(seen),
        }
    }

    /// Active | Inband -> Flight, before the frame can possibly end.
    pub(crate) fn take_off(&self, _: &mut ClaimGuard) {
        let _ = self.update(|seen| Some(seen.next_frame().with(Phase::Flight)));
    }

    /// Flight | Landed -> `back`; whether the frame had landed.
    pub(crate) fn settle(&self, _: &mut ClaimGuard, back: Phase) -> bool {
        self.update(|seen| Some(seen.with(back)))
            .is_ok_and(|seen| seen.phase() == Phase::Landed)
    }

    /// Flight -> Solo: the interrupt is the next holder. Gives the hold back where the frame has landed already.
    pub(crate) fn go_solo(&self, hold: ClaimGuard) -> Result<(), ClaimGuard> {
        self.update(|seen| (seen.phase() == Phase::Flight).then(|| seen.with(Phase::Solo)))
            .map(drop)
            .map_err(|_| hold)
    }

    /// The frame of `token` has ended; for the interrupt.
    pub(crate) fn land(&self, token: Snapshot) -> Landing {
        let landed = self.update(|seen| match seen.phase() {
            Phase::Flight if seen.same_frame(token) => Some(seen.with(Phase::Landed)),
            Phase::Solo if seen.same_frame(token) => Some(seen.with(Phase::Active)),
            _ => None,
        });
        match landed.map(Snapshot::phase) {
            Ok(Phase::Solo) => Landing::Mine(ClaimGuard(())),
            Ok(_) => Landing::Waiter,
            Err(_) => Landing::Stale,
        }
    }

    /// Solo -> Active, where the frame in flight is still that of `overdue`.
    pub(crate) fn steal(&self, overdue: Snapshot) -> Option<ClaimGuard> {
        self.update(|seen| {
            let still = seen.phase() == Phase::Solo && seen.same_frame(overdue);
            still.then(|| seen.with(Phase::Active))
        })
        .ok()
        .map(|_| ClaimGuard(()))
    }

    /// Asks for the stop frame of `chip_select`; anyone may.
    pub(crate) fn request_stop(&self, chip_select: u8) {
        let shift = STOPS_SHIFT.saturating_add(u32::from(chip_select));
        let bit = 1_u64.checked_shl(shift).unwrap_or(0) & STOPS;
        self.0.fetch_or(bit, Ordering::AcqRel);
    }

    /// Takes one requested stop frame, or gives the claim up where there is none.
    #[inline]
    pub(crate) fn release(&self, hold: ClaimGuard) -> Next {
        let seen = self.update(|seen| {
            let stops = seen.0 & STOPS;
            Some(match stops {
                0 => seen.with(Phase::Idle),
                _ => Snapshot(seen.0 & !(stops & stops.wrapping_neg())),
            })
        });
        let (Ok(seen) | Err(seen)) = seen;
        match seen.0 & STOPS {
            0 => Next::Released,
            #[allow(clippy::cast_possible_truncation)] // Below 8.
            stops => Next::Stop(
                stops.trailing_zeros().saturating_sub(STOPS_SHIFT) as u8,
                hold,
            ),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_inband_call_is_next() {
        let claim = Claim::new();
        let hold = claim.claim().ok().unwrap();
        assert!(claim.claim_inband().is_err());
        assert!(matches!(claim.release(hold), Next::Released));
        // An exchange call that comes between is sent away, or a loop of them could keep the in-band call out for ever.
        assert!(claim.claim().is_err_and(Snapshot::is_inband));
        let hold = claim.claim_inband().ok().unwrap();
        assert!(claim.claim().is_err_and(Snapshot::is_inband));
        assert!(matches!(claim.release(hold), Next::Released));
        assert!(claim.claim().is_ok());
    }

    #[test]
    fn stop_frames_are_handed_out_before_the_claim_is_given_up() {
        let claim = Claim::new();
        let mut hold = claim.claim().ok().unwrap();
        claim.request_stop(7);
        claim.request_stop(0);
        claim.request_stop(8); // There is none such: no neighbour's bit is touched.
        for expected in [0, 7] {
            let Next::Stop(chip_select, held) = claim.release(hold) else {
                panic!("given up too early");
            };
            assert_eq!(chip_select, expected);
            hold = held;
        }
        assert!(matches!(claim.release(hold), Next::Released));
        assert!(!claim.read().is_inband());
    }

    #[test]
    fn the_generation_may_wrap() {
        let claim = Claim(AtomicU64::new(u64::from(u32::MAX) << 32));
        let mut hold = claim.claim().ok().unwrap();
        let before = claim.read();
        claim.take_off(&mut hold);
        assert!(matches!(claim.land(before), Landing::Stale));
        assert!(matches!(claim.land(claim.read()), Landing::Waiter));
        assert!(claim.settle(&mut hold, Phase::Active));
        assert!(matches!(claim.release(hold), Next::Released));
    }
}
