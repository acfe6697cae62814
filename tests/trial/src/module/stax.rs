// SPDX-License-Identifier: GPL-2.0-only

//! The stage lock: threads of both stages enter and leave at random, and count who is inside.

use super::support::{Lines, lines, with_oob};
use crate::{Hammer, STAX_DESTROY, STAX_HAMMER, STAX_LOSE, STAX_SPIN, STAX_TOTAL, Total};
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::alloc::KArc;
use kernel::error::{Result, code};
use kernel::sync::{LockClass, RawSpinLock};
use kernel::task;
use kernel::uaccess::UserPtr;
use oob::kernel_core::{Monitor, Monotonic, Tasks, monitor_lock};
use oob::stage::{Inband, MayWait};
use oob::time::{Clock, Instant, Ns};
use stax::queue::Queue;
use stax::{Atomic, Backend, End, Guard, LockError, Side, Sleep, Stage, Stax, TryLockError};

type Lock = Stax<KArc<Inside>, Lossy>;

/// The kernel's backend, which is made to lose wake-ups where a test asks for it, and counts who passes a sleeper.
struct Lossy {
    lines: Lines,
    /// How many are still to be lost.
    loses: AtomicU64,
    /// The same as in the lock.
    inside: KArc<Inside>,
}

impl Backend for Lossy {
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        self.lines.with_queue(f)
    }

    fn wake_all(&self, side: Side) {
        // Under the queue lock.
        match self.loses.load(Ordering::Relaxed).checked_sub(1) {
            Some(left) => self.loses.store(left, Ordering::Relaxed),
            None => self.lines.wake_all(side),
        }
    }
}

impl<S: Stage> Sleep<S> for Lossy
where
    Lines: Sleep<S>,
{
    fn sleep(&self, stage: &S, deadline: Instant, ready: impl Fn() -> bool) -> End {
        let others = Inside::all(&self.inside.entered, S::SIDE.other());
        let before = others.load(Ordering::Relaxed);
        let end = self.lines.sleep(stage, deadline, ready);
        // Let in, its stage keeps the other one out: what began since, began while it waited.
        if end == End::Woken {
            let passed = others.load(Ordering::Relaxed).wrapping_sub(before);
            self.inside.most_passed.fetch_max(passed, Ordering::Relaxed);
        }
        end
    }
}

/// What the lock guards: who is inside, as the threads themselves count it.
#[derive(Default)]
struct Inside {
    threads: [AtomicU64; 2],
    entered: [AtomicU64; 2],
    violations: AtomicU64,
    most_passed: AtomicU64,
}

/// A lock of an open file's own.
pub(super) struct Trial {
    lock: Lock,
    /// The same as in the lock.
    inside: KArc<Inside>,
    /// Nothing ever comes of waiting here but time.
    idle: Monitor<()>,
    /// Whoever holds it cannot sleep.
    awake: RawSpinLock<()>,
}

static AWAKE: LockClass = LockClass::new();

impl Inside {
    fn all(counters: &[AtomicU64; 2], side: Side) -> &AtomicU64 {
        let [oob, inband] = counters;
        match side {
            Side::Oob => oob,
            Side::Inband => inband,
        }
    }

    fn check(&self, side: Side) {
        if Self::all(&self.threads, side.other()).load(Ordering::Relaxed) != 0 {
            self.violations.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn come(&self, side: Side) {
        Self::all(&self.threads, side).fetch_add(1, Ordering::Relaxed);
        Self::all(&self.entered, side).fetch_add(1, Ordering::Relaxed);
        self.check(side);
    }

    fn go(&self, side: Side) {
        self.check(side);
        Self::all(&self.threads, side).fetch_sub(1, Ordering::Relaxed);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11).checked_rem(n).unwrap_or(0)
    }
}

impl Trial {
    pub(super) fn new(inband: &Inband<'_>) -> Result<Self> {
        let inside = KArc::new(inband, Inside::default())?;
        Ok(Self {
            lock: Stax::new(
                inside.clone(),
                Lossy {
                    lines: lines(inband)?,
                    loses: AtomicU64::new(0),
                    inside: inside.clone(),
                },
            ),
            inside,
            idle: Monitor::new(monitor_lock(inband, ())?),
            awake: RawSpinLock::new(inband, (), c"trial awake", &AWAKE)?,
        })
    }

    /// The calls that an attached thread makes out-of-band.
    pub(super) fn oob_ioctl(&self, command: u32, argument: UserPtr) -> Option<Result<i32>> {
        if command != STAX_HAMMER {
            return None;
        }
        with_oob(|stage| self.hammer(stage, argument))
    }

    pub(super) fn ioctl(
        &self,
        inband: &Inband<'_>,
        command: u32,
        argument: UserPtr,
    ) -> Result<i32> {
        match command {
            STAX_HAMMER => self.hammer(inband, argument),
            STAX_DESTROY => {
                self.lock.destroy();
                Ok(0)
            }
            STAX_LOSE => {
                let times = argument.read(inband)?;
                self.lock.backend().loses.store(times, Ordering::Relaxed);
                Ok(0)
            }
            STAX_SPIN => {
                let mut args: Hammer = argument.read(inband)?;
                self.spin_and_leave(inband, &mut args);
                argument.write(inband, &args).map(|()| 0)
            }
            STAX_TOTAL => argument.write(inband, &self.total()).map(|()| 0),
            _ => Err(code::ENOTTY),
        }
    }

