// SPDX-License-Identifier: GPL-2.0-only

//! The stage lock in a kernel: threads of both stages with random sections, deadlines, signals and
//! kills.

use crate::support::check::{HANG, accepted, eventually};
use crate::support::device::Device;
use crate::support::random::Random;
use crate::support::task::{self, PRIORITY, Spot};
use crate::test::{Guest, On, Test};
use anyhow::{Result, ensure};
use oob_trial::{Hammer, PATH, STAX_DESTROY, STAX_HAMMER, STAX_LOSE, STAX_SPIN, STAX_TOTAL, Total};
use oobkit::thread::Realtime;
use oobkit::time::Instant;
use rustix::thread::gettid;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

/// How many threads of each stage use the lock.
const EACH: usize = 4;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "stage lock: threads of both stages never enter together, and every entry is counted",
        On::Any,
        both_stages,
    ),
    Test::new(
        "stage lock: a signal ends the wait of a thread of either stage",
        On::Any,
        signalled,
    ),
    Test::new(
        "stage lock: a caller that cannot sleep spins until it enters or its deadline passes",
        On::TwoProcessors,
        spinning,
    ),
    Test::new("stage lock: the test detects a lost wake-up", On::Any, lost),
    Test::new(
        "stage lock: a killed process leaves the lock free",
        On::Any,
        killed,
    ),
    Test::new(
        "stage lock: destroying the lock wakes all waiters with an error",
        On::Any,
        destroyed,
    ),
];

fn open() -> Result<Device> {
    Device::open_path(PATH)
}

fn total(trial: &Device) -> Result<Total> {
    accepted("STAX_TOTAL", trial.get(STAX_TOTAL))
}

fn date(after: Duration) -> u64 {
    Instant::now().after(after).as_nanos()
}

/// Enters and leaves at random until `until_ns` or until the lock is destroyed; signals do not stop
/// it. Returns the sums.
fn hammer(trial: &Device, seed: u64, until_ns: u64) -> Result<Hammer> {
    let mut sum = Hammer::default();
    let mut round = 0;
    while Instant::now().as_nanos() < until_ns && sum.dead == 0 {
        round += 1;
        let mut args = Hammer {
            seed: seed.wrapping_mul(0x9e37_79b9).wrapping_add(round << 32),
            until_ns,
            ..Hammer::default()
        };
        let made = trial.ioctl(STAX_HAMMER, &mut args);
        accepted("STAX_HAMMER", made)?;
        sum.entered += args.entered;
        sum.nested += args.nested;
        sum.busy += args.busy;
        sum.timed_out += args.timed_out;
        sum.interrupted += args.interrupted;
        sum.dead += args.dead;
    }
    Ok(sum)
}

/// What [`EACH`] threads of each stage did.
struct Outcome {
    /// The sums of each thread, out-of-band threads first.
    sums: [Vec<Hammer>; 2],
    /// Whether all threads ended without a signal.
    has_ended: bool,
}

/// How long the threads may take to end after their time: each one finishes a few sections at most.
const GRACE: Duration = HANG;

/// Lets all threads use the lock at random for `span`, and calls `meanwhile` with their numbers.
/// Threads that have not ended within `limit` are then ended by signals.
fn hammer_all(
    trial: &Device,
    seed: u64,
    span: Duration,
    limit: Duration,
    meanwhile: impl FnOnce(&[i32]) -> Result<()>,
) -> Result<Outcome> {
    task::take_interrupts();
    let numbers = Mutex::new(Vec::new());
    let start = Barrier::new(2 * EACH + 1);
    let over = AtomicUsize::new(0);
    thread::scope(|scope| {
        let spawn = |is_oob: bool, n: usize| {
            let (numbers, start, over) = (&numbers, &start, &over);
            scope.spawn(move || {
                let attached = match is_oob {
                    true => {
                        let realtime = Realtime {
                            priority: PRIORITY,
                            cpu: None,
                        };
                        realtime.apply()?;
                        Some(oobkit::thread::attach()?)
                    }
                    false => None,
                };
                let number = gettid().as_raw_nonzero().get();
                numbers.lock().expect("no thread panics here").push(number);
                start.wait();
                let sum = hammer(trial, seed + n as u64, date(span));
                over.fetch_add(1, Ordering::Release);
                drop(attached);
                sum
            })
        };
        let [oob, inband] = [true, false].map(|is_oob| {
            (0..EACH)
                .map(|n| spawn(is_oob, n + usize::from(is_oob) * EACH))
                .collect::<Vec<_>>()
        });
        start.wait();
        let limit = date(limit);
        let numbers = numbers.lock().expect("no thread panics here").clone();
        let done = meanwhile(&numbers);
        let all_over = || over.load(Ordering::Acquire) == 2 * EACH;
        while !all_over() && Instant::now().as_nanos() < limit {
            thread::sleep(Duration::from_millis(10));
        }
        let has_ended = all_over();
        while !all_over() {
            numbers.iter().copied().for_each(task::interrupt);
            thread::sleep(Duration::from_millis(10));
        }
        let join = |threads: Vec<_>| threads.into_iter().map(task::join).collect::<Result<_>>();
        let sums = [join(oob)?, join(inband)?];
        done.map(|()| Outcome { sums, has_ended })
    })
}

