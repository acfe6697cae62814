// SPDX-License-Identifier: GPL-2.0-only

//! Taking the claim, and giving it up.
//!
//! - A frame that is overdue is ended by its waiter. A *detached* frame, for which no thread
//!   waits, is ended by the next caller or handler that finds it overdue.
//! - `release` sends the stop frames that were requested while the claim was held.

use crate::chip_select::{ChipSelect, State, StopFrame};
use crate::controller::{Controller, FrameKind, Outcome};
use crate::engine::{Claimed, Engine, InFlight};
use crate::env::Env;
use oob::claim::{ClaimGuard, Phase, Released, Snapshot};
use oob::long_wait::LongWait;
use oob::stage::Inband;
use oob::time::Instant;

impl<C: Controller, E: Env> Engine<C, E> {
    /// As [`Self::claim`], where the claim was not free: ends a detached frame that is overdue.
    #[cold]
    pub(crate) fn claim_contended<'b>(
        &'b self,
        chip_select: &'b ChipSelect,
        seen: Snapshot,
    ) -> Result<Claimed<'b, C, E>, Snapshot> {
        if seen.is_inband() {
            return Err(seen);
        }
        let claimed = self.take_overdue(seen, self.env.now()).ok_or(seen)?;
        if !self.claim.read().has_request() {
            return Ok(claimed.with(chip_select));
        }
        // Stop frames go first: frames of another chip select that hang one after the other must
        // not keep them back.
        claimed.release();
        let guard = self.claim.claim()?;
        Ok(self.claimed(chip_select, guard))
    }

    /// Claims the bus for an in-band call: waits for the frame under way, and ends a detached one
    /// that is overdue.
    pub(crate) fn claim_inband<'b>(
        &'b self,
        inband: &Inband<'_>,
        chip_select: &'b ChipSelect,
    ) -> Claimed<'b, C, E> {
        loop {
            if let Ok(guard) = self.claim.claim_inband() {
                return self.claimed(chip_select, guard);
            }
            // The nap comes first: it lets the interrupt in, of a frame that is overdue only
            // because this thread was held up.
            self.env.nap(inband);
            self.end_overdue(self.claim.read(), self.env.now());
        }
    }

    /// Ends the detached frame of `seen` if it is overdue; returns whether it was.
    pub(crate) fn end_overdue(&self, seen: Snapshot, now: Instant) -> bool {
        self.take_overdue(seen, now).map(Claimed::release).is_some()
    }

    fn take_overdue(&self, seen: Snapshot, now: Instant) -> Option<Claimed<'_, C, E>> {
        self.take_detached(seen, |in_flight| now > in_flight.limit())
    }

    /// Takes the claim from the detached frame of `seen` where `give_up` says so, and ends that
    /// frame.
    pub(crate) fn take_detached(
        &self,
        seen: Snapshot,
        give_up: impl FnOnce(&InFlight) -> bool,
    ) -> Option<Claimed<'_, C, E>> {
        if seen.phase() != Phase::Detached || !give_up(&self.in_flight) {
            return None;
        }
        // What `give_up` read belongs to the frame of `seen`. If another generation is in flight,
        // `take_over` fails.
        let guard = self.claim.take_over(seen)?;
        Some(self.end_detached(guard, Outcome::TimedOut))
    }

    /// Ends the frame that was detached; for its new holder.
    pub(crate) fn end_detached<'b>(
        &'b self,
        guard: ClaimGuard<'b>,
        outcome: Outcome,
    ) -> Claimed<'b, C, E> {
        let is_stop = self.in_flight.is_stop();
        let claimed = self.claimed(self.chip_select_in_flight(), guard);
        let (claimed, ended) = claimed.finish(outcome, &LongWait::SPIN);
        match is_stop {
            true => Self::stop_frame_ended(claimed.chip_select, ended),
            false => self.timer_frame_ended(claimed.chip_select, ended),
        }
        claimed
    }
}

impl<'b, C: Controller, E: Env> Claimed<'b, C, E> {
    /// Sends the stop frames that were requested, then gives the claim up.
    #[inline]
    pub(crate) fn release(self) {
        if let Released::Request(index, guard) = self.engine.claim.release(self.guard) {
            Self::send_stops(self.engine, index, guard);
        }
    }

    #[cold]
    fn send_stops(engine: &'b Engine<C, E>, first: u8, guard: ClaimGuard<'b>) {
        let mut next = Released::Request(first, guard);
        while let Released::Request(index, guard) = next {
            let guard = match engine.chip_select(index) {
                Ok(chip_select) => engine.claimed(chip_select, guard).send_stop(),
                Err(_) => Some(guard),
            };
            match guard {
                Some(guard) => next = engine.claim.release(guard),
                None => return,
            }
        }
    }

    /// Sends the stop frame, if it is still owed. Returns `None` where the frame is detached now,
    /// and took the claim along.
    fn send_stop(self) -> Option<ClaimGuard<'b>> {
        let chip_select = self.chip_select;
        if chip_select.state() != State::Stopped || chip_select.stop_frame() != StopFrame::Armed {
            return Some(self.guard);
        }
        let (claimed, ended) = self.start(FrameKind::Stop)?;
        Engine::<C, E>::stop_frame_ended(chip_select, ended);
        Some(claimed.guard)
    }
}
