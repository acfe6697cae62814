// SPDX-License-Identifier: GPL-2.0-only

//! The path of RUN, traced. RUN allocates nothing and takes no page fault. During a short frame the
//! thread never leaves the processor; during a slow one it sleeps once, in the flag's wait. Frames
//! that a timer starts allocate nothing either.

use crate::support::board::Board;
use crate::support::check::accepted;
use crate::support::device::{Device, is_evl};
use crate::support::frames::Frames;
use crate::support::motor::{DMA_HZ, FIFO_HZ};
use crate::support::task::{self, Spot, switches_and_faults};
use crate::support::tracefs::{Event, Events, Tracing};
use crate::test::{Guest, On, Test};
use anyhow::{Result, bail, ensure};
use oobkit_abi::spi as abi;
use rustix::io::Errno;
use rustix::mm::ProtFlags;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    Test::new(
        "trace: the trace shows an allocation, a page fault and a sleep when they happen",
        On::Spi,
        control,
    ),
    Test::new(
        "trace: the trace tells another sleep of the module from the flag's wait",
        On::Spi,
        other_sleep,
    ),
    Test::smoke(
        "trace: RUN of a FIFO frame does not allocate, fault or schedule",
        On::Spi,
        |guest| path(guest, FIFO_HZ, Call::Run),
    ),
    Test::new(
        "trace: RUN of a slow frame does not allocate or fault, and sleeps once, in the flag's wait",
        On::Spi,
        |guest| path(guest, SLOW_HZ, Call::Run),
    ),
    Test::new(
        "trace: RUN_UNTIL and RUN_LIST do not allocate or fault",
        On::Spi,
        others,
    ),
    Test::new(
        "trace: frames that a timer starts do not allocate or fault",
        On::ShimSpi,
        by_timer,
    ),
];

/// At this clock a frame takes 5 ms: long enough for the thread to fall asleep.
const SLOW_HZ: u32 = 25_600;

/// Period of the timer that starts frames.
const PERIOD_NS: u64 = 2_000_000;

/// A call that exchanges a frame.
#[derive(Clone, Copy, Debug)]
enum Call {
    Run,
    RunUntil,
    RunList,
}

impl Call {
    fn make(self, device: &Device) -> Result<()> {
        let result = match self {
            Self::Run => device.run(),
            Self::RunUntil => device.run_until(u64::MAX),
            Self::RunList => {
                let mut list = abi::RunList {
                    count: 1,
                    ..abi::RunList::default()
                };
                device.run_list(&mut list)
            }
        };
        result.map_err(Into::into)
    }
}

/// The first event in one line, for an error message.
fn first(events: &[Event]) -> String {
    events.first().map(Event::story).unwrap_or_default()
}

fn control(_: &Guest) -> Result<()> {
    let page = rustix::param::page_size();
    task::oob(|| {
        let tracing = Tracing::new()?;
        rustix::mm::munlockall()?;
        let ((), events) = tracing.of(|| {
            drop(std::fs::File::open("/proc/self/status")?);
            let fresh = crate::support::mapping::Mapping::anonymous(
                page,
                ProtFlags::READ | ProtFlags::WRITE,
            )?;
            fresh.write(0, &[1]);
            thread::sleep(Duration::from_millis(20));
            Ok(())
        })?;
        let Events {
            allocations,
            faults,
            sleeps,
            ..
        } = events;
        ensure!(!allocations.is_empty(), "no allocation was seen");
        ensure!(!faults.is_empty(), "no fault was seen");
        ensure!(!sleeps.is_empty(), "no sleep was seen");
        ensure!(
            !sleeps.iter().any(Event::is_flags_wait),
            "a foreign sleep is taken for the flag's wait: {}",
            first(&sleeps)
        );
        Ok(())
    })
}