/// Counts of what must happen to threads of each stage: nested entries, a `try_lock` that finds the
/// lock busy, and waits that a deadline ends. Signals that end a wait are not among them: few
/// signals meet a wait.
type Happened = [[u64; 3]; 2];

/// How many rounds the threads get at most until all of it has happened.
const ROUNDS: u64 = 40;

fn both_stages(guest: &Guest) -> Result<()> {
    let span = Duration::from_secs(guest.count(2, 60).into());
    let mut happened = Happened::default();
    for round in 0..ROUNDS {
        counted(round, span, &mut happened)?;
        if happened.as_flattened().iter().all(|times| *times > 0) {
            return Ok(());
        }
    }
    anyhow::bail!("not everything happened on both sides: {happened:?}")
}

/// One round of length `span`: every entry is counted, and no thread waits for ever.
fn counted(round: u64, span: Duration, happened: &mut Happened) -> Result<()> {
    let trial = open()?;
    // Signals come during the first half only: a later one would end a wait that nothing else ends
    // any more, and hide it.
    let signals = date(span / 2);
    let seed = 1 + round * 2 * EACH as u64;
    let Outcome { sums, has_ended } = hammer_all(&trial, seed, span, span + GRACE, |numbers| {
        let mut random = Random::new(7 + round);
        while Instant::now().as_nanos() < signals {
            task::interrupt(numbers[random.below(numbers.len() as u64) as usize]);
            thread::sleep(Duration::from_millis(1 + random.below(5)));
        }
        Ok(())
    })?;
    ensure!(has_ended, "a thread waited for ever: {sums:?}");
    let total = total(&trial)?;
    ensure!(
        total.violations == 0,
        "threads of both stages were inside: {total:?}"
    );
    ensure!(total.inside == 0, "a thread is still inside: {total:?}");
    // While a thread waits, each thread of the other stage begins one section at most
    // (docs/stax.md). If none ever did, the count would be broken.
    ensure!(
        (1..=EACH as u64).contains(&total.most_passed),
        "waiters were passed too often or never: {total:?}"
    );
    let [oob, inband] = &sums;
    let sides = [(oob, total.oob), (inband, total.inband)];
    for ((side, counted), happened) in sides.into_iter().zip(happened) {
        let sum: u64 = side.iter().map(|hammer| hammer.entered).sum();
        ensure!(sum == counted, "entered {sum} times, counted {counted}");
        for hammer in side {
            ensure!(hammer.entered > 0, "a thread never entered: {side:?}");
            let times = [hammer.nested, hammer.busy, hammer.timed_out];
            for (all, times) in happened.iter_mut().zip(times) {
                *all += times;
            }
        }
    }
    Ok(())
}

/// Enters once and stays inside for `span`. Returns the counts.
fn hold(trial: &Device, span: Duration) -> Result<Hammer> {
    let mut args = Hammer {
        hold_ns: span.as_nanos() as u64,
        ..Hammer::default()
    };
    accepted("STAX_HAMMER", trial.ioctl(STAX_HAMMER, &mut args))?;
    Ok(args)
}

/// Calls [`hold`] as a thread of one stage, which leaves its number in `spot`.
fn hold_as(trial: &Device, is_oob: bool, spot: &Spot, span: Duration) -> Result<Hammer> {
    let _attached = match is_oob {
        true => Some(task::become_oob(task::home()?)?),
        false => None,
    };
    spot.here();
    hold(trial, span)
}

