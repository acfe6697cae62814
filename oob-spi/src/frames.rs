// SPDX-License-Identifier: GPL-2.0-only

//! How the claim's holder moves frames.
//!
//! ```text
//!              FIFO                     DMA
//!   exchange   pulse, which may sleep   begin, pulse, wait, end, finish     threads, in-band calls
//!   start      pulse                    begin, pulse, detach                timers, stop frames
//!                                         ... interrupt: complete, finish
//! ```
//!
//! The phase is InFlight before `pulse` is called, because the completion may come before `pulse`
//! returns.

use crate::controller::{Controller, FrameKind, Outcome, Path, Pulse, TransferError};
use crate::engine::Claimed;
use crate::env::Env;
use oob::claim::{Holder, Phase};
use oob::long_wait::LongWait;
use oob::time::Ns;

/// How a frame ended.
pub(crate) type Ended = Result<(), TransferError>;

impl<C: Controller, E: Env> Claimed<'_, C, E> {
    #[inline(always)]
    fn pulse(&mut self, kind: FrameKind) -> Result<Pulse, TransferError> {
        let index = self.chip_select.index();
        self.controller(|controller| controller.pulse(index, kind))
    }

    fn pulse_may_sleep(
        &mut self,
        kind: FrameKind,
        wait: &LongWait<'_>,
    ) -> Result<Pulse, TransferError> {
        let index = self.chip_select.index();
        self.controller(|controller| controller.pulse_may_sleep(index, kind, wait))
    }

    /// Ends a frame that was in flight.
    pub(crate) fn finish(mut self, outcome: Outcome, wait: &LongWait<'_>) -> (Self, Ended) {
        let index = self.chip_select.index();
        let ended = self.controller(|controller| controller.finish(index, outcome, wait));
        let ended = match outcome {
            Outcome::Signalled => ended,
            Outcome::TimedOut => ended.and(Err(TransferError::Stuck)),
        };
        (self, ended)
    }

    #[inline(always)]
    fn pulse_fifo(mut self, kind: FrameKind) -> (Self, Ended) {
        let pulsed = self.pulse(kind);
        self.fifo_ended(pulsed)
    }

    #[inline(always)]
    fn fifo_ended(self, pulsed: Result<Pulse, TransferError>) -> (Self, Ended) {
        match pulsed {
            Ok(Pulse::Done) => (self, Ok(())),
            Ok(Pulse::InFlight) => {
                // The controller said otherwise in `prepare`: no code would see this frame's end.
                // (Two variables, so that the result of the rare call has a place of its own in
                // memory, and the usual one needs none.)
                let (claimed, ended) = self.finish(Outcome::TimedOut, &LongWait::SPIN);
                (claimed, ended)
            }
            Err(error) => (self, Err(error)),
        }
    }

    /// Notes whose frame it is, and moves the claim to InFlight.
    fn begin(&mut self, kind: FrameKind) {
        self.engine.in_flight.set(self.chip_select, kind);
        self.engine.claim.begin(&mut self.guard);
    }

    /// Moves one frame. `wait` sleeps while the phase is the given one, for at most the given span,
    /// and returns whether anybody still waits for the frame.
    #[inline(always)]
    pub(crate) fn exchange(
        self,
        kind: FrameKind,
        holder: Holder,
        wait: impl Fn(Phase, Ns) -> bool,
    ) -> (Self, Ended) {
        if self.chip_select.path() == Path::Fifo {
            return self.pulse_fifo(kind);
        }
        // As in `fifo_ended`: a result with a place of its own.
        let (claimed, ended) = self.exchange_asleep(kind, holder, wait);
        (claimed, ended)
    }

    #[inline(never)]
    fn exchange_asleep(
        mut self,
        kind: FrameKind,
        holder: Holder,
        wait: impl Fn(Phase, Ns) -> bool,
    ) -> (Self, Ended) {
        let claim = &self.engine.claim;
        // While the controller is called, only the completion moves the phase: it ends InFlight.
        let sleep = |span| wait(claim.read().phase(), span);
        let sleep = LongWait::new(&sleep);
        if self.chip_select.path() == Path::SlowFifo {
            let pulsed = self.pulse_may_sleep(kind, &sleep);
            return self.fifo_ended(pulsed);
        }
        self.begin(kind);
        let pulsed = self.pulse_may_sleep(kind, &sleep);
        if pulsed == Ok(Pulse::InFlight) {
            wait(Phase::InFlight, self.chip_select.limit());
        }
        let has_completed = claim.end(&mut self.guard, holder);
        match pulsed {
            Ok(Pulse::InFlight) => {
                let outcome = match has_completed {
                    true => Outcome::Signalled,
                    false => Outcome::TimedOut,
                };
                self.finish(outcome, &sleep)
            }
            Ok(Pulse::Done) => (self, Ok(())),
            Err(error) => (self, Err(error)),
        }
    }

    /// Starts one frame for which no thread waits. Returns `None` where the frame is detached now,
    /// and took the claim along; otherwise the frame has ended.
    pub(crate) fn start(mut self, kind: FrameKind) -> Option<(Self, Ended)> {
        if self.chip_select.path() != Path::Dma {
            return Some(self.pulse_fifo(kind));
        }
        let engine = self.engine;
        self.begin(kind);
        let pulsed = self.pulse(kind);
        if pulsed == Ok(Pulse::InFlight) {
            // The limit counts from here on, as in an exchange call. Nobody reads it before the
            // frame is detached.
            let until = engine.env.now().after(self.chip_select.limit());
            engine.in_flight.set_limit(until);
            self.guard = engine.claim.detach(self.guard).err()?;
        }
        engine.claim.end(&mut self.guard, Holder::Oob);
        match pulsed {
            Ok(Pulse::InFlight) => Some(self.finish(Outcome::Signalled, &LongWait::SPIN)),
            Ok(Pulse::Done) => Some((self, Ok(()))),
            Err(error) => Some((self, Err(error))),
        }
    }
}
