// SPDX-License-Identifier: MIT OR Apache-2.0

//! Out-of-band SPI for programs: a control loop exchanges frames with its device in bounded time.
//!
//! ```text
//!   set-up (in-band)                            the loop (out-of-band)
//!
//!   spi::Device::open(bus, cs)                  thread::Realtime{..}.apply()
//!     .set_mode(..) .set_delays(..)             thread::attach() ---> Attached (drop detaches)
//!     .enable(frame_len, speed) -> Session ---> loop {
//!          |  .set_stop(..)                         time::sleep_until(date)
//!          |  .set_trigger(..)                      session.write_tx(&command)
//!          |                                        session.run_until(next_date)
//!          |                                        session.read_rx(&mut status)
//!          v                                    }
//!   .disable(): an orderly end     drop, as by `?` or a panic: the stop frame is sent
//! ```
//!
//! Rules:
//! - Every operation has its own error type. It keeps the errno, and its text says what the caller
//!   can do.
//! - The operations of the loop allocate nothing. Each makes one system call at most.
//! - Dates are absolute, on `CLOCK_MONOTONIC`, in 64-bit nanoseconds.
//!
//! # Examples
//!
//! Three whole programs are in `user/examples`. The core of a loop:
//!
//! ```no_run
//! use oobkit::{spi, thread, time::{self, Instant}};
//! use std::time::Duration;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut session = spi::Device::open(0, 0)?.enable(16, 10_000_000)?;
//!     thread::Realtime { priority: 90, cpu: None }.apply()?;
//!     let _attached = thread::attach()?;
//!     let period = Duration::from_micros(100);
//!     let mut date = Instant::now().after(period);
//!     let (command, mut status) = ([0; 16], [0; 16]);
//!     for _ in 0..10_000 {
//!         time::sleep_until(date);
//!         date = date.after(period);
//!         session.write_tx(&command)?;
//!         session.run_until(date)?;
//!         session.read_rx(&mut status)?;
//!     }
//!     Ok(())
//! }
//! ```

mod call_path;
mod error;
mod evl;
mod hal;
pub mod inband;
mod mapping;
pub mod spi;
mod sys;
pub mod thread;
pub mod time;

pub use hal::HalError;
