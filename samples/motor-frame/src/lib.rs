// SPDX-License-Identifier: MIT OR Apache-2.0

//! The frames that the virtual board's motor speaks over SPI: 16 bytes each way, little-endian, full duplex.
//!
//! ```text
//!  byte      0      1      2..4       4..8        8..12       12..14     14..16
//!  command   magic  flags  sequence   drive       reserved=0  reserved   CRC
//!  status    magic  flags  sequence   position    velocity    current    CRC
//! ```
//!
//! The status that a frame brings back was taken at the moment chip select became active; its `sequence` is that of the
//! last command accepted. A command with a wrong magic or CRC changes nothing but the motor's error count. The CRC is
//! CRC-16/CCITT-FALSE (polynomial 0x1021, initial value 0xffff) over bytes 0 to 13.
#![no_std]

use zerocopy::little_endian::{I16, I32, U16};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a frame.
pub const FRAME_LEN: usize = 16;
/// First byte of a command.
pub const COMMAND_MAGIC: u8 = 0xc5;
/// First byte of a status.
pub const STATUS_MAGIC: u8 = 0x5c;
/// Command flag: the drive is on; without it the motor coasts.
pub const FLAG_ENABLE: u8 = 1 << 0;
/// Command flag: short the windings; what a stop frame says.
pub const FLAG_BRAKE: u8 = 1 << 1;
/// Status flag: the last command was refused (magic or CRC).
pub const FLAG_BAD_COMMAND: u8 = 1 << 7;
/// Encoder counts of one turn.
pub const COUNTS_PER_TURN: i32 = 4096;
/// [`Command::drive`] at full supply voltage.
pub const DRIVE_FULL: i32 = 1 << 16;

/// What the controller sends.
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
    /// Counts up by one each frame.
    pub sequence: U16,
    /// Voltage, in 1/65536 of the supply; clamped to [-DRIVE_FULL, DRIVE_FULL].
    pub drive: I32,
    /// Zero.
    pub reserved: [u8; 6],
    /// CRC of the bytes before.
    pub crc: U16,
}

/// What the motor answers.
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
    /// `FLAG_ENABLE` and `FLAG_BRAKE` as they are in force, `FLAG_BAD_COMMAND`.
    pub flags: u8,
    /// Sequence of the last command accepted.
    pub sequence: U16,
    /// Encoder position, in counts.
    pub position: I32,
    /// Velocity, in counts per second.
    pub velocity: I32,
    /// Winding current, in mA.
    pub current: I16,
    /// CRC of the bytes before.
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

/// CRC-16/CCITT-FALSE, bit by bit: 16 bytes a frame do not earn a table.
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
    fn the_crc_is_the_published_one() {
        // The check value that CRC catalogues give for CRC-16/CCITT-FALSE.
        assert_eq!(crc16(b"123456789"), 0x29b1);
    }

    #[test]
    fn a_flipped_bit_is_seen() {
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
