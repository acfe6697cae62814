// SPDX-License-Identifier: GPL-2.0-only

//! Random calls from many threads at once: the kernel reports no problem, and the device stays
//! usable.

use crate::support::board::Board;
use crate::support::check::accepted;
use crate::support::device::{Device, FOLDER};
use crate::support::frames::Frames;
use crate::support::mapping::Mapping;
use crate::support::motor::{DMA_HZ, FIFO_HZ, Motor};
use crate::support::random::Random;
use crate::support::task::{self, try_attach};
use crate::test::{Guest, On, Test};
use anyhow::Result;
use oobkit_abi::{ctl, spi as abi};
use rustix::mm::{MapFlags, ProtFlags};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: u64 = 8;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "fuzz: the device stays usable after random calls from eight threads",
        On::Spi,
        calls,
    ),
    Test::new(
        "fuzz: the device stays usable after random calls, kills and unbinds at the same time",
        On::Spi,
        calls_and_endings,
    ),
];

const COMMANDS: [u32; 20] = [
    abi::RD_MODE,
    abi::WR_MODE,
    abi::RD_BITS_PER_WORD,
    abi::WR_BITS_PER_WORD,
    abi::RD_MAX_SPEED_HZ,
    abi::WR_MAX_SPEED_HZ,
    abi::RD_MODE32,
    abi::WR_MODE32,
    abi::ENABLE_OOB_MODE,
    abi::DISABLE_OOB_MODE,
    abi::RUN_OOB_XFER,
    abi::RUN_UNTIL,
    abi::RUN_LIST,
    abi::SET_TRIGGER,
    abi::SET_STOP,
    abi::GET_STATS,
    abi::GET_INFO,
    abi::SET_DELAYS,
    ctl::ATTACH,
    ctl::DETACH,
];

/// Size of the page for arguments.
const PAGE: u64 = 4096;

/// Fills the page with random words that the device may accept: most are small or zero. Times are
/// long enough for the emulator, or nonsense.
fn fill(page: &Mapping, random: &mut Random) {
    let mut words = [0_u32; 36];
    for word in &mut words {
        *word = match random.below(8) {
            0 => random.next() as u32,
            1 => random.below(20) as u32,
            2 => random.one_of(&[16, 64, 1000, 4096, 65_532]),
            3 => random.one_of(&[1_000_000, 10_000_000, 125_000_000]),
            _ => random.below(2) as u32,
        };
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    page.write(0, &bytes);
}

/// The open files and the mappings of one thread.
#[derive(Default)]
struct Held {
    files: Vec<Device>,
    mappings: Vec<Mapping>,
}

impl Held {
    /// Opens, closes, maps, unmaps or calls.
    fn act(&mut self, page: &Mapping, random: &mut Random) {
        let Self { files, mappings } = self;
        match random.below(20) {
            0 => {
                let name = random.one_of(&["spidev0.0", "spidev0.1", "ctl"]);
                // Opening fails while the driver is unbound.
                files.extend(Device::open_path(format!("{FOLDER}/{name}")));
            }
            1 if files.len() > 3 => drop(files.swap_remove(random.below(4) as usize)),
            2 if !mappings.is_empty() => drop(mappings.pop()),
            3 => {
                if let Some(file) = files.last() {
                    let len = random.one_of(&[1, 4096, 8192, 1 << 20]);
                    let offset = random.one_of(&[0, 0, 0, 4096]);
                    mappings.extend(file.map_as(len, MapFlags::SHARED, offset));
                }
            }
            _ => {
                if let Some(file) = files.get(random.below(4) as usize) {
                    call(file, page, random);
                }
            }
        }
    }
}

fn call(file: &Device, page: &Mapping, random: &mut Random) {
    let mut command = random.one_of(&COMMANDS);
    if random.below(20) == 0 {
        command ^= 1 << random.below(32);
    }
    fill(page, random);
    let address = match random.below(20) {
        0 => random.next() as usize & !(1 << 47),
        1 => page.address() + PAGE as usize - random.below(100) as usize,
        _ => page.address(),
    };
    // A call must not write to other memory of this process. So such an address is moved out of
    // user space.
    let is_ours = address & !(PAGE as usize - 1) == page.address();
    let address = if is_ours { address } else { address | 1 << 63 };
    // Every result is right.
    let _ = file.call(command, address);
}

/// Acts at random until `end`.
fn hammer(seed: u64, end: Instant) -> Result<()> {
    let mut random = Random::new(seed);
    // No call can write beyond the first page.
    let page = Mapping::anonymous(2 * PAGE as usize, ProtFlags::READ | ProtFlags::WRITE)?;
    page.without_access(PAGE as usize)?;
    let mut held = Held::default();
    loop {
        let begin = Instant::now();
        if begin >= end {
            return Ok(());
        }
        held.act(&page, &mut random);
        // Without this pause the attached threads would use up all processors, most of all on a
        // slow kernel.
        let busy = begin.elapsed().min(Duration::from_millis(10));
        thread::sleep(Duration::from_micros(50).max(busy * THREADS as u32));
    }
}

/// Eight threads act at random. Half of them are attached.
fn all_hammer(seed: u64, span: Duration) -> Result<()> {
    let end = Instant::now() + span;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|n| {
                scope.spawn(move || {
                    if n % 2 == 0 {
                        task::become_fifo()?;
                        accepted("ATTACH", try_attach()?)?;
                    }
                    hammer(seed + n, end)
                })
            })
            .collect();
        threads.into_iter().try_for_each(task::join)
    })
}

