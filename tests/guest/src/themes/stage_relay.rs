// SPDX-License-Identifier: GPL-2.0-only

//! The relay: messages that out-of-band calls write reach an in-band file whole and in order, or
//! are counted as lost.

use crate::support::check::{HANG, accepted, eventually, refused};
use crate::support::device::Device;
use crate::support::task::{self, Process};
use crate::test::{Guest, On, Test};
use anyhow::{Context, Result, ensure};
use oob_trial::files::PATH;
use oob_trial::relay::{FLUSH, LOST, MESSAGE, OPEN, Open, WRITE, Write};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "stage relay: messages of attached threads reach the file whole and in order, or are counted as lost",
        On::Any,
        to_file,
    ),
    Test::new(
        "stage relay: a full file loses and counts further messages, and the accepted ones arrive",
        On::Any,
        to_full_pipe,
    ),
    Test::new(
        "stage relay: a signal ends a waiting flush",
        On::Any,
        flush_interrupted,
    ),
    Test::new(
        "stage relay: close and a kill each end a blocked write",
        On::Any,
        closed,
    ),
    Test::new(
        "stage relay: each bad argument has its own errno",
        On::Any,
        bad_arguments,
    ),
];

fn open(fd: i32, count: u32) -> Result<Device> {
    let trial = Device::open_path(PATH)?;
    let fd = u32::try_from(fd)?;
    accepted("OPEN", trial.set(OPEN, Open { fd, count }))?;
    Ok(trial)
}

/// Writes `count` messages from an attached thread. Returns how many the relay accepted.
fn write(trial: &Device, tag: u64, first: u64, count: u64) -> Result<u64> {
    let mut args = Write {
        tag,
        first,
        count,
        taken: 0,
    };
    accepted("WRITE", trial.ioctl(WRITE, &mut args))?;
    Ok(args.taken)
}

fn flush(trial: &Device) -> Result<()> {
    accepted("FLUSH", trial.call(FLUSH, 0)).map(drop)
}

fn lost(trial: &Device) -> Result<u64> {
    accepted("LOST", trial.get(LOST))
}

/// The number and the tag of each message.
fn messages(bytes: &[u8]) -> Result<Vec<(u64, u64)>> {
    let (whole, rest) = bytes.as_chunks::<MESSAGE>();
    ensure!(rest.is_empty(), "the file ends within a message");
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    Ok(whole
        .iter()
        .map(|message| (word(&message[..8]), word(&message[8..])))
        .collect())
}

fn to_file(guest: &Guest) -> Result<()> {
    const WRITERS: u64 = 3;
    let path = format!("/tmp/relay-{}", std::process::id());
    let file = File::create(&path)?;
    let trial = open(file.as_raw_fd(), 64)?;
    // The relay holds a reference of its own to the file.
    drop(file);
    let rounds = u64::from(guest.count(100, 5_000));
    let written = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|tag| {
                let trial = &trial;
                scope.spawn(move || {
                    let _attached = task::become_oob(task::home()?)?;
                    let mut taken = 0;
                    for round in 0..rounds {
                        taken += write(trial, tag, round * 7, 7)?;
                        thread::sleep(Duration::from_micros(300));
                    }
                    Ok(taken)
                })
            })
            .collect();
        writers.into_iter().map(task::join).sum::<Result<u64>>()
    })?;
    flush(&trial)?;
    let bytes = std::fs::read(&path)?;
    std::fs::remove_file(&path)?;
    let messages = messages(&bytes)?;
    let lost = lost(&trial)?;
    ensure!(
        messages.len() as u64 == written && written + lost == WRITERS * rounds * 7 && written > 0,
        "{} messages in the file, {written} accepted, {lost} lost",
        messages.len()
    );
    for tag in 0..WRITERS {
        let numbers = messages.iter().filter(|message| message.1 == tag);
        ensure!(
            numbers.is_sorted_by(|one, next| one.0 < next.0),
            "the messages of writer {tag} are out of order"
        );
    }
    Ok(())
}

