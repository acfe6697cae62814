// SPDX-License-Identifier: GPL-2.0-only

//! The virtual board's motor, on chip select 0.

use super::board;
use super::check::accepted;
use super::frames::Frames;
use anyhow::{Result, ensure};
use motor_frame::{Command, FLAG_BAD_COMMAND, FRAME_LEN, Status};
use zerocopy::{FromBytes, IntoBytes};

/// Chip select of the motor.
pub(crate) const CHIP_SELECT: u8 = 0;
/// At this clock a motor frame goes through the FIFO and takes 13 us.
pub(crate) const FIFO_HZ: u32 = 10_000_000;
/// At this clock a motor frame goes by DMA and takes 128 us.
pub(crate) const DMA_HZ: u32 = 1_000_000;

/// The motor, in oob mode.
pub(crate) struct Motor {
    pub(crate) frames: Frames,
    sequence: u16,
}

impl Motor {
    /// Enters oob mode at `speed_hz`. The TX area holds zeroes, which the motor refuses.
    pub(crate) fn on(speed_hz: u32) -> Result<Self> {
        let frames = Frames::on(CHIP_SELECT, FRAME_LEN as u32, speed_hz)?;
        Ok(Self::over(frames))
    }

    /// The motor behind frames that are in oob mode already.
    pub(crate) const fn over(frames: Frames) -> Self {
        Self {
            frames,
            sequence: 0,
        }
    }

    /// Sets the next command. Returns its sequence number.
    pub(crate) fn set(&mut self, flags: u8, drive: i32) -> u16 {
        self.sequence = self.sequence.wrapping_add(1);
        let command = Command::new(self.sequence, flags, drive);
        self.frames.fill(command.as_bytes());
        self.sequence
    }

    /// The received status. Fails if the RX area holds none.
    pub(crate) fn status(&self) -> Result<Status> {
        status(&self.frames.received())
    }

    /// Exchanges one frame with a new command. The motor must answer that it accepted the previous
    /// command.
    pub(crate) fn exchange(&mut self, flags: u8, drive: i32) -> Result<Status> {
        let before = self.sequence;
        self.set(flags, drive);
        self.frames.spoil(0);
        accepted("RUN", self.frames.device.run())?;
        let status = self.status()?;
        ensure!(
            before == 0 || status.sequence.get() == before,
            "the motor accepted command {} and not {before}",
            status.sequence
        );
        ensure!(
            before == 0 || status.flags & FLAG_BAD_COMMAND == 0,
            "the motor refused command {before}"
        );
        Ok(status)
    }

    /// Exchanges `count` good frames.
    pub(crate) fn works(&mut self, count: u32) -> Result<()> {
        for _ in 0..count {
            self.exchange(0, 0)?;
        }
        Ok(())
    }
}

/// Reads a status from a frame. Fails if the frame holds none.
pub(crate) fn status(frame: &[u8]) -> Result<Status> {
    let status = Status::read_from_bytes(frame).ok();
    let status = status.filter(Status::is_valid);
    status.ok_or_else(|| anyhow::anyhow!("no motor status: {frame:02x?}"))
}

/// The flags of the motor's last command, as the model has them.
pub(crate) fn flags() -> Result<u8> {
    Ok(u8::try_from(board::number("motor_flags")?)?)
}
