// SPDX-License-Identifier: GPL-2.0-only

//! The mutex: who waits for whom, and what it does not let happen.
//!
//! ```text
//!   priority 30, high     waits for its turn . . . . lock ----------------> has it
//!   priority 20, middle   waits for its turn . . . . . . .  [computes]  or here [computes]
//!   priority 10, low      lock, wakes high, wakes middle, computes, unlock
//! ```
//!
//! All on one processor. Where low inherits high's priority, middle begins only after high has the lock.

use super::support::{Cell, Idle, by_oob, compute_preempted};
use crate::services::{
    End, Inversion, MUTEX_INVERSION, MUTEX_KEPT, MUTEX_PLACES, MUTEX_TWICE, Places, Twice,
};
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::alloc::KArc;
use kernel::error::{Result, code};
use kernel::sync::LockClass;
use kernel::uaccess::UserPtr;
use oob::kernel_core::{Monotonic, Mutex, Semaphore, Tasks, Thread, monitor_lock};
use oob::stage::{Inband, Oob};
use oob::time::{Clock, Instant, Ns};

static CLASS: LockClass = LockClass::new();

fn new<T>(inband: &Inband<'_>, value: T) -> Result<Mutex<T>> {
    Mutex::new(inband, value, c"trial mutex", &CLASS)
}

pub(super) fn ioctl(inband: &Inband<'_>, command: u32, argument: UserPtr) -> Result<i32> {
    match command {
        MUTEX_INVERSION => {
            let seen = inversion(inband, argument.read(inband)?)?;
            argument.write(inband, &seen).map(|()| 0)
        }
        MUTEX_PLACES => {
            let seen = places(inband, argument.read(inband)?)?;
            argument.write(inband, &seen).map(|()| 0)
        }
        MUTEX_TWICE => {
            let mutex = new(inband, ())?;
            let report = by_oob(|oob| twice(oob, &mutex))?;
            argument.write(inband, &report).map(|()| 0)
        }
        MUTEX_KEPT => {
            let kept = Kept::new(inband)?;
            let end = by_oob(|oob| kept.want(oob))?;
            Ok(end as i32)
        }
        _ => Err(code::ENOTTY),
    }
}

fn twice(oob: &Oob<'_>, mutex: &Mutex<()>) -> Twice {
    let first = mutex.lock(oob);
    let second = mutex.lock(oob).map(drop);
    let is_busy = mutex.try_lock(oob).is_none();
    let first = first.map(drop);
    Twice {
        first: End::from(first) as u32,
        second: End::from(second) as u32,
        is_busy: is_busy.into(),
        after: End::from(mutex.lock(oob).map(drop)) as u32,
    }
}

/// A mutex that a thread of its own holds until this is dropped.
pub(super) struct Kept {
    mutex: KArc<Mutex<()>>,
    _keeper: Thread,
}

impl Kept {
    pub(super) fn new(inband: &Inband<'_>) -> Result<Self> {
        let mutex = KArc::new(inband, new(inband, ())?)?;
        let (held, idle) = (KArc::new(inband, Cell::default())?, Idle::new(inband)?);
        let shared = (mutex.clone(), held.clone());
        let keeper = Thread::run(inband, c"oob-trial-keep", 10, None, move |oob, _| {
            let (mutex, held) = &shared;
            let guard = mutex.lock(oob);
            held.set(1);
            idle.until(oob, Instant::NEVER);
            drop(guard);
        })?;
        held.reaches(inband, 1)?;
        Ok(Self {
            mutex,
            _keeper: keeper,
        })
    }

    pub(super) fn want(&self, oob: &Oob<'_>) -> End {
        self.mutex.lock(oob).map(drop).into()
    }
}

/// What the three threads share.
struct Scene {
    mutex: Mutex<()>,
    semaphore: Semaphore,
    high_may: Semaphore,
    middle_may: Semaphore,
    ready: Cell,
    over: Cell,
    middle_has_begun: Cell,
    middle_was_first: Cell,
    waited_ns: AtomicU64,
}

impl Scene {
    fn new(inband: &Inband<'_>) -> Result<Self> {
        let semaphore = |count| monitor_lock(inband, count).map(Semaphore::new);
        Ok(Self {
            mutex: new(inband, ())?,
            semaphore: semaphore(1)?,
            high_may: semaphore(0)?,
            middle_may: semaphore(0)?,
            ready: Cell::default(),
            over: Cell::default(),
            middle_has_begun: Cell::default(),
            middle_was_first: Cell::default(),
            waited_ns: AtomicU64::new(0),
        })
    }

    /// `f` with the lock held.
    fn locked(&self, oob: &Oob<'_>, is_mutex: bool, f: impl FnOnce()) {
        if is_mutex {
            if let Ok(_guard) = self.mutex.lock(oob) {
                f();
            }
        } else if self.semaphore.down_until(oob, &Tasks, Instant::NEVER) == Ok(()) {
            f();
            let _ = self.semaphore.up(&Tasks);
        }
    }

