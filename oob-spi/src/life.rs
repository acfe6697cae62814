// SPDX-License-Identifier: GPL-2.0-only

//! The life cycle of a bus's chip selects: in-band operations.
//!
//! ```text
//!   ENABLE:           check -> gate -> memory -> claim -> prepare, start -> On -> release
//!   DISABLE, close:   Closing -> timers, waiters -> claim -> [stop frame] -> terminate, stop
//!                     -> Off -> release -> gate
//! ```
//!
//! The rules are those of [`crate::bus`].

use crate::bus::Bus;
use crate::chip_select::{ChipSelect, State, StopFrame};
use crate::controller::{Controller, FrameKind, FrameMemory};
use crate::engine::Engine;
use crate::env::Env;
use crate::errno::{EnableError, StateError};
use crate::layout::Layout;
use crate::request::{Block, Owner, Request};
use crate::validate::{self, Plan};
use oob::claim::Holder;
use oob::stage::Inband;
use oob::time::Timer;
use oob::wait::Flag;
use oobkit_abi::spi as abi;

impl<C: Controller, E: Env> Bus<C, E> {
    /// Enters oob mode. `memory` makes zeroed, coherent memory for a layout, or returns why it
    /// cannot. Where ENABLE fails afterwards, the bus does not use the memory any more.
    ///
    /// # Errors
    ///
    /// See [`EnableError`].
    ///
    /// # Safety
    ///
    /// What `memory` returns is [`Layout::total`] bytes, which stay valid until `disable`, `close`
    /// or `shutdown` has returned.
    pub unsafe fn enable(
        &self,
        inband: &Inband<'_>,
        chip_select: u8,
        request: &Request<'_>,
        memory: impl FnOnce(&Layout) -> Result<Block, EnableError>,
    ) -> Result<abi::Enable, EnableError> {
        let result = self.try_enable(inband, chip_select, request, memory);
        self.count_refusal(chip_select, result)
    }

    fn try_enable(
        &self,
        inband: &Inband<'_>,
        index: u8,
        request: &Request<'_>,
        memory: impl FnOnce(&Layout) -> Result<Block, EnableError>,
    ) -> Result<abi::Enable, EnableError> {
        let chip_select = self.engine.chip_select(index);
        let chip_select = chip_select.map_err(|_| EnableError::NoSuch)?;
        match chip_select.state() {
            State::Gone => return Err(EnableError::Gone),
            State::Off => {}
            _ => return Err(EnableError::On),
        }
        let plan = validate::plan(
            self.limits(),
            request.geometry,
            index,
            request.settings,
            request.args,
        )?;
        let env = self.env();
        let is_first = self
            .mode
            .enter(env, inband, request.owner, request.gate_limit)?;
        let on = memory(&plan.layout)
            .and_then(|block| self.switch_on(inband, chip_select, &plan, block, is_first));
        if on.is_err() {
            self.mode.cancel(env, inband, is_first);
        }
        on.map(|()| abi::Enable {
            iobuf_len: plan.layout.iobuf_len,
            tx_offset: plan.layout.tx_offset,
            rx_offset: plan.layout.rx_offset,
            ..*request.args
        })
    }

    fn switch_on(
        &self,
        inband: &Inband<'_>,
        chip_select: &ChipSelect,
        plan: &Plan,
        block: Block,
        is_first: bool,
    ) -> Result<(), EnableError> {
        let frames = frame_memory(&plan.layout, block).ok_or(EnableError::FrameTooLong)?;
        let mut claimed = self.engine.claim_inband(inband, chip_select);
        let prepared = claimed.controller(|controller| {
            // SAFETY: by `enable`'s contract the block is there until oob mode has ended, which is
            // after `terminate`.
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
            claimed.memory(|memory| *memory = Some(frames));
            chip_select.begin_session(prepared, plan, self.env().now());
            self.mode.commit();
            chip_select.set_state(State::On);
        }
        claimed.release();
        prepared.map(drop)
    }

    /// Leaves oob mode at the owner's own wish. A stop frame is sent only where the fail-safe still
    /// owes it.
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
        let owned = self.owned(chip_select, owner);
        let owned = self.count_refusal(chip_select, owned)?;
        self.switch_off(inband, owned, State::Closing, false);
        Ok(())
    }

    /// The owner has closed its file, or died: leaves oob mode, with the stop frame. Does nothing
    /// where oob mode is off.
    pub fn close(&self, inband: &Inband<'_>, chip_select: u8, owner: Owner) {
        if let Ok(owned) = self.owned(chip_select, owner) {
            self.switch_off(inband, owned, State::Closing, true);
        }
    }

    /// The controller is being unbound: leaves oob mode everywhere, with the stop frames, for good.
    /// Once this has returned, the bus does not touch the controller any more.
    pub fn shutdown(&self, inband: &Inband<'_>) {
        for chip_select in self.engine.chip_selects() {
            if chip_select.check_enabled().is_ok() {
                self.switch_off(inband, chip_select, State::Gone, true);
            } else {
                chip_select.set_state(State::Gone);
            }
        }
    }

    /// Ends oob mode of one chip select, which has the state `during` meanwhile.
    fn switch_off(
        &self,
        inband: &Inband<'_>,
        chip_select: &ChipSelect,
        during: State,
        with_stop: bool,
    ) {
        let (engine, env) = (&self.engine, self.env());
        let owes_stop = chip_select.replace_state(during) == State::Stopped || with_stop;
        env.trigger_timer(chip_select.index()).stop(inband);
        env.watchdog_timer(chip_select.index()).stop(inband);
        engine.send_waiter_away(inband, chip_select);
        let mut claimed = engine.claim_inband(inband, chip_select);
        if owes_stop && chip_select.stop_frame() == StopFrame::Armed {
            let ended;
            (claimed, ended) = claimed.exchange(FrameKind::Stop, Holder::Inband, |phase, span| {
                let end = env.now().after(span);
                // The last nap comes after the end: a thread that was held up until then has not
                // let the interrupt in yet.
                let mut is_over = false;
                while engine.claim.read().phase() == phase && !is_over {
                    is_over = env.now() >= end;
                    env.nap(inband);
                }
                true
            });
            Engine::<C, E>::stop_frame_ended(chip_select, ended);
        }
        let is_last = self.mode.discount();
        claimed.controller(|controller| {
            controller.terminate(inband, chip_select.index());
            if is_last {
                controller.stop(inband);
            }
        });
        claimed.memory(|memory| *memory = None);
        if during != State::Gone {
            chip_select.set_state(State::Off);
        }
        claimed.release();
        if is_last {
            self.mode.leave(env, inband);
        }
    }
}

impl<C: Controller, E: Env> Engine<C, E> {
    /// Wakes the thread that waits for a timer's frame until the thread has seen why it should
    /// leave.
    pub(crate) fn send_waiter_away(&self, inband: &Inband<'_>, chip_select: &ChipSelect) {
        while chip_select.has_waiter() {
            self.env.flag(chip_select.index()).raise();
            self.env.nap(inband);
        }
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
