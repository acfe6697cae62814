// SPDX-License-Identifier: MIT OR Apache-2.0

//! The numbers and layouts that user programs and the drivers share.
//!
//! Every structure has a fixed layout, the same for 32-bit and 64-bit programs. Padding is
//! explicit, reserved fields must be zero (else `EINVAL`), and no structure of the kit contains a
//! pointer. `include/oobkit.h` is the same in C.
#![no_std]

pub mod ctl;
pub mod evl;
pub mod ioc;
pub mod spi;