/// A pipe that holds one page.
fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (from, to) = rustix::pipe::pipe()?;
    // SAFETY: the call takes numbers only, and the descriptor is open.
    let size = unsafe { libc::fcntl(to.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
    ensure!(size > 0, "the pipe's size cannot be set");
    Ok((from, to))
}

/// A relay whose pipe and pool are full.
struct Stuck {
    trial: Device,
    from: OwnedFd,
    to: OwnedFd,
    /// How many messages it has accepted.
    taken: u64,
    /// The number of the next message.
    next: u64,
}

fn stuck() -> Result<Stuck> {
    const POOL: u32 = 8;
    let (from, to) = pipe()?;
    let trial = open(to.as_raw_fd(), POOL)?;
    let full = 4096 / MESSAGE as u64 + u64::from(POOL);
    let (taken, next) = task::oob(|| {
        let (mut taken, mut next) = (0, 0);
        eventually("the pipe and the pool are full", || {
            // Between two calls, the relay's in-band thread moves messages to the pipe.
            let more = write(&trial, 0, next, POOL.into())?;
            taken += more;
            next += u64::from(POOL);
            Ok(more == 0 && taken >= full)
        })?;
        Ok((taken, next))
    })?;
    Ok(Stuck {
        trial,
        from,
        to,
        taken,
        next,
    })
}

fn to_full_pipe(_: &Guest) -> Result<()> {
    let Stuck {
        trial,
        from,
        to,
        taken,
        next,
    } = stuck()?;
    let before = lost(&trial)?;
    ensure!(
        before == next - taken,
        "{before} lost of {next}, {taken} accepted"
    );
    let more = task::oob(|| write(&trial, 0, next, 500))?;
    ensure!(more == 0, "a full relay accepted {more} messages");
    let lost = lost(&trial)?;
    ensure!(lost == before + 500, "{lost} lost, {before} before");
    // Once the pipe has room, all accepted messages arrive.
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        File::from(from).read_to_end(&mut bytes).map(|_| bytes)
    });
    flush(&trial)?;
    drop(trial);
    drop(to);
    let bytes = reader.join().ok().context("the reader panicked")??;
    let numbers: Vec<u64> = messages(&bytes)?
        .into_iter()
        .map(|message| message.0)
        .collect();
    ensure!(
        numbers.len() as u64 == taken && numbers.is_sorted_by(|one, next| one < next),
        "{} of {taken} arrived: {numbers:?}",
        numbers.len()
    );
    Ok(())
}

fn flush_interrupted(_: &Guest) -> Result<()> {
    task::take_interrupts();
    let stuck = stuck()?;
    let trial = &stuck.trial;
    let spot = task::Spot::default();
    thread::scope(|scope| {
        let flusher = scope.spawn(|| {
            spot.here();
            refused("FLUSH", trial.call(FLUSH, 0), Errno::INTR)
        });
        let number = spot.number()?;
        while !flusher.is_finished() {
            task::interrupt(number);
            thread::sleep(Duration::from_millis(5));
        }
        task::join(flusher)
    })
}

fn closed(guest: &Guest) -> Result<()> {
    for _ in 0..guest.count(5, 100) {
        let Stuck {
            trial,
            from,
            to,
            taken,
            ..
        } = stuck()?;
        let begin = Instant::now();
        drop(trial);
        ensure!(begin.elapsed() < HANG, "closing took {:?}", begin.elapsed());
        drop(to);
        let mut bytes = Vec::new();
        File::from(from).read_to_end(&mut bytes)?;
        let numbers: Vec<u64> = messages(&bytes)?
            .into_iter()
            .map(|message| message.0)
            .collect();
        ensure!(
            numbers.len() as u64 <= taken && numbers.is_sorted_by(|one, next| one < next),
            "{numbers:?}"
        );
    }
    for _ in 0..guest.count(3, 30) {
        // The child owns both ends of the pipe.
        let mut child: Process = task::fork(|parent| {
            let _stuck = stuck()?;
            parent.ready()?;
            parent.wait()
        })?;
        child.ready()?;
        let begin = Instant::now();
        child.kill()?;
        ensure!(
            begin.elapsed() < HANG,
            "the killed process took {:?} to end",
            begin.elapsed()
        );
    }
    Ok(())
}

fn bad_arguments(_: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    let set = |fd: i32, count| {
        let fd = u32::try_from(fd).unwrap_or(u32::MAX);
        trial.set(OPEN, Open { fd, count })
    };
    task::oob(|| {
        let early = trial.set(WRITE, Write::default());
        refused("WRITE before OPEN", early, Errno::NODEV)
    })?;
    refused("FLUSH before OPEN", trial.call(FLUSH, 0), Errno::NODEV)?;
    refused("OPEN of no file", set(-1, 4), Errno::BADF)?;
    let to_read = File::open("/proc/self/exe")?;
    refused(
        "OPEN of a read-only file",
        set(to_read.as_raw_fd(), 4),
        Errno::BADF,
    )?;
    // The kernel itself cannot write to this file.
    refused(
        "OPEN of the trial itself",
        set(trial.raw(), 4),
        Errno::INVAL,
    )?;
    let path = format!("/tmp/relay-{}", std::process::id());
    let file = File::create(&path)?;
    std::fs::remove_file(&path)?;
    refused(
        "OPEN with no messages",
        set(file.as_raw_fd(), 0),
        Errno::INVAL,
    )?;
    refused(
        "OPEN with a count that overflows",
        set(file.as_raw_fd(), u32::MAX),
        Errno::INVAL,
    )?;
    refused(
        "OPEN with more messages than memory",
        set(file.as_raw_fd(), u32::MAX - 1),
        Errno::NOMEM,
    )?;
    accepted("OPEN", set(file.as_raw_fd(), 4))?;
    refused("OPEN again", set(file.as_raw_fd(), 4), Errno::BUSY)?;
    let inband = trial.set(WRITE, Write::default());
    refused(
        "WRITE of a thread that is not attached",
        inband,
        Errno::PERM,
    )?;
    flush(&trial)
}
