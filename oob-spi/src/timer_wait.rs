// SPDX-License-Identifier: GPL-2.0-only

//! RUN on a chip select whose frames a timer starts: the thread waits for the end of the timer's
//! next frame.
//!
//! One thread may wait. It does not hold the claim, except to end a frame that is overdue.

use crate::chip_select::ChipSelect;
use crate::controller::Controller;
use crate::engine::Engine;
use crate::env::Env;
use crate::errno::RunError;
use crate::fail_safe::HELD_UP;
use crate::sync::Ordering;
use oob::stage::Oob;
use oob::time::{Instant, Ns};
use oob::wait::Flag;

/// How often a thread that waits, possibly for hours, looks for a signal.
const LOOK: Ns = Ns(50_000_000);

impl<C: Controller, E: Env> Engine<C, E> {
    /// Waits for the end of the next frame that the timer starts.
    #[inline(never)]
    pub(crate) fn next_timer_frame(
        &self,
        oob: &Oob<'_>,
        chip_select: &ChipSelect,
        deadline: Instant,
    ) -> Result<(), RunError> {
        if !chip_select.begin_wait() {
            return Err(RunError::Busy);
        }
        let result = self.await_timer_frame(oob, chip_select, deadline);
        chip_select.end_wait();
        match result {
            Ok(()) => {
                chip_select.forget_misses();
                Ok(())
            }
            Err(RunError::Late) => Err(self.missed(chip_select, RunError::Late)),
            Err(error) => Err(error),
        }
    }

    fn await_timer_frame(
        &self,
        oob: &Oob<'_>,
        chip_select: &ChipSelect,
        deadline: Instant,
    ) -> Result<(), RunError> {
        let before = chip_select.ended.load(Ordering::Acquire) | 3;
        // The date is taken after `before`: if the thread is held up now, it still finds the frames
        // that end meanwhile.
        let mut look = self.env.now().after(LOOK);
        loop {
            chip_select.check_on()?;
            if !chip_select.is_timer_driven() {
                return Err(RunError::SettingUp);
            }
            let ended = chip_select.ended.load(Ordering::Acquire);
            if ended | 3 != before {
                return match ended & 3 {
                    0 => Ok(()),
                    1 => Err(RunError::Stuck),
                    _ => Err(RunError::Bus),
                };
            }
            let flag = self.env.flag(chip_select.index());
            if flag.wait_until(oob, deadline.min(look)).is_ok() {
                continue;
            }
            let now = self.env.now();
            // Held up, as in `if_held_up`: the thread sleeps once more before it takes a frame for
            // overdue.
            if now > look.after(HELD_UP) && now < deadline {
                look = now.after(HELD_UP);
                continue;
            }
            // The timer's next tick would end a stuck frame as well, but that may be an hour away.
            // A tick that is late, or that finds the bus busy, is not the hardware's fault and has
            // no limit here.
            if self.end_overdue(self.claim.read(), now) {
                continue;
            }
            if now >= deadline {
                return Err(RunError::Late);
            }
            if self.env.is_interrupted(oob) {
                return Err(RunError::Interrupted);
            }
            look = now.after(LOOK);
        }
    }
}
