// SPDX-License-Identifier: GPL-2.0-only

//! Work handed to in-band: who runs it, how often, and what ends it.

use super::support::{Cell, Idle, by_oob};
use crate::services::{self as abi, End};
use crate::services::{WORK_CALLS, WORK_CANCEL, WORK_DROP, WORK_DURING, WORK_WAIT};
use kernel::alloc::KArc;
use kernel::error::{Result, code};
use kernel::task;
use kernel::time::{HardTimer, TimerHandler};
use kernel::uaccess::UserPtr;
use oob::kernel_core::{Monotonic, Semaphore, Tasks, Thread, Work, monitor_lock};
use oob::stage::{Inband, Oob};
use oob::time::{Clock, Instant, Ns};

/// Until a run that is held is let go: long enough to begin to wait for it meanwhile, on a processor that is held up, too.
const A_WHILE: Ns = Ns(400_000_000);

/// What the runs and the scene share.
#[derive(Default)]
struct Seen {
    /// While it is 1, runs do not end.
    held: Cell,
    begun: Cell,
    ended: Cell,
    in_caller: Cell,
}

/// Work that sleeps for a while, and what is seen of it.
struct Scene {
    work: Work,
    seen: KArc<Seen>,
}

impl Scene {
    fn new(inband: &Inband<'_>, takes: Ns, result: i32) -> Result<Self> {
        let seen = KArc::new(inband, Seen::default())?;
        let (mine, idle, caller) = (seen.clone(), Idle::new(inband)?, task::current().addr());
        let work = Work::new(inband, move |inband: &Inband<'_>| {
            mine.begun.add();
            idle.sleep(inband, takes);
            while mine.held.get() == 1 {
                kernel::time::sleep_us(inband, 200, 400);
            }
            if task::current().addr() == caller {
                mine.in_caller.add();
            }
            mine.ended.add();
            result
        })?;
        Ok(Self { work, seen })
    }

    fn report(&self) -> abi::Work {
        abi::Work {
            begun: self.seen.begun.get(),
            ended: self.seen.ended.get(),
            in_caller: self.seen.in_caller.get(),
            ..abi::Work::default()
        }
    }
}

/// Lets a run go that is held.
struct LetGo(KArc<Seen>);

impl TimerHandler for LetGo {
    fn expired(&self, _missed: u64) {
        self.0.held.set(0);
    }
}

/// Calls from hard interrupt context.
struct Caller {
    scene: KArc<Scene>,
    called: Cell,
    first_calls: Cell,
}

impl Caller {
    fn call(&self) {
        if self.scene.work.call() {
            self.first_calls.add();
        }
        self.called.add();
    }
}

impl TimerHandler for Caller {
    fn expired(&self, _missed: u64) {
        self.call();
    }
}

pub(super) fn ioctl(inband: &Inband<'_>, command: u32, argument: UserPtr) -> Result<i32> {
    let report = match command {
        WORK_CALLS => calls(inband, &argument.read(inband)?),
        WORK_DURING => during(inband),
        WORK_WAIT => wait(inband, &argument.read(inband)?),
        WORK_CANCEL => cancel(inband),
        WORK_DROP => dropped(inband),
        _ => Err(code::ENOTTY),
    }?;
    argument.write(inband, &report).map(|()| 0)
}

fn calls(inband: &Inband<'_>, args: &abi::Work) -> Result<abi::Work> {
    let scene = KArc::new(inband, Scene::new(inband, Ns(args.takes_ns), 0)?)?;
    let caller = Caller {
        scene: scene.clone(),
        called: Cell::default(),
        first_calls: Cell::default(),
    };
    let timer = HardTimer::new(inband, caller)?;
    let caller = timer.handler();
    for n in 1..=args.calls {
        match args.from_interrupt {
            0 => caller.call(),
            _ => timer.start(Monotonic.now().after(Ns(100_000)).0, 0),
        }
        caller.called.reaches(inband, n)?;
        scene.work.flush(inband);
    }
    Ok(abi::Work {
        first_calls: caller.first_calls.get(),
        ..scene.report()
    })
}

