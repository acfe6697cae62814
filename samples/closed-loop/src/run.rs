// SPDX-License-Identifier: MIT OR Apache-2.0

//! The loop. Between its first and its last frame it neither allocates nor prints.
//!
//! ```text
//!   date(n)      woken                                done        date(n+1)
//!     |--- wake ---|--- control, exchange: cycle ------|             |
//!                     command n  -->
//!                 <-- status: effect of command n-1
//! ```
//!
//! If `done` is after `date(n+1)`, period n is missed. A period that ends before the loop reaches
//! it gets no frame. It counts as missed, and the dates of later periods do not shift.

use crate::control::{Controller, Reference};
use crate::figures::Figures;
use crate::schedule::Schedule;
use motor_frame::{Command, FLAG_BAD_COMMAND, FLAG_BRAKE, FLAG_ENABLE, Status};
use oobkit::inband::TransferError;
use oobkit::spi::RunError;
use oobkit::time::Instant;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The loop's clock.
pub(crate) trait Clock {
    /// The date now.
    fn now(&self) -> Instant;
    /// Sleeps until `date`.
    fn sleep_until(&self, date: Instant);
}

/// The connection to the motor.
pub(crate) trait Link {
    /// Sends `command` in a frame that must have ended by `deadline`, and returns the status before
    /// the command.
    fn exchange(&mut self, command: &Command, deadline: Instant) -> Result<Status, LinkError>;
}

/// Why a frame was not exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkError {
    /// Out-of-band.
    Oob(RunError),
    /// In-band.
    Inband(TransferError),
}

impl LinkError {
    /// Whether the next frame may succeed without a repair.
    fn is_transient(self) -> bool {
        match self {
            Self::Oob(error) => error.is_transient(),
            Self::Inband(error) => matches!(error, TransferError::TimedOut),
        }
    }
}

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Oob(error) => error.fmt(f),
            Self::Inband(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LinkError {}

/// The time from the first command to the first period.
const LEAD: Duration = Duration::from_millis(1);
/// The time limit of the frames before and after the loop.
const UNHURRIED: Duration = Duration::from_secs(1);

/// Numbers the commands, and checks the sequence numbers of the statuses.
#[derive(Debug)]
struct Sequence {
    /// The sequence number of the last command.
    sent: u16,
    /// The sequence number that the next status must have. `None` if it is unknown whether the
    /// motor received the last command.
    expected: Option<u16>,
}

impl Sequence {
    fn command(&mut self, flags: u8, drive: i32) -> Command {
        self.sent = self.sent.wrapping_add(1);
        Command::new(self.sent, flags, drive)
    }

    /// Whether `status`, which came in the present command's frame, is right.
    fn is_right(&mut self, status: &Status) -> bool {
        let follows = self.expected.is_none_or(|expected| {
            status.sequence.get() == expected && status.flags & FLAG_BAD_COMMAND == 0
        });
        self.expected = Some(self.sent);
        status.is_valid() && follows
    }

    fn frame_failed(&mut self) {
        self.expected = None;
    }
}

/// Runs the position loop for `periods` periods at `rate_hz`, and updates `progress` after each.
///
/// # Errors
///
/// The first failure that is not transient. `figures` then has the counts up to there.
pub(crate) fn run(
    clock: &impl Clock,
    link: &mut impl Link,
    rate_hz: u64,
    periods: u64,
    figures: &mut Figures,
    progress: &AtomicU64,
) -> Result<(), LinkError> {
    let mut sequence = Sequence {
        sent: 0,
        expected: None,
    };
    let greeting = sequence.command(FLAG_ENABLE, 0);
    let status = link.exchange(&greeting, clock.now().after(UNHURRIED))?;
    let start = if sequence.is_right(&status) {
        f64::from(status.position.get())
    } else {
        figures.crc_errors += 1;
        0.0
    };

    let mut last = clock.now();
    let schedule = Schedule::new(last.after(LEAD), rate_hz);
    let dt = schedule.offset(1).as_secs_f64();
    let mut controller = Controller::default();
    let mut drive = 0;
    let mut first = None;
    for n in 0..periods {
        let (date, next) = (schedule.date(n), schedule.date(n + 1));
        figures.periods += 1;
        if last >= next {
            figures.missed += 1;
            figures.skipped += 1;
            continue;
        }
        clock.sleep_until(date);
        let woken = clock.now();
        let command = sequence.command(FLAG_ENABLE, drive);
        match link.exchange(&command, next) {
            Ok(status) if sequence.is_right(&status) => {
                let reference = Reference::at(start, schedule.offset(n).as_secs_f64());
                let position = status.position.get();
                figures
                    .tracking
                    .add(reference.position - f64::from(position));
                drive = controller.update(reference, position, status.velocity.get(), dt);
            }
            Ok(_) => figures.crc_errors += 1,
            Err(error) if error.is_transient() => {
                figures.failed += 1;
                sequence.frame_failed();
            }
            Err(error) => return Err(error),
        }
        figures.span = woken.since(*first.get_or_insert(woken));
        last = clock.now();
        figures.missed += u64::from(last >= next);
        figures.wake.saturating_record(nanos(woken.since(date)));
        figures.cycle.saturating_record(nanos(last.since(woken)));
        progress.store(n + 1, Ordering::Relaxed);
    }

    let farewell = sequence.command(FLAG_BRAKE, 0);
    link.exchange(&farewell, clock.now().after(UNHURRIED))
        .map(|_| ())
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
