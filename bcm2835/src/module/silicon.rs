// SPDX-License-Identifier: GPL-2.0-only

//! Binding to a device of the device tree.

use super::device::{Bound, Completion, CompletionLine, Device, controller, dma_of};
use super::dma_mapped::Descriptors;
use super::hw::Silicon;
use crate::dma::Irq;
use kernel::alloc::KBox;
use kernel::error::{Result, code};
use kernel::platform;
use oob::kernel_core::{Interrupt, Monotonic};
use oob::stage::Inband;
use oob_spi::registration::Registration;

#[inline(never)]
pub(super) fn probe(inband: &Inband<'_>, device: &platform::Device<'_>) -> Result<KBox<Bound>> {
    if device.has_property(c"cs-gpios") {
        // Frames would go out with no chip select active.
        kernel::pr_err!(
            "oob_bcm2835: cs-gpios: chip selects on GPIO lines are not driven; not bound"
        );
        return Err(code::EINVAL);
    }
    // SAFETY: `Bound` owns what uses the mapping, and the driver core drops `Bound` before the
    // mapping ends.
    let spi = unsafe { device.io(0, 0x18) }?;
    let clock = device.clock()?;
    // The base tree's SPI node has one window. The kit's overlay adds the windows of two DMA
    // channels, which lie in the window of mainline's DMA driver. That driver leaves the channels
    // alone, by its channel mask, but has requested the whole window.
    let dma = match device.has_io(1) {
        true => Some((
            // SAFETY: `Bound` owns what uses the mapping, and the driver core drops `Bound` before
            // the mapping ends.
            unsafe { device.io_within(1, 0x100) }?,
            // SAFETY: `Bound` owns what uses the mapping, and the driver core drops `Bound` before
            // the mapping ends.
            unsafe { device.io_within(2, 0x100) }?,
            device.irq(1)?,
            Descriptors::new(inband, device, None)?,
        )),
        false => None,
    };
    let core_hz = u32::try_from(clock.rate(inband))?;
    let lent = dma
        .as_ref()
        .map(|(tx, rx, _, memory)| dma_of(*tx, *rx, memory.lend()));
    let controller = controller::<Silicon>(inband, spi, Monotonic, core_hz, 2, lent, None)?;
    // SAFETY: the device stays bound for as long as the registration lives: `Bound` owns it.
    let oob = unsafe { Registration::new(inband, device.as_device(), controller) }?;
    let mut line = CompletionLine::None;
    let mut descriptors = None;
    if let Some((_, rx, irq, memory)) = dma {
        let completion = Completion {
            bus: oob.bus(),
            irq: Irq::new(rx),
        };
        let requested = Interrupt::new(inband, irq, c"oob_bcm2835", completion)?;
        line = CompletionLine::Requested { _line: requested };
        descriptors = Some(memory);
    }
    let bound = Device {
        inband: None,
        _line: line,
        oob,
        _descriptors: descriptors,
        _clock: Some(clock),
    };
    let mut bound = KBox::new(inband, Bound::Silicon(bound))?;
    if let Bound::Silicon(bound) = &mut *bound {
        bound.go_public(inband, device)?;
    }
    Ok(bound)
}
