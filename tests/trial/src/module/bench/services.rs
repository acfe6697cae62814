// SPDX-License-Identifier: GPL-2.0-only

//! Flag, semaphore and timer of the kit.
//!
//! ```text
//!   thread: arms the timer for a date, waits ------ until ------> stamp
//!   timer's handler, in hard interrupt:  stamp, raises or ups -----'
//! ```

use super::Timed;
use crate::bench as abi;
use crate::bench::Round;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use kernel::error::{Result, code};
use kernel::time::{HardTimer, TimerHandler, cycles};
use oob::cores::shim::{Semaphore, TaskFlag, Tasks};
use oob::kernel_core::{Monotonic, monitor_lock};
use oob::stage::{Inband, Oob};
use oob::time::{Clock, Instant, Ns};
use oob::wait::{Flag, WaitError};

/// How long a wait with a deadline may take; the period of a timer of which only the first date is measured.
const LIMIT: Ns = Ns(1_000_000_000);

pub(super) struct Services {
    timer: HardTimer<Alarm>,
    stamper: HardTimer<Stamper>,
    /// That of a pair, and of [`abi::UP`] and [`abi::DOWN`].
    semaphore: Semaphore,
}

struct Alarm {
    /// One of the constants below.
    does: AtomicU32,
    stamp: AtomicU64,
    flag: TaskFlag,
    semaphore: Semaphore,
}

const RAISES: u32 = 0;
const UPS: u32 = 1;

impl TimerHandler for Alarm {
    fn expired(&self, _missed: u64) {
        if self.does.load(Ordering::Relaxed) == RAISES {
            self.stamp.store(cycles(), Ordering::Relaxed);
            self.flag.raise();
        } else {
            self.stamp.store(cycles(), Ordering::Relaxed);
            // Each is taken down before the next, so the count has room.
            let _ = self.semaphore.up(&Tasks);
        }
    }
}

/// Stamps the date; who waits is woken later.
struct Stamper {
    date: AtomicU64,
    flag: TaskFlag,
}

impl TimerHandler for Stamper {
    fn expired(&self, _missed: u64) {
        self.date.store(Monotonic.now().0, Ordering::Relaxed);
        self.flag.raise();
    }
}

impl Services {
    pub(super) fn new(inband: &Inband<'_>) -> Result<Self> {
        let alarm = Alarm {
            does: AtomicU32::new(RAISES),
            stamp: AtomicU64::new(0),
            flag: TaskFlag::new(inband)?,
            semaphore: Semaphore::new(monitor_lock(inband, 0)?),
        };
        let stamper = Stamper {
            date: AtomicU64::new(0),
            flag: TaskFlag::new(inband)?,
        };
        Ok(Self {
            timer: HardTimer::new(inband, alarm)?,
            stamper: HardTimer::new(inband, stamper)?,
            semaphore: Semaphore::new(monitor_lock(inband, 0)?),
        })
    }

    /// By itself, as [`Self::down`] is: a call that does nothing shall not save registers for them.
    #[inline(never)]
    pub(super) fn up(&self) -> Result<i32> {
        let counted = self.semaphore.up(&Tasks);
        counted.map(|()| 0).map_err(|_| code::EBUSY)
    }

    #[inline(never)]
    pub(super) fn down(&self, oob: &Oob<'_>) -> Result<i32> {
        let waited = self.semaphore.down_until(oob, &Tasks, Instant::NEVER);
        waited.map(|()| 0).map_err(|_| code::EBUSY)
    }

    /// What a command took; `None` where it is none of these. `EBUSY` where a wait was cut short.
    pub(super) fn round(&self, oob: &Oob<'_>, command: u32, round: &Round) -> Result<Option<u64>> {
        let date = Monotonic.now().after(Ns(round.after_ns.into()));
        let alarm = self.timer.handler();
        let took = match command {
            abi::PAIR_SEMAPHORE => self.pairs(oob, round.times),
            abi::WAKE_FLAG => {
                self.wake(RAISES, date, || alarm.flag.wait_until(oob, Instant::NEVER))
            }
            abi::WAKE_FLAG_UNTIL => self.wake(RAISES, date, || {
                alarm.flag.wait_until(oob, date.after(LIMIT))
            }),
            abi::WAKE_SEMAPHORE => self.wake(UPS, date, || {
                let semaphore = &alarm.semaphore;
                semaphore.down_until(oob, &Tasks, Instant::NEVER)
            }),
            abi::EXPIRY => self.expiry(oob, date, Ns(0)),
            abi::EXPIRY_PERIODIC => self.expiry(oob, date, LIMIT),
            abi::SLEEP => {
                alarm.flag.clear();
                match alarm.flag.wait_until(oob, date) {
                    Err(WaitError::TimedOut) => Ok(Monotonic.now().since(date).0),
                    Ok(()) => return Err(code::EBUSY),
                    Err(error) => Err(error),
                }
            }
            _ => return Ok(None),
        };
        took.map(Some).map_err(|_| code::EBUSY)
    }

    fn pairs(&self, oob: &Oob<'_>, times: u32) -> Timed<WaitError> {
        let begin = cycles();
        for _ in 0..times {
            let _ = self.semaphore.up(&Tasks);
            self.semaphore.down_until(oob, &Tasks, Instant::NEVER)?;
        }
        Ok(cycles().wrapping_sub(begin))
    }

    /// From the date to the handler, in ns.
    fn expiry(&self, oob: &Oob<'_>, date: Instant, period: Ns) -> Timed<WaitError> {
        let stamper = self.stamper.handler();
        self.stamper.start(date.0, period.0);
        stamper.flag.wait_until(oob, Instant::NEVER)?;
        // SAFETY: a task, on the only core that is measured; the handler takes nothing.
        unsafe { self.stamper.cancel_spinning() };
        Ok(Instant(stamper.date.load(Ordering::Relaxed)).since(date).0)
    }

    /// Ticks from the handler's stamp to the end of the wait.
    fn wake(
        &self,
        does: u32,
        date: Instant,
        wait: impl FnOnce() -> core::result::Result<(), WaitError>,
    ) -> Timed<WaitError> {
        let alarm = self.timer.handler();
        alarm.does.store(does, Ordering::Relaxed);
        self.timer.start(date.0, 0);
        wait()?;
        Ok(cycles().wrapping_sub(alarm.stamp.load(Ordering::Relaxed)))
    }
}