    fn total(&self) -> Total {
        let inside = &self.inside;
        let [oob, inband] = &inside.entered;
        Total {
            oob: oob.load(Ordering::Relaxed),
            inband: inband.load(Ordering::Relaxed),
            violations: inside.violations.load(Ordering::Relaxed),
            inside: inside
                .threads
                .iter()
                .map(|threads| threads.load(Ordering::Relaxed))
                .fold(0, u64::wrapping_add),
            most_passed: inside.most_passed.load(Ordering::Relaxed),
        }
    }

    /// Sleeps for some 100 us, or stays awake for less.
    fn pass_time<S: MayWait>(&self, stage: &S, random: &mut Random) {
        match random.below(4) {
            0 => {
                self.sleep(stage, Ns(random.below(200_000)));
            }
            _ => Monotonic.spin_until(Monotonic.now().after(Ns(random.below(10_000)))),
        }
    }

    fn sleep<S: MayWait>(&self, stage: &S, span: Ns) {
        let until = Monotonic.now().after(span);
        let _ = self.idle.wait_until(stage, &Tasks, until, |()| None::<()>);
    }

    fn hammer<S: Stage + MayWait>(&self, stage: &S, argument: UserPtr) -> Result<i32>
    where
        Lossy: Sleep<S>,
    {
        let mut args: Hammer = argument.read_oob()?;
        match args.hold_ns {
            0 => self.enter_and_leave(stage, &mut args),
            _ => self.hold_once(stage, &mut args),
        }
        argument.write_oob(&args).map(|()| 0)
    }

    fn hold_once<S: Stage + MayWait>(&self, stage: &S, args: &mut Hammer)
    where
        Lossy: Sleep<S>,
    {
        match self.lock.lock(stage) {
            Ok(guard) => {
                args.entered = 1;
                guard.come(S::SIDE);
                self.sleep(stage, Ns(args.hold_ns));
                guard.go(S::SIDE);
            }
            Err(LockError::Interrupted) => args.interrupted = 1,
            Err(LockError::TimedOut) => args.timed_out = 1,
            Err(LockError::Dead | LockError::Overflow) => args.dead = 1,
        }
    }

    fn enter_and_leave<S: Stage + MayWait>(&self, stage: &S, args: &mut Hammer)
    where
        Lossy: Sleep<S>,
    {
        let mut random = Random(args.seed | 1);
        while Monotonic.now().0 < args.until_ns && !task::signal_pending() {
            let entered = match random.below(4) {
                0 => match self.lock.try_lock(stage) {
                    Ok(guard) => Ok(guard),
                    Err(TryLockError::Dead) => Err(LockError::Dead),
                    Err(TryLockError::WouldBlock | TryLockError::Overflow) => {
                        args.busy = args.busy.wrapping_add(1);
                        self.pass_time(stage, &mut random);
                        continue;
                    }
                },
                1 => {
                    let deadline = Monotonic.now().after(Ns(random.below(300_000)));
                    self.lock.lock_until(stage, deadline)
                }
                _ => self.lock.lock(stage),
            };
            match entered {
                Ok(guard) => {
                    args.entered = args.entered.wrapping_add(1);
                    self.inside(stage, &guard, args, &mut random);
                }
                Err(LockError::TimedOut) => args.timed_out = args.timed_out.wrapping_add(1),
                Err(LockError::Interrupted) => args.interrupted = args.interrupted.wrapping_add(1),
                Err(LockError::Dead | LockError::Overflow) => {
                    args.dead = 1;
                    return;
                }
            }
            // Attached threads would keep the others from the processors.
            self.sleep(stage, Ns(random.below(200_000).saturating_add(50_000)));
        }
    }

    fn spin_and_leave(&self, inband: &Inband<'_>, args: &mut Hammer) {
        let mut random = Random(args.seed | 1);
        while Monotonic.now().0 < args.until_ns && !task::signal_pending() && args.dead == 0 {
            let awake = self.awake.lock();
            self.spin_once(args, &mut random);
            drop(awake);
            self.sleep(inband, Ns(random.below(200_000).saturating_add(50_000)));
        }
    }

    /// With the spinlock held.
    fn spin_once(&self, args: &mut Hammer, random: &mut Random) {
        // SAFETY: in-band, in a system call, with interrupts off; waits with a deadline.
        let atomic = unsafe { Atomic::assume() };
        let entered = match self.lock.try_lock(&atomic) {
            Ok(guard) => Ok((guard, 0)),
            Err(_) => {
                let deadline = Monotonic.now().after(Ns(random.below(200_000)));
                let waited = self.lock.lock_until(&atomic, deadline);
                waited.map(|guard| (guard, 1))
            }
        };
        match entered {
            Ok((guard, busy)) => {
                args.entered = args.entered.wrapping_add(1);
                args.busy = args.busy.wrapping_add(busy);
                guard.come(Side::Inband);
                Monotonic.spin_until(Monotonic.now().after(Ns(random.below(10_000))));
                guard.go(Side::Inband);
            }
            Err(LockError::TimedOut) => args.timed_out = args.timed_out.wrapping_add(1),
            Err(_) => args.dead = 1,
        }
    }

    fn inside<S: Stage + MayWait>(
        &self,
        stage: &S,
        guard: &Guard<'_, KArc<Inside>, S, Lossy>,
        args: &mut Hammer,
        random: &mut Random,
    ) {
        guard.come(S::SIDE);
        self.pass_time(stage, random);
        if random.below(4) == 0
            && let Ok(inner) = guard.nest()
        {
            args.nested = args.nested.wrapping_add(1);
            inner.check(S::SIDE);
            self.pass_time(stage, random);
        }
        guard.go(S::SIDE);
    }
}
