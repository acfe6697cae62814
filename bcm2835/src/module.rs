// SPDX-License-Identifier: GPL-2.0-only

//! `oob_bcm2835.ko`: the kernel edge.
//!
//! ```text
//!   device tree: oobkit,bcm2835-spi          vboard.ko: platform device with a Table
//!        silicon.rs                               simulated.rs
//!        IoMem, CLOCK_MONOTONIC                   Window, BoardClock
//!                      \                            /
//!                       device.rs, Device<Hw>: Spi, its interrupt
//!                       /                            \
//!      oob_spi.ko, by Registration                SPI core, by SpiController
//! ```
//!
//! Removal: oob mode ends for good, then the in-band controller drains and goes, then the
//! interrupt, then the rest.

mod device;
mod dma_mapped;
mod hw;
mod silicon;
mod simulated;

use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicPtr, Ordering};
use device::Bound;
use kernel::alloc::KBox;
use kernel::error::{Result, from_result};
use kernel::platform::{self, Driver, Registration};
use oob::stage::Inband;
use vboard::table::Table;

/// The DMA masters see memory through the lowest GiB of the VideoCore's addresses, in 32 bits.
const DMA_BITS: u32 = 32;

impl Driver for Bound {
    const NAME: &'static CStr = c"oobkit-bcm2835-spi";
    const COMPATIBLE: &'static [&'static CStr] = &[c"oobkit,bcm2835-spi"];

    fn probe(inband: &Inband<'_>, device: &platform::Device<'_>) -> Result<KBox<Self>> {
        device.set_dma_mask(DMA_BITS)?;
        // SAFETY: only `vboard.ko` registers devices of this driver's name, with a `Table`. Devices
        // of a device tree have no platform data.
        let board = unsafe { device.platform_data::<Table>() };
        match board {
            Some(board) => simulated::probe(inband, device, *board),
            None => silicon::probe(inband, device),
        }
    }
}

static DRIVER: AtomicPtr<Registration<Bound>> = AtomicPtr::new(core::ptr::null_mut());

#[unsafe(no_mangle)]
extern "C" fn oobkit_bcm2835_init() -> c_int {
    // SAFETY: the kernel initialises modules in task context, and holds no lock.
    let inband = &unsafe { Inband::assume() };
    let registered = Registration::new(inband).and_then(|driver| KBox::new(inband, driver));
    from_result(registered.map(|driver| {
        DRIVER.store(KBox::into_raw(driver), Ordering::Relaxed);
        0
    }))
}

#[unsafe(no_mangle)]
extern "C" fn oobkit_bcm2835_exit() {
    let driver = DRIVER.swap(core::ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: `init` stored a box's pointer. The kernel calls this once, after `init` has
    // succeeded.
    drop(unsafe { KBox::from_raw(driver) });
}
