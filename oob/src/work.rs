// SPDX-License-Identifier: GPL-2.0-only

//! Work handed to in-band: which call belongs to which run, and who waits for it.
//!
//! ```text
//!   call, in any context                   a worker, in-band           call_and_wait, an oob thread
//!        |  asked? then no more to do        |                            |  a call, of run n
//!        v                                   v                            v
//!   [ asked ] ---the core's queue---> begin: run n, asked no more    sleeps until run n has ended or
//!                                     end:   its result is kept ---> was cancelled, or to its deadline
//! ```
//!
//! Rules:
//! 1. A call belongs to the next run that begins; that run sees what the caller did before. Of several calls before it,
//!    the first one queues and the others have nothing to add.
//! 2. Runs do not overlap: the core sees to that.
//! 3. Who waits gets the result of its run, or of a later one; never of an earlier one.
//! 4. What was called for and is cancelled before its run begins does not run, though the core may have queued it since:
//!    a run begins only where one is asked for. A run that has begun is not touched.
//! 5. A deadline or a signal ends a wait and takes no call back: the run takes place, once. A call before it begins is of that
//!    same run, and may wait for its result; a result that nobody waits for is dropped.

use crate::monitor::{HardLock, Monitor, MonitorState, Threads};
use crate::record::Wait;
use crate::stage::Oob;
use crate::time::Instant;
use crate::wait::WaitError;

/// What the hard lock guards. Runs are numbered from 1 on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Runs {
    is_asked: bool,
    /// The last one that has begun or was cancelled.
    begun: u64,
    /// The one that has begun and not ended; 0 where there is none.
    running: u64,
    /// The last one that has ended, and its result.
    ended: u64,
    result: i32,
}

impl Runs {
    const fn next(&self) -> u64 {
        self.begun.wrapping_add(1)
    }

    /// Whether run `run` is over, and then how.
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

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The run that it belongs to.
    pub run: u64,
    /// Whether it is the first one, so that the caller has to queue the work.
    pub is_first: bool,
}

/// The calls and runs of one piece of work, over the hard lock `L` of some core.
pub struct Calls<L>(Monitor<L>);

impl<L: HardLock<MonitorState<Runs>>> Calls<L> {
    /// Of a lock round the default.
    pub const fn new(lock: L) -> Self {
        Self(Monitor::new(lock))
    }

    /// Calls. In any context.
    pub fn call(&self) -> Call {
        self.0.update(|runs: &mut Runs| Call {
            run: runs.next(),
            is_first: !core::mem::replace(&mut runs.is_asked, true),
        })
    }

    /// A run begins, if one is asked for; whether it does. In the worker.
    pub fn begin(&self) -> bool {
        self.0.update(|runs: &mut Runs| {
            let is_asked = core::mem::replace(&mut runs.is_asked, false);
            if is_asked {
                runs.begun = runs.next();
                runs.running = runs.begun;
            }
            is_asked
        })
    }

    /// The run ends; in the worker.
    pub fn end(&self, threads: &impl Threads, result: i32) {
        self.0.update_and_wake_all(threads, |runs: &mut Runs| {
            runs.ended = core::mem::replace(&mut runs.running, 0);
            runs.result = result;
        });
    }

    /// What was called for and has not begun will not run. The core has taken the work out of its queue before, and need
    /// not know whether it was queued again since.
    pub fn cancel(&self, threads: &impl Threads) {
        self.0.update_and_wake_all(threads, |runs: &mut Runs| {
            if core::mem::replace(&mut runs.is_asked, false) {
                runs.begun = runs.next();
            }
        });
    }

    /// Waits until run `run` is over or `deadline` passes; its result.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`], [`WaitError::Interrupted`]: the run still takes place. [`WaitError::Closed`]: it was cancelled.
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
    use crate::latch::Park;
    use std::cell::RefCell;

    struct Lock(RefCell<MonitorState<Runs>>);

    // SAFETY: a value of its own, borrowed exclusively.
    unsafe impl HardLock<MonitorState<Runs>> for Lock {
        fn with<R>(&self, f: impl FnOnce(&mut MonitorState<Runs>) -> R) -> R {
            f(&mut self.0.borrow_mut())
        }
    }

    /// A thread whose sleep is what a worker does meanwhile.
    struct Scripted<F>(F);

    // SAFETY: `wake` touches no thread.
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

    // SAFETY: as above.
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
        // SAFETY: nothing of a test's is atomic.
        let oob = unsafe { Oob::assume() };
        calls.wait(&oob, &Scripted(worker), run, Instant::NEVER)
    }

    #[test]
    fn calls_before_a_run_are_one_and_a_call_during_it_is_of_the_next() {
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
    fn who_calls_during_a_run_gets_the_next_ones_result() {
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
    fn a_cancelled_call_is_told_so_unless_a_later_run_has_ended() {
        let calls = calls();
        let first = calls.call().run;
        let cancel = || calls.cancel(&Scripted(|| ()));
        assert_eq!(wait(&calls, first, cancel), Err(WaitError::Closed));
        // Nothing is asked for: nothing is cancelled.
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
    fn a_call_that_is_queued_beside_a_cancel_does_not_run_once_it_was_told_so() {
        let calls = calls();
        let cancel = || calls.cancel(&Scripted(|| ()));
        let late = calls.call().run;
        cancel();
        assert!(!calls.begin(), "queued, and taken back");
        assert_eq!(
            wait(&calls, late, || unreachable!()),
            Err(WaitError::Closed)
        );
        // A run that has begun before that goes on, and the next call is not of it.
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
