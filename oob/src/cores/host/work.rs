// SPDX-License-Identifier: GPL-2.0-only

//! Work that any context queues for in-band.
//!
//! ```text
//!   call, call_and_wait --> [ queued ] --> runs, in the machine's in-band thread for work --> result
//!           |                   |
//!      crate::work            cancel
//! ```

use super::machine::Host;
use super::park::{HostLock, Monitor};
use super::sim_thread::{Class, Prepared};
use super::stages::{Context, Job};
use crate::monitor::MonitorState;
use crate::stage::{Inband, Oob};
use crate::threads::Park;
use crate::threads::Threads;
use crate::time::Instant;
use crate::wait::WaitError;
use crate::work::{Call, Calls, Runs};
use std::boxed::Box;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// One of the machine's two queues of in-band functions, each with a thread of its own.
#[derive(Clone, Copy)]
pub(super) enum Queue {
    /// The in-band parts of interrupts. Its thread runs before all other in-band threads.
    Forwarded,
    /// Work. Its thread is an ordinary in-band thread.
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

/// A function that runs in-band when any context asks for a run. Dropping the work cancels it.
pub struct Work(Rc<Inner>);

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

impl Work {
    /// Work that has not been called.
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

    /// Requests one run that begins after this call. Returns false if such a run was requested
    /// already. Callable from any context.
    pub fn call(&self) -> bool {
        self.request_run().is_first
    }

    /// As [`Self::call`], and waits for that run until `deadline`. Returns the function's result of
    /// that run or of a later one.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`], [`WaitError::Interrupted`]: the work still runs once. A caller that
    /// calls before that run begins can wait for its result; otherwise the result is dropped.
    /// [`WaitError::Closed`]: the work was cancelled.
    pub fn call_and_wait(&self, oob: &Oob<'_>, deadline: Instant) -> Result<i32, WaitError> {
        let run = self.request_run().run;
        self.0.calls.wait(oob, &self.0.host, run, deadline)
    }

    /// Waits until all runs requested before have ended.
    pub fn flush(&self, inband: &Inband<'_>) {
        self.wait(inband, |state| !state.is_queued && !state.is_running);
    }

    /// Takes back a requested run that has not begun, and waits for a run that has.
    pub fn cancel(&self, inband: &Inband<'_>) {
        self.0.state.update(|state| state.is_queued = false);
        self.wait(inband, |state| !state.is_running);
        self.0.calls.cancel(&self.0.host);
    }

    fn wait(&self, inband: &Inband<'_>, until: impl Fn(&State) -> bool) {
        let ready = |state: &mut State| until(state).then_some(());
        let inner = &*self.0;
        let threads = Undisturbed(&inner.host);
        // `Undisturbed` has no signals, and the monitor is never closed.
        let end = inner
            .state
            .wait_until(inband, &threads, Instant::NEVER, ready);
        debug_assert_eq!(end, Ok(()));
    }

    fn request_run(&self) -> Call {
        let call = self.0.calls.call();
        if call.is_first {
            self.0.state.update(|state| state.is_queued = true);
            let inner = Rc::clone(&self.0);
            let run = move |inband: &Inband<'_>| inner.run(inband);
            self.0.host.queue_inband(Queue::Called, Rc::new(run));
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
        // A handler cannot wait for a run that has begun.
        if !matches!(self.0.host.context(), Context::Handler) && !std::thread::panicking() {
            // SAFETY: the caller is no handler, and work is dropped in-band, the kit's rule for
            // values whose drop sleeps.
            let inband = unsafe { Inband::assume() };
            self.cancel(&inband);
        }
    }
}

/// The machine's threads, for waits that neither a signal nor a stop request ends.
pub(super) struct Undisturbed<'a>(pub(super) &'a Host);

// SAFETY: `current` and `wake` are those of `Host`, which keeps the contract.
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
        // SAFETY: the caller promises of `f` what `Host::wake` requires.
        unsafe { self.0.wake(f) };
    }
}

// SAFETY: `wake_waiter` is the trait's own; `current` and `wake` are those of `Host`, which keeps
// the contract.
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
    /// Queues `job` for an in-band thread of the machine itself.
    pub(super) fn queue_inband(&self, queue: Queue, job: Job) {
        let stages = &self.0.stages;
        stages.jobs[queue as usize].borrow_mut().push_back(job);
        let worker = stages.workers[queue as usize].get();
        match worker.map(|number| stages.thread(number)) {
            Some(thread) if !thread.has_ended() => self.wake_sim_thread(&thread),
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
        let thread = self.begin(name, class, 0, true, move |thread| {
            // SAFETY: this closure is the body of an in-band thread of the machine, until the
            // thread ends.
            let inband = unsafe { Inband::assume() };
            let jobs = &host.0.stages.jobs[queue as usize];
            while !thread.stopping.get() {
                thread.woken.set(false);
                let job = jobs.borrow().front().cloned();
                match job {
                    Some(job) => {
                        thread.prepared.set(Prepared::No);
                        job(&inband);
                        // Removed only now: a function in the queue counts as not done.
                        jobs.borrow_mut().pop_front();
                    }
                    None => {
                        thread.prepared.set(Prepared::Yes);
                        host.sleep(thread, Instant::NEVER);
                    }
                }
            }
        });
        self.0.stages.workers[queue as usize].set(Some(thread.number));
    }

    /// Whether all queued in-band functions have been called.
    pub(super) fn is_inband_done(&self) -> bool {
        let jobs = &self.0.stages.jobs;
        jobs.iter().all(|jobs| jobs.borrow().is_empty())
    }

    /// Ends the machine's own threads. They hold handles to the machine and would keep it alive for
    /// ever.
    pub(super) fn retire_workers(&self) {
        for queue in Queue::ALL {
            let Some(number) = self.0.stages.workers[queue as usize].take() else {
                continue;
            };
            let thread = self.0.stages.thread(number);
            thread.stopping.set(true);
            self.wake_sim_thread(&thread);
            while !thread.has_ended() && self.turn(Instant::NEVER) {}
        }
    }
}
