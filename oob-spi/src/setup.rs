// SPDX-License-Identifier: GPL-2.0-only

//! SET_STOP and SET_TRIGGER: what the owner sets up while oob mode is on. In-band operations.
//!
//! ```text
//!   SET_STOP:     check -> stop the watch-dog -> claim -> copy TX area, arm -> release
//!                 -> start the watch-dog
//!   SET_TRIGGER:  check -> stop the timer -> claim -> send the waiter away, new trigger -> release
//!                 -> start the timer
//! ```

use crate::bus::Bus;
use crate::controller::{Controller, FrameMemory};
use crate::env::Env;
use crate::errno::{StopError, TriggerError};
use crate::request::Owner;
use crate::sync::Ordering;
use crate::validate::{self, Trigger};
use oob::stage::Inband;
use oob::time::{Ns, Timer};
use oobkit_abi::spi as abi;

impl<C: Controller, E: Env> Bus<C, E> {
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
        self.count_refusal(chip_select, result)
    }

    fn try_set_stop(
        &self,
        inband: &Inband<'_>,
        chip_select: u8,
        owner: Owner,
        args: &abi::Stop,
    ) -> Result<(), StopError> {
        let env = self.env();
        let chip_select = self.owned_on(chip_select, owner)?;
        validate::check_stop(args, chip_select.wire(), chip_select.spin())?;
        let watchdog = env.watchdog_timer(chip_select.index());
        watchdog.stop(inband);
        let mut claimed = self.engine.claim_inband(inband, chip_select);
        // The fail-safe may have tripped just now: its stop frame must not be replaced.
        let still_on = chip_select.check_on();
        let now = env.now();
        if still_on.is_ok() {
            claimed.memory(|memory| {
                if let Some(memory) = memory {
                    copy_stop_frame(memory, chip_select.frame_len());
                }
            });
            chip_select.arm(args, now);
        }
        claimed.release();
        still_on?;
        if args.period_ns != 0 {
            let period = Ns(args.period_ns);
            watchdog.start(now.after(period), period);
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
        self.count_refusal(chip_select, result)
    }

    fn try_set_trigger(
        &self,
        inband: &Inband<'_>,
        chip_select: u8,
        owner: Owner,
        args: &abi::Trigger,
    ) -> Result<(), TriggerError> {
        let chip_select = self.owned_on(chip_select, owner)?;
        let trigger = validate::check_trigger(args, chip_select.wire(), chip_select.spin())?;
        let timer = self.env().trigger_timer(chip_select.index());
        timer.stop(inband);
        // The claim comes first, so that no call takes the flag from the thread that is sent away.
        let claimed = self.engine.claim_inband(inband, chip_select);
        // That thread waits for the old timer's frames. It sees that its trigger is off, and
        // leaves.
        chip_select.trigger_period.store(0, Ordering::Release);
        self.engine.send_waiter_away(inband, chip_select);
        let still_on = chip_select.check_on();
        if let (Ok(()), Trigger::Timer { period, .. }) = (still_on, trigger) {
            chip_select
                .trigger_period
                .store(period.0, Ordering::Release);
        }
        claimed.release();
        still_on?;
        if let Trigger::Timer { first, period } = trigger {
            timer.start(first, period);
        }
        Ok(())
    }
}

/// Copies the TX area to the stop area. User space may write the TX area meanwhile: then the stop
/// frame is what it wrote.
fn copy_stop_frame(memory: &FrameMemory, len: u32) {
    for i in 0..usize::try_from(len).unwrap_or(0) {
        // SAFETY: `enable`'s caller promised `memory.len` bytes at `memory.cpu`. By the layout the
        // TX area of `len` bytes lies inside them.
        let from = unsafe { memory.cpu.add(memory.tx_offset.saturating_add(i)) };
        // SAFETY: by the layout the stop area of `len` bytes lies inside the same `memory.len`
        // bytes.
        let to = unsafe { memory.cpu.add(memory.stop_offset.saturating_add(i)) };
        // SAFETY: `from` points into the TX area, which is valid until oob mode ends. Volatile,
        // because user space shares it.
        let byte = unsafe { from.read_volatile() };
        // SAFETY: `to` points into the stop area, which is valid until oob mode ends; only the
        // claim's holder reaches it.
        unsafe { to.write_volatile(byte) };
    }
}
