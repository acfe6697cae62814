// SPDX-License-Identifier: GPL-2.0-only

//! The path of RUN, traced: it allocates nothing and faults nowhere; a FIFO frame never gives the processor away, a DMA
//! frame once, in the kit's own wait.

use crate::support::board::Board;
use crate::support::device::{Device, Frames};
use crate::support::motor::{DMA_HZ, FIFO_HZ};
use crate::support::task::{self, join, switches_and_faults};
use crate::support::tracefs::{Event, Events, Tracing};
use crate::{Guest, On, Test};
use anyhow::{Result, ensure};
use oobkit_abi::spi as abi;
use rustix::mm::ProtFlags;
use std::thread;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "trace: an allocation, a page fault and a sleep are seen where there is one",
        on: On::Spi,
        run: control,
    },
    Test {
        name: "trace: RUN of a FIFO frame does not allocate, fault or schedule",
        on: On::Spi,
        run: |guest| path(guest, FIFO_HZ, 0, Call::Run),
    },
    Test {
        name: "trace: RUN of a DMA frame does not allocate or fault, and sleeps once, in the kit's wait",
        on: On::Vboard,
        run: |guest| path(guest, DMA_HZ, 1, Call::Run),
    },
    Test {
        name: "trace: RUN_UNTIL and RUN_LIST neither",
        on: On::Spi,
        run: others,
    },
];

/// Which exchange call.
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

/// Runs `f` in an attached thread of one processor, where there is less to disturb it.
fn pinned<T: Send>(f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let last = thread::available_parallelism()?.get() - 1;
    thread::scope(|scope| {
        join(scope.spawn(|| {
            let _attached = task::become_oob(Some(last))?;
            f()
        }))
    })
}

/// The first event's story, for a failure.
fn first(events: &[Event]) -> String {
    events.first().map(Event::story).unwrap_or_default()
}

fn control(_: &Guest) -> Result<()> {
    let page = rustix::param::page_size();
    pinned(|| {
        let tracing = Tracing::new()?;
        rustix::mm::munlockall()?;
        let ((), events) = tracing.of(|| {
            drop(std::fs::File::open("/proc/self/status")?);
            let fresh = crate::support::device::Mapping::anonymous(
                page,
                ProtFlags::READ | ProtFlags::WRITE,
            )?;
            fresh.write(0, &[1]);
            thread::sleep(Duration::from_millis(1));
            Ok(())
        })?;
        let Events {
            allocations,
            faults,
            sleeps,
        } = events;
        ensure!(!allocations.is_empty(), "no allocation was seen");
        ensure!(!faults.is_empty(), "no fault was seen");
        ensure!(!sleeps.is_empty(), "no sleep was seen");
        ensure!(
            !sleeps.iter().any(|event| event.is_from("oob_spi")),
            "a sleep of another's is taken for the kit's: {}",
            first(&sleeps)
        );
        Ok(())
    })
}

/// `sleeps` is how often one call gives the processor away.
fn path(guest: &Guest, speed: u32, sleeps: usize, call: Call) -> Result<()> {
    let count = guest.count(300, 3000) as usize;
    let frames = Frames::on(0, 16, speed)?;
    if guest.board == Board::Vboard {
        let dma = frames.path()? == abi::PATH_DMA;
        ensure!(dma == (sleeps > 0), "{speed} Hz: the wrong path");
    }
    let device = &frames.device;
    pinned(|| {
        let tracing = Tracing::new()?;
        // Once for what is done at first use, in this process and in the tracing.
        tracing.of(|| (0..10).try_for_each(|_| call.make(device)))?;
        let before = device.stats()?;
        let ((switches, faults), events) = tracing.of(|| {
            let before = switches_and_faults()?;
            for _ in 0..count {
                call.make(device)?;
            }
            let after = switches_and_faults()?;
            Ok((after.0 - before.0, after.1 - before.1))
        })?;
        let after = device.stats()?;
        ensure!(
            after.frames - before.frames == count as u64,
            "{count} calls, {} frames",
            after.frames - before.frames
        );
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
        let seen = events.sleeps.len();
        ensure!(
            seen == sleeps * count && switches == seen as i64,
            "{seen} sleeps in {count} calls, and {switches} by the thread's own count: {}",
            first(&events.sleeps)
        );
        let foreign: Vec<Event> = events
            .sleeps
            .into_iter()
            .filter(|event| !event.is_from("oob_spi"))
            .collect();
        ensure!(
            foreign.is_empty(),
            "{} sleeps are not the kit's own: {}",
            foreign.len(),
            first(&foreign)
        );
        Ok(())
    })
}

fn others(guest: &Guest) -> Result<()> {
    for call in [Call::RunUntil, Call::RunList] {
        path(guest, FIFO_HZ, 0, call)?;
        if guest.board == Board::Vboard {
            path(guest, DMA_HZ, 1, call)?;
        }
    }
    Ok(())
}
