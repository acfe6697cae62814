// SPDX-License-Identifier: GPL-2.0-only

//! Work for in-band: which call belongs to which run, and which threads wait for it.
//!
//! ```text
//!   call, in any context                   a worker, in-band            call_and_wait, an oob thread
//!        |  requested already? done          |                             |  a call, of run n
//!        v                                   v                             v
//!   [ requested ] --the core's queue--> begin: run n, request taken   sleeps until run n has ended or
//!                                       end:   keeps its result ----> was cancelled, or to its deadline
//! ```
//!
//! Rules:
//! 1. A call belongs to the next run that begins, and that run sees what the caller did before. Of
//!    several calls before a run, the first queues the work; the others have nothing to do.
//! 2. Runs do not overlap. The core ensures that.
//! 3. A waiter gets the result of its run or of a later one, never of an earlier one.
//! 4. A request that is cancelled before its run begins does not run, even if the core queues the
//!    work again: a run begins only if one is requested. A run that has begun is not affected.
//! 5. A deadline or a signal ends a wait; the work still runs once. A call before that run begins
//!    belongs to the same run, and its caller may wait for the result. A result that no thread
//!    waits for is dropped.

use crate::lock::HardLock;
use crate::monitor::{Monitor, MonitorState};
use crate::record::Wait;
use crate::stage::Oob;
use crate::threads::Threads;
use crate::time::Instant;
use crate::wait::WaitError;

/// The state of the runs: the content of the hard lock. Runs are numbered from 1 on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Runs {
    /// Whether a run is requested that has not begun.
    is_requested: bool,
    /// The last run that has begun or was cancelled.
    begun: u64,
    /// The run that has begun and not ended; 0 if there is none.
    running: u64,
    /// The last run that has ended; `result` is its result.
    ended: u64,
    result: i32,
}

impl Runs {
    const fn next(&self) -> u64 {
        self.begun.wrapping_add(1)
    }

    /// The outcome of run `run`, or `None` if it is not over.
    fn outcome(&self, run: u64) -> Option<Result<i32, WaitError>> {
        if self.ended >= run {
            Some(Ok(self.result))
        } else if self.begun < run || self.running == run {
            None
        } else {
            Some(Err(WaitError::Closed))
        }
    }
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The run that the call belongs to.
    pub run: u64,
    /// Whether it is the run's first call: the caller must then queue the work.
    pub is_first: bool,
}

/// The calls and runs of one work item, over the hard lock `L` of a core.
pub struct Calls<L>(Monitor<L>);

impl<L: HardLock<MonitorState<Runs>>> Calls<L> {
    /// No calls and no runs. The lock holds the default [`Runs`].
    pub const fn new(lock: L) -> Self {
        Self(Monitor::new(lock))
    }

    /// Requests a run. Callable from any context.
    pub fn call(&self) -> Call {
        self.0.update(|runs: &mut Runs| Call {
            run: runs.next(),
            is_first: !core::mem::replace(&mut runs.is_requested, true),
        })
    }

    /// Begins a run if one is requested. Returns whether it did. Called by the worker.
    pub fn begin(&self) -> bool {
        self.0.update(|runs: &mut Runs| {
            let is_requested = core::mem::replace(&mut runs.is_requested, false);
            if is_requested {
                runs.begun = runs.next();
                runs.running = runs.begun;
            }
            is_requested
        })
    }

    /// Ends the run. Called by the worker.
    pub fn end(&self, threads: &impl Threads, result: i32) {
        self.0.update_and_wake_all(threads, |runs: &mut Runs| {
            runs.ended = core::mem::replace(&mut runs.running, 0);
            runs.result = result;
        });
    }

    /// Takes back a requested run that has not begun. The core has dequeued the work before; it
    /// need not know whether the work was queued again since.
    pub fn cancel(&self, threads: &impl Threads) {
        self.0.update_and_wake_all(threads, |runs: &mut Runs| {
            if core::mem::replace(&mut runs.is_requested, false) {
                runs.begun = runs.next();
            }
        });
    }

