// SPDX-License-Identifier: GPL-2.0-only

//! Work that any context hands to in-band.
//!
//! ```text
//!   call, call_and_wait --> [ queued ] --> runs, in the machine's in-band thread for work --> result
//!           |                   |
//!      crate::work            cancel
//! ```

use super::park::{HostLock, Monitor};
use super::threads::{Class, Job, Prepared};
use super::{Context, Host};
use crate::latch::Park;
use crate::monitor::{MonitorState, Threads};
use crate::stage::{Inband, Oob};
use crate::time::Instant;
use crate::wait::WaitError;
use crate::work::{Call, Calls, Runs};
use std::boxed::Box;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// Which of the machine's in-band threads.
#[derive(Clone, Copy)]
pub(super) enum Queue {
    /// Before all others: the in-band parts of interrupts.
    Forwarded,
    /// One as any other.
    Called,
}

impl Queue {
    const ALL: [Self; 2] = [Self::Forwarded, Self::Called];
}

#[derive(Default)]
struct State {
    is_queued: bool,
    is_running: bool,
}

type Function = Box<dyn FnMut(&Inband<'_>) -> i32>;

struct Inner {
    host: Host,
    calls: Calls<HostLock<MonitorState<Runs>>>,
    state: Monitor<State>,
    f: RefCell<Function>,
}

/// A function that runs in-band when called from anywhere; dropping it cancels it.
pub struct Work(Rc<Inner>);

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

impl Work {
    /// Work that is not called yet.
    pub fn new(
        host: &Host,
        inband: &Inband<'_>,
        f: impl FnMut(&Inband<'_>) -> i32 + 'static,
    ) -> Self {
        Self(Rc::new(Inner {
            host: host.clone(),
            calls: Calls::new(HostLock::new(host, MonitorState::new(Runs::default()))),
            state: host.monitor(inband, State::default()),
            f: RefCell::new(Box::new(f)),
        }))
    }

    /// Has the function run, once more than it has begun to by now, from any context; `false` where that was asked for
    /// already.
    pub fn call(&self) -> bool {
        self.ask().is_first
    }

    /// As [`Self::call`], and waits for that run until `deadline`; what the function gave, then or in a later run.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`], [`WaitError::Interrupted`]: it still runs, once; a call before it begins gets its result,
    /// else nobody does. [`WaitError::Closed`]: it was cancelled.
    pub fn call_and_wait(&self, oob: &Oob<'_>, deadline: Instant) -> Result<i32, WaitError> {
        let run = self.ask().run;
        self.0.calls.wait(oob, &self.0.host, run, deadline)
    }

    /// Waits until what was called for has run.
    pub fn flush(&self, inband: &Inband<'_>) {
        self.wait(inband, |state| !state.is_queued && !state.is_running);
    }

    /// Takes back a call that has not run, and waits for a run that is under way.
    pub fn cancel(&self, inband: &Inband<'_>) {
        self.0.state.update(|state| state.is_queued = false);
        self.wait(inband, |state| !state.is_running);
        self.0.calls.cancel(&self.0.host);
    }

    fn wait(&self, inband: &Inband<'_>, until: impl Fn(&State) -> bool) {
        let ready = |state: &mut State| until(state).then_some(());
        let inner = &*self.0;
        let threads = Undisturbed(&inner.host);
        // Nothing disturbs it, and the monitor is never closed.
        let end = inner
            .state
            .wait_until(inband, &threads, Instant::NEVER, ready);
        debug_assert_eq!(end, Ok(()));
    }

    fn ask(&self) -> Call {
        let call = self.0.calls.call();
        if call.is_first {
            self.0.state.update(|state| state.is_queued = true);
            let inner = Rc::clone(&self.0);
            let run = move |inband: &Inband<'_>| inner.run(inband);
            self.0.host.do_inband(Queue::Called, Rc::new(run));
        }
        call
    }
}

impl Inner {
    fn run(&self, inband: &Inband<'_>) {
        let is_mine = self.state.update(|state| {
            let is_mine = state.is_queued;
            state.is_queued = false;
            state.is_running |= is_mine;
            is_mine
        });
        if is_mine {
            if self.calls.begin() {
                let result = (self.f.borrow_mut())(inband);
                self.calls.end(&self.host, result);
            }
            self.state
                .update_and_wake_all(&self.host, |state| state.is_running = false);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.state.update(|state| state.is_queued = false);
        // A handler cannot wait for a run that is under way.
        if !matches!(self.0.host.context(), Context::Handler) && !std::thread::panicking() {
            // SAFETY: dropping is in-band, as cancelling is.
            let inband = unsafe { Inband::assume() };
            self.cancel(&inband);
        }
    }
}

/// Threads whose waits neither a signal nor a stop ends.
pub(super) struct Undisturbed<'a>(pub(super) &'a Host);

// SAFETY: as for the host, which does it.
unsafe impl Park for Undisturbed<'_> {
    fn current(&self) -> usize {
        self.0.current()
    }

    fn prepare(&self) {
        self.0.prepare();
    }

    fn cancel(&self) {
        self.0.cancel();
    }

    fn sleep_until(&self, date: Instant) -> bool {
        self.0.sleep_until(date)
    }

    fn now(&self) -> Instant {
        Park::now(self.0)
    }

    unsafe fn wake(&self, f: impl FnOnce() -> Option<usize>) {
        // SAFETY: by contract.
        unsafe { self.0.wake(f) };
    }
}

// SAFETY: as above.
unsafe impl Threads for Undisturbed<'_> {
    fn priority(&self) -> i32 {
        self.0.priority()
    }

    fn prepare_interruptible(&self) {
        self.0.prepare();
    }

    fn is_interrupted(&self) -> bool {
        false
    }
}

