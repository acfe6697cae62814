// SPDX-License-Identifier: GPL-2.0-only

//! Work handed to in-band: which call belongs to which run, and who waits for it.
//!
//! ```text
//!   call, in any context                   a worker, in-band           call_and_wait, an oob thread
//!        |  asked? then no more to do        |                            |  a call, of run n
//!        v                                   v                            v
//!   [ asked ] ---the core's queue---> begin: run n, asked no more    sleeps until run n
//!                                     end:   its result is kept ---> has ended, or was cancelled
//! ```
//!
//! Rules:
//! 1. A call belongs to the next run that begins; that run sees what the caller did before. Of several calls before it,
//!    the first one queues and the others have nothing to add.
//! 2. Runs do not overlap: the core sees to that.
//! 3. Who waits gets the result of its run, or of a later one; never of an earlier one.

use crate::monitor::{Guarded, HardLock, Monitor, Threads};
use crate::stage::Oob;
use crate::time::Instant;
use crate::wait::WaitError;

/// What the hard lock guards. Runs are numbered from 1 on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Runs {
    is_asked: bool,
    begun: u64,
    /// The last one that has ended or was cancelled.
    over: u64,
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
        if self.over < run {
            None
        } else if self.ended < run {
            Some(Err(WaitError::Closed))
        } else {
            Some(Ok(self.result))
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

impl<L: HardLock<Guarded<Runs>>> Calls<L> {
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

    /// A run begins; in the worker.
    pub fn begin(&self) {
        self.0.update(|runs: &mut Runs| {
            runs.is_asked = false;
            runs.begun = runs.next();
        });
    }

    /// The run ends; in the worker.
    pub fn end(&self, threads: &impl Threads, result: i32) {
        self.0.update_and_wake_all(threads, |runs: &mut Runs| {
            runs.over = runs.begun;
            runs.ended = runs.begun;
            runs.result = result;
        });
    }

    /// What was called for will not run: the core has taken the work out of its queue, and none runs.
    pub fn cancel(&self, threads: &impl Threads) {
        self.0.update_and_wake_all(threads, |runs: &mut Runs| {
            if core::mem::replace(&mut runs.is_asked, false) {
                runs.begun = runs.next();
                runs.over = runs.begun;
            }
        });
    }

    /// Waits until run `run` is over; its result.
    ///
    /// # Errors
    ///
    /// [`WaitError::Interrupted`]: the run still takes place. [`WaitError::Closed`]: it was cancelled.
    pub fn wait(&self, oob: &Oob<'_>, threads: &impl Threads, run: u64) -> Result<i32, WaitError> {
        self.0
            .wait_until(oob, threads, Instant::NEVER, |runs: &mut Runs| {
                runs.outcome(run)
            })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latch::Park;
    use std::cell::RefCell;

    struct Lock(RefCell<Guarded<Runs>>);

    impl HardLock<Guarded<Runs>> for Lock {
        fn with<R>(&self, f: impl FnOnce(&mut Guarded<Runs>) -> R) -> R {
            f(&mut self.0.borrow_mut())
        }
    }

    /// A thread whose sleep is what a worker does meanwhile.
    struct Scripted<F>(F);

    impl<F: Fn()> Park for Scripted<F> {
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

        fn wake(&self, f: impl FnOnce() -> Option<usize>) {
            f();
        }
    }

    impl<F: Fn()> Threads for Scripted<F> {
        fn priority(&self) -> i32 {
            0
        }

        fn prepare_interruptible(&self) {}

        fn is_interrupted(&self) -> bool {
            false
        }
    }

    fn calls() -> Calls<Lock> {
        Calls::new(Lock(RefCell::new(Guarded::new(Runs::default()))))
    }

    fn run(calls: &Calls<Lock>, result: i32) {
        calls.begin();
        calls.end(&Scripted(|| ()), result);
    }

    fn wait(calls: &Calls<Lock>, run: u64, worker: impl Fn()) -> Result<i32, WaitError> {
        // SAFETY: nothing of a test's is atomic.
        calls.wait(&unsafe { Oob::assume() }, &Scripted(worker), run)
    }

    #[test]
    fn calls_before_a_run_are_one_and_a_call_during_it_is_of_the_next() {
        let calls = calls();
        let call = |run, is_first| assert_eq!(calls.call(), Call { run, is_first });
        call(1, true);
        call(1, false);
        calls.begin();
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
        calls.begin();
        let mine = calls.call().run;
        let results = RefCell::new(vec![8, 7]);
        let worker = || {
            let result = results.borrow_mut().pop().unwrap();
            if result == 8 {
                calls.begin();
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
}
