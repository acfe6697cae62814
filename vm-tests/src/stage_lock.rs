// SPDX-License-Identifier: GPL-2.0-only

//! The stage lock in the kernel: threads of both stages, with random holds, deadlines, signals, kills.

use crate::support::device::Device;
use crate::support::task::{self, PRIORITY};
use crate::support::{Random, accepted};
use crate::{Guest, On, Test};
use anyhow::{Result, ensure};
use oob_trial::{Hammer, PATH, STAX_DESTROY, STAX_HAMMER, STAX_LOSE, STAX_TOTAL, Total};
use oobkit::thread::Realtime;
use oobkit::time::Instant;
use rustix::process::getpid;
use rustix::thread::gettid;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

/// Threads of each stage.
const EACH: usize = 4;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "stage lock: four threads of each stage, with deadlines and signals; every entry counted",
        on: On::Any,
        run: both_stages,
    },
    Test {
        name: "stage lock: a wake-up that is lost would be seen",
        on: On::Any,
        run: lost,
    },
    Test {
        name: "stage lock: a killed process leaves it free",
        on: On::Any,
        run: killed,
    },
    Test {
        name: "stage lock: destroying it sends everybody away",
        on: On::Any,
        run: destroyed,
    },
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

/// Hammers until `until_ns` or the lock's end, whatever signals come; the sum of it.
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
        let made = trial.exchange(STAX_HAMMER, &mut args);
        accepted("STAX_HAMMER", made)?;
        sum.entered += args.entered;
        sum.nested += args.nested;
        sum.busy += args.busy;
        sum.timed_out += args.timed_out;
        sum.interrupted += args.interrupted;
        sum.dead += args.dead;
        sum.longest_ns = sum.longest_ns.max(args.longest_ns);
    }
    Ok(sum)
}

/// What came of it: the sums of [`EACH`] threads of each stage, out-of-band first, and whether they came to an end by
/// themselves.
struct Outcome {
    sums: [Vec<Hammer>; 2],
    has_ended: bool,
}

/// How long after their time the threads may still be at it: no more than a few sections each.
const GRACE: Duration = Duration::from_secs(20);

fn signal(number: i32) {
    let process = getpid().as_raw_nonzero().get();
    // SAFETY: names a thread of this process, or none any more.
    unsafe { libc::tgkill(process, number, libc::SIGUSR1) };
}

/// Has the threads hammer for `span`. `meanwhile` is called with their numbers; what it does not interrupt with signals has
/// to come to an end without any within `grace`.
fn hammer_all(
    trial: &Device,
    seed: u64,
    span: Duration,
    grace: Duration,
    meanwhile: impl FnOnce(&[i32]) -> Result<()>,
) -> Result<Outcome> {
    // SAFETY: a handler that does nothing.
    unsafe { libc::signal(libc::SIGUSR1, nothing as extern "C" fn(_) as usize) };
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
                numbers.lock().expect("nobody panics here").push(number);
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
        let limit = date(span + grace);
        let numbers = numbers.lock().expect("nobody panics here").clone();
        let done = meanwhile(&numbers);
        let all_over = || over.load(Ordering::Acquire) == 2 * EACH;
        while !all_over() && Instant::now().as_nanos() < limit {
            thread::sleep(Duration::from_millis(10));
        }
        let has_ended = all_over();
        while !all_over() {
            numbers.iter().copied().for_each(signal);
            thread::sleep(Duration::from_millis(10));
        }
        let join = |threads: Vec<_>| threads.into_iter().map(task::join).collect::<Result<_>>();
        let sums = [join(oob)?, join(inband)?];
        done.map(|()| Outcome { sums, has_ended })
    })
}

extern "C" fn nothing(_: libc::c_int) {}

fn both_stages(guest: &Guest) -> Result<()> {
    let span = Duration::from_secs(guest.count(10, 60).into());
    let trial = open()?;
    // For half of the time: a signal would end a wait that nothing else ends any more.
    let signals = date(span / 2);
    let Outcome { sums, has_ended } = hammer_all(&trial, 1, span, GRACE, |numbers| {
        let mut random = Random::new(7);
        while Instant::now().as_nanos() < signals {
            signal(numbers[random.below(numbers.len() as u64) as usize]);
            thread::sleep(Duration::from_millis(1 + random.below(5)));
        }
        Ok(())
    })?;
    ensure!(has_ended, "a thread waited for ever: {sums:?}");
    let total = total(&trial)?;
    ensure!(total.violations == 0, "both stages were inside: {total:?}");
    ensure!(total.inside == 0, "somebody is still inside: {total:?}");
    let [oob, inband] = &sums;
    for (side, counted) in [(oob, total.oob), (inband, total.inband)] {
        let sum: u64 = side.iter().map(|hammer| hammer.entered).sum();
        ensure!(sum == counted, "entered {sum} times, counted {counted}");
        for hammer in side {
            ensure!(hammer.entered > 0, "one never entered: {side:?}");
        }
        let of = |field: fn(&Hammer) -> u64| side.iter().map(field).sum::<u64>();
        let (nested, busy) = (of(|h| h.nested), of(|h| h.busy));
        let (timed_out, interrupted) = (of(|h| h.timed_out), of(|h| h.interrupted));
        ensure!(
            nested > 0 && busy > 0 && timed_out > 0 && interrupted > 0,
            "not everything happened: {side:?}"
        );
    }
    Ok(())
}

fn lost(_: &Guest) -> Result<()> {
    let trial = open()?;
    let grace = Duration::from_secs(2);
    let outcome = hammer_all(&trial, 9, Duration::from_secs(1), grace, |_| {
        // Many: who has a deadline comes away from a sleep all the same, and some wake-ups find nobody asleep.
        for _ in 0..40 {
            thread::sleep(Duration::from_millis(20));
            accepted("STAX_LOSE", trial.call(STAX_LOSE, 0).map(drop))?;
        }
        Ok(())
    })?;
    ensure!(!outcome.has_ended, "nobody missed the wake-up");
    Ok(())
}

/// Nobody is inside, and both stages can enter soon.
fn is_free(trial: &Device) -> Result<()> {
    let before = total(trial)?;
    ensure!(before.inside == 0, "somebody is still inside: {before:?}");
    let outcome = hammer_all(trial, 3, Duration::from_millis(300), GRACE, |_| Ok(()))?;
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
        let mut victim = task::fork(|_| {
            hammer_all(&trial, seed, Duration::from_secs(60), GRACE, |_| Ok(())).map(drop)
        })?;
        thread::sleep(Duration::from_millis(150 + random.below(200)));
        victim.kill()?;
        is_free(&trial)?;
    }
    Ok(())
}

fn destroyed(_: &Guest) -> Result<()> {
    let trial = open()?;
    let span = Duration::from_secs(60);
    let Outcome { sums, .. } = hammer_all(&trial, 5, span, GRACE, |_| {
        thread::sleep(Duration::from_millis(200));
        accepted("STAX_DESTROY", trial.call(STAX_DESTROY, 0).map(drop))
    })?;
    for hammer in sums.iter().flatten() {
        ensure!(hammer.dead == 1, "one was not sent away: {sums:?}");
    }
    ensure!(total(&trial)?.violations == 0, "both stages were inside");
    Ok(())
}
