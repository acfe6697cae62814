// SPDX-License-Identifier: GPL-2.0-only

//! Kernel threads: they wait for ever, and are stopped.

use super::mutex::Kept;
use super::support::{Cell, Idle, compute_preempted};
use crate::services::{End, Place, Start, Stopped, THREAD_START, THREAD_STOP};
use kernel::alloc::KArc;
use kernel::error::{Result, code};
use kernel::sync::{LockClass, Mutex};
use kernel::time::sleep_us;
use kernel::uaccess::UserPtr;
use oob::kernel_core::{Monotonic, Running, Semaphore, TaskFlag, Tasks, Thread, monitor_lock};
use oob::stage::{Inband, Oob};
use oob::time::{Clock, Instant, Ns};
use oob::wait::Flag;

/// All that a thread may wait in, and what it found.
struct Scene {
    idle: Idle,
    semaphore: Semaphore,
    flag: TaskFlag,
    kept: Option<Kept>,
    waits: Cell,
    first: Cell,
    second: Cell,
    was_early: Cell,
}

impl Scene {
    fn new(inband: &Inband<'_>, place: u32) -> Result<Self> {
        let kept = (place == Place::Mutex as u32).then(|| Kept::new(inband));
        Ok(Self {
            idle: Idle::new(inband)?,
            semaphore: Semaphore::new(monitor_lock(inband, 0)?),
            flag: TaskFlag::new(inband)?,
            kept: kept.transpose()?,
            waits: Cell::default(),
            first: Cell::default(),
            second: Cell::default(),
            was_early: Cell::default(),
        })
    }

    fn wait(&self, oob: &Oob<'_>, running: &Running, place: u32) -> End {
        let never = Instant::NEVER;
        if place == Place::Monitor as u32 {
            self.idle.until(oob, never)
        } else if place == Place::Semaphore as u32 {
            self.semaphore.down_until(oob, &Tasks, never).into()
        } else if place == Place::Flag as u32 {
            self.flag.wait_until(oob, never).into()
        } else if place == Place::Sleep as u32 {
            running.sleep_until(oob, never).into()
        } else if let Some(kept) = &self.kept {
            kept.want(oob)
        } else {
            while !running.should_stop() {
                compute_preempted(oob, Ns(100_000));
                // In-band has only what is left of a processor: on EVL nothing, else.
                let _ = running.sleep_until(oob, Monotonic.now().after(Ns(100_000)));
            }
            End::Interrupted
        }
    }

    fn body(&self, oob: &Oob<'_>, running: &Running, place: u32) {
        self.waits.set(1);
        self.first.set(self.wait(oob, running, place) as u32);
        self.was_early.set((!running.should_stop()).into());
        self.second.set(self.wait(oob, running, place) as u32);
    }
}

/// The thread of an open file, and what it shares with it.
pub(super) struct Trial(Mutex<Option<(Thread, KArc<Scene>)>>);

impl Trial {
    pub(super) fn new(inband: &Inband<'_>) -> Result<Self> {
        static CLASS: LockClass = LockClass::new();
        Mutex::new(inband, None, c"trial thread", &CLASS).map(Self)
    }

    pub(super) fn ioctl(
        &self,
        inband: &Inband<'_>,
        command: u32,
        argument: UserPtr,
    ) -> Result<i32> {
        match command {
            THREAD_START => self.start(inband, argument.read(inband)?).map(|()| 0),
            THREAD_STOP => argument.write(inband, &self.stop(inband)?).map(|()| 0),
            _ => Err(code::ENOTTY),
        }
    }

    fn start(&self, inband: &Inband<'_>, args: Start) -> Result {
        let mut slot = self.0.lock(inband);
        if slot.is_some() {
            return Err(code::EBUSY);
        }
        let scene = KArc::new(inband, Scene::new(inband, args.place)?)?;
        let mine = scene.clone();
        let body = move |oob: &Oob<'_>, running: &Running| mine.body(oob, running, args.place);
        let cpu = u32::try_from(args.cpu).ok();
        let thread = Thread::run(inband, c"oob-trial", args.priority, cpu, body)?;
        if args.at_once == 0 {
            scene.waits.reaches(inband, 1)?;
            // It tells that it is about to wait.
            sleep_us(inband, 20_000, 30_000);
        }
        *slot = Some((thread, scene));
        Ok(())
    }

    fn stop(&self, inband: &Inband<'_>) -> Result<Stopped> {
        let (thread, scene) = self.0.lock(inband).take().ok_or(code::ESRCH)?;
        let begin = Monotonic.now();
        thread.stop(inband);
        let Ns(took_ns) = Monotonic.now().since(begin);
        Ok(Stopped {
            took_ns,
            first: scene.first.get(),
            second: scene.second.get(),
            was_early: scene.was_early.get(),
            left: (!KArc::is_unique(&scene)).into(),
        })
    }
}
