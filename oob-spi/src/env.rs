// SPDX-License-Identifier: GPL-2.0-only

//! What a bus needs from its surroundings: the kernel, or a test's machine.

use oob::stage::{Inband, Oob};
use oob::time::{Clock, Timer};
use oob::wait::Flag;

/// Most chip selects of a bus.
pub const MAX_CHIP_SELECTS: usize = if cfg!(loom) { 2 } else { 8 };

/// The surroundings. Chip selects that are passed here are below
/// [`crate::controller::Limits::chip_selects`].
pub trait Env: Clock {
    /// Wakes a thread that waits for a frame.
    type Flag: Flag;
    /// A hard-interrupt timer.
    type Timer: Timer;

    /// The flag of a chip select.
    fn flag(&self, chip_select: u8) -> &Self::Flag;

    /// The timer whose handler calls [`crate::bus::Bus::trigger_tick`].
    fn trigger_timer(&self, chip_select: u8) -> &Self::Timer;

    /// The timer whose handler calls [`crate::bus::Bus::watchdog_tick`].
    fn watchdog_timer(&self, chip_select: u8) -> &Self::Timer;

    /// Whether a signal waits for the calling thread. The bus asks only while no frame of the
    /// thread is in flight.
    fn is_interrupted(&self, oob: &Oob<'_>) -> bool;

    /// Sleeps for about 100 us.
    fn nap(&self, inband: &Inband<'_>);

    /// Wakes the senders of in-band messages that wait at the gate: it may let one through now.
    fn gate_opened(&self, inband: &Inband<'_>);
}