/// Longer than any test: a signal ends the section.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Waits until one thread is inside.
fn is_held(trial: &Device) -> Result<()> {
    eventually(
        "one thread holds the lock",
        || Ok(total(trial)?.inside == 1),
    )
}

/// Sends signals until the thread has ended. One signal is not enough: it is lost if it comes
/// before the wait.
fn interrupt_until_over<T>(thread: &ScopedJoinHandle<'_, T>, spot: &Spot) {
    while !thread.is_finished() {
        if let Some(number) = spot.number_so_far() {
            task::interrupt(number);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn signalled(_: &Guest) -> Result<()> {
    task::take_interrupts();
    for is_oob in [true, false] {
        let trial = open()?;
        let [holders, waiters] = [Spot::default(), Spot::default()];
        thread::scope(|scope| {
            let holder = scope.spawn(|| hold_as(&trial, is_oob, &holders, FOR_EVER));
            let waited = is_held(&trial).and_then(|()| {
                let waiter =
                    scope.spawn(|| hold_as(&trial, !is_oob, &waiters, Duration::from_nanos(1)));
                // Nothing but a signal ends this wait while the holder is inside.
                interrupt_until_over(&waiter, &waiters);
                task::join(waiter)
            });
            interrupt_until_over(&holder, &holders);
            let (held, waited) = (task::join(holder)?, waited?);
            ensure!(held.entered == 1, "the holder: {held:?}");
            ensure!(
                waited.interrupted == 1 && waited.entered == 0,
                "the waiter: {waited:?}"
            );
            let total = total(&trial)?;
            ensure!(
                total.inside == 0 && total.violations == 0,
                "afterwards: {total:?}"
            );
            Ok(())
        })?;
    }
    Ok(())
}

fn spinning(_: &Guest) -> Result<()> {
    let trial = open()?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // The spinner waits for at most 200 us at a time. A long section ends no wait of that
        // length; a short one does.
        let holder = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            while !is_over.load(Ordering::Acquire) {
                for micros in [2_000, 100, 100] {
                    hold(&trial, Duration::from_micros(micros))?;
                    thread::sleep(Duration::from_micros(100));
                }
            }
            Ok(())
        });
        let spun = (0..ROUNDS).try_fold([0; 2], |sum, round| match sum.contains(&0) {
            true => spin(&trial, round, sum),
            false => Ok(sum),
        });
        is_over.store(true, Ordering::Release);
        task::join(holder)?;
        let happened = spun?;
        let left = total(&trial)?;
        ensure!(left.inside == 0, "a thread is still inside: {left:?}");
        ensure!(
            !happened.contains(&0),
            "the spinner never entered after spinning, or never reached its deadline: {happened:?}"
        );
        Ok(())
    })
}

/// One thread spins while others sleep. Adds to `sum` how often it entered after spinning, and how
/// often its deadline passed.
fn spin(trial: &Device, round: u64, sum: [u64; 2]) -> Result<[u64; 2]> {
    let before = total(trial)?.inband;
    let span = Duration::from_millis(500);
    let mut spinner = Hammer {
        seed: 31 + round,
        ..Hammer::default()
    };
    let seed = 41 + round * 2 * EACH as u64;
    let outcome = hammer_all(trial, seed, span, span + GRACE, |_| {
        // A thread that spins holds its processor, and the holder has to run on another one.
        task::pin(0)?;
        spinner.until_ns = date(span);
        accepted("STAX_SPIN", trial.ioctl(STAX_SPIN, &mut spinner)).map(drop)
    })?;
    ensure!(outcome.has_ended, "a thread waited for ever");
    let total = total(trial)?;
    ensure!(
        total.violations == 0,
        "threads of both stages were inside: {total:?}"
    );
    let [_, inband] = &outcome.sums;
    let slept: u64 = inband.iter().map(|hammer| hammer.entered).sum();
    ensure!(
        slept + spinner.entered == total.inband - before,
        "entered {slept} and {} times, counted {}",
        spinner.entered,
        total.inband - before
    );
    let [entered, gave_up] = sum;
    Ok([entered + spinner.busy, gave_up + spinner.timed_out])
}

