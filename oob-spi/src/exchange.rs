// SPDX-License-Identifier: GPL-2.0-only

//! Exchange calls of attached threads: one frame, one frame by a date, a list of frames.
//!
//! ```text
//!   state? owner? deadline? --> claim --> state again? --> exchange --> count --> release
//!              |                  |
//!          refused            EALREADY: another frame is under way; EAGAIN: an in-band call is
//! ```
//!
//! - Calls do not queue. The bus is one, and the program chooses the order of its frames: by one
//!   thread, or by a list.
//! - The clock is expensive, so it is read only on entry for a deadline or the watch-dog, at the
//!   frame's end for a deadline, and for the time limit where a thread waits for DMA. The
//!   processor's counter, which costs a tenth, measures how long a frame took. A call does not
//!   touch the watch-dog's timer: it stores its entry date, and the timer looks at that.
//! - What `run` needs for a good frame of the FIFO path is inlined into it. What goes wrong is out
//!   of line.

use crate::bus::Bus;
use crate::chip_select::{ChipSelect, State};
use crate::controller::{Controller, FrameKind};
use crate::engine::{Claimed, Engine};
use crate::env::Env;
use crate::errno::{ECANCELED, Errno, ListError, ListRefused, RunError};
use crate::fail_safe::{HELD_UP, count_frame};
use crate::frames::Ended;
use crate::request::Owner;
use crate::sync::Ordering;
use crate::validate::check_list;
use oob::claim::{Holder, Phase, Snapshot};
use oob::stage::Oob;
use oob::time::Instant;
use oob::wait::Flag;
use oobkit_abi::spi as abi;

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
        self.count_run_refusal(chip_select, result)
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
        self.count_run_refusal(chip_select, result)
    }

    /// Exchanges the frames of several chip selects, one after the other, with nothing in between
    /// (RUN_LIST).
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
        self.count_run_refusal(chip_select, result)
    }

    #[inline]
    fn count_run_refusal<X: Errno>(&self, chip_select: u8, result: Result<(), X>) -> Result<(), X> {
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
        let engine = &self.engine;
        let chip_select = engine.chip_select(chip_select)?;
        self.mode.check_sender(chip_select, owner)?;
        let begin = engine.env.ticks();
        engine.note_call(chip_select, deadline)?;
        if chip_select.is_timer_driven() {
            return engine.next_timer_frame(oob, chip_select, deadline);
        }
        let claimed = engine.claim(chip_select).map_err(in_the_way)?;
        let (claimed, result) = match self.check_sender_again(chip_select, owner) {
            Ok(()) => claimed.call_frame(oob, begin, deadline),
            Err(refusal) => (claimed, Err(refusal)),
        };
        claimed.release();
        result
    }

    /// As `OobMode::check_sender`, for the claim's holder: from here on only the fail-safe can
    /// change the answer.
    #[inline]
    fn check_sender_again(&self, chip_select: &ChipSelect, owner: Owner) -> Result<(), RunError> {
        self.mode.check_sender(chip_select, owner)?;
        match chip_select.is_timer_driven() {
            true => Err(RunError::SettingUp),
            false => Ok(()),
        }
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
        let mut first = None;
        for entry in entries.iter() {
            let chip_select = self.check_entry(entry, owner).map_err(ListError::Entry)?;
            if chip_select.is_timer_driven() {
                return Err(ListError::Refused(ListRefused::TimerDriven));
            }
            first = first.or(Some(chip_select));
        }
        let first = first.ok_or(ListError::Refused(ListRefused::Empty))?;
        let mut claimed = self
            .engine
            .claim(first)
            .map_err(|seen| ListError::Entry(in_the_way(seen)))?;
        let mut failed = None;
        for entry in entries {
            if failed.is_some() {
                entry.status = ECANCELED.saturating_neg();
                continue;
            }
            let result;
            (claimed, result) = self.list_frame(claimed, oob, entry.chip_select, owner, deadline);
            entry.status = result.map_or_else(|error| error.errno().saturating_neg(), |()| 0);
            failed = result.err();
        }
        claimed.release();
        failed.map_or(Ok(()), |error| Err(ListError::Failed(error)))
    }

    fn check_entry(&self, entry: &abi::ListEntry, owner: Owner) -> Result<&ChipSelect, RunError> {
        if entry.reserved != [0; 3] {
            return Err(RunError::Reserved);
        }
        let chip_select = self.engine.chip_select(entry.chip_select)?;
        self.mode.check_sender(chip_select, owner)?;
        Ok(chip_select)
    }

    fn list_frame<'b>(
        &'b self,
        claimed: Claimed<'b, C, E>,
        oob: &Oob<'_>,
        chip_select: u8,
        owner: Owner,
        deadline: Instant,
    ) -> (Claimed<'b, C, E>, Result<(), RunError>) {
        let engine = &self.engine;
        let checked = (|| -> Result<_, RunError> {
            let chip_select = engine.chip_select(chip_select)?;
            self.check_sender_again(chip_select, owner)?;
            let begin = engine.env.ticks();
            engine.note_call(chip_select, deadline)?;
            Ok((chip_select, begin))
        })();
        match checked {
            Ok((chip_select, begin)) => claimed.with(chip_select).call_frame(oob, begin, deadline),
            Err(error) => (claimed, Err(error)),
        }
    }
}

