// SPDX-License-Identifier: GPL-2.0-only

//! Measures the stage's services, and mainline's for comparison: first on an idle machine, then
//! under the in-band load.
//!
//! | case | from | to |
//! | --- | --- | --- |
//! | `wake-*` | a hard timer's handler, before it wakes the waiter | the waiter, after its wait |
//! | `timer`, `timer-periodic` | the timer's date | the handler of the timer, which expires once or with a period |
//! | `sleep` | the deadline of a thread's wait | the thread, after its wait |
//! | `semaphore` | before up | after down, in the same thread |
//! | `call` | before a system call | after it |
//! | `semaphore-call` | before one thread's up | after another thread's down, which the up has woken |

use crate::device::{Bench, PRIORITY, Stage, column, columns, join, spawn};
use crate::record::{Record, UNIT};
use crate::series::{Column, Failure, WARM_UP};
use crate::stamp;
use inband_load::Load;
use oob_trial::bench as abi;
use oob_trial::bench::Round;
use oobkit::thread::Realtime;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

/// The priority of the thread that wakes.
const LOWER: u8 = PRIORITY - 10;

/// Measures each case `n` times.
///
/// # Errors
///
/// [`Failure`]: why a series was not measured, or that the load left the machine idle.
pub(crate) fn run(n: u32, cpu: Option<usize>) -> Result<Vec<Record>, Failure> {
    let bench = Bench::open()?;
    let mut records = measure(n, &bench, cpu, "")?;
    let load = Load::start()?;
    let beside = measure(n, &bench, cpu, "-load")?;
    let rates = load.stop()?;
    if !rates.is_load() {
        return Err(rates.to_string().into());
    }
    for mut record in beside {
        record.load(rates);
        records.push(record);
    }
    Ok(records)
}

fn measure(
    n: u32,
    bench: &Bench,
    cpu: Option<usize>,
    suffix: &str,
) -> Result<Vec<Record>, Failure> {
    let realtime = |priority| Realtime { priority, cpu };
    let mut records = thread::scope(|scope| {
        join(spawn(scope, Stage::Oob, realtime(PRIORITY), || {
            services(n, bench, suffix)
        }))
    })?;
    let word = AtomicU32::new(0);
    let kit = woken(
        n,
        realtime,
        || Ok(bench.call(abi::DOWN)?),
        || Ok(bench.call(abi::UP)?),
    )?;
    let futex = woken(n, realtime, || wait(&word), || wake(&word))?;
    let mut record = Record::new(format!("semaphore-call{suffix}"), UNIT, kit);
    record.peer("futex", futex);
    records.push(record);
    Ok(records)
}

fn services(n: u32, bench: &Bench, suffix: &str) -> Result<Vec<Record>, Failure> {
    let record = |case: &str, kit| Record::new(format!("{case}{suffix}"), UNIT, kit);
    let ticks = stamp::nanos;
    let [kit, completion, wake_up] = timed(
        n,
        bench,
        ticks,
        [abi::WAKE_FLAG, abi::WAKE_COMPLETION, abi::WAKE_PROCESS],
    )?;
    let mut flag = record("wake-flag", kit);
    flag.peer("completion", completion)
        .peer("wake-up-process", wake_up);
    let [kit, completion, wake_up] = timed(
        n,
        bench,
        ticks,
        [
            abi::WAKE_FLAG_UNTIL,
            abi::WAKE_COMPLETION_TIMEOUT,
            abi::WAKE_PROCESS_UNTIL,
        ],
    )?;
    let mut until = record("wake-flag-until", kit);
    until
        .peer("completion", completion)
        .peer("wake-up-process", wake_up);
    let [kit, peer] = timed(
        n,
        bench,
        ticks,
        [abi::WAKE_SEMAPHORE, abi::WAKE_SEMAPHORE_C],
    )?;
    let mut semaphore = record("wake-semaphore", kit);
    semaphore.peer("semaphore", peer);
    // The kernel gives these in nanoseconds.
    let [kit, peer] = timed(n, bench, |ns| ns, [abi::EXPIRY, abi::EXPIRY_C])?;
    let mut timer = record("timer", kit);
    timer.peer("hrtimer", peer);
    let [kit, peer] = timed(
        n,
        bench,
        |ns| ns,
        [abi::EXPIRY_PERIODIC, abi::EXPIRY_PERIODIC_C],
    )?;
    let mut periodic = record("timer-periodic", kit);
    periodic.peer("hrtimer", peer);
    let [kit, peer] = timed(n, bench, |ns| ns, [abi::SLEEP, abi::SLEEP_C])?;
    let mut sleep = record("sleep", kit);
    sleep.peer("hrtimer", peer);
    let mut pair = record("semaphore", bench.pairs(n, abi::PAIR_SEMAPHORE)?);
    pair.peer("semaphore", bench.pairs(n, abi::PAIR_SEMAPHORE_C)?);
    let mut nothing = record("nothing", bench.pairs(n, abi::PAIR_NOTHING)?);
    nothing
        .peer("c", bench.pairs(n, abi::PAIR_NOTHING_C)?)
        .peer("program", called(n, || Ok(()))?);
    let null = File::open("/dev/null")?;
    let mut call = record("call", called(n, || Ok(bench.call(abi::CALL)?))?);
    call.peer("null", called(n, || refused(&null))?)
        .peer("inband", called(n, || Ok(bench.call(abi::INBAND_CALL)?))?);
    Ok(vec![
        nothing, flag, until, semaphore, timer, periodic, sleep, pair, call,
    ])
}

