// SPDX-License-Identifier: GPL-2.0-only

//! The bus of one controller: what all its operations share, and what can be asked about it.
//!
//! ```text
//!   in-band call          exchange call        timers, interrupt
//!   (life.rs)             (exchange.rs)        (events.rs)
//!        |                      |                   |
//!        +------- Claim: one holder at a time ------+      (claim.rs)
//!                               |
//!                   Controller, frame memory
//! ```
//!
//! Rules:
//! 1. The kernel edge calls the in-band operations of one bus one at a time (a sleeping mutex). The others may come at
//!    any moment, on any processor.
//! 2. ENABLE enters the gate before the memory is made and before the controller prepares anything; each failure undoes
//!    exactly what was done.
//! 3. Whoever ends oob mode first changes the state, so that no new frame begins; then stops the timers and sends the
//!    waiting threads away; then claims the bus, which waits for the frame under way (at most its time limit); then
//!    undoes. An exchange call looks at the state again once it holds the claim.
//! 4. The memory is the kernel edge's: it lives at least until `disable`, `close` or `shutdown` returns, and longer where it
//!    is mapped.

use crate::chip_select::{ChipSelect, State};
use crate::claim::{Claim, ClaimGuard};
use crate::controller::{Controller, FrameMemory, Limits};
use crate::errno::{ConfigError, MapError, Refusal, StateError};
use crate::gate::BusGate;
use crate::layout::Geometry;
use crate::sync::{AtomicU8, AtomicU32, AtomicU64, Ordering, UnsafeCell};
use crate::validate::{self, Change, Mapping, Settings};
use core::ptr::NonNull;
use oob::stage::{Inband, Oob};
use oob::time::{Clock, Ns, Timer};
use oob::wait::Flag;
use oobkit_abi::spi as abi;

/// Most chip selects of a bus.
pub const MAX_CHIP_SELECTS: usize = if cfg!(loom) { 2 } else { 8 };

/// Who enabled oob mode; the kernel edge chooses the numbers (one for each process).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(pub u64);

/// What a bus needs from its surroundings. Chip selects given here are below [`Limits::chip_selects`].
pub trait Env: Clock {
    /// Wakes a thread that waits for a frame.
    type Flag: Flag;
    /// A hard-interrupt timer.
    type Timer: Timer;

    /// The flag of a chip select.
    fn flag(&self, chip_select: u8) -> &Self::Flag;

    /// The timer whose handler calls [`Bus::trigger_tick`].
    fn trigger_timer(&self, chip_select: u8) -> &Self::Timer;

    /// The timer whose handler calls [`Bus::watch_tick`].
    fn watch_timer(&self, chip_select: u8) -> &Self::Timer;

    /// Whether a signal waits for the calling thread. Asked only while no frame of it is in flight.
    fn is_interrupted(&self, oob: &Oob<'_>) -> bool;

    /// Sleeps for about 100 us.
    fn nap(&self, inband: &Inband<'_>);

    /// The gate may let an in-band message through now: wake those who wait.
    fn gate_opened(&self, inband: &Inband<'_>);
}

/// Memory that the kernel edge made for a chip select.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The processor's address.
    pub cpu: NonNull<u8>,
    /// The bus address of the same byte.
    pub bus: u64,
}

/// What ENABLE asks for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub owner: Owner,
    /// The call's argument.
    pub args: &'a abi::Enable,
    /// The device's settings.
    pub settings: &'a Settings,
    /// The machine's cache line and page.
    pub geometry: Geometry,
    /// How long to wait for an in-band message that holds the bus.
    pub gate_limit: Ns,
}

/// The frame in flight, written by the holder before take-off.
pub(crate) struct Flight {
    pub(crate) chip_select: AtomicU8,
    pub(crate) is_stop: AtomicU8,
    pub(crate) until: AtomicU64,
}

/// See the module.
pub struct Bus<C, E> {
    pub(crate) claim: Claim,
    pub(crate) flight: Flight,
    pub(crate) env: E,
    pub(crate) owner: AtomicU64,
    pub(crate) limits: Limits,
    pub(crate) gate: BusGate,
    pub(crate) enabled: AtomicU32,
    controller: UnsafeCell<C>,
    pub(crate) slots: [ChipSelect; MAX_CHIP_SELECTS],
}

// SAFETY: the cells (the controller, the slots' memory) are reached only by the claim's holder, and the claim's moves
// acquire and release; so they only ever move between threads, as `C: Send` allows. `FrameMemory` is an address whose
// bytes every thread may reach. All else is atomics, and `E: Sync`.
unsafe impl<C: Send, E: Sync> Sync for Bus<C, E> {}

// SAFETY: nothing in a bus is bound to a thread, but what `C` and `E` bring.
unsafe impl<C: Send, E: Send> Send for Bus<C, E> {}

impl<C: Controller, E: Env> Bus<C, E> {
    /// A bus with every chip select off.
    pub fn new(controller: C, env: E) -> Self {
        let mut limits = controller.limits();
        limits.chip_selects = limits.chip_selects.min(MAX_CHIP_SELECTS as u8);
        Self {
            claim: Claim::new(),
            flight: Flight {
                chip_select: AtomicU8::new(0),
                is_stop: AtomicU8::new(0),
                until: AtomicU64::new(0),
            },
            env,
            owner: AtomicU64::new(0),
            limits,
            gate: BusGate::new(),
            enabled: AtomicU32::new(0),
            controller: UnsafeCell::new(controller),
            slots: core::array::from_fn(|_| ChipSelect::new()),
        }
    }