impl<C: Controller, E: Env> Engine<C, E> {
    /// Stores the call's date for the watch-dog, and checks that its deadline has not passed yet.
    #[inline(always)]
    fn note_call(&self, chip_select: &ChipSelect, deadline: Instant) -> Result<(), RunError> {
        if deadline == Instant::NEVER && !chip_select.is_watched() {
            return Ok(());
        }
        let now = self.env.now();
        chip_select.last_call.store(now.0, Ordering::Relaxed);
        match now >= deadline {
            true => Err(self.missed(chip_select, RunError::TooLate)),
            false => Ok(()),
        }
    }

    /// A frame that an exchange call started has ended after `took` ticks; for the claim's holder.
    #[inline]
    fn call_frame_ended(
        &self,
        chip_select: &ChipSelect,
        ended: Ended,
        took: u64,
        is_late: bool,
    ) -> Result<(), RunError> {
        chip_select.counters.worst.raise_to(took);
        if ended.is_err() || is_late {
            return self.call_frame_failed(chip_select, ended, is_late);
        }
        chip_select.counters.frames.bump();
        chip_select.forget_misses();
        Ok(())
    }

    #[cold]
    fn call_frame_failed(
        &self,
        chip_select: &ChipSelect,
        ended: Ended,
        is_late: bool,
    ) -> Result<(), RunError> {
        let counted = count_frame(chip_select, ended);
        if is_late {
            chip_select.counters.missed.add(1);
        }
        self.record_miss(chip_select, 1);
        counted.and(Err(RunError::Late))
    }

    /// Sleeps once more where a limit was noticed so late that the thread, or its whole machine,
    /// must have been held up. The completion may have been held up, too, and gets time to come.
    #[cold]
    fn if_held_up(&self, limit: Instant, sleep: impl FnOnce(Instant)) {
        let now = self.env.now();
        if now > limit.after(HELD_UP) {
            sleep(now.after(HELD_UP));
        }
    }
}

impl<C: Controller, E: Env> Claimed<'_, C, E> {
    /// Moves one frame of an exchange call that began at the tick `begin`.
    #[inline(always)]
    fn call_frame(
        self,
        oob: &Oob<'_>,
        begin: u64,
        deadline: Instant,
    ) -> (Self, Result<(), RunError>) {
        let (engine, chip_select) = (self.engine, self.chip_select);
        let (claimed, ended) = self.exchange(FrameKind::Regular, Holder::Oob, |phase, span| {
            // The limit counts from here on: the hardware is not to blame for a thread that was
            // held up before.
            let until = engine.env.now().after(span);
            let flag = engine.env.flag(chip_select.index());
            // The phase decides. An event that was latched for an earlier frame only causes one
            // more turn. Once the fail-safe has tripped, the stop frame must not wait for this
            // frame.
            let is_over =
                || engine.claim.read().phase() != phase || chip_select.state() == State::Stopped;
            let sleep = |until| while !is_over() && flag.wait_until(oob, until).is_ok() {};
            sleep(until);
            if phase == Phase::InFlight && !is_over() {
                engine.if_held_up(until, sleep);
            }
            chip_select.state() != State::Stopped
        });
        let took = engine.env.ticks().saturating_sub(begin);
        let is_late = deadline != Instant::NEVER && engine.env.now() > deadline;
        let result = engine.call_frame_ended(chip_select, ended, took, is_late);
        (claimed, result)
    }
}
