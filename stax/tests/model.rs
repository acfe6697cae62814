// SPDX-License-Identifier: GPL-2.0-only

//! The real code under loom: every interleaving of a few threads, and every reordering that the
//! memory model allows.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p stax --release --test model
//! ```
//!
//! Every interleaving: 1 + 1 threads that lock once, nest, have deadlines, get signals, spin or
//! try. With a bound on preemptions (3, 2 or 1), which keeps a test at a few seconds: three threads, and 2 + 2.
//! Ignored tests take minutes: every interleaving of 2 + 1 that lock, of 1 + 1 and one that tries
//! or destroys, of 2 + 1 of which one is inside and destroys, of 1 + 1, one of them inside and nesting, and
//! one that tries, and of 2 + 1 that have deadlines, get signals or spin; with a bound, 2 + 1 that
//! nest (4) or run beside one that destroys (2), and 2 + 2 (2).
//!
//! All models check that no two stages use one cell at the same time, that each stage sees what the
//! other wrote before, and that no thread sleeps for ever. A past deadline stands for one that
//! passes at any moment: loom tries every moment of the check. A signal is modelled like a
//! deadline.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::thread::{self, Thread};
use oob::stage::{Inband, Oob};
use oob::time::Instant;
use stax::queue::Queue;
use stax::{Atomic, Backend, End, LockError, Side, Sleep, Stage, Stax, TryLockError};
use std::sync::atomic::{AtomicU64 as Runs, Ordering as Untracked};
use std::sync::{Arc, Mutex as Plain};

/// A past deadline, a deadline that a signal precedes, and no deadline.
const PAST: Instant = Instant(0);
const SIGNAL: Instant = Instant(1);
const NEVER: Instant = Instant::NEVER;

/// A backend whose threads sleep by parking; a spinning thread yields. Loom does not track the list
/// of sleepers.
struct Threads {
    queue: Mutex<Queue>,
    sleepers: [Plain<Vec<Thread>>; 2],
}

impl Threads {
    fn sleep(&self, side: Side, deadline: Instant, ready: impl Fn() -> bool) -> End {
        // An unpark from here on makes the next park return.
        let sleepers = &self.sleepers[side as usize];
        let me = thread::current();
        sleepers.lock().unwrap().push(me.clone());
        let end = loop {
            if ready() {
                break End::Woken;
            }
            match deadline {
                PAST => break End::TimedOut,
                SIGNAL => break End::Interrupted,
                _ => {}
            }
            thread::park();
        };
        // In loom an unpark also ends any other wait.
        let mut sleepers = sleepers.lock().unwrap();
        sleepers.retain(|sleeper| sleeper.id() != me.id());
        end
    }
}

fn spin(deadline: Instant, ready: impl Fn() -> bool) -> End {
    while !ready() {
        if deadline == PAST {
            return End::TimedOut;
        }
        thread::yield_now();
    }
    End::Woken
}

impl Backend for Threads {
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        f(&mut self.queue.lock().unwrap())
    }

    fn wake_all(&self, side: Side) {
        for sleeper in self.sleepers[side as usize].lock().unwrap().iter() {
            sleeper.unpark();
        }
    }
}

impl Sleep<Oob<'_>> for Threads {
    fn sleep(&self, _: &Oob<'_>, deadline: Instant, ready: impl Fn() -> bool) -> End {
        self.sleep(Side::Oob, deadline, ready)
    }
}

impl Sleep<Inband<'_>> for Threads {
    fn sleep(&self, _: &Inband<'_>, deadline: Instant, ready: impl Fn() -> bool) -> End {
        self.sleep(Side::Inband, deadline, ready)
    }
}

impl Sleep<Atomic<'_>> for Threads {
    fn sleep(&self, _: &Atomic<'_>, deadline: Instant, ready: impl Fn() -> bool) -> End {
        spin(deadline, ready)
    }
}

/// The cells that the stages share. A thread writes its own cell and reads those of the other
/// stage, so threads of one stage do not conflict.
struct Shared([UnsafeCell<u32>; 4]);

// SAFETY: only accesses of different stages can conflict, and the lock excludes those; loom checks
// it.
unsafe impl Sync for Shared {}
// SAFETY: only accesses of different stages can conflict, and the lock excludes those; loom checks it.
unsafe impl Send for Shared {}

impl Shared {
    fn touch(&self, me: usize, others: &[usize]) {
        self.0[me].with_mut(|value| {
            // SAFETY: no other thread accesses this cell now, as loom checks.
            unsafe { *value += 1 };
        });
        for other in others {
            // SAFETY: no thread writes this cell now, as loom checks.
            self.0[*other].with(|value| assert!(unsafe { *value } <= 3));
        }
    }

    fn sum(&self) -> u32 {
        // SAFETY: all threads have been joined.
        let read = |cell: &UnsafeCell<u32>| cell.with(|value| unsafe { *value });
        self.0.iter().map(read).sum()
    }
}

type Lock = Stax<Arc<Shared>, Threads>;

