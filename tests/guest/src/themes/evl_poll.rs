// SPDX-License-Identifier: GPL-2.0-only

//! EVL's own poll, in which an attached thread sleeps out of band.
//!
//! ```text
//!   /dev/evl/poll   CTL: watch a file for events     WAIT: sleep until an event or a date
//! ```

use crate::support::check::{HANG, accepted, refused};
use crate::support::device::Device;
use crate::support::evl_poll::{CONTROL, Control, Event, WAIT, Wait};
use crate::support::task::{self, date};
use crate::test::{Guest, On, Test};
use anyhow::{Result, ensure};
use oob_trial::files::{ARM, Arm, FROM_TIMER, LETTER, PATH};
use rustix::io::Errno;
use std::thread;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "evl poll: EVL's poll wakes when an interrupt brings data, and returns at its deadline",
        On::Evl,
        interrupt,
    ),
    Test::new(
        "evl poll: EVL's poll wakes when another attached thread writes",
        On::Evl,
        thread,
    ),
    Test::new(
        "evl poll: closing files that EVL's poll watches leaves nothing behind",
        On::Evl,
        closed,
    ),
];

const ADD: u32 = 0;
const IN: u32 = libc::POLLIN as u32;
const OUT: u32 = libc::POLLOUT as u32;
/// The value that poll returns with an event.
const VALUE: u64 = 1 << 40 | 7;

/// A poll file that watches one other file. Each thread uses only one: EVL may take the files of
/// the poll file on which the thread waited before for those of this one.
struct Poll {
    poll: Device,
    fd: u32,
}

impl Poll {
    fn of(trial: &Device, events: u32) -> Result<Self> {
        let poll = Device::open_path("/dev/evl/poll")?;
        let fd = u32::try_from(trial.raw())?;
        let control = Control {
            action: ADD,
            fd,
            events,
            pad: 0,
            value: VALUE,
        };
        accepted("CTL", poll.set(CONTROL, control))?;
        Ok(Self { poll, fd })
    }

    /// Which events are ready by `until_ns`.
    fn wait(&self, until_ns: u64) -> Result<u32, Errno> {
        let (seconds, nanos) = (until_ns / 1_000_000_000, until_ns % 1_000_000_000);
        let date = [seconds, nanos];
        let mut events = [Event::default(); 2];
        let mut wait = Wait {
            date: date.as_ptr().expose_provenance() as u64,
            events: events.as_mut_ptr().expose_provenance() as u64,
            count: 2,
            pad: 0,
        };
        self.poll.ioctl(WAIT, &mut wait)?;
        let [first, _] = events;
        let is_ours = wait.count == 1 && (first.fd, first.value) == (self.fd, VALUE);
        if is_ours {
            Ok(first.events)
        } else {
            Err(Errno::PROTO)
        }
    }
}

/// A wait takes this long if its wake-up is lost.
const LONG: Duration = Duration::from_secs(2 * HANG.as_secs());
const SHORT: Duration = Duration::from_millis(5);

fn interrupt(guest: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    task::oob(|| {
        let poll = Poll::of(&trial, IN)?;
        for round in 0..guest.count(20, 500) {
            let until = date(SHORT);
            refused("WAIT for nothing", poll.wait(until), Errno::TIMEDOUT)?;
            ensure!(
                date(Duration::ZERO) >= until,
                "WAIT returned before its deadline"
            );
            let at_ns = date(Duration::from_micros(5_000 + 500 * u64::from(round % 20)));
            accepted("ARM", trial.set(ARM, Arm { at_ns }))?;
            let ready = accepted("WAIT", poll.wait(date(LONG)))?;
            let seen_ns = date(Duration::ZERO);
            ensure!(ready == IN && seen_ns >= at_ns, "{ready:#x}, too early");
            ensure!(
                seen_ns - at_ns < HANG.as_nanos() as u64,
                "the wake-up was lost"
            );
            let mut text = [0; LETTER];
            let len = accepted("read", trial.read(&mut text))?;
            ensure!(&text[..len] == FROM_TIMER, "read {text:?}");
        }
        Ok(())
    })
}

fn thread(guest: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    let rounds = guest.count(50, 2_000);
    let end = date(LONG * 2);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            let poll = Poll::of(&trial, OUT)?;
            for _ in 0..rounds {
                ensure!(accepted("WAIT for room", poll.wait(end))? == OUT);
                accepted("write", trial.write(b"x"))?;
            }
            Ok(())
        });
        let reader = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            let poll = Poll::of(&trial, IN)?;
            for _ in 0..rounds {
                ensure!(accepted("WAIT for a letter", poll.wait(end))? == IN);
                accepted("read", trial.read(&mut [0; 4]))?;
            }
            Ok(())
        });
        task::join(writer)?;
        task::join(reader)
    })
}

fn closed(guest: &Guest) -> Result<()> {
    task::oob(|| {
        for round in 0..guest.count(300, 5_000) {
            let trial = Device::open_path(PATH)?;
            let poll = Poll::of(&trial, IN)?;
            // The interrupt comes about when the file is closed.
            let at_ns = date(Duration::from_micros(u64::from(round % 50) * 4));
            accepted("ARM", trial.set(ARM, Arm { at_ns }))?;
            // The deadline is in the past: poll returns what is ready already, or times out.
            match poll.wait(1) {
                Ok(IN) | Err(Errno::TIMEDOUT) => {}
                other => anyhow::bail!("WAIT: {other:?}"),
            }
            drop(trial);
            let gone = poll.wait(date(SHORT));
            ensure!(gone.is_err(), "a closed file is ready: {gone:?}");
        }
        Ok(())
    })
}
