// SPDX-License-Identifier: GPL-2.0-only

//! The claim: who may touch a device's hardware now, in one atomic word.
//!
//! A driver uses it where threads, timer handlers, a completion interrupt and in-band calls all
//! work on one piece of hardware, and none of them may wait for a lock.
//!
//! ```text
//!            claim, claim_inband
//!   Idle ------------------------> Active | Inband          the holder runs
//!     ^                              |         ^
//!     +---- release: no request -----+         | end: completed, or out of time
//!                                    |         |
//!          begin: generation + 1     |     Completed
//!                                    v         ^
//!                                 InFlight ----+   the holder waits; the interrupt completes
//!                                    |
//!                                    | detach: no thread waits for this operation
//!                                    v
//!                                 Detached ---> Active      a new holder; complete: the interrupt,
//!                                                           take_over: the operation is overdue
//! ```
//!
//! | bits | what |
//! | --- | --- |
//! | 0-7 | phase |
//! | 8-15 | requests that the next holder serves, one bit each |
//! | 16 | an in-band call wants the claim: no other caller gets it |
//! | 32-63 | generation: how many operations have begun |
//!
//! Rules:
//! 1. *The holder* is the thread or handler that moved the word out of Idle, or out of Detached
//!    (`complete`, `take_over`). It stays the holder until it moves the word to Idle or to
//!    Detached. Only the holder touches what the claim protects. Every move is a compare-and-swap
//!    that acquires and releases, so a holder sees all that the previous holder did.
//! 2. In InFlight, the holder waits. The interrupt handler moves the word to Completed and touches
//!    nothing else.
//! 3. A completion counts for the generation that the interrupt handler read *before* it read the
//!    hardware's status. `end` or `take_over` ends an operation that is out of time, and the next
//!    operation has another generation: a late completion of the old one fails its
//!    compare-and-swap.
//! 4. Any context makes a request by setting its bit, in any phase. `release` gives the claim up
//!    only by a compare-and-swap that finds no bit set. So the holder serves a request that is made
//!    while the claim is held. A request that is made in Idle is served by its maker, or by the
//!    next holder.
//!
//! `oob-spi/tests/model` checks this, with a whole SPI bus around it, in every interleaving.

use core::marker::PhantomData;
#[cfg(not(loom))]
use core::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};

/// Who may touch the hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The claim has no holder.
    Idle,
    /// An in-band call holds it.
    Inband,
    /// A thread or a handler holds it, and runs.
    Active,
    /// An operation is in flight, and the holder waits for it.
    InFlight,
    /// The holder's operation has ended.
    Completed,
    /// An operation is in flight, and no thread waits: the interrupt handler ends it.
    Detached,
}

/// What runs once an operation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// An in-band call.
    Inband,
    /// An out-of-band thread, or a handler.
    Oob,
}

const PHASE: u64 = 0xff;
const REQUESTS_SHIFT: u32 = 8;
const REQUESTS: u64 = 0xff << REQUESTS_SHIFT;
const WANTED: u64 = 1 << 16;
const GENERATION: u64 = 1 << 32;

/// One value of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot(u64);

impl Snapshot {
    /// The phase.
    #[inline]
    pub const fn phase(self) -> Phase {
        match self.0 & PHASE {
            0 => Phase::Idle,
            1 => Phase::Inband,
            2 => Phase::Active,
            3 => Phase::InFlight,
            4 => Phase::Completed,
            _ => Phase::Detached,
        }
    }

    /// Whether an in-band call has the claim, or gets it next.
    #[inline]
    pub fn is_inband(self) -> bool {
        self.0 & WANTED != 0 || self.phase() == Phase::Inband
    }

    /// Whether a request waits to be served.
    pub const fn has_request(self) -> bool {
        self.0 & REQUESTS != 0
    }

    #[inline]
    const fn with(self, phase: Phase) -> Self {
        let bits = match phase {
            Phase::Idle => 0,
            Phase::Inband => 1,
            Phase::Active => 2,
            Phase::InFlight => 3,
            Phase::Completed => 4,
            Phase::Detached => 5,
        };
        Self((self.0 & !PHASE) | bits)
    }

