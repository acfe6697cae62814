// SPDX-License-Identifier: GPL-2.0-only

//! Exchange calls of attached threads: one frame, one frame by a date, a list of frames, a timer's next frame.
//!
//! ```text
//!   state? owner? deadline? --> claim --> state again? --> exchange --> count --> release
//!              |                  |
//!          refused            EALREADY: another thread's or a timer's frame; EAGAIN: an in-band call
//! ```
//!
//! - Calls do not queue: the bus is one, its order is the program's to choose (one thread, or a list).
//! - The clock is read on entry for a deadline or the watch-dog, at the frame's end for a deadline, and where a thread
//!   waits for DMA, for the time limit; without these it is not read. How long a frame took is measured with the
//!   processor's counter, which costs a tenth. The watch-dog's timer is not touched: the entry date is stored, and the timer
//!   looks at it.
//! - What `run` needs for a good frame of the FIFO path is inlined into it; what goes wrong is out of line.

use crate::bus::{Bus, Env, Owner};
use crate::chip_select::{ChipSelect, State};
use crate::claim::{ClaimGuard, Phase, Snapshot};
use crate::controller::{Controller, FrameKind};
use crate::errno::{ECANCELED, Errno, ListError, ListRefused, RunError};
use crate::sync::Ordering;
use crate::validate::check_list;
use oob::stage::Oob;
use oob::time::{Instant, Ns};
use oob::wait::Flag;
use oobkit_abi::spi as abi;

/// How often a thread that waits for a timer's frame, possibly for hours, looks for a signal.
const LOOK: Ns = Ns(50_000_000);

/// Who notices a date later than this was held up; no wake-up of a machine that serves for real time takes as long.
const HELD_UP: Ns = Ns(1_000_000);

fn in_the_way(seen: Snapshot) -> RunError {
    match seen.is_inband() {
        true => RunError::SettingUp,
        false => RunError::Busy,
    }
}

impl<C: Controller, E: Env> Bus<C, E> {
    /// Exchanges one frame (RUN_OOB_XFER).
    ///
    /// # Errors
    ///
    /// See [`RunError`].
    pub fn run(&self, oob: &Oob<'_>, chip_select: u8, owner: Owner) -> Result<(), RunError> {
        let result = self.try_run(oob, chip_select, owner, Instant::NEVER);
        self.counted_run(chip_select, result)
    }

    /// Exchanges one frame by a date (RUN_UNTIL).
    ///
    /// # Errors
    ///
    /// See [`RunError`].
    pub fn run_until(
        &self,
        oob: &Oob<'_>,
        chip_select: u8,
        owner: Owner,
        args: &abi::RunUntil,
    ) -> Result<(), RunError> {
        let result = match args.reserved {
            0 => self.try_run(oob, chip_select, owner, Instant(args.deadline_ns)),
            _ => Err(RunError::Reserved),
        };
        self.counted_run(chip_select, result)
    }

    #[inline]
    fn counted_run<X: Errno>(&self, chip_select: u8, result: Result<(), X>) -> Result<(), X> {
        if let Err(error) = result
            && error.is_rejection()
        {
            self.reject(chip_select);
        }
        result
    }

    #[inline]
    fn try_run(
        &self,
        oob: &Oob<'_>,
        chip_select: u8,
        owner: Owner,
        deadline: Instant,
    ) -> Result<(), RunError> {
        let slot = self.slot(chip_select)?;
        self.admit(slot, owner)?;
        let begin = self.env.ticks();
        self.called(chip_select, slot, deadline)?;
        if slot.is_timer_driven() {
            return self.next_timer_frame(oob, chip_select, slot, deadline);
        }
        let mut hold = self.claim_now().map_err(in_the_way)?;
        let result = match self.still_callable(slot, owner) {
            Ok(()) => self.call_frame(&mut hold, oob, chip_select, slot, begin, deadline),
            Err(refusal) => Err(refusal),
        };
        self.release(hold);
        result
    }