/// DISABLE waits for the frame under way by sleeping in short steps, in `oob_spi.ko` as well.
fn other_sleep(_: &Guest) -> Result<()> {
    // The frame may end just before DISABLE looks.
    for _ in 0..ROUNDS {
        let frames = Frames::on(0, 16, SLOW_HZ)?;
        let device = &frames.device;
        let spot = Spot::default();
        let sleeps = thread::scope(|scope| {
            let runner = scope.spawn(|| {
                let _attached = task::become_oob(task::home()?)?;
                spot.here();
                loop {
                    match device.run() {
                        Ok(()) => {}
                        Err(Errno::SHUTDOWN | Errno::NXIO | Errno::AGAIN) => return Ok(()),
                        Err(errno) => bail!("RUN ended with {errno}"),
                    }
                }
            });
            let traced = spot.asleep().and_then(|_| {
                let tracing = Tracing::new()?;
                tracing.of(|| Ok(device.disable()?))
            });
            if traced.is_err() {
                let _ = device.disable();
            }
            task::join(runner)?;
            Ok::<_, anyhow::Error>(traced?.1.sleeps)
        })?;
        let wrong = sleeps.iter().find(|event| event.is_flags_wait());
        if let Some(event) = wrong {
            bail!(
                "a sleep of DISABLE is taken for the flag's wait: {}",
                event.story()
            );
        }
        if sleeps.iter().any(|event| event.is_from("oob_spi")) {
            return Ok(());
        }
    }
    bail!("DISABLE never waited for a frame")
}

/// What the calls of one round did.
struct Round {
    /// Calls in which the thread left the processor, by its own count.
    slept: usize,
    /// Page faults, by the thread's own count.
    faults: i64,
    events: Events,
}

/// Makes `count` calls. In none of them may the thread leave the processor more than `most` times.
fn round(tracing: &Tracing, device: &Device, call: Call, count: usize, most: i64) -> Result<Round> {
    let before = device.stats()?;
    let ((slept, faults), events) = tracing.of(|| {
        let mut slept = 0;
        let start = switches_and_faults()?;
        let mut seen = start;
        for n in 0..count {
            call.make(device)?;
            let now = switches_and_faults()?;
            let switches = now.0 - seen.0;
            ensure!(
                switches <= most,
                "the thread left the processor {switches} times in call {n}"
            );
            slept += usize::from(switches > 0);
            seen = now;
        }
        Ok((slept, seen.1 - start.1))
    })?;
    let frames = device.stats()?.frames - before.frames;
    ensure!(frames == count as u64, "{count} calls, {frames} frames");
    Ok(Round {
        slept,
        faults,
        events,
    })
}

/// How often a round is repeated if a frame ended before its thread slept. An emulator may delay a
/// processor for longer than a frame takes.
const ROUNDS: usize = 4;

/// How many short frames the thread exchanges before it sleeps. The scheduler makes a real-time
/// thread yield that runs for about a second, and the trace would show that.
const AT_A_TIME: usize = 50;

fn path(guest: &Guest, speed: u32, call: Call) -> Result<()> {
    let frames = Frames::on(0, 16, speed)?;
    let is_slow = speed == SLOW_HZ;
    if guest.board == Board::Vboard {
        let is_dma = frames.path()? == abi::PATH_DMA;
        ensure!(is_dma == is_slow, "{speed} Hz: the wrong path");
    }
    let count = match is_slow {
        true => guest.count(30, 1000) as usize,
        false => guest.count(100, 3000) as usize,
    };
    let device = &frames.device;
    if is_evl() {
        return task::oob(|| stays_out_of_band(device, call, count));
    }
    task::oob(|| {
        let tracing = Tracing::new()?;
        // The first round takes the page faults of first use, in this process and in the tracer.
        round(&tracing, device, call, 10, 1)?;
        let mut most = 0;
        let (rounds, count) = match is_slow {
            true => (ROUNDS, count),
            false => (count.div_ceil(AT_A_TIME), AT_A_TIME),
        };
        for _ in 0..rounds {
            thread::sleep(Duration::from_millis(1));
            let Round {
                slept,
                faults,
                events,
            } = round(&tracing, device, call, count, is_slow.into())?;
            ensure!(
                events.allocations.is_empty(),
                "{} allocations in {count} calls: {}",
                events.allocations.len(),
                first(&events.allocations)
            );
            ensure!(
                events.faults.is_empty() && faults == 0,
                "{faults} faults in {count} calls: {}",
                first(&events.faults)
            );
            ensure!(
                events.sleeps.len() == slept,
                "{slept} calls slept by the thread's own count, {} by the trace: {}",
                events.sleeps.len(),
                first(&events.sleeps)
            );
            let foreign = events.sleeps.iter().find(|event| !event.is_flags_wait());
            if let Some(event) = foreign {
                bail!("a sleep outside the flag's wait: {}", event.story());
            }
            if is_slow && slept == count {
                return Ok(());
            }
            most = most.max(slept);
        }
        if !is_slow {
            return Ok(());
        }
        // A debug kernel on a slow machine may miss some sleeps. A path that spins never sleeps.
        ensure!(
            most >= count - count / 10,
            "in {rounds} rounds of {count} calls at most {most} slept"
        );
        Ok(())
    })
}

