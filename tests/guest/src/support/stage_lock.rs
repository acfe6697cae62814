// SPDX-License-Identifier: GPL-2.0-only

//! Threads that use the trial's stage lock: eight at random, or one for a known time.

use super::check::{HANG, accepted, eventually};
use super::device::Device;
use super::task::{self, PRIORITY, Spot, date};
use anyhow::Result;
use oob_trial::{Hammer, PATH, STAX_HAMMER, STAX_TOTAL, Total};
use oobkit::thread::Realtime;
use rustix::thread::gettid;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

/// How many threads of each stage use the lock.
pub(crate) const EACH: usize = 4;

pub(crate) fn open() -> Result<Device> {
    Device::open_path(PATH)
}

pub(crate) fn total(trial: &Device) -> Result<Total> {
    accepted("STAX_TOTAL", trial.get(STAX_TOTAL))
}

/// Enters and leaves at random until `until_ns` or until the lock is destroyed; signals do not stop
/// it. Returns the sums.
fn hammer(trial: &Device, seed: u64, until_ns: u64) -> Result<Hammer> {
    let mut sum = Hammer::default();
    let mut round = 0;
    while date(Duration::ZERO) < until_ns && sum.dead == 0 {
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
pub(crate) struct Outcome {
    /// The sums of each thread, out-of-band threads first.
    pub(crate) sums: [Vec<Hammer>; 2],
    /// Whether all threads ended without a signal.
    pub(crate) has_ended: bool,
}

/// How long the threads may take to end after their time: each one finishes a few sections at most.
pub(crate) const GRACE: Duration = HANG;

/// Lets all threads use the lock at random for `span`, and calls `meanwhile` with their numbers.
/// Threads that have not ended within `limit` are then ended by signals.
pub(crate) fn hammer_all(
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
        while !all_over() && date(Duration::ZERO) < limit {
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

/// Enters once and stays inside for `span`. Returns the counts.
pub(crate) fn hold(trial: &Device, span: Duration) -> Result<Hammer> {
    let mut args = Hammer {
        hold_ns: span.as_nanos() as u64,
        ..Hammer::default()
    };
    accepted("STAX_HAMMER", trial.ioctl(STAX_HAMMER, &mut args))?;
    Ok(args)
}

/// Calls [`hold`] as a thread of one stage, which leaves its number in `spot`.
pub(crate) fn hold_as(trial: &Device, is_oob: bool, spot: &Spot, span: Duration) -> Result<Hammer> {
    let _attached = match is_oob {
        true => Some(task::become_oob(task::home()?)?),
        false => None,
    };
    spot.here();
    hold(trial, span)
}

/// Longer than any test: a signal ends the section.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(3600);

/// Waits until one thread is inside.
pub(crate) fn is_held(trial: &Device) -> Result<()> {
    eventually(
        "one thread holds the lock",
        || Ok(total(trial)?.inside == 1),
    )
}

/// Sends signals until the thread has ended. One signal is not enough: it is lost if it comes
/// before the wait.
pub(crate) fn interrupt_until_over<T>(thread: &ScopedJoinHandle<'_, T>, spot: &Spot) {
    while !thread.is_finished() {
        if let Some(number) = spot.number_so_far() {
            task::interrupt(number);
        }
        thread::sleep(Duration::from_millis(10));
    }
}
