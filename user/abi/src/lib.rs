// SPDX-License-Identifier: MIT OR Apache-2.0

//! Numbers and layouts that user programs and the drivers share.
//!
//! Every structure has a fixed layout, the same for 32-bit and 64-bit programs; padding is explicit, reserved fields are
//! zero (else `EINVAL`), and there are no pointers inside. `include/oobkit.h` says the same in C.
#![no_std]

pub mod ctl;
pub mod evl;
pub mod ioc;
pub mod spi;
