// SPDX-License-Identifier: GPL-2.0-only

//! The bus of one controller: the life cycle of its chip selects, in-band.
//!
//! ```text
//!   in-band call          exchange call        timers, interrupt
//!   (this file)           (exchange.rs)        (events.rs)
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
//! 4. The memory is the kernel edge's: it lives at least until `disable`, `close` or `gone` returns, and longer where it
//!    is mapped.

use crate::claim::{Claim, Hold, Phase};
use crate::controller::{Controller, FrameMemory, Limits, PrepareError, Which};
use crate::errno::TriggerError;
use crate::errno::{ConfigError, EnableError, MapError, Refusal, StateError, StopError};
use crate::gate::BusGate;
use crate::layout::{Geometry, Layout};
use crate::slot::{Slot, State, StopFrame};
use crate::sync::{AtomicU8, AtomicU32, AtomicU64, Ordering, UnsafeCell};
use crate::validate::{self, Change, Mapping, Plan, Settings, Trigger};
use core::ptr::NonNull;
use evl::stage::Inband;
use evl::time::{Clock, Ns, Timer};
use evl::wait::Flag;
use oobkit_abi::spi as abi;

/// Most chip selects of a bus.
pub const MAX_CHIP_SELECTS: usize = 8;

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

    /// Sleeps for about 100 us.
    fn nap(&self, inband: &Inband<'_>);

    /// The gate may let an in-band message through now: wake those who wait. Called in-band.
    fn gate_opened(&self);
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
    owner: AtomicU64,
    limits: Limits,
    gate: BusGate,
    enabled: AtomicU32,
    controller: UnsafeCell<C>,
    slots: [Slot; MAX_CHIP_SELECTS],
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
            slots: core::array::from_fn(|_| Slot::new()),
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

    pub(crate) fn slot(&self, chip_select: u8) -> Result<&Slot, Refusal> {
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

    /// Counts a call that was refused before it reached the bus.
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
    pub(crate) fn controller<R>(&self, _: &mut Hold, f: impl FnOnce(&mut C) -> R) -> R {
        self.controller.with_mut(|controller| {
            // SAFETY: a `Hold` exists only with the claim's holder, who lends its only one for the time of `f`.
            f(unsafe { &mut *controller })
        })
    }

    fn memory<R>(
        &self,
        _: &mut Hold,
        slot: &Slot,
        f: impl FnOnce(&mut Option<FrameMemory>) -> R,
    ) -> R {
        slot.memory.with_mut(|memory| {
            // SAFETY: as for `controller`.
            f(unsafe { &mut *memory })
        })
    }

    /// Claims the bus in-band: waits for the frame under way, and ends one that nobody else will end.
    fn claim_inband(&self, inband: &Inband<'_>) -> Hold {
        loop {
            match self.claim.claim_inband() {
                Ok(hold) => return hold,
                Err(seen) => {
                    if let Some(hold) = self.take_overdue(seen, self.env.now()) {
                        self.release(hold);
                    } else {
                        self.env.nap(inband);
                    }
                }
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
        let changed = match self.slot(chip_select).map(Slot::state) {
            Err(_) => Err(ConfigError::NoSuch),
            Ok(State::Off) => settings.changed(&self.limits, change),
            Ok(State::Gone) => Err(ConfigError::Gone),
            Ok(_) => Err(ConfigError::On),
        };
        self.counted(chip_select, changed)
            .map(|changed| *settings = changed)
    }

    /// Enters oob mode. `memory` makes zeroed, coherent memory for a layout, or `None`; where this fails afterwards, it
    /// is not used any more.
    ///
    /// # Errors
    ///
    /// See [`EnableError`].
    ///
    /// # Safety
    ///
    /// What `memory` returns is [`Layout::total`] bytes, which stay valid until `disable`, `close` or `gone` has returned.
    pub unsafe fn enable(
        &self,
        inband: &Inband<'_>,
        chip_select: u8,
        request: &Request<'_>,
        memory: impl FnOnce(&Layout) -> Option<Block>,
    ) -> Result<abi::Enable, EnableError> {
        let result = self.try_enable(inband, chip_select, request, memory);
        self.counted(chip_select, result)
    }

    fn try_enable(
        &self,
        inband: &Inband<'_>,
        chip_select: u8,
        request: &Request<'_>,
        memory: impl FnOnce(&Layout) -> Option<Block>,
    ) -> Result<abi::Enable, EnableError> {
        let slot = self.slot(chip_select).map_err(|_| EnableError::NoSuch)?;
        match slot.state() {
            State::Gone => return Err(EnableError::Gone),
            State::Off => {}
            _ => return Err(EnableError::On),
        }
        let plan = validate::plan(
            &self.limits,
            request.geometry,
            chip_select,
            request.settings,
            request.args,
        )?;
        let is_first = self.enabled.load(Ordering::Relaxed) == 0;
        if is_first {
            self.enter_gate(inband, request.gate_limit)?;
            self.owner.store(request.owner.0, Ordering::Relaxed);
        } else if self.is_owner(request.owner).is_err() {
            return Err(EnableError::OtherOwner);
        }
        let on = memory(&plan.layout)
            .ok_or(EnableError::NoMemory)
            .and_then(|block| self.switch_on(inband, slot, &plan, block, is_first));
        if on.is_err() && is_first {
            self.leave_gate();
        }
        on.map(|()| abi::Enable {
            iobuf_len: plan.layout.iobuf_len,
            tx_offset: plan.layout.tx_offset,
            rx_offset: plan.layout.rx_offset,
            ..*request.args
        })
    }

    fn enter_gate(&self, inband: &Inband<'_>, limit: Ns) -> Result<(), EnableError> {
        let end = self.env.now().after(limit);
        while !self.gate.try_enter_oob() {
            if self.env.now() >= end {
                if self.gate.give_up_oob() {
                    self.env.gate_opened();
                }
                return Err(EnableError::BusHeld);
            }
            self.env.nap(inband);
        }
        Ok(())
    }

    fn leave_gate(&self) {
        if self.gate.exit_oob() {
            self.env.gate_opened();
        }
    }

    fn switch_on(
        &self,
        inband: &Inband<'_>,
        slot: &Slot,
        plan: &Plan,
        block: Block,
        is_first: bool,
    ) -> Result<(), EnableError> {
        let frames = frame_memory(&plan.layout, block).ok_or(EnableError::FrameTooLong)?;
        let mut hold = self.claim_inband(inband);
        let prepared = self.controller(&mut hold, |controller| {
            let prepared = controller.prepare(inband, &plan.setup, &frames);
            if prepared.is_ok() && is_first {
                controller.start(inband);
            }
            prepared
        });
        if let Ok(prepared) = &prepared {
            self.memory(&mut hold, slot, |memory| *memory = Some(frames));
            slot.settle(prepared, plan, self.env.now());
            self.enabled.fetch_add(1, Ordering::Relaxed);
            slot.set_state(State::On);
        }
        self.release(hold);
        prepared.map(drop).map_err(|error| match error {
            PrepareError::Speed => EnableError::Speed,
            PrepareError::NoDma => EnableError::NoDma,
        })
    }

    /// Leaves oob mode, at the owner's own wish: a stop frame is sent only where the fail-safe still owes it.
    ///
    /// # Errors
    ///
    /// See [`StateError`].
    pub fn disable(
        &self,
        inband: &Inband<'_>,
        chip_select: u8,
        owner: Owner,
    ) -> Result<(), StateError> {
        let slot = self.slot(chip_select).and_then(|slot| {
            slot.present()?;
            self.is_owner(owner)?;
            Ok(slot)
        });
        let slot = self.counted(chip_select, slot)?;
        self.switch_off(inband, chip_select, slot, State::Closing, false);
        Ok(())
    }

    /// The owner has closed its file, or died: leaves oob mode, with the stop frame. Nothing, where it is off.
    pub fn close(&self, inband: &Inband<'_>, chip_select: u8, owner: Owner) {
        if let Ok(slot) = self.slot(chip_select)
            && slot.present().is_ok()
            && self.is_owner(owner).is_ok()
        {
            self.switch_off(inband, chip_select, slot, State::Closing, true);
        }
    }

    /// The controller is being unbound: leaves oob mode everywhere, with the stop frames, for good. Once this has
    /// returned the controller is not touched any more.
    pub fn gone(&self, inband: &Inband<'_>) {
        for (chip_select, slot) in (0..self.limits.chip_selects).zip(&self.slots) {
            if slot.present().is_ok() {
                self.switch_off(inband, chip_select, slot, State::Gone, true);
            } else {
                slot.set_state(State::Gone);
            }
        }
    }

    fn switch_off(
        &self,
        inband: &Inband<'_>,
        chip_select: u8,
        slot: &Slot,
        during: State,
        with_stop: bool,
    ) {
        let owes_stop = with_stop || slot.state() == State::Stopped;
        slot.set_state(during);
        self.env.trigger_timer(chip_select).stop();
        self.env.watch_timer(chip_select).stop();
        self.send_waiter_away(inband, chip_select, slot);
        let mut hold = self.claim_inband(inband);
        if owes_stop && slot.stop() == StopFrame::Armed {
            let ended = self.exchange(
                &mut hold,
                chip_select,
                slot,
                Which::Stop,
                Phase::Inband,
                || {
                    let end = self.env.now().after(slot.limit());
                    while self.claim.read().phase() == Phase::Flight && self.env.now() < end {
                        self.env.nap(inband);
                    }
                },
            );
            self.stop_ended(slot, ended);
        }
        let is_last = self.enabled.fetch_sub(1, Ordering::Relaxed) == 1;
        self.controller(&mut hold, |controller| {
            controller.terminate(inband, chip_select);
            if is_last {
                controller.stop(inband);
            }
        });
        self.memory(&mut hold, slot, |memory| *memory = None);
        if during != State::Gone {
            slot.set_state(State::Off);
        }
        self.release(hold);
        if is_last {
            self.leave_gate();
        }
    }

    /// Wakes the thread that waits for a timer's frame until it has seen why it should leave.
    fn send_waiter_away(&self, inband: &Inband<'_>, chip_select: u8, slot: &Slot) {
        while slot.waiting.load(Ordering::SeqCst) != 0 {
            self.env.flag(chip_select).raise();
            self.env.nap(inband);
        }
    }

    /// Sets the stop frame: what the TX area holds now.
    ///
    /// # Errors
    ///
    /// See [`StopError`].
    pub fn set_stop(
        &self,
        inband: &Inband<'_>,
        chip_select: u8,
        owner: Owner,
        args: &abi::Stop,
    ) -> Result<(), StopError> {
        let result = self.try_set_stop(inband, chip_select, owner, args);
        self.counted(chip_select, result)
    }

    fn try_set_stop(
        &self,
        inband: &Inband<'_>,
        chip_select: u8,
        owner: Owner,
        args: &abi::Stop,
    ) -> Result<(), StopError> {
        let slot = self.slot(chip_select)?;
        slot.admit()?;
        self.is_owner(owner)?;
        validate::check_stop(args, slot.wire())?;
        self.env.watch_timer(chip_select).stop();
        let mut hold = self.claim_inband(inband);
        // The fail-safe may have tripped just now; its stop frame is not to be replaced.
        let admitted = slot.admit();
        let now = self.env.now();
        if admitted.is_ok() {
            let len = slot.frame_len();
            self.memory(&mut hold, slot, |memory| {
                if let Some(memory) = memory {
                    copy_stop_frame(memory, len);
                }
            });
            slot.watch(args, now);
        }
        self.release(hold);
        admitted?;
        if args.period_ns != 0 {
            let period = Ns(args.period_ns);
            self.env
                .watch_timer(chip_select)
                .start(now.after(period), period);
        }
        Ok(())
    }

    /// Chooses what starts the frames of a chip select.
    ///
    /// # Errors
    ///
    /// See [`TriggerError`].
    pub fn set_trigger(
        &self,
        inband: &Inband<'_>,
        chip_select: u8,
        owner: Owner,
        args: &abi::Trigger,
    ) -> Result<(), TriggerError> {
        let result = self.try_set_trigger(inband, chip_select, owner, args);
        self.counted(chip_select, result)
    }

    fn try_set_trigger(
        &self,
        inband: &Inband<'_>,
        chip_select: u8,
        owner: Owner,
        args: &abi::Trigger,
    ) -> Result<(), TriggerError> {
        let slot = self.slot(chip_select)?;
        slot.admit()?;
        self.is_owner(owner)?;
        let trigger = validate::check_trigger(args, slot.wire())?;
        let timer = self.env.trigger_timer(chip_select);
        timer.stop();
        // A thread that waits for the old timer's frames sees that its trigger is off and leaves.
        slot.trigger_period.store(0, Ordering::SeqCst);
        self.send_waiter_away(inband, chip_select, slot);
        let hold = self.claim_inband(inband);
        if let Trigger::Timer { first, period } = trigger {
            slot.trigger_first.store(first.0, Ordering::Relaxed);
            slot.trigger_period.store(period.0, Ordering::SeqCst);
        }
        self.release(hold);
        if let Trigger::Timer { first, period } = trigger {
            timer.start(first, period);
        }
        Ok(())
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
            slot.present()?;
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
            slot.present()?;
            Ok(slot.info())
        });
        Ok(self.counted(chip_select, info)?)
    }

    /// The counters; zeroes for a chip select that there is not.
    pub fn stats(&self, chip_select: u8) -> abi::Stats {
        self.slot(chip_select).map(Slot::stats).unwrap_or_default()
    }
}

fn frame_memory(layout: &Layout, block: Block) -> Option<FrameMemory> {
    let offset = |offset: u32| usize::try_from(offset).ok();
    Some(FrameMemory {
        cpu: block.cpu,
        bus: block.bus,
        len: offset(layout.total)?,
        rx_offset: offset(layout.rx_offset)?,
        tx_offset: offset(layout.tx_offset)?,
        stop_offset: offset(layout.stop_offset)?,
    })
}

/// Copies the TX area to the stop area. User space may write the former meanwhile: then it gets what it asked for.
fn copy_stop_frame(memory: &FrameMemory, len: u32) {
    for i in 0..usize::try_from(len).unwrap_or(0) {
        // SAFETY: `enable`'s caller promised `len` bytes; both areas lie inside them (see `layout`).
        let from = unsafe { memory.cpu.add(memory.tx_offset.saturating_add(i)) };
        // SAFETY: as above.
        let to = unsafe { memory.cpu.add(memory.stop_offset.saturating_add(i)) };
        // SAFETY: `from` is valid; volatile, as user space shares it.
        let byte = unsafe { from.read_volatile() };
        // SAFETY: `to` is valid, and the claim's holder alone reaches the stop area.
        unsafe { to.write_volatile(byte) };
    }
}
