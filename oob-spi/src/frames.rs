// SPDX-License-Identifier: GPL-2.0-only

//! How the claim's holder moves frames, and what follows from how they end.
//!
//! ```text
//!              FIFO                     DMA
//!   exchange   pulse, which may sleep   take off, pulse, wait, settle, finish     a thread, or an in-band call
//!   launch     pulse                    take off, pulse, go solo                  a timer, or an owed stop frame
//!                                         ... interrupt: land, finish
//! ```
//!
//! - The phase is Flight before `pulse` is called: the completion may come before `pulse` returns.
//! - A frame that is overdue is ended by its waiter, or, where it flies solo, by whoever next finds it in the way.
//! - `release` sends the stop frames that were asked for while the claim was held.

use crate::bus::{Bus, Env, Flight};
use crate::chip_select::{ChipSelect, State, StopFrame};
use crate::claim::{ClaimGuard, Next, Phase, Snapshot};
use crate::controller::{Controller, FrameKind, Outcome, Path, Pulse, TransferError, Wait};
use crate::errno::RunError;
use crate::sync::Ordering;
use oob::time::{Instant, Ns, Timer};
use oob::wait::Flag;

pub(crate) type Ended = Result<(), TransferError>;

impl<C: Controller, E: Env> Bus<C, E> {
    /// Claims the bus for a thread or a handler; ends first what flew solo and is overdue.
    #[inline]
    pub(crate) fn claim_now(&self) -> Result<ClaimGuard, Snapshot> {
        match self.claim.claim() {
            Ok(hold) => Ok(hold),
            Err(seen) => self.claim_from(seen),
        }
    }

    #[cold]
    fn claim_from(&self, seen: Snapshot) -> Result<ClaimGuard, Snapshot> {
        if seen.is_inband() {
            return Err(seen);
        }
        let hold = self.take_overdue(seen, self.env.now()).ok_or(seen)?;
        if !self.claim.read().owes_stop() {
            return Ok(hold);
        }
        // Stop frames go first: frames of another chip select that hang one after the other must not keep them back.
        self.release(hold);
        self.claim.claim()
    }

    /// Takes the claim from a frame that flies solo and is overdue.
    pub(crate) fn take_overdue(&self, seen: Snapshot, now: Instant) -> Option<ClaimGuard> {
        self.take_solo(seen, |flight| now.0 > flight.until.load(Ordering::Relaxed))
    }

    fn take_solo(
        &self,
        seen: Snapshot,
        give_up: impl FnOnce(&Flight) -> bool,
    ) -> Option<ClaimGuard> {
        if seen.phase() != Phase::Solo || !give_up(&self.flight) {
            return None;
        }
        // What was read belongs to the frame of `seen`, or another generation is in flight and the claim is not taken.
        let mut hold = self.claim.steal(seen)?;
        self.end_solo(&mut hold, Outcome::TimedOut);
        Some(hold)
    }

    /// Sends the stop frames that were asked for, then gives the claim up.
    #[inline]
    pub(crate) fn release(&self, hold: ClaimGuard) {
        if let Next::Stop(chip_select, hold) = self.claim.release(hold) {
            self.send_stops(chip_select, hold);
        }
    }

    #[cold]
    fn send_stops(&self, first: u8, hold: ClaimGuard) {
        let mut next = Next::Stop(first, hold);
        while let Next::Stop(chip_select, hold) = next {
            next = match self.send_stop(chip_select, hold) {
                Some(hold) => self.claim.release(hold),
                None => return,
            };
        }
    }

    /// Sends a stop frame, if it is still owed; `None` where it flies solo now, and the hold with it.
    fn send_stop(&self, chip_select: u8, hold: ClaimGuard) -> Option<ClaimGuard> {
        let Ok(slot) = self.slot(chip_select) else {
            return Some(hold);
        };
        if slot.state() != State::Stopped || slot.stop() != StopFrame::Armed {
            return Some(hold);
        }
        let (hold, ended) = self.launch(hold, chip_select, slot, FrameKind::Stop)?;
        self.stop_ended(slot, ended);
        Some(hold)
    }

    #[inline]
    fn pulse(
        &self,
        hold: &mut ClaimGuard,
        chip_select: u8,
        kind: FrameKind,
    ) -> Result<Pulse, TransferError> {
        self.controller(hold, |controller| controller.pulse(chip_select, kind))
    }

    fn finish(
        &self,
        hold: &mut ClaimGuard,
        chip_select: u8,
        outcome: Outcome,
        wait: &Wait<'_>,
    ) -> Ended {
        let ended = self.controller(hold, |controller| {
            controller.finish(chip_select, outcome, wait)
        });
        match outcome {
            Outcome::Signalled => ended,
            Outcome::TimedOut => ended.and(Err(TransferError::Stuck)),
        }
    }

