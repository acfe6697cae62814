// SPDX-License-Identifier: MIT OR Apache-2.0

//! The loop itself. Between its first and its last frame it allocates nothing and prints nothing.
//!
//! ```text
//!   date(n)      woken                                done        date(n+1)
//!     |--- wake ---|--- control, exchange: cycle ------|             |
//!                     command n  -->                       a `done` behind date(n+1): period n is missed
//!                 <-- status: effect of command n-1
//! ```
//!
//! A period that has gone by entirely before its turn gets no frame; it counts as missed, and the loop stays in step.

use crate::control::{Controller, Reference};
use crate::figures::Figures;
use crate::schedule::Schedule;
use motor_frame::{Command, FLAG_BAD_COMMAND, FLAG_BRAKE, FLAG_ENABLE, Status};
use oobkit::inband::TransferError;
use oobkit::spi::RunError;
use oobkit::time::Instant;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The clock that the loop lives by.
pub(crate) trait Clock {
    /// The date now.
    fn now(&self) -> Instant;
    /// Sleeps until `date`.
    fn sleep_until(&self, date: Instant);
}

/// The motor, by whichever way.
pub(crate) trait Link {
    /// Sends `command`, to be done by `deadline`, and receives the status of the moment before.
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
    /// Whether the next frame may succeed.
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

/// From the greeting to the first period.
const LEAD: Duration = Duration::from_millis(1);
/// What the frames before and after the loop may take.
const UNHURRIED: Duration = Duration::from_secs(1);

/// Numbers the commands, and judges whether a status follows them.
#[derive(Debug)]
struct Conversation {
    sequence: u16,
    /// What the next status must carry; `None` where it is unknown what the motor has heard.
    expected: Option<u16>,
}

impl Conversation {
    fn command(&mut self, flags: u8, drive: i32) -> Command {
        self.sequence = self.sequence.wrapping_add(1);
        Command::new(self.sequence, flags, drive)
    }

    /// Whether `status`, received while the present command was sent, is right.
    fn is_right(&mut self, status: &Status) -> bool {
        let follows = self.expected.is_none_or(|expected| {
            status.sequence.get() == expected && status.flags & FLAG_BAD_COMMAND == 0
        });
        self.expected = Some(self.sequence);
        status.is_valid() && follows
    }

    fn frame_failed(&mut self) {
        self.expected = None;
    }
}

/// Runs the position loop for `periods` periods at `rate_hz`; `progress` follows the count.
///
/// # Errors
///
/// The failure that no next frame can repair; `figures` then holds what was counted until there.
pub(crate) fn run(
    clock: &impl Clock,
    link: &mut impl Link,
    rate_hz: u64,
    periods: u64,
    figures: &mut Figures,
    progress: &AtomicU64,
) -> Result<(), LinkError> {
    let mut talk = Conversation {
        sequence: 0,
        expected: None,
    };
    let greeting = talk.command(FLAG_ENABLE, 0);
    let status = link.exchange(&greeting, clock.now().after(UNHURRIED))?;
    let start = if talk.is_right(&status) {
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
        let command = talk.command(FLAG_ENABLE, drive);
        match link.exchange(&command, next) {
            Ok(status) if talk.is_right(&status) => {
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
                talk.frame_failed();
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

    let farewell = talk.command(FLAG_BRAKE, 0);
    link.exchange(&farewell, clock.now().after(UNHURRIED))
        .map(|_| ())
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
