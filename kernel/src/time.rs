// SPDX-License-Identifier: GPL-2.0-only

//! Monotonic time and high-resolution timers.
//!
//! ```text
//!   clock.rs     the clock, the cycle counter, sleeping
//!   handler.rs   the function that a timer calls
//!   hrtimer.rs   timers of the shim core
//!   evl.rs       timers of the evl core
//! ```

mod clock;
#[cfg(oob_core_evl)]
mod evl;
mod handler;
mod hrtimer;

pub use clock::{cycles, cycles_khz, is_high_resolution, monotonic_ns, sleep_us};
#[cfg(oob_core_evl)]
pub use evl::EvlTimer as HardTimer;
pub use handler::TimerHandler;
pub use hrtimer::HrTimer;
/// The timer of the target kernel's core; see [`HrTimer`] for what it promises.
#[cfg(not(oob_core_evl))]
pub use hrtimer::HrTimer as HardTimer;