    const fn same_operation(self, other: Self) -> bool {
        self.0 / GENERATION == other.0 / GENERATION
    }

    const fn next_operation(self) -> Self {
        Self(self.0.wrapping_add(GENERATION))
    }
}

/// The right of the claim's holder. Use it with the claim that returned it only: the type does not
/// tell two claims apart.
///
/// It is made when the word leaves Idle or Detached, and used up when the word goes back. Dropping
/// it does not give up the claim.
#[derive(Debug)]
#[must_use = "the claim stays held until `Claim::release`"]
pub struct ClaimGuard<'c>(PhantomData<&'c Claim>);

/// What a completion interrupt found.
#[derive(Debug)]
pub enum Completion<'c> {
    /// The operation's holder waits, and must be woken.
    Waiter,
    /// Nobody waited. The interrupt handler is the holder now, and ends the operation.
    Detached(ClaimGuard<'c>),
    /// No operation was in flight, or it has been ended meanwhile.
    Stale,
}

/// What the holder does next.
#[derive(Debug)]
pub enum Released<'c> {
    /// Serve this request: the claim is still held.
    Request(u8, ClaimGuard<'c>),
    /// Nothing: the claim has been given up.
    Idle,
}

/// See the module.
#[derive(Debug)]
pub struct Claim(AtomicU64);

impl Default for Claim {
    fn default() -> Self {
        Self::new()
    }
}

