// SPDX-License-Identifier: GPL-2.0-only

//! A DC motor with an encoder, in fixed point, behind a chip select.
//!
//! ```text
//!   command --> drive u --> di/dt = (Is * (u - w / W0) - i) / TAU_E       i  winding current, mA
//!                           dw/dt = W0 / (Is * TAU_M) * i - w / TAU_F     w  velocity, counts/s
//!   status <-- i, w, x      dx/dt = w                                     x  position, counts
//! ```
//!
//! It is a 3000 rpm motor: stall current Is 12 A, no-load velocity W0 50 turns/s at full drive,
//! electrical time constant TAU_E 0.5 ms, mechanical TAU_M 20 ms, viscous friction TAU_F 1 s. The
//! state moves in steps of 10 us (explicit Euler). The equations are linear, so 2, 4, 8... steps
//! equal one step with another matrix. With a table of these matrices, a call costs at most
//! [`MAX_APPLIES`] matrix applications, however much time has passed. Time beyond the table is
//! dropped: see [`Motor::advance`].
//!
//! Braking shorts the windings (drive 0). Without [`FLAG_ENABLE`] the windings are open, so no
//! current flows and the motor coasts. The frames are those of crate `motor-frame`.

mod steps;

use crate::slaves::SpiSlave;
use motor_frame::{
    Command, DRIVE_FULL, FLAG_BAD_COMMAND, FLAG_BRAKE, FLAG_ENABLE, FRAME_LEN, Status,
};
use oob::time::{Instant, Ns};
use steps::{COASTING, DRIVEN, LEVELS, Q, Steps};
use zerocopy::{FromBytes, IntoBytes};

/// The length of a step.
pub const STEP: Ns = Ns(10_000);
/// How often one call applies the last matrix of the table at most.
const MAX_TOP: u64 = 16;
/// The most matrix applications in one call.
pub const MAX_APPLIES: u64 = MAX_TOP + LEVELS as u64 - 1;

/// Fraction bits of the state.
const STATE_BITS: u32 = 16;

/// How many commands the motor has received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MotorCounts {
    /// Commands accepted.
    pub accepted: u64,
    /// Commands refused, for a wrong length, magic or CRC.
    pub refused: u64,
    /// The sequence number of the last accepted command.
    pub last_sequence: u16,
}

/// The motor.
#[derive(Debug, Default)]
pub struct Motor {
    date: Instant,
    current: i64,
    velocity: i64,
    position: i64,
    drive: i64,
    flags: u8,
    counts: MotorCounts,
    status: [u8; FRAME_LEN],
    command: [u8; FRAME_LEN],
    bytes: usize,
}

impl Motor {
    /// A motor at rest at position 0, its windings open.
    pub fn new() -> Self {
        Self::default()
    }

    /// The command counters.
    pub const fn counts(&self) -> MotorCounts {
        self.counts
    }

    /// The flags of the last accepted command (`FLAG_ENABLE`, `FLAG_BRAKE`), and
    /// [`FLAG_BAD_COMMAND`] if a command has been refused since.
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// The status at `now`, as a frame returns it.
    pub fn status(&mut self, now: Instant) -> Status {
        self.advance(now);
        let current = self.current.wrapping_shr(STATE_BITS);
        Status {
            flags: self.flags,
            sequence: self.counts.last_sequence.into(),
            position: wrapped(self.position).into(),
            velocity: wrapped(self.velocity).into(),
            current: i16::try_from(current)
                .unwrap_or(if current < 0 { i16::MIN } else { i16::MAX })
                .into(),
            ..Status::default()
        }
        .sealed()
    }

    /// Moves the state to `now`, in whole steps. If more than about 170 s have passed since the
    /// last call, the state moves by that much only.
    pub fn advance(&mut self, now: Instant) {
        let steps = now.since(self.date).0 / STEP.0;
        self.date = self.date.after(Ns(steps.wrapping_mul(STEP.0)));
        let table = match self.flags & (FLAG_ENABLE | FLAG_BRAKE) {
            0 => &COASTING,
            _ => &DRIVEN,
        };
        let top = (LEVELS as u64).saturating_sub(1);
        for (level, steps_of_level) in (0u32..).zip(table) {
            let times = match u64::from(level) {
                last if last == top => (steps >> top).min(MAX_TOP),
                _ => steps >> level & 1,
            };
            for _ in 0..times {
                self.apply(steps_of_level);
            }
        }
    }

