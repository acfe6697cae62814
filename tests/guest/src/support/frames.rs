// SPDX-License-Identifier: GPL-2.0-only

//! A chip select in oob mode with its frame buffer.

use super::check::accepted;
use super::device::Device;
use super::mapping::Mapping;
use anyhow::{Result, ensure};
use oobkit_abi::spi as abi;

/// A chip select in oob mode, with its buffer.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) setup: abi::Enable,
    pub(crate) mapping: Mapping,
    pub(crate) device: Device,
}

impl Frames {
    /// Enters oob mode with frames of `len` bytes at `speed_hz`.
    pub(crate) fn on(chip_select: u8, len: u32, speed_hz: u32) -> Result<Self> {
        Self::with(Device::open(chip_select)?, len, speed_hz)
    }

    /// Enters oob mode through a device that is open already.
    pub(crate) fn with(device: Device, len: u32, speed_hz: u32) -> Result<Self> {
        let setup = accepted("ENABLE", device.enable(len, speed_hz))?;
        let mapping = accepted("mmap", device.map(&setup))?;
        Ok(Self {
            setup,
            mapping,
            device,
        })
    }

    pub(crate) fn fill(&self, frame: &[u8]) {
        self.mapping.write(self.setup.tx_offset as usize, frame);
    }

    /// Fills the RX area with `byte`, so that a byte that is not received shows.
    pub(crate) fn spoil(&self, byte: u8) {
        let spoilt = vec![byte; self.setup.frame_len as usize];
        self.mapping.write(self.setup.rx_offset as usize, &spoilt);
    }

    pub(crate) fn received(&self) -> Vec<u8> {
        let mut frame = vec![0; self.setup.frame_len as usize];
        self.mapping.read(self.setup.rx_offset as usize, &mut frame);
        frame
    }

    /// The path of the frames: PATH_FIFO or PATH_DMA.
    pub(crate) fn path(&self) -> Result<u32> {
        Ok(accepted("GET_INFO", self.device.info())?.path)
    }

    /// Fails unless the frames use DMA.
    pub(crate) fn must_be_dma(&self) -> Result<()> {
        ensure!(self.path()? == abi::PATH_DMA, "these frames go by FIFO");
        Ok(())
    }
}
