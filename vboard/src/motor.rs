// SPDX-License-Identifier: GPL-2.0-only
//! Motor (being written).
use crate::slave::SpiSlave;
use evl::time::Instant;
/// A motor.
#[derive(Debug, Default)]
pub struct Motor;
impl Motor {
    /// At rest.
    pub const fn new() -> Self {
        Self
    }
}
impl SpiSlave for Motor {
    fn select(&mut self, _now: Instant) {}
    fn exchange(&mut self, _now: Instant, _mosi: u8) -> u8 {
        0xff
    }
    fn deselect(&mut self, _now: Instant) {}
}