    fn turn(&self, oob: &Oob<'_>, mine: &Semaphore) {
        self.ready.add();
        let _ = mine.down_until(oob, &Tasks, Instant::NEVER);
    }

    fn high(&self, oob: &Oob<'_>, is_mutex: bool) {
        self.turn(oob, &self.high_may);
        let begin = Monotonic.now();
        self.locked(oob, is_mutex, || {
            let Ns(waited) = Monotonic.now().since(begin);
            self.waited_ns.store(waited, Ordering::Relaxed);
            self.middle_was_first.set(self.middle_has_begun.get());
        });
        self.over.add();
    }

    fn middle(&self, oob: &Oob<'_>, span: Ns) {
        self.turn(oob, &self.middle_may);
        self.middle_has_begun.set(1);
        compute_preempted(oob, span);
        self.over.add();
    }

    fn low(&self, oob: &Oob<'_>, is_mutex: bool, span: Ns) {
        self.locked(oob, is_mutex, || {
            let _ = self.high_may.up(&Tasks);
            let _ = self.middle_may.up(&Tasks);
            compute_preempted(oob, span);
        });
        self.over.add();
    }
}

fn inversion(inband: &Inband<'_>, args: Inversion) -> Result<Inversion> {
    let (cpu, is_mutex) = (Some(args.cpu), args.is_mutex != 0);
    let scene = KArc::new(inband, Scene::new(inband)?)?;
    let mine = scene.clone();
    let high = move |oob: &Oob<'_>, _: &_| mine.high(oob, is_mutex);
    let _high = Thread::run(inband, c"oob-trial-high", 30, cpu, high)?;
    let mine = scene.clone();
    let middle = move |oob: &Oob<'_>, _: &_| mine.middle(oob, Ns(args.middle_ns));
    let _middle = Thread::run(inband, c"oob-trial-mid", 20, cpu, middle)?;
    scene.ready.reaches(inband, 2)?;
    let mine = scene.clone();
    let low = move |oob: &Oob<'_>, _: &_| mine.low(oob, is_mutex, Ns(args.hold_ns));
    let _low = Thread::run(inband, c"oob-trial-low", 10, cpu, low)?;
    scene.over.reaches(inband, 3)?;
    Ok(Inversion {
        waited_ns: scene.waited_ns.load(Ordering::Relaxed),
        middle_was_first: scene.middle_was_first.get(),
        ..args
    })
}

/// Two threads in a semaphore's line: the middle one, and behind it the low one, which holds a mutex that the high one wants.
struct Line {
    mutex: Mutex<()>,
    line: Semaphore,
    high_may: Semaphore,
    ready: Cell,
    woken: Cell,
    low: Cell,
    middle: Cell,
}

impl Line {
    fn stand(&self, oob: &Oob<'_>, place: &Cell) {
        if self.line.down_until(oob, &Tasks, Instant::NEVER) == Ok(()) {
            self.woken.add();
            place.set(self.woken.get());
        }
    }
}

/// The one that gives is the lowest: it runs when all others wait.
fn places(inband: &Inband<'_>, args: Places) -> Result<Places> {
    let cpu = Some(args.cpu);
    let semaphore = || monitor_lock(inband, 0).map(Semaphore::new);
    let line = Line {
        mutex: new(inband, ())?,
        line: semaphore()?,
        high_may: semaphore()?,
        ready: Cell::default(),
        woken: Cell::default(),
        low: Cell::default(),
        middle: Cell::default(),
    };
    let scene = KArc::new(inband, line)?;
    let mine = scene.clone();
    let _high = Thread::run(inband, c"oob-trial-high", 30, cpu, move |oob, _| {
        mine.ready.add();
        let _ = mine.high_may.down_until(oob, &Tasks, Instant::NEVER);
        let _ = mine.mutex.lock(oob);
    })?;
    let mine = scene.clone();
    let _middle = Thread::run(inband, c"oob-trial-mid", 20, cpu, move |oob, _| {
        mine.ready.add();
        mine.stand(oob, &mine.middle);
    })?;
    scene.ready.reaches(inband, 2)?;
    let mine = scene.clone();
    let _low = Thread::run(inband, c"oob-trial-low", 10, cpu, move |oob, _| {
        let held = mine.mutex.lock(oob);
        // It waits for the mutex when this is over: it is the more urgent one, on the same processor.
        let _ = mine.high_may.up(&Tasks);
        mine.ready.add();
        mine.stand(oob, &mine.low);
        drop(held);
    })?;
    scene.ready.reaches(inband, 3)?;
    let mine = scene.clone();
    let _giver = Thread::run(inband, c"oob-trial-give", 5, cpu, move |_, _| {
        let _ = mine.line.up(&Tasks);
        let _ = mine.line.up(&Tasks);
    })?;
    scene.woken.reaches(inband, 2)?;
    Ok(Places {
        low: scene.low.get(),
        middle: scene.middle.get(),
        ..args
    })
}
