// SPDX-License-Identifier: GPL-2.0-only

//! The controllers on the simulated board, in virtual time.

mod channel;
mod chip_select;
mod dma;
mod fifo;
mod inband;
mod rig;
mod stages;