    #[inline]
    fn pulse_fifo(&self, hold: &mut ClaimGuard, chip_select: u8, kind: FrameKind) -> Ended {
        let pulsed = self.pulse(hold, chip_select, kind);
        self.fifo_ended(hold, chip_select, pulsed)
    }

    #[inline]
    fn fifo_ended(
        &self,
        hold: &mut ClaimGuard,
        chip_select: u8,
        pulsed: Result<Pulse, TransferError>,
    ) -> Ended {
        match pulsed {
            Ok(Pulse::Done) => Ok(()),
            // Not what it said in `prepare`: nobody would see this frame's end.
            Ok(Pulse::InFlight) => self.finish(hold, chip_select, Outcome::TimedOut, &Wait::SPIN),
            Err(error) => Err(error),
        }
    }

    /// Notes whose frame it is, without a limit as yet.
    fn take_off(&self, hold: &mut ClaimGuard, chip_select: u8, kind: FrameKind) {
        let flight = &self.flight;
        flight.chip_select.store(chip_select, Ordering::Relaxed);
        flight
            .is_stop
            .store(u8::from(kind == FrameKind::Stop), Ordering::Relaxed);
        flight.until.store(Instant::NEVER.0, Ordering::Relaxed);
        self.claim.take_off(hold);
    }

    /// Moves one frame. `wait` sleeps while the phase is the one given, for the span given at most, and says whether
    /// anybody waits for the frame still.
    #[inline]
    pub(crate) fn exchange(
        &self,
        hold: &mut ClaimGuard,
        chip_select: u8,
        slot: &ChipSelect,
        kind: FrameKind,
        back: Phase,
        wait: impl Fn(Phase, Ns) -> bool,
    ) -> Ended {
        if slot.path() == Path::Fifo {
            return self.pulse_fifo(hold, chip_select, kind);
        }
        self.exchange_asleep(hold, chip_select, slot, kind, back, wait)
    }