fn during(inband: &Inband<'_>) -> Result<abi::Work> {
    let scene = Scene::new(inband, Ns(0), 0)?;
    scene.seen.held.set(1);
    let mut first_calls = u32::from(scene.work.call());
    let begun = scene.seen.begun.reaches(inband, 1);
    for _ in 0..2 {
        first_calls = first_calls.wrapping_add(scene.work.call().into());
    }
    scene.seen.held.set(0);
    scene.work.flush(inband);
    begun?;
    Ok(abi::Work {
        first_calls,
        ..scene.report()
    })
}

fn wait(inband: &Inband<'_>, args: &abi::Work) -> Result<abi::Work> {
    let scene = Scene::new(inband, Ns(args.takes_ns), args.result)?;
    let until = Instant(args.until_ns);
    let waited = by_oob(|oob| scene.work.call_and_wait(oob, until))?;
    let report = abi::Work {
        result: waited.unwrap_or(0),
        end: End::from(waited.map(drop)) as u32,
        ..scene.report()
    };
    // Neither a signal nor a deadline keeps it from running.
    scene.work.flush(inband);
    Ok(abi::Work {
        ended: scene.report().ended,
        ..report
    })
}

fn cancel(inband: &Inband<'_>) -> Result<abi::Work> {
    let scene = KArc::new(inband, Scene::new(inband, Ns(0), 0)?)?;
    let let_go = HardTimer::new(inband, LetGo(scene.seen.clone()))?;
    let cell = || KArc::new(inband, Cell::default());
    let (about, end) = (cell()?, cell()?);
    let may = KArc::new(inband, Semaphore::new(monitor_lock(inband, 0)?))?;
    let shared = (scene.clone(), may.clone(), about.clone(), end.clone());
    let waiter = Thread::run(
        inband,
        c"oob-trial-wait",
        10,
        None,
        move |oob: &Oob<'_>, _| {
            let (scene, may, about, end) = &shared;
            let _ = may.down_until(oob, &Tasks, Instant::NEVER);
            about.set(1);
            let waited = scene.work.call_and_wait(oob, Instant::NEVER).map(drop);
            end.set(End::from(waited) as u32);
        },
    )?;
    scene.seen.held.set(1);
    scene.work.call();
    let begun = scene.seen.begun.reaches(inband, 1);
    let _ = may.up(&Tasks);
    let asked = about.reaches(inband, 1);
    // It has told that it is about to call.
    kernel::time::sleep_us(inband, 50_000, 60_000);
    let_go.start(Monotonic.now().after(A_WHILE).0, 0);
    scene.work.cancel(inband);
    begun.and(asked)?;
    let report = scene.report();
    end.reaches(inband, 1)?;
    waiter.stop(inband);
    // It can be called again.
    let first_calls = u32::from(scene.work.call());
    scene.work.flush(inband);
    Ok(abi::Work {
        end: end.get(),
        first_calls,
        ended: scene.report().ended,
        ..report
    })
}

fn dropped(inband: &Inband<'_>) -> Result<abi::Work> {
    let Scene { work, seen } = Scene::new(inband, Ns(0), 0)?;
    let let_go = HardTimer::new(inband, LetGo(seen.clone()))?;
    seen.held.set(1);
    work.call();
    let begun = seen.begun.reaches(inband, 1);
    work.call();
    let_go.start(Monotonic.now().after(A_WHILE).0, 0);
    drop(work);
    begun?;
    drop(let_go);
    Ok(abi::Work {
        begun: seen.begun.get(),
        ended: seen.ended.get(),
        // What the function owned is gone with it.
        end: match KArc::is_unique(&seen) {
            true => End::Closed,
            false => End::None,
        } as u32,
        ..abi::Work::default()
    })
}
