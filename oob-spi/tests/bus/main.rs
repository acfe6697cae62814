// SPDX-License-Identifier: GPL-2.0-only

//! The bus on the host core: every operation, every refusal, and every way in which a frame can
//! end.
#![cfg(not(loom))]

mod arguments;
mod defects;
mod exchange;
mod failsafe;
mod life;
mod refused;
mod rig;
mod stages;
mod triggers;