/// A thread's job.
#[derive(Clone, Copy)]
enum Job {
    /// Locks once, until the deadline.
    Once(Instant),
    /// Locks, nests, and leaves twice.
    Nest,
    /// Locks twice, one after the other.
    Twice,
    /// Locks once, spinning.
    Spin,
    /// Tries once.
    Try,
    Destroy,
    /// Is inside before the others begin; nests, and leaves twice.
    NestInside,
    /// Is inside before the others begin; destroys, and leaves.
    DestroyInside,
}

use Job::{Destroy, DestroyInside, Nest, NestInside, Once, Spin, Try, Twice};

fn lock<S: Stage>(
    lock: &Lock,
    stage: &S,
    job: Job,
    touch: impl Fn(&Shared),
    begin: impl FnOnce(),
) -> Result<u32, LockError>
where
    Threads: Sleep<S>,
{
    let inside = match job {
        NestInside | DestroyInside => Some(lock.lock(stage)?),
        _ => None,
    };
    begin();
    let once = |deadline| lock.lock_until(stage, deadline).map(|guard| touch(&guard));
    match job {
        Once(deadline) => once(deadline)?,
        Nest | NestInside => {
            let outer = inside.map_or_else(|| lock.lock(stage), Ok)?;
            let inner = outer.nest().unwrap();
            touch(&outer);
            drop(outer);
            touch(&inner);
            return Ok(2);
        }
        Twice => {
            once(NEVER)?;
            once(NEVER)?;
            return Ok(2);
        }
        Try => match lock.try_lock(stage) {
            Ok(guard) => touch(&guard),
            Err(TryLockError::Dead) => return Err(LockError::Dead),
            Err(error) => {
                assert_eq!(error, TryLockError::WouldBlock);
                return Ok(0);
            }
        },
        Spin => once(NEVER)?,
        DestroyInside => {
            lock.destroy();
            inside.iter().for_each(|guard| touch(guard));
        }
        Destroy => {
            lock.destroy();
            return Ok(0);
        }
    }
    Ok(1)
}

fn play(
    stax: &Lock,
    job: Job,
    me: usize,
    oobs: usize,
    begin: impl FnOnce(),
) -> Result<u32, LockError> {
    let (ours, theirs) = [0, 1, 2, 3].split_at(oobs);
    // SAFETY: a thread of the model may wait anywhere.
    let oob = unsafe { Oob::assume() };
    // SAFETY: a thread of the model may sleep anywhere.
    let inband = unsafe { Inband::assume() };
    // SAFETY: a spinning thread of the model yields, so it does not keep others from running.
    let atomic = unsafe { Atomic::assume() };
    if me < oobs {
        lock(stax, &oob, job, |shared| shared.touch(me, theirs), begin)
    } else if matches!(job, Spin) {
        lock(stax, &atomic, job, |shared| shared.touch(me, ours), begin)
    } else {
        lock(stax, &inband, job, |shared| shared.touch(me, ours), begin)
    }
}

/// Runs the jobs at the same time; the last one, which may begin inside, runs in the model's own
/// thread. Checks that every section was counted.
fn check(preemptions: Option<usize>, oob: &'static [Job], inband: &'static [Job]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 100_000;
    let runs = Arc::new(Runs::new(0));
    let counter = runs.clone();
    builder.check(move || {
        counter.fetch_add(1, Untracked::Relaxed);
        let shared = Arc::new(Shared(std::array::from_fn(|_| UnsafeCell::new(0))));
        let threads = Threads {
            queue: Mutex::new(Queue::new()),
            sleepers: Default::default(),
        };
        let stax = Arc::new(Stax::new(shared.clone(), threads));
        let mut jobs: Vec<_> = oob.iter().chain(inband).copied().enumerate().collect();
        let (me, mine) = jobs.pop().unwrap();
        let mut others = Vec::new();
        let begin = || {
            others.extend(jobs.into_iter().map(|(me, job)| {
                let stax = stax.clone();
                thread::spawn(move || play(&stax, job, me, oob.len(), || ()))
            }));
        };
        let mut results = vec![play(&stax, mine, me, oob.len(), begin)];
        results.extend(others.into_iter().map(|other| other.join().unwrap()));
        let sections: u32 = results.iter().flatten().sum();
        assert_eq!(shared.sum(), sections, "{results:?}");
        assert_eq!(stax.backend().with_queue(|queue| *queue), Queue::new());
        // No thread is inside, otherwise the two stages could not enter one after the other.
        let all = || oob.iter().chain(inband);
        let destroyed = all().any(|job| matches!(job, Destroy | DestroyInside));
        let limited = all().any(|job| matches!(job, Once(PAST)));
        let signalled = all().any(|job| matches!(job, Once(SIGNAL)));
        for result in results {
            let fine = match result {
                Ok(_) => true,
                Err(LockError::Dead) => destroyed,
                Err(LockError::TimedOut) => limited,
                Err(LockError::Interrupted) => signalled,
                Err(_) => false,
            };
            assert!(fine, "{result:?}");
        }
        for side in [Side::Oob, Side::Inband] {
            let entered = match side {
                Side::Oob => play(&stax, Try, 0, 1, || ()),
                Side::Inband => play(&stax, Try, 1, 1, || ()),
            };
            assert!(destroyed || entered == Ok(1), "{side:?}: {entered:?}");
        }
    });
    println!("{} executions", runs.load(Untracked::Relaxed));
}

