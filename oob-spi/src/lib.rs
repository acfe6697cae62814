// SPDX-License-Identifier: GPL-2.0-only

//! Out-of-band SPI: fixed-size frames, their life cycle, and the spidev-compatible device.
#![cfg_attr(not(test), no_std)]

pub mod controller;