fn span(guest: &Guest) -> Duration {
    Duration::from_millis(guest.count(500, 60_000).into())
}

/// Restores the settings, and fails unless frames work on both paths.
fn usable(guest: &Guest) -> Result<()> {
    for chip_select in [0, 1] {
        let device = Device::open(chip_select)?;
        accepted("WR_MODE32", device.set(abi::WR_MODE32, 0_u32))?;
        accepted("WR_BITS_PER_WORD", device.set(abi::WR_BITS_PER_WORD, 8_u8))?;
        accepted(
            "WR_MAX_SPEED_HZ",
            device.set(abi::WR_MAX_SPEED_HZ, u32::MAX),
        )?;
        accepted(
            "SET_DELAYS",
            device.set(abi::SET_DELAYS, abi::Delays::default()),
        )?;
    }
    for speed in [FIFO_HZ, DMA_HZ] {
        if guest.board == Board::Vboard {
            let mut motor = Motor::on(speed)?;
            task::oob(move || motor.works(50))?;
        } else {
            let frames = Frames::on(0, 16, speed)?;
            task::oob(|| (0..50).try_for_each(|_| accepted("RUN", frames.device.run())))?;
        }
    }
    Ok(())
}

fn calls(guest: &Guest) -> Result<()> {
    let span = span(guest);
    task::in_child(|| all_hammer(1, span))?;
    usable(guest)
}

fn calls_and_endings(guest: &Guest) -> Result<()> {
    for round in 0..guest.count(3, 60) {
        let seed = u64::from(round) * THREADS;
        let mut first = task::fork(|_| all_hammer(seed, Duration::from_secs(60)))?;
        let mut second = task::fork(|_| all_hammer(seed ^ 0xffff, Duration::from_secs(60)))?;
        thread::sleep(Duration::from_millis(guest.count(100, 400).into()));
        first.kill()?;
        if round % 2 == 0 {
            let device = crate::support::modules::unbind()?;
            thread::sleep(Duration::from_millis(50));
            crate::support::modules::bind_to(&device)?;
        }
        thread::sleep(Duration::from_millis(50));
        second.kill()?;
        crate::support::modules::load_all(guest.board)?;
    }
    usable(guest)
}
