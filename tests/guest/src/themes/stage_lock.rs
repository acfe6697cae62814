// SPDX-License-Identifier: GPL-2.0-only

//! The stage lock in a kernel: threads of both stages with random sections, deadlines, signals and
//! kills.

use crate::support::check::{accepted, eventually};
use crate::support::device::Device;
use crate::support::random::Random;
use crate::support::stage_lock::{
    EACH, FOR_EVER, GRACE, Outcome, hammer_all, hold, hold_as, interrupt_until_over, is_held, open,
    total,
};
use crate::support::task::{self, Spot, date};
use crate::test::{Guest, On, Test};
use anyhow::{Result, ensure};
use oob_trial::{Hammer, STAX_DESTROY, STAX_LOSE, STAX_SPIN, Total};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

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

/// How many rounds the threads get at most until all of it has happened.
const ROUNDS: u64 = 40;

/// What has happened in all rounds. Signals that end a wait are not among it: few signals meet a
/// wait.
#[derive(Debug, Default)]
struct Happened {
    /// For each stage: nested entries, a `try_lock` that found the lock busy, waits that a deadline
    /// ended.
    times: [[u64; 3]; 2],
    /// How often each thread of each stage entered.
    entered: [[u64; EACH]; 2],
    /// The most sections of the other stage that began while a thread waited.
    most_passed: u64,
}

impl Happened {
    fn is_all(&self) -> bool {
        let (times, entered) = (self.times.as_flattened(), self.entered.as_flattened());
        self.most_passed > 0 && times.iter().chain(entered).all(|count| *count > 0)
    }
}

fn both_stages(guest: &Guest) -> Result<()> {
    let span = Duration::from_secs(guest.count(1, 60).into());
    let mut happened = Happened::default();
    for round in 0..ROUNDS {
        counted(round, span, &mut happened)?;
        if happened.is_all() {
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
        while date(Duration::ZERO) < signals {
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
    // (docs/stax.md).
    ensure!(
        total.most_passed <= EACH as u64,
        "a waiter was passed too often: {total:?}"
    );
    happened.most_passed = happened.most_passed.max(total.most_passed);
    for (stage, counted) in [total.oob, total.inband].into_iter().enumerate() {
        let sum: u64 = sums[stage].iter().map(|hammer| hammer.entered).sum();
        ensure!(sum == counted, "entered {sum} times, counted {counted}");
        for (n, hammer) in sums[stage].iter().enumerate() {
            happened.entered[stage][n] += hammer.entered;
            let times = [hammer.nested, hammer.busy, hammer.timed_out];
            for (all, times) in happened.times[stage].iter_mut().zip(times) {
                *all += times;
            }
        }
    }
    Ok(())
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
    let span = Duration::from_millis(60);
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
    for round in 0..guest.count(2, 50) {
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
        thread::sleep(Duration::from_millis(random.below(50)));
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
