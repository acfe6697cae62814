// SPDX-License-Identifier: GPL-2.0-only

//! Bad arguments of SET_TRIGGER and SET_STOP: each is refused with its errno, starts no timer, and
//! is counted.

use crate::support::check::accepted;
use crate::support::device::Device;
use crate::support::frames::Frames;
use crate::test::{Guest, On, Test};
use crate::themes::refused_setup::refuses;
use anyhow::Result;
use oobkit_abi::spi as abi;
use rustix::io::Errno;

pub(crate) const TESTS: &[Test] = &[
    Test::new(
        "refused: SET_TRIGGER returns an errno for each bad argument",
        On::Spi,
        trigger,
    ),
    Test::new(
        "refused: SET_STOP returns an errno for each bad argument",
        On::Spi,
        stop,
    ),
];

fn trigger(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    let timer = abi::Trigger {
        kind: abi::TRIGGER_TIMER,
        reserved: 0,
        first_ns: 1 << 62,
        period_ns: 1_000_000,
    };
    let period = |period_ns| abi::Trigger { period_ns, ..timer };
    let first = |first_ns| abi::Trigger { first_ns, ..timer };
    let kind = |kind| abi::Trigger { kind, ..timer };
    let call = abi::Trigger::default();
    let cases = [
        ("an edge", kind(2), Errno::OPNOTSUPP),
        ("no kind", kind(u32::MAX), Errno::OPNOTSUPP),
        (
            "reserved",
            abi::Trigger {
                reserved: 1,
                ..timer
            },
            Errno::INVAL,
        ),
        (
            "a call with a period",
            abi::Trigger {
                period_ns: 1,
                ..call
            },
            Errno::INVAL,
        ),
        (
            "a call with a date",
            abi::Trigger {
                first_ns: 1,
                ..call
            },
            Errno::INVAL,
        ),
        ("a period of 0", period(0), Errno::RANGE),
        ("a period of 19999 ns", period(19_999), Errno::RANGE),
        ("more than an hour", period(3_600_000_000_001), Errno::RANGE),
        ("a period of 2^64 - 1", period(u64::MAX), Errno::RANGE),
        ("a date of 2^63", first(1 << 63), Errno::OVERFLOW),
        ("a date of 2^64 - 1", first(u64::MAX), Errno::OVERFLOW),
    ];
    for (what, trigger, errno) in cases {
        refuses(what, errno, &frames.device, |device| {
            device.set_trigger(trigger)
        })?;
    }
    // The period is shorter than two frames.
    let slow = Frames::on(1, 16, 100_000)?;
    refuses(
        "a period shorter than two frames",
        Errno::RANGE,
        &slow.device,
        |device| device.set_timer(1 << 62, 2_000_000),
    )?;
    accepted("SET_TRIGGER", frames.device.set_trigger(timer))?;
    let set = |device: &Device| device.set_timer(1 << 62, 3_000_000);
    let watch = |device: &Device| device.set_stop(1, 3_000_000);
    match slow.path()? {
        // On the FIFO path, the timer's handler would spin for the whole frame.
        abi::PATH_FIFO => {
            refuses(
                "a timer for a slow FIFO frame",
                Errno::TOOBIG,
                &slow.device,
                set,
            )?;
            refuses(
                "a watchdog for a slow FIFO frame",
                Errno::TOOBIG,
                &slow.device,
                watch,
            )
        }
        _ => {
            // SET_STOP comes last: the watchdog trips 3 ms later, and then every call is refused.
            accepted("SET_TRIGGER", set(&slow.device))?;
            accepted("SET_STOP", watch(&slow.device))
        }
    }
}

fn stop(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    let good = abi::Stop {
        miss_limit: 3,
        reserved: 0,
        period_ns: 1_000_000,
    };
    let period = |period_ns| abi::Stop { period_ns, ..good };
    let cases = [
        (
            "reserved",
            abi::Stop {
                reserved: 1,
                ..good
            },
            Errno::INVAL,
        ),
        (
            "a period without a limit",
            abi::Stop {
                miss_limit: 0,
                ..good
            },
            Errno::DOM,
        ),
        ("a period of 19999 ns", period(19_999), Errno::RANGE),
        ("more than an hour", period(3_600_000_000_001), Errno::RANGE),
        ("a period of 2^64 - 1", period(u64::MAX), Errno::RANGE),
    ];
    for (what, stop, errno) in cases {
        refuses(what, errno, &frames.device, |device| {
            device.set(abi::SET_STOP, stop)
        })?;
    }
    accepted("SET_STOP", frames.device.set_stop(3, 3_600_000_000_000))
}
