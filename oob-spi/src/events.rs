// SPDX-License-Identifier: GPL-2.0-only

//! What timers and the completion interrupt do, in hard interrupt context.
//!
//! ```text
//!   trigger timer --> claim? --yes--> launch a frame        no, or held up --> overrun, counted
//!   watch-dog     --> how long since the last exchange call? --> misses --> limit: Stopped, stop frame
//!   completion    --> token, hardware's status, land --> wake the thread | end the solo frame
//! ```

use crate::bus::{Bus, Env};
use crate::chip_select::State;
use crate::claim::Landing;
use crate::controller::{Controller, FrameKind, Outcome};
use crate::sync::Ordering;
use oob::time::{Instant, Ns};
use oob::wait::Flag;

impl<C: Controller, E: Env> Bus<C, E> {
    /// The trigger timer of a chip select has fired, after `missed` dates at which it was held up.
    pub fn trigger_tick(&self, chip_select: u8, missed: u64) {
        let Ok(slot) = self.slot(chip_select) else {
            return;
        };
        match slot.state() {
            State::On if slot.is_timer_driven() => slot.counters.overruns.add(missed),
            State::Stopped => return self.serve_if_due(chip_select, slot),
            _ => return,
        }
        let Ok(hold) = self.claim_now() else {
            slot.counters.overruns.add(1);
            return;
        };
        let hold = match slot.state() {
            State::On if slot.is_timer_driven() => {
                match self.launch(hold, chip_select, slot, FrameKind::Regular) {
                    None => return,
                    Some((hold, ended)) => {
                        self.timer_frame_ended(chip_select, slot, ended);
                        hold
                    }
                }
            }
            _ => hold,
        };
        self.release(hold);
    }

    /// The watch-dog timer of a chip select has fired. It looks at dates itself, so those that it missed do not matter.
    ///
    /// The k-th miss of a pause is due k periods after the pause's first moment, the last exchange call; the timer finds
    /// it at most one period later.
    pub fn watch_tick(&self, chip_select: u8, _missed: u64) {
        let Ok(slot) = self.slot(chip_select) else {
            return;
        };
        let now = self.env.now();
        match slot.state() {
            State::On => {}
            State::Stopped => return self.serve_if_due(chip_select, slot),
            _ => return,
        }
        // An owner that waits for a timer's frame is in its call, however late the timer is.
        if slot.has_waiter() {
            slot.last_call.store(now.0, Ordering::Relaxed);
        }
        let last = slot.last_call.load(Ordering::Relaxed);
        if last != slot.watch_seen.load(Ordering::Relaxed) {
            slot.watch_seen.store(last, Ordering::Relaxed);
            slot.watch_counted.store(0, Ordering::Relaxed);
        }
        let period = slot.watch_period.load(Ordering::Relaxed);
        let Ns(pause) = now.since(Instant(last));
        let Some(due) = pause.checked_div(period) else {
            return;
        };
        let counted = slot.watch_counted.load(Ordering::Relaxed);
        let fresh = due.saturating_sub(counted);
        if fresh > 0 {
            slot.watch_counted.store(due, Ordering::Relaxed);
            slot.counters.missed.add(fresh);
            self.record_miss(chip_select, slot, u32::try_from(fresh).unwrap_or(u32::MAX));
        }
    }

    /// The controller's completion interrupt has fired. `is_over` reads the hardware's status, acknowledges it, and says
    /// whether a frame has ended; it runs after the core has noted which frame that could be. Whether the interrupt was
    /// the controller's.
    ///
    /// Not two at a time: the controller has one completion interrupt, and a handler never runs beside itself.
    ///
    /// A handler that is held up between the two for so long that its frame times out and the next one is started is
    /// taken for the old frame's. At worst it acknowledged the new frame's status too, which then times out as well: a
    /// lost completion, never a false one.
    pub fn interrupt(&self, is_over: impl FnOnce() -> bool) -> bool {
        let token = self.claim.read();
        if !is_over() {
            return false;
        }
        match self.claim.land(token) {
            // Whose frame it was is still written there, or the waiter has seen the landing by itself.
            Landing::Waiter => {
                let chip_select = self.flight.chip_select.load(Ordering::Relaxed);
                if self.slot(chip_select).is_ok() {
                    self.env.flag(chip_select).raise();
                }
            }
            Landing::Mine(mut hold) => {
                self.end_solo(&mut hold, Outcome::Signalled);
                self.release(hold);
            }
            Landing::Stale => {}
        }
        true
    }
}
