// SPDX-License-Identifier: GPL-2.0-only

//! The frame engine of one bus: the controller, the chip selects, and the claim that decides who
//! may use them.
//!
//! ```text
//!   bus.rs, exchange.rs, life.rs, setup.rs, events.rs   calls, life cycle, handlers
//!        |  claim                        ^  release
//!        v                               |
//!   claiming.rs     the claim under contention; gives it up, after the requested stop frames
//!   frames.rs       exchanges a frame, or starts one for which no thread waits
//!   fail_safe.rs    counts misses, requests stop frames
//!        |
//!   engine.rs       Engine: what they share    Claimed: the claim, held for one chip select
//! ```
//!
//! The three files above this one call each other: ending a frame may trip the fail-safe, which
//! claims the bus, which may end an overdue frame.

use crate::chip_select::ChipSelect;
use crate::controller::{Controller, FrameKind, FrameMemory, Limits};
use crate::env::{Env, MAX_CHIP_SELECTS};
use crate::errno::Refusal;
use crate::sync::{AtomicU8, AtomicU64, Ordering, UnsafeCell};
use oob::claim::{Claim, ClaimGuard, Snapshot};
use oob::time::Instant;

/// The frame in flight. Its holder writes this before the phase becomes InFlight.
pub(crate) struct InFlight {
    chip_select: AtomicU8,
    is_stop: AtomicU8,
    until: AtomicU64,
}

impl InFlight {
    fn new() -> Self {
        Self {
            chip_select: AtomicU8::new(0),
            is_stop: AtomicU8::new(0),
            until: AtomicU64::new(0),
        }
    }

    /// Notes whose frame it is, without a limit yet.
    pub(crate) fn set(&self, chip_select: &ChipSelect, kind: FrameKind) {
        self.chip_select
            .store(chip_select.index(), Ordering::Relaxed);
        self.is_stop
            .store(u8::from(kind == FrameKind::Stop), Ordering::Relaxed);
        self.set_limit(Instant::NEVER);
    }

    /// Notes from when on the frame is overdue.
    pub(crate) fn set_limit(&self, until: Instant) {
        self.until.store(until.0, Ordering::Relaxed);
    }

    pub(crate) fn chip_select(&self) -> u8 {
        self.chip_select.load(Ordering::Relaxed)
    }

    pub(crate) fn is_stop(&self) -> bool {
        self.is_stop.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn limit(&self) -> Instant {
        Instant(self.until.load(Ordering::Relaxed))
    }
}

/// See the module.
pub(crate) struct Engine<C, E> {
    pub(crate) claim: Claim,
    pub(crate) in_flight: InFlight,
    pub(crate) env: E,
    pub(crate) limits: Limits,
    controller: UnsafeCell<C>,
    chip_selects: [ChipSelect; MAX_CHIP_SELECTS],
}

// SAFETY: only the claim's holder reaches the cells (the controller, the chip selects' memory), and
// each move of the claim acquires and releases. So the cells' contents move between threads, which
// `C: Send` allows, and are never shared. `FrameMemory` is an address whose bytes every thread may
// reach. The other fields are atomics, plain data, and `E: Sync`.
unsafe impl<C: Send, E: Sync> Sync for Engine<C, E> {}

// SAFETY: nothing in an engine is bound to a thread, except for what `C` and `E` bring, which are
// `Send`.
unsafe impl<C: Send, E: Send> Send for Engine<C, E> {}

impl<C: Controller, E: Env> Engine<C, E> {
    pub(crate) fn new(controller: C, env: E) -> Self {
        let mut limits = controller.limits();
        limits.chip_selects = limits.chip_selects.min(MAX_CHIP_SELECTS as u8);
        let mut index = 0;
        let chip_selects = [(); MAX_CHIP_SELECTS].map(|()| {
            let chip_select = ChipSelect::new(index);
            index = index.saturating_add(1);
            chip_select
        });
        Self {
            claim: Claim::new(),
            in_flight: InFlight::new(),
            env,
            limits,
            controller: UnsafeCell::new(controller),
            chip_selects,
        }
    }

    /// A chip select by its number.
    pub(crate) fn chip_select(&self, index: u8) -> Result<&ChipSelect, Refusal> {
        self.chip_selects
            .get(usize::from(index))
            .filter(|_| index < self.limits.chip_selects)
            .ok_or(Refusal::NoSuch)
    }

    /// The chip selects that the controller has.
    pub(crate) fn chip_selects(&self) -> impl Iterator<Item = &ChipSelect> {
        let count = usize::from(self.limits.chip_selects);
        self.chip_selects.iter().take(count)
    }

    #[inline(always)]
    pub(crate) fn claimed<'b>(
        &'b self,
        chip_select: &'b ChipSelect,
        guard: ClaimGuard<'b>,
    ) -> Claimed<'b, C, E> {
        Claimed {
            engine: self,
            chip_select,
            guard,
        }
    }

    /// Claims the bus for a thread or a handler. Ends a detached frame that is overdue first.
    ///
    /// # Errors
    ///
    /// The claim's word, which says what is in the way.
    #[inline]
    pub(crate) fn claim<'b>(
        &'b self,
        chip_select: &'b ChipSelect,
    ) -> Result<Claimed<'b, C, E>, Snapshot> {
        match self.claim.claim() {
            Ok(guard) => Ok(self.claimed(chip_select, guard)),
            Err(seen) => self.claim_contended(chip_select, seen),
        }
    }

    /// The chip select whose frame is in flight, or was the last one.
    pub(crate) fn chip_select_in_flight(&self) -> &ChipSelect {
        let [first, ..] = &self.chip_selects;
        // The number is that of a chip select of this bus; `first` is never returned for want of
        // one.
        self.chip_selects
            .get(usize::from(self.in_flight.chip_select()))
            .unwrap_or(first)
    }
}

/// The claim, held for one chip select.
///
/// A frame uses the value up and gives it back: so the compiler keeps it in registers on the way of
/// RUN.
///
/// # Invariants
///
/// `guard` came from `engine.claim`.
#[must_use = "the bus stays claimed until this is released"]
pub(crate) struct Claimed<'b, C, E> {
    pub(crate) engine: &'b Engine<C, E>,
    pub(crate) chip_select: &'b ChipSelect,
    pub(crate) guard: ClaimGuard<'b>,
}

impl<'b, C, E> Claimed<'b, C, E> {
    /// The same claim, held for another chip select.
    #[inline(always)]
    pub(crate) fn with(self, chip_select: &'b ChipSelect) -> Self {
        Self {
            chip_select,
            ..self
        }
    }

    /// Runs `f` on the controller.
    #[inline(always)]
    pub(crate) fn controller<R>(&mut self, f: impl FnOnce(&mut C) -> R) -> R {
        self.engine.controller.with_mut(|controller| {
            // SAFETY: by the invariants this is the claim's holder, the only one that reaches the
            // cell. `self` is borrowed exclusively until `f` returns, so the holder has no second
            // reference.
            f(unsafe { &mut *controller })
        })
    }

    /// Runs `f` on the chip select's frame memory.
    pub(crate) fn memory<R>(&mut self, f: impl FnOnce(&mut Option<FrameMemory>) -> R) -> R {
        self.chip_select.memory.with_mut(|memory| {
            // SAFETY: by the invariants this is the claim's holder, the only one that reaches the
            // cell. `self` is borrowed exclusively until `f` returns, so the holder has no second
            // reference.
            f(unsafe { &mut *memory })
        })
    }
}
