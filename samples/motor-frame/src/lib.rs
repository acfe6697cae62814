// SPDX-License-Identifier: MIT OR Apache-2.0

//! The frames of the virtual board's motor on SPI: 16 bytes in each direction, little-endian, full
//! duplex.
//!
//! ```text
//!  byte      0      1      2..4       4..8        8..12       12..14     14..16
//!  command   magic  flags  sequence   drive       reserved=0  reserved   CRC
//!  status    magic  flags  sequence   position    velocity    current    CRC
//! ```
//!
//! The motor takes the status when chip select becomes active. The status's `sequence` is that of
//! the last accepted command. A command with a wrong magic or CRC changes only the motor's error
//! count and its flag `FLAG_BAD_COMMAND`. The CRC is CRC-16/CCITT-FALSE (polynomial 0x1021, initial
//! value 0xffff) over bytes 0 to 13.
#![no_std]

use zerocopy::little_endian::{I16, I32, U16};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The length of a frame in bytes.
pub const FRAME_LEN: usize = 16;
/// The first byte of a command.
pub const COMMAND_MAGIC: u8 = 0xc5;
/// The first byte of a status.
pub const STATUS_MAGIC: u8 = 0x5c;
/// Command flag: the drive is on. Without it the motor coasts.
pub const FLAG_ENABLE: u8 = 1 << 0;
/// Command flag: the motor brakes by shorting its windings. Stop frames set it.
pub const FLAG_BRAKE: u8 = 1 << 1;
/// Status flag: the motor has refused the last command (length, magic or CRC).
pub const FLAG_BAD_COMMAND: u8 = 1 << 7;
/// Encoder counts in one turn.
pub const COUNTS_PER_TURN: i32 = 4096;
/// [`Command::drive`] at full supply voltage.
pub const DRIVE_FULL: i32 = 1 << 16;

/// The frame from the controller to the motor.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Command {
    /// [`COMMAND_MAGIC`].
    pub magic: u8,
    /// `FLAG_ENABLE`, `FLAG_BRAKE`.
    pub flags: u8,
    /// The sequence number: one more than that of the previous command.
    pub sequence: U16,
    /// The voltage, in 1/65536 of the supply. The motor clamps it to [-DRIVE_FULL, DRIVE_FULL].
    pub drive: I32,
    /// Zero.
    pub reserved: [u8; 6],
    /// The CRC of the preceding bytes.
    pub crc: U16,
}

/// The frame from the motor to the controller.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Status {
    /// [`STATUS_MAGIC`].
    pub magic: u8,
    /// `FLAG_ENABLE` and `FLAG_BRAKE` of the last accepted command, and `FLAG_BAD_COMMAND`.
    pub flags: u8,
    /// The sequence number of the last accepted command.
    pub sequence: U16,
    /// The encoder position, in counts.
    pub position: I32,
    /// The velocity, in counts per second.
    pub velocity: I32,
    /// The winding current, in mA.
    pub current: I16,
    /// The CRC of the preceding bytes.
    pub crc: U16,
}

impl Command {
    /// A command with its magic and CRC filled in.
    pub fn new(sequence: u16, flags: u8, drive: i32) -> Self {
        let mut frame = Self {
            magic: COMMAND_MAGIC,
            flags,
            sequence: sequence.into(),
            drive: drive.into(),
            ..Self::default()
        };
        frame.crc = frame_crc(frame.as_bytes()).into();
        frame
    }

    /// Whether magic and CRC are right.
    pub fn is_valid(&self) -> bool {
        self.magic == COMMAND_MAGIC && self.crc.get() == frame_crc(self.as_bytes())
    }
}

impl Status {
    /// The same status with its magic and CRC filled in.
    pub fn sealed(mut self) -> Self {
        self.magic = STATUS_MAGIC;
        self.crc = frame_crc(self.as_bytes()).into();
        self
    }

    /// Whether magic and CRC are right.
    pub fn is_valid(&self) -> bool {
        self.magic == STATUS_MAGIC && self.crc.get() == frame_crc(self.as_bytes())
    }
}

fn frame_crc(frame: &[u8]) -> u16 {
    crc16(frame.iter().take(FRAME_LEN - 2))
}

/// CRC-16/CCITT-FALSE, computed bit by bit. For frames of 16 bytes a table is not worth its size.
pub fn crc16<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u16 {
    bytes.into_iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    })
}

const _: () = {
    assert!(size_of::<Command>() == FRAME_LEN);
    assert!(size_of::<Status>() == FRAME_LEN);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_has_the_published_check_value() {
        // CRC catalogues list this value for CRC-16/CCITT-FALSE.
        assert_eq!(crc16(b"123456789"), 0x29b1);
    }

    #[test]
    fn every_flipped_bit_is_detected() {
        let good = Command::new(7, FLAG_ENABLE, -12_345);
        assert!(good.is_valid());
        for bit in 0..8 * FRAME_LEN {
            let mut bytes = [0; FRAME_LEN];
            bytes.copy_from_slice(good.as_bytes());
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!Command::read_from_bytes(&bytes).is_ok_and(|frame| frame.is_valid()));
        }
    }
}
