// SPDX-License-Identifier: MIT OR Apache-2.0

//! In-band SPI, for comparison: full-duplex messages through mainline's `/dev/spidev<bus>.<chip
//! select>`.

use crate::error::operation_error;
use crate::sys;
use oobkit_abi::{ioc, spi as abi};
use rustix::io::Errno;
use rustix::ioctl::{Setter, ioctl};
use std::fs::File;
use std::path::Path;

/// `struct spi_ioc_transfer` (linux/spi/spidev.h).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Transfer {
    tx_buf: u64,
    rx_buf: u64,
    len: u32,
    speed_hz: u32,
    delay_usecs: u16,
    bits_per_word: u8,
    cs_change: u8,
    tx_nbits: u8,
    rx_nbits: u8,
    word_delay_usecs: u8,
    pad: u8,
}

/// `SPI_IOC_MESSAGE(1)`.
const MESSAGE: u32 = ioc::iow::<Transfer>(abi::GROUP, 0);

const _: () = {
    assert!(size_of::<Transfer>() == 32);
    assert!(MESSAGE == 0x4020_6b00);
};

operation_error! {
    /// Why [`Spidev::open_path`] failed.
    OpenError, "open spidev", {
        Missing = ENOENT: "no such device; bind the spidev driver to it (driver_override)",
        NoAccess = EACCES: "no access; run as root or change the node's owner",
        Unbound = ENXIO: "the device has been unbound",
    }
}

operation_error! {
    /// Why a setting was refused.
    ConfigureError, "configure spidev", {
        Invalid = EINVAL: "the controller does not support it",
    }
}

operation_error! {
    /// Why [`Spidev::transfer`] failed.
    TransferError, "exchange a message through spidev", {
        Length = EMSGSIZE: "both frames must have the same length, at most spidev's bufsiz parameter",
        Busy = EBUSY: "the bus is in oob mode",
        Unbound = ESHUTDOWN: "the device has been unbound",
        TimedOut = ETIMEDOUT: "the controller did not finish in time",
    }
}

/// A device of mainline's spidev driver.
#[derive(Debug)]
pub struct Spidev {
    file: File,
    speed_hz: u32,
}

impl Spidev {
    /// Opens the device at `path`.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open_path(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let file = File::options().read(true).write(true).open(path);
        file.map(|file| Self { file, speed_hz: 0 })
            .map_err(|e| OpenError::from_errno(Errno::from_io_error(&e).unwrap_or(Errno::IO)))
    }

    /// Sets the mode (see [`crate::spi::Device::set_mode`]), words of 8 bits, and the clock in Hz.
    ///
    /// # Errors
    ///
    /// [`ConfigureError`].
    pub fn configure(&mut self, mode: u32, speed_hz: u32) -> Result<(), ConfigureError> {
        sys::set::<{ abi::WR_MODE32 }, u32>(&self.file, mode)
            .and_then(|()| sys::set::<{ abi::WR_BITS_PER_WORD }, u8>(&self.file, 8))
            .and_then(|()| sys::set::<{ abi::WR_MAX_SPEED_HZ }, u32>(&self.file, speed_hz))
            .map_err(ConfigureError::from_errno)?;
        self.speed_hz = speed_hz;
        Ok(())
    }

    /// Sends `tx` and receives as many bytes into `rx`, in one message.
    ///
    /// # Errors
    ///
    /// [`TransferError`]. The content of `rx` is unspecified then.
    pub fn transfer(&mut self, tx: &[u8], rx: &mut [u8]) -> Result<(), TransferError> {
        if tx.len() != rx.len() {
            return Err(TransferError::Length);
        }
        let transfer = Transfer {
            tx_buf: tx.as_ptr().expose_provenance() as u64,
            rx_buf: rx.as_mut_ptr().expose_provenance() as u64,
            len: u32::try_from(tx.len()).map_err(|_| TransferError::Length)?,
            speed_hz: self.speed_hz,
            ..Transfer::default()
        };
        // SAFETY: the opcode is SPI_IOC_MESSAGE for one transfer, and `Transfer` has the layout of
        // its argument.
        let request = unsafe { Setter::<MESSAGE, Transfer>::new(transfer) };
        // SAFETY: the kernel reads `len` bytes at `tx_buf` and writes `len` bytes at `rx_buf`. Both
        // slices have that length and are borrowed until the call returns, `rx` mutably.
        unsafe { ioctl(&self.file, request) }.map_err(TransferError::from_errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_lengths_are_refused_before_the_system_call() {
        let mut spidev = Spidev::open_path("/dev/null").unwrap();
        assert_eq!(
            spidev.transfer(&[0; 4], &mut [0; 3]),
            Err(TransferError::Length)
        );
        assert_eq!(
            spidev.transfer(&[0; 4], &mut [0; 4]),
            Err(TransferError::Other(libc::ENOTTY))
        );
    }

    #[test]
    fn a_missing_device_is_reported_as_missing() {
        let error = Spidev::open_path("/dev/no-such-spidev").unwrap_err();
        assert!(error.to_string().contains("driver_override"), "{error}");
    }
}
