// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel edge passes to ENABLE.

use crate::layout::Geometry;
use crate::validate::Settings;
use core::ptr::NonNull;
use oob::time::Ns;
use oobkit_abi::spi as abi;

/// Who enabled oob mode. The kernel edge chooses the numbers, one for each process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(pub u64);

/// Memory that the kernel edge made for a chip select.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The processor's address.
    pub cpu: NonNull<u8>,
    /// The bus address of the same byte.
    pub bus: u64,
}

/// The arguments of ENABLE.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The caller.
    pub owner: Owner,
    /// The call's argument.
    pub args: &'a abi::Enable,
    /// The device's settings.
    pub settings: &'a Settings,
    /// The machine's cache line and page.
    pub geometry: Geometry,
    /// How long to wait for an in-band message that holds the bus.
    pub gate_limit: Ns,
}