/// Measures the commands in turn, one round each. The rounds of one turn have the same delay.
fn timed<const COMMANDS: usize>(
    n: u32,
    bench: &Bench,
    nanos: fn(u64) -> u64,
    commands: [u32; COMMANDS],
) -> Result<[Column; COMMANDS], Failure> {
    let mut delays = Delays(1);
    let mut after_ns = 0;
    columns(n, |index| {
        if index == 0 {
            after_ns = delays.next();
        }
        let round = Round {
            after_ns,
            ..Round::default()
        };
        let command = commands.get(index).copied().unwrap_or_default();
        Ok(nanos(bench.round(command, round)?))
    })
}

/// Random delays before a timer expires, so that it interrupts different code each time.
struct Delays(u32);

impl Delays {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        50_000 + self.0 % 100_000
    }
}

fn called(n: u32, mut call: impl FnMut() -> Result<(), Failure>) -> Result<Column, Failure> {
    column(n, || {
        let begin = stamp::now();
        let result = call();
        let end = stamp::now();
        result.map(|()| stamp::nanos(end.saturating_sub(begin)))
    })
}

/// Makes an ioctl that returns at once, because /dev/null refuses all ioctls.
fn refused(null: &File) -> Result<(), Failure> {
    // SAFETY: the opcode takes no argument, so the kernel accesses no memory.
    match unsafe { libc::ioctl(null.as_raw_fd(), abi::CALL.into()) } {
        -1 => Ok(()),
        _ => Err("/dev/null took an ioctl".into()),
    }
}

/// Measures from before one thread's `wake` to after another thread's `wait`. The waiter runs on
/// the same processor with a higher priority, so it always waits when the other thread wakes it.
fn woken(
    n: u32,
    realtime: impl Fn(u8) -> Realtime,
    wait: impl Fn() -> Result<(), Failure> + Sync,
    wake: impl Fn() -> Result<(), Failure> + Sync,
) -> Result<Column, Failure> {
    let stamped = AtomicU64::new(0);
    // After the barrier, the thread of higher priority runs until it waits.
    let start = Barrier::new(2);
    thread::scope(|scope| {
        let sleeper = spawn(scope, Stage::Oob, realtime(PRIORITY), || {
            start.wait();
            column(n, || {
                stamped.store(0, Ordering::Relaxed);
                wait()?;
                let end = stamp::now();
                match stamped.load(Ordering::Relaxed) {
                    0 => Err("a wait ended without a wake-up".into()),
                    begin => Ok(stamp::nanos(end.saturating_sub(begin))),
                }
            })
        });
        let waker = spawn(scope, Stage::Oob, realtime(LOWER), || {
            start.wait();
            for _ in 0..usize::try_from(n)? + WARM_UP {
                stamped.store(stamp::now(), Ordering::Relaxed);
                wake()?;
            }
            Ok(())
        });
        let column = join(sleeper)?;
        join(waker)?;
        Ok(column)
    })
}

fn futex(word: &AtomicU32, operation: libc::c_int, value: u32) -> io::Result<()> {
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    let no_limit = std::ptr::null::<libc::timespec>();
    // SAFETY: the kernel accesses only the word, which is an atomic and outlives the call. The null
    // timeout means none.
    match unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, no_limit) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A semaphore's down that has to wait, by a futex.
fn wait(word: &AtomicU32) -> Result<(), Failure> {
    futex(word, libc::FUTEX_WAIT, 0)?;
    word.store(0, Ordering::Relaxed);
    Ok(())
}

/// A semaphore's up, by a futex.
fn wake(word: &AtomicU32) -> Result<(), Failure> {
    word.store(1, Ordering::Relaxed);
    Ok(futex(word, libc::FUTEX_WAKE, 1)?)
}
