// SPDX-License-Identifier: GPL-2.0-only

//! 32-bit programs make the same calls with the same layouts, and use 64-bit dates.

use crate::support::device::is_evl;
use crate::support::program32::{Arg, At, Call, Program, nr};
use crate::support::task::{PRIORITY, date};
use crate::test::{Guest, On, Test};
use anyhow::{Context, Result, ensure};
use oob_trial::files::{ECHO, Echo, LETTER, OOB, PATH, PAUSE, Pause, SEMAPHORE};
use oobkit_abi::{ctl, evl, spi};
use std::mem::offset_of;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "32-bit programs: a program attaches, reads, writes, polls and makes oob calls",
        On::Compat,
        program32,
    ),
    Test::new(
        "32-bit programs: a program exchanges frames, with 64-bit deadlines",
        On::Compat,
        frames32,
    ),
];

/// A program that begins by attaching itself, and the calls that do this. Each of them returns 0 if
/// it works.
fn attached32() -> (Program, Vec<Call>) {
    let mut program = Program::new();
    let parameter = program.put(&i32::from(PRIORITY));
    let policy = [libc::SCHED_FIFO as u32, parameter.0];
    let mut calls = vec![program.call(nr::SCHED_SETSCHEDULER, Arg::Value(0), policy)];
    if is_evl() {
        calls.extend(join_evl(&mut program));
    } else {
        let control = program.open(ctl::PATH);
        let argument = program.put(&ctl::Attach::default());
        calls.push(program.call(nr::IOCTL, control, [ctl::ATTACH, argument.0]));
    }
    (program, calls)
}

/// Adds the calls that `oobkit::thread::attach` makes on EVL.
fn join_evl(program: &mut Program) -> [Call; 3] {
    const CURRENT_AND_FUTURE: u32 = (libc::MCL_CURRENT | libc::MCL_FUTURE) as u32;
    let locked = program.call(nr::MLOCKALL, Arg::Value(CURRENT_AND_FUTURE), [0, 0]);
    program.open(evl::CONTROL);
    let clone = program.open(evl::CLONE_THREAD);
    let request = program.put(&evl::CloneRequest::default());
    let made = program.call(nr::IOCTL, clone, [evl::CLONE, request.0]);
    let thread = Arg::At(At(request.0 + offset_of!(evl::CloneRequest, fd) as u32));
    let attributes = program.put(&evl::SchedAttrs {
        policy: libc::SCHED_FIFO,
        priority: i32::from(PRIORITY),
        rest: [0; 2],
    });
    let set = program.call(nr::IOCTL, thread, [evl::SET_SCHEDPARAM, attributes.0]);
    [locked, made, set]
}

fn program32(_: &Guest) -> Result<()> {
    let (mut program, set_up) = attached32();
    let trial = program.open(PATH);
    let value = 0x1234_5678_9abc_def0_u64;
    let args = program.put(&Echo {
        value,
        ..Echo::default()
    });
    let oob_call = nr::oob_call(nr::IOCTL);
    let echo = program.call(oob_call, trial, [ECHO, args.0]);
    let bad = program.call(oob_call, trial, [ECHO, u32::MAX - 7]);
    let pause = program.put(&Pause {
        what: SEMAPHORE,
        reserved: 0,
        until_ns: date(Duration::from_millis(20)),
    });
    let paused = program.call(oob_call, trial, [PAUSE, pause.0]);
    let text = program.put(b"from 32 bits");
    let wrote = program.call(nr::oob_call(nr::WRITE), trial, [text.0, 12]);
    // struct pollfd: descriptor, events, ready events. The descriptor is the first free one after 0
    // to 2 and those that the program attached itself with.
    let descriptor = if is_evl() { 6_u16 } else { 4 };
    let polled = program.put(&[descriptor, 0, libc::POLLIN as u16, 0]);
    let ready = program.call(nr::POLL, Arg::Value(polled.0), [1, 0]);
    let copy = program.put(&[0_u8; LETTER]);
    let read = program.call(nr::oob_call(nr::READ), trial, [copy.0, LETTER as u32]);
    let unready = program.put(&[descriptor, 0, libc::POLLIN as u16, 0]);
    let not_ready = program.call(nr::POLL, Arg::Value(unready.0), [1, 0]);
    let left = program.run()?;
    for call in set_up {
        ensure!(left.result(call)? == 0, "set-up: {}", left.result(call)?);
    }
    ensure!(left.result(echo)? == 0, "ECHO: {}", left.result(echo)?);
    let answer: Echo = left.data(args)?;
    ensure!(
        answer.value == value + 1 && answer.stage == OOB,
        "{answer:?}"
    );
    ensure!(left.result(bad)? == -libc::EFAULT, "{}", left.result(bad)?);
    ensure!(
        left.result(paused)? == -libc::ETIMEDOUT
            && date(Duration::ZERO) > left.data::<Pause>(pause)?.until_ns,
        "PAUSE: {}",
        left.result(paused)?
    );
    ensure!(left.result(wrote)? == 12, "write: {}", left.result(wrote)?);
    ensure!(left.result(ready)? == 1, "poll: {}", left.result(ready)?);
    ensure!(left.result(read)? == 12, "read: {}", left.result(read)?);
    let copy: [u8; 12] = left.data(copy)?;
    ensure!(&copy == b"from 32 bits", "read {copy:?}");
    ensure!(left.result(not_ready)? == 0, "poll of nothing");
    Ok(())
}

fn frames32(_: &Guest) -> Result<()> {
    let (mut program, set_up) = attached32();
    let device = program.open("/dev/oob/spidev0.0");
    let setup = program.put(&spi::Enable {
        frame_len: 16,
        ..spi::Enable::default()
    });
    let enabled = program.call(nr::IOCTL, device, [spi::ENABLE_OOB_MODE, setup.0]);
    let run = program.call(nr::oob_call(nr::IOCTL), device, [spi::RUN_OOB_XFER, 0]);
    let mut until = |deadline_ns| {
        let args = program.put(&spi::RunUntil {
            deadline_ns,
            reserved: 0,
        });
        program.call(nr::oob_call(nr::IOCTL), device, [spi::RUN_UNTIL, args.0])
    };
    let far = until(date(Duration::from_secs(1_000_000)));
    let past = until(date(Duration::ZERO));
    let stats = program.put(&spi::Stats::default());
    let told = program.call(nr::IOCTL, device, [spi::GET_STATS, stats.0]);
    let disabled = program.call(nr::IOCTL, device, [spi::DISABLE_OOB_MODE, 0]);
    let left = program.run()?;
    let good = [enabled, run, far, told, disabled];
    for (place, call) in set_up.into_iter().chain(good).enumerate() {
        let result = left.result(call)?;
        ensure!(result == 0, "call {place}: {result}");
    }
    let past = left.result(past)?;
    ensure!(
        past == -libc::ESTALE,
        "RUN_UNTIL with a deadline in the past: {past}"
    );
    let setup: spi::Enable = left.data(setup).context("ENABLE")?;
    ensure!(setup.iobuf_len > 0, "{setup:?}");
    Ok(())
}
