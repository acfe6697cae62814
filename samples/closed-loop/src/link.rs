// SPDX-License-Identifier: MIT OR Apache-2.0

//! The connections to the motor: by the kit's out-of-band SPI, and by mainline's spidev.

use crate::run::{Clock, Link, LinkError};
use motor_frame::{Command, FLAG_BRAKE, FRAME_LEN, Status};
use oobkit::inband::Spidev;
use oobkit::spi::{Device, RunError, Session, StopPolicy};
use oobkit::time::{self, Instant};
use std::error::Error;
use std::path::Path;
use std::time::Duration;
use zerocopy::{FromZeros, IntoBytes};

/// The requested bus clock, in Hz: 16 bytes then take 13 us on the wire.
const SPEED_HZ: u32 = 10_000_000;
/// After so many misses in a row the driver brakes the motor.
const MISS_LIMIT: u32 = 100;
/// A deadline also counts as missed when no frame comes for so many periods.
const WATCH_PERIODS: u32 = 10;

/// The machine's monotonic clock.
#[derive(Debug)]
pub(crate) struct Monotonic;

impl Clock for Monotonic {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, date: Instant) {
        time::sleep_until(date);
    }
}

/// The motor, out-of-band.
#[derive(Debug)]
pub(crate) struct OobLink(Session);

impl OobLink {
    /// Enters oob mode, and sets a stop frame that brakes the motor if this program fails.
    pub(crate) fn open(
        path: &Path,
        period: Duration,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut device = Device::open_path(path)?;
        device.set_mode(0)?.set_bits_per_word(8)?;
        let mut session = device.enable(u32::try_from(FRAME_LEN)?, SPEED_HZ)?;
        let stop = Command::new(0, FLAG_BRAKE, 0);
        let policy = StopPolicy {
            miss_limit: MISS_LIMIT,
            watch: period.saturating_mul(WATCH_PERIODS),
        };
        session.set_stop(stop.as_bytes(), policy)?;
        Ok(Self(session))
    }
}

impl Link for OobLink {
    fn exchange(&mut self, command: &Command, deadline: Instant) -> Result<Status, LinkError> {
        let mut status = Status::new_zeroed();
        // The frame has the session's length, so the copies cannot fail. If one did, the zeroed
        // status would count as wrong.
        let _ = self.0.write_tx(command.as_bytes());
        match self.0.run_until(deadline) {
            // A late frame was exchanged completely. The loop sees by its clock that it was late.
            Ok(()) | Err(RunError::Late) => {}
            Err(error) => return Err(LinkError::Oob(error)),
        }
        let _ = self.0.read_rx(status.as_mut_bytes());
        Ok(status)
    }
}

/// The motor, in-band.
#[derive(Debug)]
pub(crate) struct InbandLink(Spidev);

impl InbandLink {
    /// Opens and configures spidev.
    pub(crate) fn open(path: &Path) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut spidev = Spidev::open_path(path)?;
        spidev.configure(0, SPEED_HZ)?;
        Ok(Self(spidev))
    }
}

impl Link for InbandLink {
    fn exchange(&mut self, command: &Command, _deadline: Instant) -> Result<Status, LinkError> {
        let mut status = Status::new_zeroed();
        self.0
            .transfer(command.as_bytes(), status.as_mut_bytes())
            .map_err(LinkError::Inband)
            .map(|()| status)
    }
}
