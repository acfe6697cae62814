// SPDX-License-Identifier: GPL-2.0-only

//! What follows from how frames end: counters, misses, and the fail-safe's stop frame.
//!
//! ```text
//!   frame failed or late, deadline missed, watch period without a call
//!        --> record_miss --> limit reached? --> On -> Stopped --> request the stop frame --> serve
//! ```
//!
//! The holder of the claim sends a requested stop frame before it releases the claim. `serve` makes
//! sure that there is a holder that does, or that the watch-dog's timer looks again.

use crate::chip_select::{ChipSelect, StopFrame};
use crate::controller::{Controller, TransferError};
use crate::engine::{Claimed, Engine, InFlight};
use crate::env::Env;
use crate::errno::RunError;
use crate::frames::Ended;
use crate::sync::Ordering;
use oob::claim::Phase;
use oob::time::{Ns, Timer};
use oob::wait::Flag;

/// A thread that notices a date later than this was held up: on a machine that serves for real time
/// no wake-up takes as long.
pub(crate) const HELD_UP: Ns = Ns(1_000_000);

/// Counts a frame that has ended; for the claim's holder.
pub(crate) fn count_frame(chip_select: &ChipSelect, ended: Ended) -> Result<(), RunError> {
    let counters = &chip_select.counters;
    match ended {
        Ok(()) => {
            counters.frames.bump();
            Ok(())
        }
        Err(TransferError::Stuck) => {
            counters.timeouts.bump();
            Err(RunError::Stuck)
        }
        Err(TransferError::Bus) => {
            counters.bus_errors.bump();
            Err(RunError::Bus)
        }
        Err(TransferError::NotPrepared) => Err(RunError::Off),
    }
}

impl<C: Controller, E: Env> Engine<C, E> {
    /// A stop frame has ended; for the claim's holder. A stop frame that failed is owed until oob
    /// mode ends.
    pub(crate) fn stop_frame_ended(chip_select: &ChipSelect, ended: Ended) {
        let counters = &chip_select.counters;
        match ended {
            Ok(()) => {
                counters.stops.bump();
                chip_select.set_stop_frame(StopFrame::Sent);
            }
            Err(TransferError::Stuck) => counters.timeouts.bump(),
            Err(TransferError::Bus) => counters.bus_errors.bump(),
            Err(TransferError::NotPrepared) => {}
        }
    }

    /// A frame that a timer started has ended; for the claim's holder. A good frame does not end
    /// the misses in a row, because it says nothing about the owner.
    pub(crate) fn timer_frame_ended(&self, chip_select: &ChipSelect, ended: Ended) {
        let counted = count_frame(chip_select, ended);
        let how = match counted {
            Ok(()) => 0,
            Err(RunError::Stuck) => 1,
            Err(_) => 2,
        };
        let before = chip_select.ended.load(Ordering::Relaxed);
        let after = (before | 3).wrapping_add(1) | how;
        chip_select.ended.store(after, Ordering::Release);
        self.env.flag(chip_select.index()).raise();
        if counted.is_err() {
            self.record_miss(chip_select, 1);
        }
    }

    /// Counts a deadline that the frame did not meet.
    #[cold]
    pub(crate) fn missed(&self, chip_select: &ChipSelect, error: RunError) -> RunError {
        chip_select.counters.missed.add(1);
        self.record_miss(chip_select, 1);
        error
    }

    /// Adds `misses` to those in a row, and trips the fail-safe at the limit. From any context,
    /// holder of the claim or not.
    pub(crate) fn record_miss(&self, chip_select: &ChipSelect, misses: u32) {
        let in_a_row = &chip_select.misses_in_a_row;
        let before = in_a_row.fetch_add(misses, Ordering::Relaxed);
        let limit = chip_select.miss_limit.load(Ordering::Relaxed);
        if limit == 0 || before.saturating_add(misses) < limit || !chip_select.trip() {
            return;
        }
        self.env.flag(chip_select.index()).raise();
        // After the state has changed: the holder that serves the request finds Stopped, and later
        // holders send no frame.
        self.claim.request(chip_select.index());
        // No thread waits for a regular frame of this chip select any more. The stop frame itself
        // may be in flight already.
        let is_vain = |in_flight: &InFlight| {
            in_flight.chip_select() == chip_select.index() && !in_flight.is_stop()
        };
        match self.take_detached(self.claim.read(), is_vain) {
            Some(claimed) => claimed.release(),
            None => self.serve(chip_select),
        }
    }

    /// As [`Self::serve`], where there is something to serve: a stop frame that waits, or a frame
    /// that may be overdue. So a timer that looks here at each of its dates is in no other chip
    /// select's way.
    pub(crate) fn serve_if_due(&self, chip_select: &ChipSelect) {
        let seen = self.claim.read();
        if seen.has_request() || seen.phase() == Phase::Detached {
            self.serve(chip_select);
        }
    }

    /// Sends the stop frames that were requested, unless the claim's holder is about to send them.
    fn serve(&self, chip_select: &ChipSelect) {
        match self.claim(chip_select).map(Claimed::release) {
            // Another chip select's frame is in flight and may hang. Where there is a watch-dog,
            // its timer looks again anyway.
            Err(seen) if seen.phase() == Phase::Detached && !chip_select.is_watched() => {
                let until = self.in_flight.limit();
                let timer = self.env.watchdog_timer(chip_select.index());
                timer.start(until.after(Ns(1)), Ns(0));
            }
            Ok(()) | Err(_) => {}
        }
    }
}