/// The same on EVL. A thread that goes out of band sleeps once as an in-band task. After that its
/// oob calls do nothing in band. So the thread makes no in-band call between two of them.
fn stays_out_of_band(device: &Device, call: Call, count: usize) -> Result<()> {
    let tracing = Tracing::new()?;
    for count in [10, count] {
        let before = device.stats()?.frames;
        let ((), events) = tracing.of(|| (0..count).try_for_each(|_| call.make(device)))?;
        let frames = device.stats()?.frames - before;
        ensure!(frames == count as u64, "{count} calls, {frames} frames");
        let Events {
            allocations,
            faults,
            sleeps,
            ..
        } = events;
        for (what, seen) in [("allocations", allocations), ("faults", faults)] {
            ensure!(seen.is_empty(), "{} {what}: {}", seen.len(), first(&seen));
        }
        ensure!(
            sleeps.len() == 1
                && sleeps
                    .iter()
                    .all(|event| event.is_through("evl_switch_oob")),
            "the thread did not go out of band exactly once, but {} times: {}",
            sleeps.len(),
            first(&sleeps)
        );
    }
    Ok(())
}

fn others(guest: &Guest) -> Result<()> {
    for call in [Call::RunUntil, Call::RunList] {
        path(guest, FIFO_HZ, call)?;
        path(guest, SLOW_HZ, call)?;
    }
    Ok(())
}

/// A timer expires on the processor that set it. So the traced thread sets the timer and then
/// computes.
fn by_timer(guest: &Guest) -> Result<()> {
    let speeds: &[u32] = match guest.board {
        Board::Vboard => &[FIFO_HZ, DMA_HZ],
        _ => &[FIFO_HZ],
    };
    for speed in speeds {
        let frames = Frames::on(0, 16, *speed)?;
        if *speed == DMA_HZ {
            frames.must_be_dma()?;
        }
        let device = &frames.device;
        let periods = guest.count(40, 1000);
        task::oob(|| {
            let tracing = Tracing::new()?.with_timers()?;
            accepted("SET_TRIGGER", device.set_timer(0, PERIOD_NS))?;
            // The first round takes the page faults of first use.
            tracing.of(|| compute(PERIOD_NS))?;
            let mut told = (0, 0);
            // If the emulator delays the processor, few frames fall into a round.
            for _ in 0..ROUNDS {
                let before = device.stats()?;
                let ((), events) = tracing.of(|| compute(PERIOD_NS * u64::from(periods)))?;
                let after = device.stats()?;
                for seen in [&events.allocations, &events.faults] {
                    ensure!(seen.is_empty(), "{speed} Hz: {}", first(seen));
                }
                let seen = events.timers.iter();
                let seen = seen.filter(|event| event.is_about("oob_spi")).count();
                told = (after.frames - before.frames, seen);
                if told.0 > 10 && told.1 > 10 {
                    break;
                }
            }
            accepted("SET_TRIGGER", device.set_trigger(abi::Trigger::default()))?;
            let (sent, seen) = told;
            ensure!(
                sent > 10 && seen > 10,
                "{speed} Hz: {sent} frames, and {seen} expirations of their timer in the trace"
            );
            Ok(())
        })?;
    }
    Ok(())
}

fn compute(span_ns: u64) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_nanos(span_ns) {
        std::hint::spin_loop();
    }
    Ok(())
}