    /// Looks again, now that nobody else can change it but by tripping the fail-safe.
    #[inline]
    fn still_callable(&self, slot: &ChipSelect, owner: Owner) -> Result<(), RunError> {
        self.admit(slot, owner)?;
        match slot.is_timer_driven() {
            true => Err(RunError::SettingUp),
            false => Ok(()),
        }
    }

    /// Notes the call for the watch-dog, and looks whether its deadline is over already.
    #[inline(always)]
    fn called(
        &self,
        chip_select: u8,
        slot: &ChipSelect,
        deadline: Instant,
    ) -> Result<(), RunError> {
        if deadline == Instant::NEVER && !slot.is_watched() {
            return Ok(());
        }
        let now = self.env.now();
        slot.last_call.store(now.0, Ordering::Relaxed);
        match now >= deadline {
            true => Err(self.missed(chip_select, slot, RunError::TooLate)),
            false => Ok(()),
        }
    }

    /// Moves one frame, whose call began at the tick `begin`.
    #[inline(always)]
    fn call_frame(
        &self,
        hold: &mut ClaimGuard,
        oob: &Oob<'_>,
        chip_select: u8,
        slot: &ChipSelect,
        begin: u64,
        deadline: Instant,
    ) -> Result<(), RunError> {
        let ended = self.exchange(
            hold,
            chip_select,
            slot,
            FrameKind::Regular,
            Phase::Active,
            |phase, span| {
                // From here on: a thread that is held up before is no fault of the hardware's.
                let until = self.env.now().after(span);
                let flag = self.env.flag(chip_select);
                // The phase decides; an event that was latched for an earlier frame only makes one more turn. Once the
                // fail-safe has tripped, the stop frame must not wait for this one.
                let is_over =
                    || self.claim.read().phase() != phase || slot.state() == State::Stopped;
                let sleep = |until| while !is_over() && flag.wait_until(oob, until).is_ok() {};
                sleep(until);
                if phase == Phase::Flight && !is_over() {
                    self.if_held_up(until, sleep);
                }
                slot.state() != State::Stopped
            },
        );
        let took = self.env.ticks().saturating_sub(begin);
        let is_late = deadline != Instant::NEVER && self.env.now() > deadline;
        self.call_frame_ended(chip_select, slot, ended, took, is_late)
    }

    /// Sleeps once more where a limit was noticed so late that the thread, or its whole machine, must have been held up:
    /// the completion, too, may have waited for that to end, and gets the time to come.
    #[cold]
    fn if_held_up(&self, limit: Instant, sleep: impl FnOnce(Instant)) {
        let now = self.env.now();
        if now > limit.after(HELD_UP) {
            sleep(now.after(HELD_UP));
        }
    }

    #[cold]
    fn missed(&self, chip_select: u8, slot: &ChipSelect, error: RunError) -> RunError {
        slot.counters.missed.add(1);
        self.record_miss(chip_select, slot, 1);
        error
    }

    /// Waits for the end of the next frame that the timer starts; holds the claim only to end one that is overdue.
    #[inline(never)]
    fn next_timer_frame(
        &self,
        oob: &Oob<'_>,
        chip_select: u8,
        slot: &ChipSelect,
        deadline: Instant,
    ) -> Result<(), RunError> {
        if !slot.begin_wait() {
            return Err(RunError::Busy);
        }
        let result = self.await_timer_frame(oob, chip_select, slot, deadline);
        slot.end_wait();
        match result {
            Ok(()) => {
                slot.streak.store(0, Ordering::Relaxed);
                Ok(())
            }
            Err(RunError::Late) => Err(self.missed(chip_select, slot, RunError::Late)),
            Err(error) => Err(error),
        }
    }