    fn apply(&mut self, steps: &Steps) {
        let (i, w, u) = (self.current, self.velocity, self.drive);
        self.position =
            self.position
                .wrapping_add(row([(steps.xi, i), (steps.xw, w), (steps.xu, u)]));
        self.current = row([(steps.ii, i), (steps.iw, w), (steps.iu, u)]);
        self.velocity = row([(steps.wi, i), (steps.ww, w), (steps.wu, u)]);
    }

    fn execute(&mut self, now: Instant) {
        let command = Command::read_from_bytes(&self.command).ok();
        let Some(command) = command.filter(|command| self.bytes == FRAME_LEN && command.is_valid())
        else {
            self.counts.refused = self.counts.refused.wrapping_add(1);
            self.flags |= FLAG_BAD_COMMAND;
            return;
        };
        // The previous command is in effect until now.
        self.advance(now);
        self.flags = command.flags & (FLAG_ENABLE | FLAG_BRAKE);
        self.drive = match self.flags {
            FLAG_ENABLE => command.drive.get().clamp(-DRIVE_FULL, DRIVE_FULL).into(),
            _ => 0,
        };
        self.counts.accepted = self.counts.accepted.wrapping_add(1);
        self.counts.last_sequence = command.sequence.get();
    }
}

/// One row of a matrix times the state, rounded to nearest, so that a motor at rest stays at rest.
fn row(terms: [(i64, i64); 3]) -> i64 {
    let sum = terms.iter().fold(1i128 << (Q - 1), |sum, (m, s)| {
        sum.wrapping_add(i128::from(*m).wrapping_mul(i128::from(*s)))
    });
    (sum >> Q) as i64
}

/// The whole part, wrapped to 32 bits as in the encoder's counter.
const fn wrapped(value: i64) -> i32 {
    (value >> STATE_BITS) as i32
}

impl SpiSlave for Motor {
    fn select(&mut self, now: Instant) {
        let status = self.status(now);
        self.status.copy_from_slice(status.as_bytes());
        self.bytes = 0;
    }

    fn exchange(&mut self, _now: Instant, mosi: u8) -> u8 {
        if let Some(place) = self.command.get_mut(self.bytes) {
            *place = mosi;
        }
        let miso = self.status.get(self.bytes).copied().unwrap_or(0);
        self.bytes = self.bytes.saturating_add(1);
        miso
    }

