// SPDX-License-Identifier: GPL-2.0-only

//! What timers and the completion interrupt do, in hard interrupt context.
//!
//! ```text
//!   trigger timer --> claim? --yes--> start a frame         no, or held up --> overrun, counted
//!   watch-dog     --> time since the last exchange call --> misses --> limit: Stopped, stop frame
//!   completion    --> token, hardware's status, complete --> wake the thread | end the detached one
//! ```

use crate::bus::Bus;
use crate::chip_select::{ChipSelect, State};
use crate::controller::{Controller, FrameKind, Outcome};
use crate::engine::Engine;
use crate::env::Env;
use crate::sync::Ordering;
use oob::claim::Completion;
use oob::time::{Instant, Ns};
use oob::wait::Flag;

impl<C: Controller, E: Env> Bus<C, E> {
    /// The trigger timer of a chip select has fired, after `missed` dates at which its handler was
    /// held up.
    pub fn trigger_tick(&self, chip_select: u8, missed: u64) {
        if let Ok(chip_select) = self.engine.chip_select(chip_select) {
            self.engine.trigger(chip_select, missed);
        }
    }

    /// The watch-dog timer of a chip select has fired. The watch-dog compares dates itself, so it
    /// needs no count of the dates at which its handler was held up.
    pub fn watchdog_tick(&self, chip_select: u8, _missed: u64) {
        if let Ok(chip_select) = self.engine.chip_select(chip_select) {
            self.engine.watch(chip_select);
        }
    }

    /// The controller's completion interrupt has fired. `is_over` reads the hardware's status,
    /// acknowledges it, and returns whether a frame has ended. It runs after the bus has noted
    /// which frame that could be. Returns whether the interrupt was the controller's.
    ///
    /// Two calls never overlap: the controller has one completion interrupt, and a handler never
    /// runs beside itself.
    ///
    /// A handler may be held up between the two steps for so long that its frame times out and the
    /// next one begins. Then the interrupt counts as the old frame's. At worst it has acknowledged
    /// the new frame's status, too, and the new frame times out as well: a completion is lost, but
    /// none is invented.
    pub fn interrupt(&self, is_over: impl FnOnce() -> bool) -> bool {
        let engine = &self.engine;
        let token = engine.claim.read();
        if !is_over() {
            return false;
        }
        match engine.claim.complete(token) {
            // The record still names this frame, or the waiter has seen the completion by itself.
            Completion::Waiter => {
                let chip_select = engine.chip_select_in_flight();
                engine.env.flag(chip_select.index()).raise();
            }
            Completion::Detached(guard) => engine.end_detached(guard, Outcome::Signalled).release(),
            Completion::Stale => {}
        }
        true
    }
}

impl<C: Controller, E: Env> Engine<C, E> {
    fn trigger(&self, chip_select: &ChipSelect, missed: u64) {
        match chip_select.state() {
            State::On if chip_select.is_timer_driven() => chip_select.counters.overruns.add(missed),
            State::Stopped => return self.serve_if_due(chip_select),
            _ => return,
        }
        let Ok(claimed) = self.claim(chip_select) else {
            chip_select.counters.overruns.add(1);
            return;
        };
        // Again, as the state and the trigger may have changed before the claim was taken.
        if chip_select.state() != State::On || !chip_select.is_timer_driven() {
            return claimed.release();
        }
        if let Some((claimed, ended)) = claimed.start(FrameKind::Regular) {
            self.timer_frame_ended(chip_select, ended);
            claimed.release();
        }
    }

    /// The k-th miss of a pause is due k periods after the last exchange call. The timer finds it
    /// at most one period later.
    fn watch(&self, chip_select: &ChipSelect) {
        let now = self.env.now();
        match chip_select.state() {
            State::On => {}
            State::Stopped => return self.serve_if_due(chip_select),
            _ => return,
        }
        // An owner that waits for a timer's frame is inside its call, however late the timer is.
        if chip_select.has_waiter() {
            chip_select.last_call.store(now.0, Ordering::Relaxed);
        }
        let last = chip_select.last_call.load(Ordering::Relaxed);
        if last != chip_select.watchdog_seen.load(Ordering::Relaxed) {
            chip_select.watchdog_seen.store(last, Ordering::Relaxed);
            chip_select.watchdog_counted.store(0, Ordering::Relaxed);
        }
        let period = chip_select.watchdog_period.load(Ordering::Relaxed);
        let Ns(pause) = now.since(Instant(last));
        let Some(due) = pause.checked_div(period) else {
            return;
        };
        let counted = chip_select.watchdog_counted.load(Ordering::Relaxed);
        let fresh = due.saturating_sub(counted);
        if fresh > 0 {
            chip_select.watchdog_counted.store(due, Ordering::Relaxed);
            chip_select.counters.missed.add(fresh);
            self.record_miss(chip_select, u32::try_from(fresh).unwrap_or(u32::MAX));
        }
    }
}
