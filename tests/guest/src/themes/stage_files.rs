// SPDX-License-Identifier: GPL-2.0-only

//! Files of the stage: read, write, poll, and calls from either stage.

use crate::support::check::{HANG, accepted, refused};
use crate::support::device::Device;
use crate::support::task::{self, date};
use crate::test::{Guest, On, Test};
use anyhow::{Result, ensure};
use oob_trial::files::{
    ARM, Arm, ECHO, Echo, FROM_TIMER, INBAND, LETTER, OOB, PATH, PAUSE, Pause, SEMAPHORE,
};
use rustix::io::Errno;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "stage files: a read waits until another attached thread writes",
        On::Any,
        read_and_write,
    ),
    Test::new(
        "stage files: a signal ends a waiting read",
        On::Any,
        interrupted,
    ),
    Test::new(
        "stage files: a call that a file does not implement returns EVL's errno",
        On::Any,
        unimplemented,
    ),
    Test::new(
        "stage files: a thread that is not attached is served in band if the device offers that, else gets EPERM",
        On::Any,
        inband_promise,
    ),
    Test::new(
        "stage files: poll, select and epoll wake when an interrupt brings data",
        On::Any,
        polls_interrupt,
    ),
    Test::new(
        "stage files: poll wakes when an attached thread writes or reads",
        On::Any,
        polls_thread,
    ),
    Test::new(
        "stage files: polling and closing files many times leaves nothing behind",
        On::Any,
        polled_and_closed,
    ),
];

fn open() -> Result<Device> {
    Device::open_path(PATH)
}

fn read_and_write(guest: &Guest) -> Result<()> {
    let trial = open()?;
    let rounds = guest.count(50, 2_000);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            for round in 0..rounds {
                let mut text = [0; LETTER + 1];
                let len = accepted("read", trial.read(&mut text))?;
                let expected = format!("letter {round}");
                ensure!(&text[..len] == expected.as_bytes(), "read {text:?}");
            }
            Ok(())
        });
        let writer = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            for round in 0..rounds {
                let text = format!("letter {round}");
                // The file holds one letter. It takes the next one when the reader has read that.
                while let Err(errno) = trial.write(text.as_bytes()) {
                    ensure!(errno == Errno::AGAIN, "write: {errno}");
                    thread::sleep(Duration::from_micros(200));
                }
            }
            Ok(())
        });
        task::join(writer)?;
        task::join(reader)
    })?;
    task::oob(|| {
        let long = trial.write(&[1; LETTER + 1]);
        refused("writing a long letter", long, Errno::MSGSIZE)?;
        accepted("writing nothing", trial.write(&[]))?;
        let len = accepted("reading nothing", trial.read(&mut [0; 4]))?;
        ensure!(len == 0, "an empty letter has {len} bytes");
        accepted("write", trial.write(b"0123456789"))?;
        let mut short = [0; 4];
        let len = accepted("reading a part", trial.read(&mut short))?;
        ensure!(len == 4 && &short == b"0123", "{len} bytes: {short:?}");
        Ok(())
    })
}

fn interrupted(_: &Guest) -> Result<()> {
    let trial = open()?;
    task::take_interrupts();
    let spot = task::Spot::default();
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            spot.here();
            refused("read", trial.read(&mut [0; 4]), Errno::INTR)
        });
        let number = spot.number()?;
        while !reader.is_finished() {
            task::interrupt(number);
            thread::sleep(Duration::from_millis(5));
        }
        task::join(reader)
    })
}

fn unimplemented(_: &Guest) -> Result<()> {
    task::oob(|| {
        let calls_only = Device::open(0)?;
        refused("read", calls_only.read(&mut [0; 4]), Errno::INVAL)?;
        refused("write", calls_only.write(&[0; 4]), Errno::INVAL)?;
        // A file without poll is always ready.
        ensure!(
            poll(&calls_only, libc::POLLIN | libc::POLLOUT, 0)? == libc::POLLIN | libc::POLLOUT
        );
        let other = Device::open_path(oob_trial::PATH)?;
        refused("a call", other.call(ECHO, 0), Errno::NOTTY)?;
        let trial = open()?;
        refused("an unknown call", trial.call(ECHO + 100, 0), Errno::NOTTY)?;
        let read_only = Device::of(std::fs::File::open(PATH)?);
        refused(
            "writing to a read-only file",
            read_only.write(b"x"),
            Errno::BADF,
        )
    })
}

fn echo(trial: &Device, value: u64) -> Result<Echo> {
    let mut echo = Echo {
        value,
        ..Echo::default()
    };
    accepted("ECHO", trial.ioctl(ECHO, &mut echo))?;
    ensure!(echo.value == value + 1, "{echo:?}");
    Ok(echo)
}

fn inband_promise(_: &Guest) -> Result<()> {
    let trial = open()?;
    let pause = Pause {
        what: SEMAPHORE,
        reserved: 0,
        until_ns: 1,
    };
    ensure!(echo(&trial, 1 << 40)?.stage == INBAND, "not in-band");
    refused("PAUSE", trial.set(PAUSE, pause), Errno::PERM)?;
    refused("write", trial.write(b"x"), Errno::PERM)?;
    refused(
        "reading an empty file",
        trial.read(&mut [0; 4]),
        Errno::AGAIN,
    )?;
    task::oob(|| {
        ensure!(echo(&trial, 1 << 40)?.stage == OOB, "not out-of-band");
        refused("PAUSE", trial.set(PAUSE, pause), Errno::TIMEDOUT)?;
        accepted("write", trial.write(b"x")).map(drop)
    })?;
    let len = accepted("read", trial.read(&mut [0; 4]))?;
    ensure!(len == 1, "{len} bytes");
    Ok(())
}

