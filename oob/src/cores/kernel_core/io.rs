// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's register windows, as the stage's.

use crate::io::Mmio;
use kernel::io::{IoMem, dma_observe, dma_publish};

impl Mmio for IoMem {
    #[inline(always)]
    fn read(&self, offset: usize) -> u32 {
        IoMem::read(self, offset)
    }

    #[inline(always)]
    fn write(&self, offset: usize, value: u32) {
        IoMem::write(self, offset, value);
    }

    #[inline(always)]
    fn publish(&self) {
        dma_publish();
    }

    #[inline(always)]
    fn observe(&self) {
        dma_observe();
    }
}