impl Claim {
    /// A claim without a holder.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The word now.
    #[inline]
    pub fn read(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Acquire))
    }

    const fn guard(&self) -> ClaimGuard<'_> {
        ClaimGuard(PhantomData)
    }

    /// Replaces the word by what `next` returns, until `next` returns `None`. Returns the word that
    /// was replaced, or as an error the word at which `next` gave up.
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

    /// Idle -> Active, unless an in-band call waits.
    ///
    /// # Errors
    ///
    /// The word, which says what is in the way.
    #[inline]
    pub fn claim(&self) -> Result<ClaimGuard<'_>, Snapshot> {
        self.update(|seen| {
            (seen.phase() == Phase::Idle && seen.0 & WANTED == 0).then(|| seen.with(Phase::Active))
        })
        .map(|_| self.guard())
    }

    /// Idle -> Inband. Otherwise marks the claim as wanted, so that only an in-band caller gets it
    /// next: the caller must then try again until it succeeds. In-band callers exclude one another.
    ///
    /// # Errors
    ///
    /// The word, which says what is in the way.
    pub fn claim_inband(&self) -> Result<ClaimGuard<'_>, Snapshot> {
        let seen = self.update(|seen| {
            Some(match seen.phase() {
                Phase::Idle => Snapshot(seen.0 & !WANTED).with(Phase::Inband),
                _ => Snapshot(seen.0 | WANTED),
            })
        })?;
        match seen.phase() {
            Phase::Idle => Ok(self.guard()),
            _ => Err(seen),
        }
    }

    /// Active | Inband -> InFlight. Call it before the operation can possibly end.
    pub fn begin(&self, _: &mut ClaimGuard<'_>) {
        let _ = self.update(|seen| Some(seen.next_operation().with(Phase::InFlight)));
    }

    /// InFlight | Completed -> Active | Inband, by `holder`. Returns whether the operation had
    /// completed.
    pub fn end(&self, _: &mut ClaimGuard<'_>, holder: Holder) -> bool {
        let phase = match holder {
            Holder::Inband => Phase::Inband,
            Holder::Oob => Phase::Active,
        };
        self.update(|seen| Some(seen.with(phase)))
            .is_ok_and(|seen| seen.phase() == Phase::Completed)
    }

    /// InFlight -> Detached: the interrupt handler is the next holder.
    ///
    /// # Errors
    ///
    /// The guard, where the operation has completed already.
    pub fn detach<'c>(&'c self, guard: ClaimGuard<'c>) -> Result<(), ClaimGuard<'c>> {
        self.update(|seen| (seen.phase() == Phase::InFlight).then(|| seen.with(Phase::Detached)))
            .map(drop)
            .map_err(|_| guard)
    }

    /// For the completion interrupt: the operation of `token` has ended.
    pub fn complete(&self, token: Snapshot) -> Completion<'_> {
        let completed = self.update(|seen| match seen.phase() {
            Phase::InFlight if seen.same_operation(token) => Some(seen.with(Phase::Completed)),
            Phase::Detached if seen.same_operation(token) => Some(seen.with(Phase::Active)),
            _ => None,
        });
        match completed.map(Snapshot::phase) {
            Ok(Phase::Detached) => Completion::Detached(self.guard()),
            Ok(_) => Completion::Waiter,
            Err(_) => Completion::Stale,
        }
    }

    /// Detached -> Active, where the operation in flight is still that of `overdue`.
    pub fn take_over(&self, overdue: Snapshot) -> Option<ClaimGuard<'_>> {
        self.update(|seen| {
            let still = seen.phase() == Phase::Detached && seen.same_operation(overdue);
            still.then(|| seen.with(Phase::Active))
        })
        .ok()
        .map(|_| self.guard())
    }

    /// Makes request `number`, below 8, from any context.
    pub fn request(&self, number: u8) {
        let shift = REQUESTS_SHIFT.saturating_add(u32::from(number));
        let bit = 1_u64.checked_shl(shift).unwrap_or(0) & REQUESTS;
        self.0.fetch_or(bit, Ordering::AcqRel);
    }

    /// Takes one request, or gives the claim up where there is none.
    #[inline]
    pub fn release<'c>(&'c self, guard: ClaimGuard<'c>) -> Released<'c> {
        let seen = self.update(|seen| {
            let requests = seen.0 & REQUESTS;
            Some(match requests {
                0 => seen.with(Phase::Idle),
                _ => Snapshot(seen.0 & !(requests & requests.wrapping_neg())),
            })
        });
        let (Ok(seen) | Err(seen)) = seen;
        match seen.0 & REQUESTS {
            0 => Released::Idle,
            #[allow(clippy::cast_possible_truncation)] // Below 8.
            requests => Released::Request(
                requests.trailing_zeros().saturating_sub(REQUESTS_SHIFT) as u8,
                guard,
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
        let guard = claim.claim().ok().unwrap();
        assert!(claim.claim_inband().is_err());
        assert!(matches!(claim.release(guard), Released::Idle));
        // An out-of-band caller in between is refused, or a loop of them could keep the in-band
        // call out for ever.
        assert!(claim.claim().is_err_and(Snapshot::is_inband));
        let guard = claim.claim_inband().ok().unwrap();
        assert!(claim.claim().is_err_and(Snapshot::is_inband));
        assert!(matches!(claim.release(guard), Released::Idle));
        assert!(claim.claim().is_ok());
    }

    #[test]
    fn requests_are_handed_out_before_the_claim_is_given_up() {
        let claim = Claim::new();
        let mut guard = claim.claim().ok().unwrap();
        claim.request(7);
        claim.request(0);
        claim.request(8); // There is no such request: no neighbour's bit is touched.
        for expected in [0, 7] {
            let Released::Request(number, held) = claim.release(guard) else {
                panic!("given up too early");
            };
            assert_eq!(number, expected);
            guard = held;
        }
        assert!(matches!(claim.release(guard), Released::Idle));
        assert!(!claim.read().is_inband());
    }

    #[test]
    fn the_generation_may_wrap() {
        let claim = Claim(AtomicU64::new(u64::from(u32::MAX) << 32));
        let mut guard = claim.claim().ok().unwrap();
        let before = claim.read();
        claim.begin(&mut guard);
        assert!(matches!(claim.complete(before), Completion::Stale));
        assert!(matches!(claim.complete(claim.read()), Completion::Waiter));
        assert!(claim.end(&mut guard, Holder::Oob));
        assert!(matches!(claim.release(guard), Released::Idle));
    }
}
