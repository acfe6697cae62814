// SPDX-License-Identifier: GPL-2.0-only

//! The life cycle of a bus's chip selects: in-band operations.
//!
//! ```text
//!   ENABLE:           check -> gate -> memory -> claim -> prepare, start -> On -> release
//!   DISABLE, close:   Closing -> timers, waiters -> claim -> [stop frame] -> terminate, stop -> Off -> release -> gate
//! ```
//!
//! The rules are those of [`crate::bus`].

use crate::bus::{Block, Bus, Env, Owner, Request};
use crate::chip_select::{ChipSelect, State, StopFrame};
use crate::claim::Phase;
use crate::controller::{Controller, FrameKind, FrameMemory};
use crate::errno::{EnableError, StateError, StopError, TriggerError};
use crate::layout::Layout;
use crate::sync::Ordering;
use crate::validate::{self, Plan, Trigger};
use oob::stage::Inband;
use oob::time::{Ns, Timer};
use oob::wait::Flag;
use oobkit_abi::spi as abi;

impl<C: Controller, E: Env> Bus<C, E> {
    /// Enters oob mode. `memory` makes zeroed, coherent memory for a layout, or says why not; where this fails afterwards,
    /// it is not used any more.
    ///
    /// # Errors
    ///
    /// See [`EnableError`].
    ///
    /// # Safety
    ///
    /// What `memory` returns is [`Layout::total`] bytes, which stay valid until `disable`, `close` or `shutdown` has returned.
    pub unsafe fn enable(
        &self,
        inband: &Inband<'_>,
        chip_select: u8,
        request: &Request<'_>,
        memory: impl FnOnce(&Layout) -> Result<Block, EnableError>,
    ) -> Result<abi::Enable, EnableError> {
        let result = self.try_enable(inband, chip_select, request, memory);
        self.counted(chip_select, result)
    }

    fn try_enable(
        &self,
        inband: &Inband<'_>,
        chip_select: u8,
        request: &Request<'_>,
        memory: impl FnOnce(&Layout) -> Result<Block, EnableError>,
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
            .and_then(|block| self.switch_on(inband, slot, &plan, block, is_first));
        if on.is_err() && is_first {
            self.leave_gate(inband);
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
                    self.env.gate_opened(inband);
                }
                return Err(EnableError::BusHeld);
            }
            self.env.nap(inband);
        }
        Ok(())
    }

    fn leave_gate(&self, inband: &Inband<'_>) {
        if self.gate.exit_oob() {
            self.env.gate_opened(inband);
        }
    }

    fn switch_on(
        &self,
        inband: &Inband<'_>,
        slot: &ChipSelect,
        plan: &Plan,
        block: Block,
        is_first: bool,
    ) -> Result<(), EnableError> {
        let frames = frame_memory(&plan.layout, block).ok_or(EnableError::FrameTooLong)?;
        let mut hold = self.claim_inband(inband);
        let prepared = self.controller(&mut hold, |controller| {
            // SAFETY: the block is there until oob mode has ended, by `enable`'s contract, and that is after `terminate`.
            let prepared = unsafe { controller.prepare(inband, &plan.setup, &frames) }?;
            if prepared.wire > validate::MAX_WIRE {
                controller.terminate(inband, plan.setup.chip_select);
                return Err(EnableError::TooSlow);
            }
            if is_first {
                controller.start(inband);
            }
            Ok(prepared)
        });
        if let Ok(prepared) = &prepared {
            self.memory(&mut hold, slot, |memory| *memory = Some(frames));
            slot.settle(prepared, plan, self.env.now());
            self.enabled.fetch_add(1, Ordering::Relaxed);
            slot.set_state(State::On);
        }
        self.release(hold);
        prepared.map(drop)
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
            slot.check_enabled()?;
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
            && slot.check_enabled().is_ok()
            && self.is_owner(owner).is_ok()
        {
            self.switch_off(inband, chip_select, slot, State::Closing, true);
        }
    }

    /// The controller is being unbound: leaves oob mode everywhere, with the stop frames, for good. Once this has
    /// returned the controller is not touched any more.
    pub fn shutdown(&self, inband: &Inband<'_>) {
        for (chip_select, slot) in (0..self.limits.chip_selects).zip(&self.slots) {
            if slot.check_enabled().is_ok() {
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
        slot: &ChipSelect,
        during: State,
        with_stop: bool,
    ) {
        let owes_stop = slot.replace_state(during) == State::Stopped || with_stop;
        self.env.trigger_timer(chip_select).stop(inband);
        self.env.watch_timer(chip_select).stop(inband);
        self.send_waiter_away(inband, chip_select, slot);
        let mut hold = self.claim_inband(inband);
        if owes_stop && slot.stop() == StopFrame::Armed {
            let ended = self.exchange(
                &mut hold,
                chip_select,
                slot,
                FrameKind::Stop,
                Phase::Inband,
                |phase, span| {
                    let end = self.env.now().after(span);
                    // The last nap comes after the end: a thread that was held up until then has not let the interrupt
                    // in yet.
                    let mut is_over = false;
                    while self.claim.read().phase() == phase && !is_over {
                        is_over = self.env.now() >= end;
                        self.env.nap(inband);
                    }
                    true
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
            self.leave_gate(inband);
        }
    }

    /// Wakes the thread that waits for a timer's frame until it has seen why it should leave.
    fn send_waiter_away(&self, inband: &Inband<'_>, chip_select: u8, slot: &ChipSelect) {
        while slot.has_waiter() {
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
        validate::check_stop(args, slot.wire(), slot.spin())?;
        self.env.watch_timer(chip_select).stop(inband);
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
        let trigger = validate::check_trigger(args, slot.wire(), slot.spin())?;
        let timer = self.env.trigger_timer(chip_select);
        timer.stop(inband);
        // Claimed first, so that no call takes the flag from the thread that is sent away.
        let hold = self.claim_inband(inband);
        // It waits for the old timer's frames; it sees that its trigger is off and leaves.
        slot.trigger_period.store(0, Ordering::Release);
        self.send_waiter_away(inband, chip_select, slot);
        let admitted = slot.admit();
        if let (Ok(()), Trigger::Timer { period, .. }) = (admitted, trigger) {
            slot.trigger_period.store(period.0, Ordering::Release);
        }
        self.release(hold);
        admitted?;
        if let Trigger::Timer { first, period } = trigger {
            timer.start(first, period);
        }
        Ok(())
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