#[test]
fn one_and_one() {
    check(None, &[Once(NEVER)], &[Once(NEVER)]);
}

#[test]
fn one_and_one_nested() {
    check(None, &[Nest], &[Once(NEVER)]);
}

#[test]
fn one_and_one_twice() {
    check(None, &[Twice], &[Twice]);
}

#[test]
fn one_and_one_with_deadlines() {
    check(None, &[Once(PAST)], &[Once(PAST)]);
    check(None, &[Twice], &[Once(PAST)]);
}

#[test]
fn one_and_one_with_signals() {
    check(None, &[Once(SIGNAL)], &[Once(SIGNAL)]);
    check(None, &[Twice], &[Once(SIGNAL)]);
    check(None, &[Once(SIGNAL)], &[Twice]);
}

#[test]
fn one_and_one_spinning() {
    check(None, &[Once(NEVER)], &[Spin]);
}

#[test]
fn one_and_one_trying() {
    check(None, &[Twice], &[Try]);
}

#[test]
fn one_and_one_and_destroy() {
    check(Some(3), &[Once(NEVER), Destroy], &[Once(NEVER)]);
    check(Some(3), &[Once(NEVER)], &[Spin, Destroy]);
}

const BOTH: &[Job] = &[Once(NEVER), Once(NEVER)];

#[test]
fn two_and_one() {
    check(Some(3), BOTH, &[Once(NEVER)]);
    check(Some(3), &[Once(NEVER)], BOTH);
    check(Some(3), &[Once(NEVER), Try], &[Once(NEVER)]);
}

#[test]
fn two_and_one_nested() {
    check(Some(3), &[Nest, Once(NEVER)], &[Once(NEVER)]);
    check(Some(3), BOTH, &[NestInside]);
}

#[test]
fn two_and_one_with_deadlines() {
    check(Some(3), &[Once(NEVER), Once(PAST)], &[Once(NEVER)]);
    check(Some(3), BOTH, &[Once(PAST)]);
}

#[test]
fn two_and_one_with_signals() {
    check(Some(3), &[Once(NEVER), Once(SIGNAL)], &[Once(NEVER)]);
    check(Some(3), BOTH, &[Once(SIGNAL)]);
}

#[test]
fn two_and_one_spinning() {
    check(Some(2), BOTH, &[Spin]);
}

#[test]
fn two_and_one_and_destroy() {
    check(Some(3), BOTH, &[DestroyInside]);
    check(Some(3), &[Once(NEVER)], &[Once(NEVER), DestroyInside]);
    check(Some(2), BOTH, &[Once(NEVER), Destroy]);
}

#[test]
fn two_and_two() {
    check(Some(1), BOTH, BOTH);
}

#[test]
#[ignore = "takes minutes"]
fn one_and_one_and_destroy_in_full() {
    check(None, &[Once(NEVER), Destroy], &[Once(NEVER)]);
    check(None, &[Once(NEVER)], &[Spin, Destroy]);
}

#[test]
#[ignore = "takes minutes"]
fn two_and_one_in_full() {
    check(None, BOTH, &[Once(NEVER)]);
    check(None, &[Once(NEVER)], BOTH);
    check(None, &[Once(NEVER), Try], &[Once(NEVER)]);
}

#[test]
#[ignore = "takes minutes"]
fn two_and_one_nested_in_full() {
    check(Some(4), &[Nest, Once(NEVER)], &[Once(NEVER)]);
    check(Some(4), BOTH, &[NestInside]);
    check(None, &[Once(NEVER), Try], &[NestInside]);
    check(None, &[Once(NEVER)], &[Try, NestInside]);
}

#[test]
#[ignore = "takes minutes"]
fn two_and_one_with_deadlines_in_full() {
    check(None, &[Once(NEVER), Once(PAST)], &[Once(NEVER)]);
    check(None, BOTH, &[Once(PAST)]);
}

#[test]
#[ignore = "takes minutes"]
fn two_and_one_with_signals_in_full() {
    check(None, &[Once(NEVER), Once(SIGNAL)], &[Once(NEVER)]);
    check(None, BOTH, &[Once(SIGNAL)]);
}

#[test]
#[ignore = "takes minutes"]
fn two_and_one_spinning_in_full() {
    check(None, BOTH, &[Spin]);
}

#[test]
#[ignore = "takes minutes"]
fn two_and_one_and_destroy_in_full() {
    check(None, BOTH, &[DestroyInside]);
    check(None, &[Once(NEVER)], &[Once(NEVER), DestroyInside]);
    check(Some(2), BOTH, &[Once(NEVER), Destroy]);
}

#[test]
#[ignore = "takes minutes"]
fn two_and_two_in_full() {
    check(Some(2), BOTH, BOTH);
    check(Some(1), &[Nest, Once(PAST)], BOTH);
}
