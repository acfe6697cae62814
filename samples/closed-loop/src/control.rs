// SPDX-License-Identifier: MIT OR Apache-2.0

//! The position loop: the reference position, and the voltage that moves the motor there.
//!
//! ```text
//!   reference --- velocity --------- x FEED_FORWARD ----+
//!       |                                               v
//!       +--- position --(-)--- error --- x P, + I ----( + )--- clamp --- drive
//!                        |                              ^
//!   status: position ----+    velocity --(-)-- x D -----+
//! ```

use motor_frame::{COUNTS_PER_TURN, DRIVE_FULL};
use std::f64::consts::TAU;

/// The amplitude of the reference's swing, in counts: one turn.
const SWING: f64 = COUNTS_PER_TURN as f64;
/// The frequency of the swing, in Hz.
const SWING_HZ: f64 = 0.5;

/// The position and velocity that the motor should have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reference {
    /// In counts.
    pub(crate) position: f64,
    /// In counts per second.
    pub(crate) velocity: f64,
}

impl Reference {
    /// The reference `seconds` after the start of the loop. It begins at rest at `start`, the
    /// motor's position then, and swings by one turn and back.
    pub(crate) fn at(start: f64, seconds: f64) -> Self {
        let phase = TAU * SWING_HZ * seconds;
        Self {
            position: start + SWING * 0.5 * (1.0 - phase.cos()),
            velocity: SWING * 0.5 * TAU * SWING_HZ * phase.sin(),
        }
    }
}

/// Drive for each count per second of the reference's velocity.
const FEED_FORWARD: f64 = 0.32;
/// Drive for each count of position error.
const P: f64 = 60.0;
/// Drive for each count of position error that lasts a second.
const I: f64 = 400.0;
/// Drive for each count per second of velocity error.
const D: f64 = 1.0;
/// The limit of the integral: a tenth of the full drive.
const I_LIMIT: f64 = DRIVE_FULL as f64 / 10.0;

/// The control law and its only state, the integral.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Controller {
    integral: f64,
}

impl Controller {
    /// The drive for a motor at `position` and `velocity`, `dt` seconds after the last call.
    pub(crate) fn update(
        &mut self,
        reference: Reference,
        position: i32,
        velocity: i32,
        dt: f64,
    ) -> i32 {
        let error = reference.position - f64::from(position);
        let velocity_error = reference.velocity - f64::from(velocity);
        self.integral = (self.integral + I * error * dt).clamp(-I_LIMIT, I_LIMIT);
        let drive =
            FEED_FORWARD * reference.velocity + P * error + D * velocity_error + self.integral;
        let limit = f64::from(DRIVE_FULL);
        // The clamp keeps the value in range. A NaN would become 0.
        #[allow(clippy::cast_possible_truncation)]
        let drive = drive.clamp(-limit, limit) as i32;
        drive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_begins_at_rest_and_its_velocity_is_its_slope() {
        assert_eq!(
            Reference::at(100.0, 0.0),
            Reference {
                position: 100.0,
                velocity: 0.0
            }
        );
        for i in 1..100 {
            let (t, h) = (f64::from(i) * 0.03, 1e-6);
            let slope = (Reference::at(0.0, t + h).position - Reference::at(0.0, t - h).position)
                / (2.0 * h);
            assert!((slope - Reference::at(0.0, t).velocity).abs() < 1e-2);
        }
    }

    #[test]
    fn the_drive_is_clamped_and_pushes_towards_the_reference() {
        let ahead = Reference {
            position: 1e6,
            velocity: 0.0,
        };
        assert_eq!(Controller::default().update(ahead, 0, 0, 1e-4), DRIVE_FULL);
        let near = Reference {
            position: -10.0,
            velocity: 0.0,
        };
        let drive = Controller::default().update(near, 0, 0, 1e-4);
        assert!(drive < 0 && drive > -DRIVE_FULL, "{drive}");
    }
}
