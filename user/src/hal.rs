// SPDX-License-Identifier: MIT OR Apache-2.0

//! `embedded-hal`'s SPI device over a session. A session exchanges whole frames of one length, so
//! most transactions do not fit:
//!
//! | operations of a transaction | effect |
//! | --- | --- |
//! | one `Transfer`, `TransferInPlace`, `Write` or `Read` of exactly the frame's length | one exchange |
//! | none | nothing |
//! | another length, several operations, a delay | [`HalError::Shape`]; nothing is sent |

use crate::spi::{FrameError, RunError, Session};
use embedded_hal::spi::{Error, ErrorKind, ErrorType, Operation, SpiDevice};
use std::fmt;

/// Why an `embedded-hal` transaction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalError {
    /// The transaction is not one operation of exactly the frame's length. Nothing was sent.
    Shape,
    /// The exchange failed.
    Run(RunError),
}

impl fmt::Display for HalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape => f.write_str(
                "an out-of-band transaction is one operation of exactly the session's frame length",
            ),
            Self::Run(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HalError {}

impl From<FrameError> for HalError {
    fn from(_: FrameError) -> Self {
        Self::Shape
    }
}

impl From<RunError> for HalError {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl Error for HalError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl ErrorType for Session {
    type Error = HalError;
}

impl SpiDevice for Session {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), HalError> {
        match operations {
            [] => Ok(()),
            [operation] => one(self, operation),
            _ => Err(HalError::Shape),
        }
    }
}

fn one(session: &mut Session, operation: &mut Operation<'_, u8>) -> Result<(), HalError> {
    match operation {
        Operation::Transfer(read, write) => {
            // Checked before the frame is sent, because `read_rx` would fail only afterwards.
            if read.len() != session.frame_len() {
                return Err(HalError::Shape);
            }
            session.write_tx(write)?;
            session.run()?;
            session.read_rx(read)?;
        }
        Operation::TransferInPlace(frame) => {
            session.write_tx(frame)?;
            session.run()?;
            session.read_rx(frame)?;
        }
        Operation::Write(frame) => {
            session.write_tx(frame)?;
            session.run()?;
        }
        Operation::Read(frame) => {
            frame.fill(0);
            session.write_tx(frame)?;
            session.run()?;
            session.read_rx(frame)?;
        }
        Operation::DelayNs(_) => return Err(HalError::Shape),
    }
    Ok(())
}
