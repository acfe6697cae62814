// SPDX-License-Identifier: GPL-2.0-only

//! Memory that the controller's DMA reaches: frames and descriptors.
//!
//! Silicon reaches all memory. A simulated board reaches only what the driver has mapped to it, so
//! the driver maps each piece before its first use and unmaps it after the last.

use super::hw::{Hw, SpiOf};
use crate::spi::{MAX_CHIP_SELECTS, SLOTS};
use kernel::dma::Coherent;
use kernel::error::{Result, to_result};
use kernel::platform;
use oob::long_wait::LongWait;
use oob::stage::Inband;
use oob_dma::DescriptorMemory;
use oob_spi::controller::{
    Controller, FrameKind, FrameMemory, Limits, Outcome, PrepareError, Prepared, Pulse, Setup,
    TransferError,
};
use oob_spi::inband::{Buffers, InbandController, InbandError, InbandSetup};
use vboard::table::Table;

/// A control block takes 32 bytes.
const DESCRIPTORS: usize = SLOTS * 32;

/// A controller that maps its frames' memory to the simulated board, where there is one.
pub(super) struct DmaMappedController<H: Hw> {
    spi: SpiOf<H>,
    board: Option<Table>,
    mapped: [Option<u64>; MAX_CHIP_SELECTS],
}

impl<H: Hw> DmaMappedController<H> {
    pub(super) const fn new(spi: SpiOf<H>, board: Option<Table>) -> Self {
        Self {
            spi,
            board,
            mapped: [None; MAX_CHIP_SELECTS],
        }
    }

    fn unmap(&mut self, chip_select: u8) {
        let bus = self
            .mapped
            .get_mut(usize::from(chip_select))
            .and_then(Option::take);
        if let (Some(board), Some(bus)) = (&self.board, bus) {
            // SAFETY: the board outlives its device. `prepare` mapped this address. Both callers
            // are in-band.
            unsafe { (board.unmap)(board.context, bus) };
        }
    }
}

impl<H: Hw> Controller for DmaMappedController<H> {
    fn limits(&self) -> Limits {
        self.spi.limits()
    }

    unsafe fn prepare(
        &mut self,
        inband: &Inband<'_>,
        setup: &Setup,
        memory: &FrameMemory,
    ) -> core::result::Result<Prepared, PrepareError> {
        if let Some(board) = &self.board {
            // SAFETY: the board outlives its device. By `prepare`'s contract the memory is valid
            // until `terminate`, which unmaps it. The token shows that this is in-band.
            let mapped =
                unsafe { (board.map)(board.context, memory.bus, memory.cpu.as_ptr(), memory.len) };
            let place = self.mapped.get_mut(usize::from(setup.chip_select));
            match place {
                Some(place) if mapped == 0 => *place = Some(memory.bus),
                _ => return Err(PrepareError::NoDma),
            }
        }
        // SAFETY: the caller promises of the memory what `Spi::prepare` requires.
        unsafe { self.spi.prepare(inband, setup, memory) }
            .inspect_err(|_| self.unmap(setup.chip_select))
    }

    fn start(&mut self, inband: &Inband<'_>) {
        self.spi.start(inband);
    }

    #[inline(always)]
    fn pulse(
        &mut self,
        chip_select: u8,
        kind: FrameKind,
    ) -> core::result::Result<Pulse, TransferError> {
        self.spi.pulse(chip_select, kind)
    }

    fn pulse_may_sleep(
        &mut self,
        chip_select: u8,
        kind: FrameKind,
        wait: &LongWait<'_>,
    ) -> core::result::Result<Pulse, TransferError> {
        self.spi.pulse_may_sleep(chip_select, kind, wait)
    }

    fn finish(
        &mut self,
        chip_select: u8,
        outcome: Outcome,
        wait: &LongWait<'_>,
    ) -> core::result::Result<(), TransferError> {
        self.spi.finish(chip_select, outcome, wait)
    }

    fn terminate(&mut self, inband: &Inband<'_>, chip_select: u8) {
        self.spi.terminate(inband, chip_select);
        self.unmap(chip_select);
    }

    fn stop(&mut self, inband: &Inband<'_>) {
        self.spi.stop(inband);
    }
}

impl<H: Hw> InbandController for DmaMappedController<H> {
    fn set_cs_inband(
        &mut self,
        inband: &Inband<'_>,
        chip_select: u8,
        mode: u32,
        active: bool,
    ) -> core::result::Result<(), InbandError> {
        self.spi.set_cs_inband(inband, chip_select, mode, active)
    }

    fn transfer_inband(
        &mut self,
        inband: &Inband<'_>,
        setup: &InbandSetup,
        buffers: Buffers<'_>,
        wait: &LongWait<'_>,
    ) -> core::result::Result<u32, InbandError> {
        self.spi.transfer_inband(inband, setup, buffers, wait)
    }
}

/// Memory for descriptors, mapped to the simulated board where there is one.
pub(super) struct Descriptors {
    memory: Coherent,
    board: Option<Table>,
}

impl Descriptors {
    pub(super) fn new(
        inband: &Inband<'_>,
        device: &platform::Device<'_>,
        board: Option<Table>,
    ) -> Result<Self> {
        // SAFETY: the device is bound to this driver for as long as the value lives: `Device` owns
        // it.
        let memory = unsafe { Coherent::new(inband, device.as_device(), DESCRIPTORS) }?;
        if let Some(board) = &board {
            // SAFETY: the board outlives its device. The memory is valid until `drop`, which unmaps
            // it. The token shows that this is in-band.
            to_result(unsafe {
                (board.map)(
                    board.context,
                    memory.bus(),
                    memory.cpu().as_ptr(),
                    memory.len(),
                )
            })?;
        }
        Ok(Self { memory, board })
    }

    pub(super) fn lend(&self) -> DescriptorMemory {
        // SAFETY: `Device` drops its registration, and with it the channels and their user, before
        // this memory. No other code uses it: `probe` lends it once.
        unsafe { DescriptorMemory::new(self.memory.cpu(), self.memory.bus(), self.memory.len()) }
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        if let Some(board) = &self.board {
            // SAFETY: the board outlives its device, `new` mapped this address, and the driver core
            // drops devices in-band.
            unsafe { (board.unmap)(board.context, self.memory.bus()) };
        }
    }
}
