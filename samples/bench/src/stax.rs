// SPDX-License-Identifier: GPL-2.0-only

//! Measures the stage lock, and the locks of the same kernel for comparison.
//!
//! ```text
//!   case          measured                                 compared with
//!   uncontended   lock, unlock                             mutex, rwsem (both modes), spinlock
//!   shared        the same, while the stage has the lock   rwsem: a reader beside a reader
//!   hand-over     holder's unlock until waiter's entry     mutex, rwsem: writer to writer
//! ```
//!
//! In a hand-over, the waiter runs on the same processor with a higher priority, so it runs as soon
//! as it has the lock. The measurement ends there.

use crate::device::{Bench, PRIORITY, Stage, column, join, spawn};
use crate::record::{Record, UNIT};
use crate::series::{Column, Failure, WARM_UP};
use crate::stamp;
use oob_trial::bench as abi;
use oob_trial::bench::Round;
use oobkit::thread::Realtime;
use std::sync::Barrier;
use std::thread;

/// The priority of the thread that hands over.
const LOWER: u8 = PRIORITY - 10;

/// Measures each case `n` times.
///
/// # Errors
///
/// [`Failure`]: why a series was not measured.
pub(crate) fn run(n: u32, cpu: Option<usize>) -> Result<Vec<Record>, Failure> {
    let bench = Bench::open()?;
    let mut records = Vec::new();
    for stage in Stage::BOTH {
        let realtime = Realtime {
            priority: PRIORITY,
            cpu,
        };
        let pairs =
            thread::scope(|scope| join(spawn(scope, stage, realtime, || pairs(n, &bench, stage))))?;
        records.extend(pairs);
    }
    for to in Stage::BOTH {
        let hand_over = |hold, take| hand_over(n, &bench, cpu, to, hold, take);
        let kit = hand_over(abi::HOLD_STAX, abi::TAKE_STAX)?;
        let mut record = Record::new(format!("hand-over-to-{}", to.name()), UNIT, kit);
        record
            .peer("mutex", hand_over(abi::HOLD_MUTEX, abi::TAKE_MUTEX)?)
            .peer("rwsem-write", hand_over(abi::HOLD_RWSEM, abi::TAKE_RWSEM)?);
        records.push(record);
    }
    Ok(records)
}

fn pairs(n: u32, bench: &Bench, stage: Stage) -> Result<Vec<Record>, Failure> {
    let pairs = |command| bench.pairs(n, command);
    let record = |case: &str, command| {
        let case = format!("{case}-{}", stage.name());
        Ok::<_, Failure>(Record::new(case, UNIT, pairs(command)?))
    };
    let mut nothing = record("nothing", abi::PAIR_NOTHING)?;
    nothing.peer("c", pairs(abi::PAIR_NOTHING_C)?);
    let mut uncontended = record("uncontended", abi::PAIR_STAX)?;
    uncontended
        .peer("mutex", pairs(abi::PAIR_MUTEX)?)
        .peer("rwsem-read", pairs(abi::PAIR_RWSEM_READ)?)
        .peer("rwsem-write", pairs(abi::PAIR_RWSEM_WRITE)?)
        .peer("spinlock", pairs(abi::PAIR_SPINLOCK)?);
    let mut shared = record("shared", abi::PAIR_STAX_SHARED)?;
    shared.peer("rwsem-read", pairs(abi::PAIR_RWSEM_SHARED)?);
    Ok(vec![nothing, uncontended, shared])
}

fn hand_over(
    n: u32,
    bench: &Bench,
    cpu: Option<usize>,
    to: Stage,
    hold: u32,
    take: u32,
) -> Result<Column, Failure> {
    let realtime = |priority| Realtime { priority, cpu };
    // After the barrier, the thread of higher priority runs until it waits.
    let start = Barrier::new(2);
    thread::scope(|scope| {
        let taker = spawn(scope, to, realtime(PRIORITY), || {
            start.wait();
            column(n, || match bench.round(take, Round::default())? {
                0 => Err("the waiter got the lock without a hand-over".into()),
                took => Ok(stamp::nanos(took)),
            })
        });
        let holder = spawn(scope, to.other(), realtime(LOWER), || {
            start.wait();
            for _ in 0..usize::try_from(n)? + WARM_UP {
                bench.round(hold, Round::default())?;
            }
            Ok(())
        });
        let column = join(taker)?;
        join(holder)?;
        Ok(column)
    })
}
