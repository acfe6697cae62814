// SPDX-License-Identifier: GPL-2.0-only

//! A bound controller: what the driver keeps of it, and the order in which it goes.

use super::dma_mapped::{Descriptors, DmaMappedController};
use super::hw::{Hw, Silicon, Simulated};
use crate::dma::{Channel, Irq};
use crate::spi::{Dma, MAX_CHIP_SELECTS, Parts, Spi};
use core::cell::UnsafeCell;
use core::num::NonZeroU32;
use kernel::alloc::KBox;
use kernel::error::{Result, code};
use kernel::platform;
use oob::io::Mmio;
use oob::irq::{Handled, Handler};
use oob::kernel_core::Interrupt;
use oob::stage::Inband;
use oob_dma::DescriptorMemory;
use oob_spi::registration::{BusHandle, Registration};
use oob_spi::spi_controller::SpiController;
use vboard::table::Table;

/// Bus address of SPI0's FIFO (BCM2835 ARM Peripherals, 10.5), and its request lines (4.2.1.3).
const FIFO: u64 = 0x7e20_4004;
const TX_REQUEST: u8 = 6;
const RX_REQUEST: u8 = 7;

/// The handler of the completion interrupt, which is that of the RX channel.
pub(super) struct Completion<M> {
    pub(super) bus: BusHandle,
    pub(super) irq: Irq<M>,
}

impl<M: Mmio + Send + Sync + 'static> Handler for Completion<M> {
    fn handle(&self) -> Handled {
        // SAFETY: `Device` drops its completion line, which ends the interrupt, before the bus's
        // registration.
        match unsafe { self.bus.interrupt(&|| self.irq.handle()) } {
            true => Handled::Yes,
            false => Handled::No,
        }
    }
}

/// How the completion interrupt is connected.
pub(super) enum CompletionLine<H: Hw> {
    /// It is not: frames go through the FIFO only.
    None,
    Requested {
        _line: Interrupt<Completion<H::Mmio>>,
    },
    Simulated {
        board: Table,
        line: u32,
        _completion: KBox<Completion<H::Mmio>>,
    },
}

impl<H: Hw> Drop for CompletionLine<H> {
    fn drop(&mut self) {
        if let Self::Simulated { board, line, .. } = self {
            // SAFETY: `simulated::probe` connected it. The completion is dropped after this has
            // returned.
            unsafe { (board.disconnect)(board.context, *line) };
        }
    }
}

/// A bound controller. Fields are dropped in this order.
pub(super) struct Device<H: Hw> {
    pub(super) inband: Option<SpiController>,
    pub(super) _line: CompletionLine<H>,
    pub(super) oob: Registration<DmaMappedController<H>>,
    pub(super) _descriptors: Option<Descriptors>,
    pub(super) _clock: Option<platform::Clock>,
}

impl<H: Hw> Device<H> {
    /// Registers the in-band controller and the oob nodes.
    pub(super) fn go_public(
        &mut self,
        token: &Inband<'_>,
        device: &platform::Device<'_>,
    ) -> Result<&SpiController> {
        // SAFETY: `oob` is dropped after `inband`, and nobody uses the controller before it is
        // public.
        let inband = unsafe { SpiController::new(device, &self.oob) }?;
        let bus_num = inband.bus_num();
        let inband = self.inband.insert(inband);
        self.oob.publish(token, bus_num)?;
        Ok(inband)
    }
}

impl<H: Hw> Drop for Device<H> {
    fn drop(&mut self) {
        // SAFETY: the driver core drops it when it unbinds the device, or `probe` where it fails:
        // task context, in-band.
        self.oob.shutdown(&unsafe { Inband::assume() });
    }
}

/// What the driver keeps of a device.
pub(super) enum Bound {
    Silicon(Device<Silicon>),
    Simulated(Device<Simulated>),
}

/// The controller's logic. Kept out of line, because it passes over the stack, which is scarce in a
/// kernel.
#[inline(never)]
pub(super) fn controller<H: Hw>(
    inband: &Inband<'_>,
    mmio: H::Mmio,
    clock: H::Clock,
    core_hz: u32,
    chip_selects: u8,
    dma: Option<Dma<Channel<H::Mmio>>>,
    board: Option<Table>,
) -> Result<KBox<UnsafeCell<DmaMappedController<H>>>> {
    let spi = Spi::new(Parts {
        mmio,
        clock,
        core_hz: NonZeroU32::new(core_hz).ok_or(code::EINVAL)?,
        chip_selects,
        lines: [const { None }; MAX_CHIP_SELECTS],
        dma,
    });
    KBox::new(
        inband,
        UnsafeCell::new(DmaMappedController::new(spi, board)),
    )
}

/// The DMA side of a controller.
pub(super) fn dma_of<M: Mmio>(tx: M, rx: M, memory: DescriptorMemory) -> Dma<Channel<M>> {
    Dma {
        tx: Channel::new(tx),
        rx: Channel::new(rx),
        tx_request: TX_REQUEST,
        rx_request: RX_REQUEST,
        fifo: FIFO,
        memory,
    }
}