    /// Waits until run `run` is over or `deadline` passes. Returns the run's result.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`], [`WaitError::Interrupted`]: the run still takes place.
    /// [`WaitError::Closed`]: the run was cancelled.
    pub fn wait(
        &self,
        oob: &Oob<'_>,
        threads: &impl Threads,
        run: u64,
        deadline: Instant,
    ) -> Result<i32, WaitError> {
        let outcome = |runs: &mut Runs| runs.outcome(run);
        self.0
            .wait_for(Wait::Work, oob, threads, deadline, outcome)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::Park;
    use std::cell::RefCell;

    struct Lock(RefCell<MonitorState<Runs>>);

    // SAFETY: the value lies in the lock and only `with` reaches it; the `RefCell` makes the borrow
    // exclusive.
    unsafe impl HardLock<MonitorState<Runs>> for Lock {
        fn with<R>(&self, f: impl FnOnce(&mut MonitorState<Runs>) -> R) -> R {
            f(&mut self.0.borrow_mut())
        }
    }

    /// A thread that calls a function instead of sleeping: the worker's part.
    struct Scripted<F>(F);

    // SAFETY: `wake` uses no thread number.
    unsafe impl<F: Fn()> Park for Scripted<F> {
        fn current(&self) -> usize {
            2
        }

        fn prepare(&self) {}

        fn cancel(&self) {}

        fn sleep_until(&self, date: Instant) -> bool {
            (self.0)();
            self.now() >= date
        }

        fn now(&self) -> Instant {
            Instant(0)
        }

        unsafe fn wake(&self, f: impl FnOnce() -> Option<usize>) {
            f();
        }
    }

    // SAFETY: `wake_waiter` is the trait's own, and `wake` uses no thread number.
    unsafe impl<F: Fn()> Threads for Scripted<F> {
        fn priority(&self) -> i32 {
            0
        }

        fn prepare_interruptible(&self) {}

        fn is_interrupted(&self) -> bool {
            false
        }
    }

    fn calls() -> Calls<Lock> {
        Calls::new(Lock(RefCell::new(MonitorState::new(Runs::default()))))
    }

    fn run(calls: &Calls<Lock>, result: i32) {
        assert!(calls.begin());
        calls.end(&Scripted(|| ()), result);
    }

    fn wait(calls: &Calls<Lock>, run: u64, worker: impl Fn()) -> Result<i32, WaitError> {
        // SAFETY: the test has one thread, which may wait anywhere.
        let oob = unsafe { Oob::assume() };
        calls.wait(&oob, &Scripted(worker), run, Instant::NEVER)
    }

    #[test]
    fn calls_before_a_run_share_it_and_a_call_during_it_belongs_to_the_next() {
        let calls = calls();
        let call = |run, is_first| assert_eq!(calls.call(), Call { run, is_first });
        call(1, true);
        call(1, false);
        assert!(calls.begin());
        call(2, true);
        call(2, false);
        calls.end(&Scripted(|| ()), 0);
        call(2, false);
        run(&calls, 0);
        call(3, true);
    }

    #[test]
    fn a_caller_during_a_run_gets_the_result_of_the_next_run() {
        let calls = calls();
        calls.call();
        assert!(calls.begin());
        let mine = calls.call().run;
        let results = RefCell::new(vec![8, 7]);
        let worker = || {
            let result = results.borrow_mut().pop().unwrap();
            if result == 8 {
                assert!(calls.begin());
            }
            calls.end(&Scripted(|| ()), result);
        };
        assert_eq!(wait(&calls, mine, worker), Ok(8));
        assert_eq!(wait(&calls, 1, || unreachable!()), Ok(8));
    }

    #[test]
    fn a_cancelled_call_returns_closed_unless_a_later_run_has_ended() {
        let calls = calls();
        let first = calls.call().run;
        let cancel = || calls.cancel(&Scripted(|| ()));
        assert_eq!(wait(&calls, first, cancel), Err(WaitError::Closed));
        // No run is requested, so nothing is cancelled.
        cancel();
        let second = calls.call();
        assert!(second.is_first);
        run(&calls, 5);
        assert_eq!(wait(&calls, second.run, || unreachable!()), Ok(5));
        assert_eq!(wait(&calls, first, || unreachable!()), Ok(5));
        let third = calls.call().run;
        cancel();
        assert_eq!(wait(&calls, second.run, || unreachable!()), Ok(5));
        assert_eq!(
            wait(&calls, third, || unreachable!()),
            Err(WaitError::Closed)
        );
    }

    #[test]
    fn a_cancelled_call_that_is_queued_again_does_not_run() {
        let calls = calls();
        let cancel = || calls.cancel(&Scripted(|| ()));
        let late = calls.call().run;
        cancel();
        assert!(!calls.begin(), "the request was taken back");
        assert_eq!(
            wait(&calls, late, || unreachable!()),
            Err(WaitError::Closed)
        );
        // A run that began before the cancellation goes on, and the next call does not belong to
        // it.
        let begun = calls.call().run;
        assert!(calls.begin());
        let next = calls.call();
        assert!(next.is_first);
        cancel();
        let end = || calls.end(&Scripted(|| ()), 6);
        assert_eq!(wait(&calls, begun, end), Ok(6));
        assert_eq!(
            wait(&calls, next.run, || unreachable!()),
            Err(WaitError::Closed)
        );
    }
}
