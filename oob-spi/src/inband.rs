// SPDX-License-Identifier: GPL-2.0-only

//! What a controller offers to mainline's SPI drivers while oob mode is off.
//!
//! ```text
//!   message:  set_cs_inband(active)  transfer_inband  transfer_inband ...  set_cs_inband(inactive)
//! ```
//!
//! `spi_controller.rs` calls this for the kernel's SPI core. The gate keeps oob mode out meanwhile,
//! so the controller is the message's alone.

use crate::controller::Controller;
use core::sync::atomic::AtomicU8;
use oob::long_wait::LongWait;
use oob::stage::Inband;

/// How one in-band transfer is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InbandSetup {
    /// The chip select.
    pub chip_select: u8,
    /// `MODE_*` bits.
    pub mode: u32,
    /// Wanted clock, in Hz.
    pub speed_hz: u32,
}

/// The buffers of one in-band transfer. Both directions may share one buffer.
#[derive(Clone, Copy, Debug)]
pub enum Buffers<'a> {
    /// Received bytes are dropped.
    Send(&'a [AtomicU8]),
    /// Zeroes are sent.
    Receive(&'a [AtomicU8]),
    /// To send, and to receive into; of one length.
    Both(&'a [AtomicU8], &'a [AtomicU8]),
}

/// Why an in-band transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InbandError {
    /// There is no such chip select.
    ChipSelect,
    /// The clock cannot be derived.
    Speed,
    /// The two buffers differ in length.
    Length,
    /// The hardware did not finish in time. The chip select is inactive now.
    Stuck,
}

/// A controller that sends ordinary messages, too. All calls are exclusive, and none comes while
/// oob mode is on.
pub trait InbandController: Controller {
    /// Makes a chip select active or inactive. `active` is about the device, not about the level of
    /// its line.
    ///
    /// Called with `false` once for each device, it also makes a native line idle at the level that
    /// `mode` requires.
    ///
    /// # Errors
    ///
    /// [`InbandError::ChipSelect`].
    fn set_cs_inband(
        &mut self,
        inband: &Inband<'_>,
        chip_select: u8,
        mode: u32,
        active: bool,
    ) -> Result<(), InbandError>;

    /// Exchanges bytes with a device, and returns the clock that was used, in Hz. `wait` sleeps.
    ///
    /// # Errors
    ///
    /// See [`InbandError`].
    fn transfer_inband(
        &mut self,
        inband: &Inband<'_>,
        setup: &InbandSetup,
        buffers: Buffers<'_>,
        wait: &LongWait<'_>,
    ) -> Result<u32, InbandError>;
}