/// Which of `events` are ready within `ms`, by poll.
fn poll(trial: &Device, events: i16, ms: i32) -> Result<i16> {
    let mut polled = libc::pollfd {
        fd: trial.raw(),
        events,
        revents: 0,
    };
    // SAFETY: the array has one entry, which outlives the call.
    let result = unsafe { libc::poll(&raw mut polled, 1, ms) };
    ensure!(result >= 0, "poll: {}", std::io::Error::last_os_error());
    Ok(polled.revents)
}

/// Whether the file is readable within `ms`, by select.
fn select(trial: &Device, ms: i64) -> Result<bool> {
    let fd = trial.raw();
    // SAFETY: all zeroes is a valid value of `fd_set`: the empty set.
    let mut set: libc::fd_set = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is below FD_SETSIZE, since this process has few files open.
    unsafe { libc::FD_SET(fd, &raw mut set) };
    let mut limit = libc::timeval {
        tv_sec: ms / 1_000,
        tv_usec: ms % 1_000 * 1_000,
    };
    let none = std::ptr::null_mut();
    // SAFETY: the set and the limit outlive the call, and null stands for no set.
    let result = unsafe { libc::select(fd + 1, &raw mut set, none, none, &raw mut limit) };
    ensure!(result >= 0, "select: {}", std::io::Error::last_os_error());
    Ok(result == 1)
}

/// An epoll instance that watches one file for reading, edge-triggered.
struct Epoll(std::os::fd::OwnedFd);

impl Epoll {
    fn new(trial: &Device) -> Result<Self> {
        use std::os::fd::{AsRawFd, FromRawFd};
        // SAFETY: the call takes no pointer.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        ensure!(fd >= 0, "no epoll");
        // SAFETY: epoll_create1 has just returned this descriptor, and nothing else owns it.
        let epoll = Self(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) });
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLET) as u32,
            u64: 7,
        };
        let (epfd, fd) = (epoll.0.as_raw_fd(), trial.raw());
        // SAFETY: the event outlives the call, and both descriptors are open.
        let result = unsafe { libc::epoll_ctl(epfd, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        ensure!(result == 0, "epoll: {}", std::io::Error::last_os_error());
        Ok(epoll)
    }

    fn wait(&self, ms: i32) -> Result<bool> {
        use std::os::fd::AsRawFd;
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: the buffer has room for one event and outlives the call.
        let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, ms) };
        ensure!(count >= 0, "epoll: {}", std::io::Error::last_os_error());
        Ok(count == 1)
    }
}

/// A wait takes this long if its wake-up is lost, in ms.
const LONG: i32 = 2 * HANG.as_millis() as i32;

fn polls_interrupt(guest: &Guest) -> Result<()> {
    let trial = open()?;
    let epoll = Epoll::new(&trial)?;
    type Way<'a> = (&'a str, &'a dyn Fn(i32) -> Result<bool>);
    let ways: [Way<'_>; 3] = [
        ("poll", &|ms| {
            Ok(poll(&trial, libc::POLLIN, ms)? == libc::POLLIN)
        }),
        ("select", &|ms| select(&trial, ms.into())),
        ("epoll", &|ms| epoll.wait(ms)),
    ];
    for round in 0..guest.count(10, 500) {
        for (name, is_ready) in ways {
            ensure!(!is_ready(0)?, "{name}: ready before the interrupt");
            let at_ns = date(Duration::from_millis(5 + u64::from(round % 20)));
            let begin = Instant::now();
            accepted("ARM", trial.set(ARM, Arm { at_ns }))?;
            ensure!(is_ready(LONG)?, "{name}: not ready after the interrupt");
            ensure!(begin.elapsed() < HANG, "{name}: the wake-up was lost");
            ensure!(date(Duration::ZERO) >= at_ns, "{name}: ready too early");
            let mut text = [0; LETTER];
            let len = accepted("read", trial.read(&mut text))?;
            ensure!(&text[..len] == FROM_TIMER, "read {text:?}");
        }
    }
    Ok(())
}

fn polls_thread(guest: &Guest) -> Result<()> {
    let trial = open()?;
    let rounds = guest.count(50, 2_000);
    let wait_for = |events| -> Result<()> {
        let begin = Instant::now();
        ensure!(poll(&trial, events, LONG)? == events, "not ready");
        let took = begin.elapsed();
        ensure!(took < HANG, "the wake-up was lost");
        Ok(())
    };
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            for _ in 0..rounds {
                wait_for(libc::POLLOUT)?;
                accepted("write", trial.write(b"x"))?;
            }
            Ok(())
        });
        for _ in 0..rounds {
            wait_for(libc::POLLIN)?;
            accepted("read", trial.read(&mut [0; 4]))?;
        }
        task::join(writer)
    })
}

fn polled_and_closed(guest: &Guest) -> Result<()> {
    for round in 0..guest.count(100, 20_000) {
        let trial = open()?;
        let epoll = Epoll::new(&trial)?;
        // The interrupt comes about when the file is closed.
        let at_ns = date(Duration::from_micros(u64::from(round % 50) * 4));
        accepted("ARM", trial.set(ARM, Arm { at_ns }))?;
        epoll.wait(0)?;
        poll(&trial, libc::POLLIN, 0)?;
        drop(trial);
        epoll.wait(0)?;
    }
    Ok(())
}