impl Host {
    /// Has `job` run in-band, in a thread of the machine's own.
    pub(super) fn do_inband(&self, queue: Queue, job: Job) {
        let stages = &self.0.stages;
        stages.jobs[queue as usize].borrow_mut().push_back(job);
        let worker = stages.workers[queue as usize].get();
        match worker.map(|number| stages.slot(number)) {
            Some(slot) if !slot.has_ended() => self.wake_slot(&slot),
            _ => self.begin_worker(queue),
        }
        self.point();
    }

    fn begin_worker(&self, queue: Queue) {
        let (name, class) = match queue {
            Queue::Forwarded => ("forwarded interrupts", Class::InbandFirst),
            Queue::Called => ("work", Class::Inband),
        };
        let host = self.clone();
        let slot = self.begin(name, class, 0, true, move |slot| {
            // SAFETY: an in-band thread of the machine, until its end.
            let inband = unsafe { Inband::assume() };
            let jobs = &host.0.stages.jobs[queue as usize];
            while !slot.stopping.get() {
                slot.woken.set(false);
                let job = jobs.borrow().front().cloned();
                match job {
                    Some(job) => {
                        slot.prepared.set(Prepared::No);
                        job(&inband);
                        // Not before: what is in the queue is not done.
                        jobs.borrow_mut().pop_front();
                    }
                    None => {
                        slot.prepared.set(Prepared::Yes);
                        host.sleep(slot, Instant::NEVER);
                    }
                }
            }
        });
        self.0.stages.workers[queue as usize].set(Some(slot.number));
    }

    /// Whether all that was handed to in-band is done.
    pub(super) fn is_inband_done(&self) -> bool {
        let jobs = &self.0.stages.jobs;
        jobs.iter().all(|jobs| jobs.borrow().is_empty())
    }

    /// Ends the machine's own threads, which would keep it for ever: they hold handles to it.
    pub(super) fn retire_workers(&self) {
        for queue in Queue::ALL {
            let Some(number) = self.0.stages.workers[queue as usize].take() else {
                continue;
            };
            let slot = self.0.stages.slot(number);
            slot.stopping.set(true);
            self.wake_slot(&slot);
            while !slot.has_ended() && self.turn(Instant::NEVER) {}
        }
    }
}