fn lost(_: &Guest) -> Result<()> {
    task::take_interrupts();
    for is_oob in [true, false] {
        let trial = open()?;
        let [holders, waiters] = [Spot::default(), Spot::default()];
        thread::scope(|scope| {
            let holder = scope.spawn(|| hold_as(&trial, is_oob, &holders, FOR_EVER));
            let waits = is_held(&trial).map(|()| {
                let waiter =
                    scope.spawn(|| hold_as(&trial, !is_oob, &waiters, Duration::from_nanos(1)));
                (waiters.waits(), waiter)
            });
            let lose = accepted("STAX_LOSE", trial.set(STAX_LOSE, u64::MAX));
            interrupt_until_over(&holder, &holders);
            task::join(holder)?;
            let (waits, waiter) = waits?;
            // The holder has left, and its wake-up is lost. So nothing ends this wait.
            thread::sleep(Duration::from_secs(1));
            let has_missed_it = !waiter.is_finished();
            interrupt_until_over(&waiter, &waiters);
            task::join(waiter)?;
            waits.and(lose)?;
            ensure!(
                has_missed_it,
                "the waiter woke although its wake-up was lost"
            );
            Ok(())
        })?;
    }
    Ok(())
}

/// Fails unless the lock is free and threads of both stages can enter.
fn is_free(trial: &Device) -> Result<()> {
    let before = total(trial)?;
    ensure!(before.inside == 0, "a thread is still inside: {before:?}");
    let span = Duration::from_millis(300);
    let outcome = hammer_all(trial, 3, span, span + GRACE, |_| Ok(()))?;
    ensure!(outcome.has_ended, "a thread waited for ever");
    let after = total(trial)?;
    ensure!(
        after.oob > before.oob && after.inband > before.inband && after.violations == 0,
        "{before:?}, {after:?}"
    );
    Ok(())
}

fn killed(guest: &Guest) -> Result<()> {
    let trial = open()?;
    let mut random = Random::new(11);
    for round in 0..guest.count(5, 50) {
        let seed = 100 + u64::from(round);
        let before = total(&trial)?;
        let mut victim = task::fork(|_| {
            let span = Duration::from_secs(60);
            hammer_all(&trial, seed, span, span + GRACE, |_| Ok(())).map(drop)
        })?;
        let both = eventually("both stages have entered", || {
            let now = total(&trial)?;
            Ok(now.oob > before.oob && now.inband > before.inband)
        });
        thread::sleep(Duration::from_millis(random.below(200)));
        let inside = eventually("a thread is inside", || Ok(total(&trial)?.inside > 0));
        victim.kill()?;
        both.and(inside)?;
        is_free(&trial)?;
    }
    Ok(())
}

/// Destroys the lock while an in-band thread is inside and threads of both stages wait. The next
/// `lost` wake-ups are dropped.
fn destroy(trial: &Device, lost: u64, limit: Duration) -> Result<Outcome> {
    let wait_and_destroy = || {
        let mut before = Total::default();
        eventually("all wait", || {
            before = total(trial)?;
            thread::sleep(Duration::from_millis(100));
            Ok(before.inside == 1 && total(trial)? == before)
        })?;
        accepted("STAX_LOSE", trial.set(STAX_LOSE, lost))?;
        accepted("STAX_DESTROY", trial.call(STAX_DESTROY, 0).map(drop))
    };
    hammer_all(trial, 5, Duration::from_secs(60), limit, |_| {
        let spot = Spot::default();
        thread::scope(|scope| {
            let holder = scope.spawn(|| hold_as(trial, false, &spot, FOR_EVER));
            let destroyed = wait_and_destroy();
            interrupt_until_over(&holder, &spot);
            let held = task::join(holder)?;
            ensure!(held.entered == 1, "the holder never entered: {held:?}");
            destroyed
        })
    })
}

fn destroyed(_: &Guest) -> Result<()> {
    let without_waking = destroy(&open()?, u64::MAX, Duration::from_secs(3))?;
    ensure!(
        !without_waking.has_ended,
        "all threads ended although their wake-ups were lost"
    );
    let trial = open()?;
    let Outcome { sums, has_ended } = destroy(&trial, 0, GRACE)?;
    ensure!(has_ended, "a thread waited for ever: {sums:?}");
    for hammer in sums.iter().flatten() {
        ensure!(
            hammer.dead == 1,
            "a thread was not told that the lock is destroyed: {sums:?}"
        );
    }
    ensure!(
        total(&trial)?.violations == 0,
        "threads of both stages were inside"
    );
    Ok(())
}