    fn deselect(&mut self, now: Instant) {
        if self.bytes > 0 {
            self.execute(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use motor_frame::STATUS_MAGIC;
    use proptest::prelude::*;

    fn frame(motor: &mut Motor, now: Instant, command: &[u8]) -> Status {
        motor.select(now);
        let answer: Vec<u8> = command
            .iter()
            .map(|byte| motor.exchange(now, *byte))
            .collect();
        motor.deselect(now);
        Status::read_from_bytes(&answer[..FRAME_LEN.min(answer.len())]).unwrap_or_default()
    }

    fn driven(drive: i32, until: Instant) -> Motor {
        let mut motor = Motor::new();
        frame(
            &mut motor,
            Instant(0),
            Command::new(1, FLAG_ENABLE, drive).as_bytes(),
        );
        motor.advance(until);
        motor
    }

    /// The same equations in floating point, with a step of 1 us.
    fn reference(drive: f64, seconds: f64) -> (f64, f64, f64) {
        let (mut i, mut w, mut x, dt) = (0.0, 0.0, 0.0, 1e-6);
        for _ in 0..(seconds / dt) as u64 {
            let di = (12_000.0 * (drive - w / 204_800.0) - i) / 0.5e-3;
            let dw = 204_800.0 / (12_000.0 * 20e-3) * i - w;
            (i, w, x) = (i + di * dt, w + dw * dt, x + w * dt);
        }
        (i, w, x)
    }

    #[test]
    fn the_motor_follows_its_equations() {
        for (drive, ms) in [(1.0, 1), (1.0, 30), (-0.25, 100), (0.5, 400)] {
            let (i, w, x) = reference(drive, f64::from(ms) / 1e3);
            let mut motor = driven((drive * 65_536.0) as i32, Instant(ms as u64 * 1_000_000));
            let status = motor.status(motor.date);
            assert!(
                (f64::from(status.current.get()) - i).abs() < 40.0,
                "{status:?} {i}"
            );
            assert!(
                (f64::from(status.velocity.get()) - w).abs() < 300.0,
                "{status:?} {w}"
            );
            assert!(
                (f64::from(status.position.get()) - x).abs() < 3.0 + x.abs() / 100.0,
                "{status:?} {x}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_number_of_calls_does_not_change_the_motion(
            looks in prop::collection::vec(1u64..3_000_000, 1..40), drive in -65_536i32..=65_536,
        ) {
            let end = Instant(looks.iter().sum());
            let mut at_once = driven(drive, end);
            let mut often = driven(drive, Instant(0));
            let mut now = Instant(0);
            for look in looks {
                now = now.after(Ns(look));
                often.advance(now);
            }
            let (a, b) = (at_once.status(end), often.status(end));
            prop_assert!((a.position.get() - b.position.get()).abs() <= 1);
            prop_assert!((a.velocity.get() - b.velocity.get()).abs() <= 2);
            prop_assert!((a.current.get() - b.current.get()).abs() <= 1);
        }
    }

    #[test]
    fn braking_stops_the_motor_sooner_than_coasting() {
        let stop = |flags| {
            let mut motor = driven(DRIVE_FULL, Instant(200_000_000));
            frame(
                &mut motor,
                Instant(200_000_000),
                Command::new(2, flags, DRIVE_FULL).as_bytes(),
            );
            motor.status(Instant(400_000_000)).velocity.get()
        };
        assert!(stop(FLAG_BRAKE).abs() < 100);
        assert!(stop(FLAG_BRAKE | FLAG_ENABLE).abs() < 100);
        assert!(stop(0) > 150_000);
    }

    #[test]
    fn a_motor_at_rest_stays_where_it_is() {
        let mut motor = driven(-30_000, Instant(100_000_000));
        frame(
            &mut motor,
            Instant(100_000_000),
            Command::new(2, FLAG_BRAKE, 0).as_bytes(),
        );
        let at = motor.status(Instant(2_000_000_000)).position.get();
        assert!(at < 0);
        assert!((motor.status(Instant(3_600_000_000_000)).position.get() - at).abs() <= 1);
    }

    #[test]
    fn a_bad_command_changes_only_the_error_count_and_flag() {
        let mut motor = driven(10_000, Instant(1_000_000));
        let mut bad = Command::new(2, FLAG_BRAKE, 0);
        bad.crc = 0.into();
        let now = Instant(1_000_000);
        frame(&mut motor, now, bad.as_bytes());
        frame(
            &mut motor,
            now,
            &Command::new(3, FLAG_BRAKE, 0).as_bytes()[..15],
        );
        let mut long = Command::new(4, FLAG_BRAKE, 0).as_bytes().to_vec();
        long.push(0);
        frame(&mut motor, now, &long);
        motor.select(now);
        motor.deselect(now);
        let counts = MotorCounts {
            accepted: 1,
            refused: 3,
            last_sequence: 1,
        };
        assert_eq!(motor.counts(), counts);
        let answer = frame(&mut motor, now, Command::new(9, FLAG_ENABLE, -5).as_bytes());
        assert!(answer.is_valid());
        assert_eq!(answer.magic, STATUS_MAGIC);
        assert_eq!(answer.sequence.get(), 1);
        assert_eq!(answer.flags, FLAG_ENABLE | FLAG_BAD_COMMAND);
        assert_eq!(motor.flags(), FLAG_ENABLE);
        assert_eq!(motor.counts().last_sequence, 9);
    }

    #[test]
    fn the_longest_time_without_a_call_costs_a_bounded_time() {
        // Step by step, this would take centuries.
        let mut motor = driven(DRIVE_FULL, Instant(u64::MAX));
        let velocity = motor.status(Instant(u64::MAX)).velocity.get();
        assert!((190_000..=204_800).contains(&velocity), "{velocity}");
    }
}
