// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::testing::allocations;
use motor_frame::FRAME_LEN;
use std::cell::Cell;
use std::rc::Rc;
use vboard::slaves::SpiSlave;
use vboard::slaves::motor::Motor;
use zerocopy::{FromBytes, IntoBytes};

/// Virtual time, in ns.
#[derive(Clone, Default)]
struct World(Rc<Cell<u64>>);

impl World {
    fn pass(&self, ns: u64) {
        self.0.set(self.0.get() + ns);
    }
}

impl Clock for World {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.get())
    }

    fn sleep_until(&self, date: Instant) {
        // Every wake-up is 3 us late.
        self.0.set(self.0.get().max(date.as_nanos() + 3_000));
    }
}

/// The virtual board's motor behind a link on which each frame takes 20 us.
struct Plant {
    world: World,
    motor: Motor,
    frames: u64,
    /// The fault of frame `n`.
    fault: fn(u64) -> Fault,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    NoiseOnMiso,
    NoiseOnMosi,
    Timeout,
    Slow(u64),
    Unplugged,
}

impl Plant {
    fn new(world: &World, fault: fn(u64) -> Fault) -> Self {
        Self {
            world: world.clone(),
            motor: Motor::new(),
            frames: 0,
            fault,
        }
    }

    fn date(&self) -> oob::time::Instant {
        oob::time::Instant(self.world.0.get())
    }
}

impl Link for Plant {
    fn exchange(&mut self, command: &Command, _deadline: Instant) -> Result<Status, LinkError> {
        let fault = (self.fault)(self.frames);
        self.frames += 1;
        let (mut mosi, mut miso) = ([0; FRAME_LEN], [0; FRAME_LEN]);
        mosi.copy_from_slice(command.as_bytes());
        if fault == Fault::NoiseOnMosi {
            mosi[5] ^= 0x10;
        }
        self.motor.select(self.date());
        for (sent, received) in mosi.iter().zip(&mut miso) {
            *received = self.motor.exchange(self.date(), *sent);
        }
        self.world.pass(20_000);
        self.motor.deselect(self.date());
        match fault {
            Fault::Timeout => return Err(LinkError::Oob(RunError::TimedOut)),
            Fault::Unplugged => return Err(LinkError::Oob(RunError::Gone)),
            Fault::Slow(ns) => self.world.pass(ns),
            Fault::NoiseOnMiso => miso[5] ^= 0x04,
            Fault::None | Fault::NoiseOnMosi => {}
        }
        Ok(Status::read_from_bytes(&miso).unwrap())
    }
}

fn run_with(
    fault: fn(u64) -> Fault,
    rate: u64,
    periods: u64,
) -> (Result<(), LinkError>, Figures, Plant) {
    let world = World::default();
    let mut plant = Plant::new(&world, fault);
    let mut figures = Figures::new();
    let progress = AtomicU64::new(0);
    let result = run(&world, &mut plant, rate, periods, &mut figures, &progress);
    (result, figures, plant)
}

#[test]
fn the_motor_follows_and_nothing_is_missed() {
    for rate in [10_000, 15_000] {
        let (result, figures, plant) = run_with(|_| Fault::None, rate, 3 * rate);
        assert_eq!(result, Ok(()));
        assert_eq!(figures.periods, 3 * rate);
        assert_eq!(
            (figures.missed, figures.crc_errors, figures.failed),
            (0, 0, 0)
        );
        // The first and the last command are frames, but not periods.
        assert_eq!(plant.frames, 3 * rate + 2);
        assert_eq!(plant.motor.flags(), FLAG_BRAKE);
        assert_eq!(plant.motor.counts().accepted, 3 * rate + 2);
        assert!(figures.tracking.max() < 5.0, "{:?}", figures.tracking);
        assert_eq!(figures.wake.len(), 3 * rate);
        assert!(figures.wake.max().abs_diff(3_000) < 10);
        assert!(figures.cycle.max().abs_diff(20_000) < 40);
    }
}

#[test]
fn noise_is_one_error_and_the_loop_continues() {
    let (result, figures, _) = run_with(
        |n| {
            if n == 50 {
                Fault::NoiseOnMiso
            } else {
                Fault::None
            }
        },
        10_000,
        200,
    );
    assert_eq!(result, Ok(()));
    assert_eq!(
        (figures.crc_errors, figures.failed, figures.missed),
        (1, 0, 0)
    );
}

#[test]
fn a_refused_command_shows_in_the_next_status() {
    let (_, figures, _) = run_with(
        |n| {
            if n == 50 {
                Fault::NoiseOnMosi
            } else {
                Fault::None
            }
        },
        10_000,
        200,
    );
    assert_eq!(figures.crc_errors, 1);
}

#[test]
fn a_failed_frame_is_counted_once_and_may_leave_the_sequence_unknown() {
    let (result, figures, _) = run_with(
        |n| if n == 50 { Fault::Timeout } else { Fault::None },
        10_000,
        200,
    );
    assert_eq!(result, Ok(()));
    assert_eq!(
        (figures.failed, figures.crc_errors, figures.missed),
        (1, 0, 0)
    );
}

#[test]
fn a_slow_frame_misses_its_period_and_skips_those_that_end_meanwhile() {
    // Frame 50 is period 49. It ends 350 us after its date, when periods 50 and 51 have ended.
    // Period 52 has begun but not ended, so it still gets its frame.
    let (_, figures, plant) = run_with(
        |n| {
            if n == 50 {
                Fault::Slow(327_000)
            } else {
                Fault::None
            }
        },
        10_000,
        200,
    );
    assert_eq!((figures.missed, figures.skipped), (3, 2));
    assert_eq!(figures.periods, 200);
    assert_eq!(plant.frames, 200 - 2 + 2);
    assert_eq!(figures.cycle.len(), 198);
}

#[test]
fn a_failure_that_is_not_transient_ends_the_loop() {
    let (result, figures, plant) = run_with(
        |n| {
            if n == 50 {
                Fault::Unplugged
            } else {
                Fault::None
            }
        },
        10_000,
        200,
    );
    assert_eq!(result, Err(LinkError::Oob(RunError::Gone)));
    assert_eq!(plant.frames, 51);
    assert_eq!(figures.cycle.len(), 49);
}

#[test]
fn the_sequence_wraps() {
    let (_, figures, _) = run_with(|_| Fault::None, 10_000, 70_000);
    assert_eq!(figures.crc_errors, 0);
}

#[test]
fn the_loop_allocates_nothing() {
    let world = World::default();
    let mut plant = Plant::new(&world, |n| match n {
        20 => Fault::NoiseOnMiso,
        40 => Fault::Timeout,
        60 => Fault::Slow(500_000),
        _ => Fault::None,
    });
    let mut figures = Figures::new();
    let progress = AtomicU64::new(0);
    let before = allocations();
    let result = run(&world, &mut plant, 10_000, 1_000, &mut figures, &progress);
    assert_eq!(allocations(), before);
    assert_eq!(result, Ok(()));
    // This shows that the counter works.
    drop(Box::new(figures));
    assert_ne!(allocations(), before);
}
