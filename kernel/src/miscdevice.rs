// SPDX-License-Identifier: GPL-2.0-only

//! Character devices.
//!
//! ```text
//!  Registration<F>  owns  F::Device  --open-->  F (one per open file)  --ioctl, mmap, flush-->  ...  --release--> drop
//!
//!                            mainline                  EVL
//!   oob_ioctl                ioctl                     oob_ioctl
//!   oob_read, oob_write      read, write               oob_read, oob_write
//!   oob_ioctl_inband,        the same, for a thread    ioctl, read, write
//!   inband_read, ...         that is not attached
//!   poll                     poll, select, epoll       those and oob_poll
//! ```
//!
//! A call that a file does not implement returns the errno that EVL returns for it. 32-bit programs
//! use the same calls: the layouts are the same for them, and the kernel converts their pointers. A
//! file may outlive the registration, because a device can be unbound while a program has it open.
//! So an `F` owns what it needs.

mod file;
mod registration;
mod table;

pub use file::File;
pub use registration::Registration;
