// SPDX-License-Identifier: GPL-2.0-only

//! The files in `/sys/kernel/debug/vboard`: counters, the model's cost, and the faults that a test
//! can inject.

use super::{DMA_CHANNELS, Vboard};
use crate::bcm2835::faults::Noise;
use crate::bcm2835::irq::IrqLine;
use core::ffi::CStr;
use kernel::debugfs::Numbers;

const READ: bool = false;
const WRITE: bool = true;

impl Numbers for Vboard {
    const FILES: &'static [(&'static CStr, bool)] = &[
        (c"cost_ns", READ),
        (c"accesses", READ),
        (c"motor_accepted", READ),
        (c"motor_refused", READ),
        (c"motor_flags", READ),
        (c"cs_selections", READ),
        (c"cs_setup_ns", READ),
        (c"cs_hold_ns", READ),
        (c"cs_inactive_ns", READ),
        (c"fault_tx_dreq", WRITE),
        (c"fault_rx_dreq", WRITE),
        // So many of the RX channel's next interrupts are lost.
        (c"fault_lost_irqs", WRITE),
        // One bit for each channel.
        (c"fault_hung_channels", WRITE),
        // About one byte in so many has a flipped bit. 0: none.
        (c"fault_miso_noise", WRITE),
        // A DMA access to this bus address ends in a bus error. 0: none.
        (c"fault_bus_error_at", WRITE),
        // A write makes Rust code panic with the written number, to test what a panic does to the
        // kernel.
        (c"panic", WRITE),
    ];

    fn get(&self, index: usize) -> u64 {
        let mut state = self.state.lock();
        let cs = state.model.chip_select(0);
        let motor = &state.model.slaves().0;
        let (counts, flags) = (motor.counts(), motor.flags());
        match index {
            0 => state.cost_ns,
            1 => state.accesses,
            2 => counts.accepted,
            3 => counts.refused,
            4 => flags.into(),
            5 => cs.selections.into(),
            6 => cs.setup.0,
            7 => cs.hold.0,
            8 => cs.inactive.0,
            9 => state.model.with_faults(|f| f.spi_tx_dreq_stuck.into()),
            10 => state.model.with_faults(|f| f.spi_rx_dreq_stuck.into()),
            11 => state
                .model
                .with_faults(|f| f.lost_irqs.map_or(0, |(_, times)| times.into())),
            12 => state.model.with_faults(|f| f.hung_channels.into()),
            13 => state.model.with_faults(|f| f.miso_noise.is_some().into()),
            14 => state
                .model
                .with_faults(|f| f.bus_error_at.unwrap_or(0).into()),
            _ => 0,
        }
    }

    fn set(&self, index: usize, value: u64) {
        assert_ne!(index, 15, "asked to panic: {value}");
        let [_, rx] = DMA_CHANNELS;
        let small = u32::try_from(value).unwrap_or(u32::MAX);
        self.with(0, |model, _| {
            model.with_faults(|faults| match index {
                9 => faults.spi_tx_dreq_stuck = value != 0,
                10 => faults.spi_rx_dreq_stuck = value != 0,
                11 => faults.lost_irqs = (small > 0).then_some((IrqLine::Dma(rx as u8), small)),
                12 => faults.hung_channels = (small & 0xffff) as u16,
                13 => faults.miso_noise = (small > 0).then(|| Noise::new(1, small)),
                14 => faults.bus_error_at = (small > 0).then_some(small),
                _ => {}
            });
        });
    }
}