    fn await_timer_frame(
        &self,
        oob: &Oob<'_>,
        chip_select: u8,
        slot: &ChipSelect,
        deadline: Instant,
    ) -> Result<(), RunError> {
        let before = slot.ended.load(Ordering::Acquire) | 3;
        // From here on: should the thread be held up now, it finds the frames that end meanwhile.
        let mut look = self.env.now().after(LOOK);
        loop {
            slot.admit()?;
            if !slot.is_timer_driven() {
                return Err(RunError::SettingUp);
            }
            let ended = slot.ended.load(Ordering::Acquire);
            if ended | 3 != before {
                return match ended & 3 {
                    0 => Ok(()),
                    1 => Err(RunError::Stuck),
                    _ => Err(RunError::Bus),
                };
            }
            let flag = self.env.flag(chip_select);
            if flag.wait_until(oob, deadline.min(look)).is_ok() {
                continue;
            }
            let now = self.env.now();
            // Held up, as in `if_held_up`: one more sleep before a frame is taken for overdue.
            if now > look.after(HELD_UP) && now < deadline {
                look = now.after(HELD_UP);
                continue;
            }
            // The next tick would end a stuck frame as well, but that may be an hour away. A tick that is late, or finds
            // the bus busy, is not the hardware's fault: no limit here.
            if let Some(hold) = self.take_overdue(self.claim.read(), now) {
                self.release(hold);
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

    /// Exchanges the frames of several chip selects, one after the other, with nothing in between (RUN_LIST).
    ///
    /// # Errors
    ///
    /// See [`ListError`]. The statuses are set unless the list was refused.
    pub fn run_list(
        &self,
        oob: &Oob<'_>,
        chip_select: u8,
        owner: Owner,
        list: &mut abi::RunList,
    ) -> Result<(), ListError> {
        let result = self.try_list(oob, owner, list);
        self.counted_run(chip_select, result)
    }

    fn try_list(
        &self,
        oob: &Oob<'_>,
        owner: Owner,
        list: &mut abi::RunList,
    ) -> Result<(), ListError> {
        if list.reserved != 0 {
            return Err(ListError::Entry(RunError::Reserved));
        }
        let deadline = match list.deadline_ns {
            0 => Instant::NEVER,
            date => Instant(date),
        };
        let entries = check_list(list).map_err(ListError::Refused)?;
        for entry in entries.iter() {
            let slot = self.check_entry(entry, owner).map_err(ListError::Entry)?;
            if slot.is_timer_driven() {
                return Err(ListError::Refused(ListRefused::TimerDriven));
            }
        }
        let mut hold = self
            .claim_now()
            .map_err(|seen| ListError::Entry(in_the_way(seen)))?;
        let mut failed = None;
        for entry in entries {
            let result = match failed {
                None => self.list_frame(&mut hold, oob, entry.chip_select, owner, deadline),
                Some(_) => {
                    entry.status = ECANCELED.saturating_neg();
                    continue;
                }
            };
            entry.status = result.map_or_else(|error| error.errno().saturating_neg(), |()| 0);
            failed = result.err();
        }
        self.release(hold);
        failed.map_or(Ok(()), |error| Err(ListError::Failed(error)))
    }

    fn check_entry(&self, entry: &abi::ListEntry, owner: Owner) -> Result<&ChipSelect, RunError> {
        if entry.reserved != [0; 3] {
            return Err(RunError::Reserved);
        }
        let slot = self.slot(entry.chip_select)?;
        self.admit(slot, owner)?;
        Ok(slot)
    }

    fn list_frame(
        &self,
        hold: &mut ClaimGuard,
        oob: &Oob<'_>,
        chip_select: u8,
        owner: Owner,
        deadline: Instant,
    ) -> Result<(), RunError> {
        let slot = self.slot(chip_select)?;
        self.still_callable(slot, owner)?;
        let begin = self.env.ticks();
        self.called(chip_select, slot, deadline)?;
        self.call_frame(hold, oob, chip_select, slot, begin, deadline)
    }
}