    /// What the bus was made with.
    pub fn env(&self) -> &E {
        &self.env
    }

    /// What the controller can do.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The gate, for the in-band side's messages.
    pub fn gate(&self) -> &BusGate {
        &self.gate
    }

    pub(crate) fn slot(&self, chip_select: u8) -> Result<&ChipSelect, Refusal> {
        self.slots
            .get(usize::from(chip_select))
            .filter(|_| chip_select < self.limits.chip_selects)
            .ok_or(Refusal::NoSuch)
    }

    pub(crate) fn is_owner(&self, owner: Owner) -> Result<(), Refusal> {
        match self.owner.load(Ordering::Relaxed) == owner.0 {
            true => Ok(()),
            false => Err(Refusal::OtherOwner),
        }
    }

    /// Whether `owner` may ask for frames.
    #[inline]
    pub(crate) fn admit(&self, slot: &ChipSelect, owner: Owner) -> Result<(), Refusal> {
        match slot.is_on() && self.owner.load(Ordering::Relaxed) == owner.0 {
            true => Ok(()),
            false => self.why_not(slot, owner),
        }
    }

    #[cold]
    fn why_not(&self, slot: &ChipSelect, owner: Owner) -> Result<(), Refusal> {
        slot.admit()?;
        self.is_owner(owner)
    }

    /// Counts a call that was refused before it reached the bus.
    #[cold]
    pub fn reject(&self, chip_select: u8) {
        if let Ok(slot) = self.slot(chip_select) {
            slot.counters.rejected.add(1);
        }
    }

    pub(crate) fn counted<T, X>(&self, chip_select: u8, result: Result<T, X>) -> Result<T, X> {
        if result.is_err() {
            self.reject(chip_select);
        }
        result
    }

    /// Runs `f` on the controller.
    pub(crate) fn controller<R>(&self, _: &mut ClaimGuard, f: impl FnOnce(&mut C) -> R) -> R {
        self.controller.with_mut(|controller| {
            // SAFETY: a `ClaimGuard` exists only with the claim's holder, who lends its only one for the time of `f`.
            f(unsafe { &mut *controller })
        })
    }

    pub(crate) fn memory<R>(
        &self,
        _: &mut ClaimGuard,
        slot: &ChipSelect,
        f: impl FnOnce(&mut Option<FrameMemory>) -> R,
    ) -> R {
        slot.memory.with_mut(|memory| {
            // SAFETY: as for `controller`.
            f(unsafe { &mut *memory })
        })
    }

    /// Claims the bus in-band: waits for the frame under way, and ends one that nobody else will end.
    pub(crate) fn claim_inband(&self, inband: &Inband<'_>) -> ClaimGuard {
        loop {
            if let Ok(hold) = self.claim.claim_inband() {
                return hold;
            }
            // First, as it lets the interrupt of a frame in that is overdue only because this thread was held up.
            self.env.nap(inband);
            if let Some(hold) = self.take_overdue(self.claim.read(), self.env.now()) {
                self.release(hold);
            }
        }
    }

    /// Changes a setting of a chip select that is off.
    ///
    /// # Errors
    ///
    /// See [`ConfigError`].
    pub fn configure(
        &self,
        chip_select: u8,
        settings: &mut Settings,
        change: Change,
    ) -> Result<(), ConfigError> {
        let changed = match self.slot(chip_select).map(ChipSelect::state) {
            Err(_) => Err(ConfigError::NoSuch),
            Ok(State::Off) => settings.changed(&self.limits, change),
            Ok(State::Gone) => Err(ConfigError::Gone),
            Ok(_) => Err(ConfigError::On),
        };
        self.counted(chip_select, changed)
            .map(|changed| *settings = changed)
    }

    /// Checks a mapping of a chip select's buffer.
    ///
    /// # Errors
    ///
    /// See [`MapError`].
    pub fn check_map(
        &self,
        chip_select: u8,
        owner: Owner,
        mapping: &Mapping,
    ) -> Result<(), MapError> {
        let checked = self.slot(chip_select).and_then(|slot| {
            slot.check_enabled()?;
            self.is_owner(owner)?;
            Ok(slot)
        });
        let checked = checked
            .map_err(MapError::from)
            .and_then(|slot| validate::check_map(mapping, slot.mappable()));
        self.counted(chip_select, checked)
    }

    /// What ENABLE settled on.
    ///
    /// # Errors
    ///
    /// See [`StateError`].
    pub fn info(&self, chip_select: u8) -> Result<abi::Info, StateError> {
        let info = self.slot(chip_select).and_then(|slot| {
            slot.check_enabled()?;
            Ok(slot.info())
        });
        Ok(self.counted(chip_select, info)?)
    }

    /// The counters; zeroes for a chip select that there is not.
    pub fn stats(&self, chip_select: u8) -> abi::Stats {
        self.slot(chip_select)
            .map(|slot| slot.stats(&self.env))
            .unwrap_or_default()
    }
}