    #[inline(never)]
    fn exchange_asleep(
        &self,
        hold: &mut ClaimGuard,
        chip_select: u8,
        slot: &ChipSelect,
        kind: FrameKind,
        back: Phase,
        wait: impl Fn(Phase, Ns) -> bool,
    ) -> Ended {
        // Nobody moves the phase while the controller is called, but the completion that ends Flight.
        let sleep = |span| wait(self.claim.read().phase(), span);
        let sleep = Wait::new(&sleep);
        let pulse = |hold: &mut ClaimGuard| {
            self.controller(hold, |controller| {
                controller.pulse_may_sleep(chip_select, kind, &sleep)
            })
        };
        if slot.path() == Path::SlowFifo {
            let pulsed = pulse(hold);
            return self.fifo_ended(hold, chip_select, pulsed);
        }
        self.take_off(hold, chip_select, kind);
        let pulsed = pulse(hold);
        if pulsed == Ok(Pulse::InFlight) {
            wait(Phase::Flight, slot.limit());
        }
        let landed = self.claim.settle(hold, back);
        match pulsed {
            Ok(Pulse::InFlight) => {
                let outcome = match landed {
                    true => Outcome::Signalled,
                    false => Outcome::TimedOut,
                };
                self.finish(hold, chip_select, outcome, &sleep)
            }
            Ok(Pulse::Done) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Moves one frame for which nobody waits; `None` where it flies solo now, and the hold with it.
    pub(crate) fn launch(
        &self,
        mut hold: ClaimGuard,
        chip_select: u8,
        slot: &ChipSelect,
        kind: FrameKind,
    ) -> Option<(ClaimGuard, Ended)> {
        if slot.path() != Path::Dma {
            let ended = self.pulse_fifo(&mut hold, chip_select, kind);
            return Some((hold, ended));
        }
        self.take_off(&mut hold, chip_select, kind);
        let pulsed = self.pulse(&mut hold, chip_select, kind);
        if pulsed == Ok(Pulse::InFlight) {
            // From here on, as in an exchange call; and nobody looks at it before the frame flies solo.
            let Instant(until) = self.env.now().after(slot.limit());
            self.flight.until.store(until, Ordering::Relaxed);
            hold = self.claim.go_solo(hold).err()?;
        }
        self.claim.settle(&mut hold, Phase::Active);
        let ended = match pulsed {
            Ok(Pulse::InFlight) => {
                self.finish(&mut hold, chip_select, Outcome::Signalled, &Wait::SPIN)
            }
            Ok(Pulse::Done) => Ok(()),
            Err(error) => Err(error),
        };
        Some((hold, ended))
    }

    /// Ends the frame that flew solo; for its new holder.
    pub(crate) fn end_solo(&self, hold: &mut ClaimGuard, outcome: Outcome) {
        let chip_select = self.flight.chip_select.load(Ordering::Relaxed);
        let is_stop = self.flight.is_stop.load(Ordering::Relaxed) != 0;
        let ended = self.finish(hold, chip_select, outcome, &Wait::SPIN);
        match self.slot(chip_select) {
            Ok(slot) if is_stop => self.stop_ended(slot, ended),
            Ok(slot) => self.timer_frame_ended(chip_select, slot, ended),
            Err(_) => {}
        }
    }

    /// Counts a frame that has ended; for the holder.
    fn count(slot: &ChipSelect, ended: Ended) -> Result<(), RunError> {
        let counters = &slot.counters;
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

    /// A stop frame has ended; for the holder. One that failed is owed until oob mode ends.
    pub(crate) fn stop_ended(&self, slot: &ChipSelect, ended: Ended) {
        match ended {
            Ok(()) => {
                slot.counters.stops.bump();
                slot.set_stop(StopFrame::Sent);
            }
            Err(TransferError::Stuck) => slot.counters.timeouts.bump(),
            Err(TransferError::Bus) => slot.counters.bus_errors.bump(),
            Err(TransferError::NotPrepared) => {}
        }
    }

    /// A frame that an exchange call started has ended after `took` ticks; for the holder.
    #[inline]
    pub(crate) fn call_frame_ended(
        &self,
        chip_select: u8,
        slot: &ChipSelect,
        ended: Ended,
        took: u64,
        is_late: bool,
    ) -> Result<(), RunError> {
        slot.counters.worst.raise_to(took);
        if ended.is_err() || is_late {
            return self.call_frame_failed(chip_select, slot, ended, is_late);
        }
        slot.counters.frames.bump();
        slot.streak.store(0, Ordering::Relaxed);
        Ok(())
    }

    #[cold]
    fn call_frame_failed(
        &self,
        chip_select: u8,
        slot: &ChipSelect,
        ended: Ended,
        is_late: bool,
    ) -> Result<(), RunError> {
        let counted = Self::count(slot, ended);
        if is_late {
            slot.counters.missed.add(1);
        }
        self.record_miss(chip_select, slot, 1);
        counted.and(Err(RunError::Late))
    }

    /// A frame that a timer started has ended; for the holder. It says nothing about the owner, so it ends no streak.
    pub(crate) fn timer_frame_ended(&self, chip_select: u8, slot: &ChipSelect, ended: Ended) {
        let counted = Self::count(slot, ended);
        let how = match counted {
            Ok(()) => 0,
            Err(RunError::Stuck) => 1,
            Err(_) => 2,
        };
        let before = slot.ended.load(Ordering::Relaxed);
        let after = (before | 3).wrapping_add(1) | how;
        slot.ended.store(after, Ordering::Release);
        self.env.flag(chip_select).raise();
        if counted.is_err() {
            self.record_miss(chip_select, slot, 1);
        }
    }

    /// Adds `misses` to those in a row; trips the fail-safe at the limit. From any context, holder or not.
    pub(crate) fn record_miss(&self, chip_select: u8, slot: &ChipSelect, misses: u32) {
        let streak = slot.streak.fetch_add(misses, Ordering::Relaxed);
        let limit = slot.miss_limit.load(Ordering::Relaxed);
        if limit == 0 || streak.saturating_add(misses) < limit || !slot.trip() {
            return;
        }
        self.env.flag(chip_select).raise();
        // After the state: whoever serves the request finds Stopped, and whoever claims the bus later sends no frame.
        self.claim.request_stop(chip_select);
        // Nobody waits for a frame of this chip select any more, but for the stop frame, which may fly already.
        let is_vain = |flight: &Flight| {
            flight.chip_select.load(Ordering::Relaxed) == chip_select
                && flight.is_stop.load(Ordering::Relaxed) == 0
        };
        match self.take_solo(self.claim.read(), is_vain) {
            Some(hold) => self.release(hold),
            None => self.serve(chip_select, slot),
        }
    }

    /// As [`Self::serve`], where there is something to serve: a stop frame that waits, or a frame that may be overdue. So a
    /// timer that looks here at each of its dates is in no other chip select's way.
    pub(crate) fn serve_if_due(&self, chip_select: u8, slot: &ChipSelect) {
        let seen = self.claim.read();
        if seen.owes_stop() || seen.phase() == Phase::Solo {
            self.serve(chip_select, slot);
        }
    }

    /// Sends what was asked for, unless the claim's holder is about to, or makes sure that it is not forgotten.
    pub(crate) fn serve(&self, chip_select: u8, slot: &ChipSelect) {
        match self.claim_now() {
            Ok(hold) => self.release(hold),
            // Another chip select's frame, which may hang; the watch-dog, where there is one, looks again anyway.
            Err(seen) if seen.phase() == Phase::Solo && !slot.is_watched() => {
                let until = Instant(self.flight.until.load(Ordering::Relaxed));
                let timer = self.env.watch_timer(chip_select);
                timer.start(until.after(Ns(1)), Ns(0));
            }
            Err(_) => {}
        }
    }
}
