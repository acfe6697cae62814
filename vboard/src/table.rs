// SPDX-License-Identifier: GPL-2.0-only

//! A board that another module simulates: the table by which its registers, interrupts, DMA and clock are reached.
//!
//! ```text
//!   vboard.ko --platform device, Table as its data--> controller's driver
//!       ^                                                  |
//!       '--- Window (Mmio), BoardClock, connect, map ------'
//! ```
//!
//! The driver's logic is the one that runs on real registers; only the window and the clock differ. The board's clock
//! stands still while its model computes, so what the model costs is no delay that a driver would see.

use core::ffi::{c_char, c_void};
use core::sync::atomic::{Ordering, compiler_fence};
use oob::io::Mmio;
use oob::time::{Clock, Instant};

/// SPI0's registers.
pub const WINDOW_SPI0: u32 = 0;
/// The DMA controller's; channel n at `n * 0x100`.
pub const WINDOW_DMA: u32 = 1;

/// A device on the board's SPI bus.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Child {
    /// By what name its driver knows it; null ends the list.
    pub modalias: *const c_char,
    /// Its chip select.
    pub chip_select: u8,
    /// Its highest clock, in Hz.
    pub max_speed_hz: u32,
}

/// What a board's module gives to a controller's driver, as platform data.
///
/// # Invariants
///
/// The functions take `context`, and may be called from any context as long as the platform device is there, but for
/// `connect`, `disconnect`, `map` and `unmap`: in-band only. `children` ends with a null name.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Table {
    /// First argument of every function.
    pub context: *const c_void,
    /// The board's date, in ns.
    pub now: unsafe extern "C" fn(*const c_void) -> u64,
    /// Reads a register of a window.
    pub read: unsafe extern "C" fn(*const c_void, u32, u32) -> u32,
    /// Writes a register of a window.
    pub write: unsafe extern "C" fn(*const c_void, u32, u32, u32),
    /// Has `handler(argument)` called, in hard interrupt context, while DMA channel `line`'s interrupt is high.
    pub connect: unsafe extern "C" fn(
        *const c_void,
        u32,
        unsafe extern "C" fn(*const c_void),
        *const c_void,
    ) -> i32,
    /// Ends that, and waits for a handler that runs.
    pub disconnect: unsafe extern "C" fn(*const c_void, u32),
    /// Lets the board's DMA reach memory: bus address, processor's address, bytes.
    pub map: unsafe extern "C" fn(*const c_void, u64, *mut u8, usize) -> i32,
    /// Ends that.
    pub unmap: unsafe extern "C" fn(*const c_void, u64),
    /// The clock that the SPI divider divides, in Hz.
    pub core_hz: u32,
    /// DMA channels for the SPI controller: TX, RX.
    pub dma_channels: [u32; 2],
    /// What hangs on the SPI bus.
    pub children: *const Child,
}

// SAFETY: by the invariants; the pointers are to static or module-lifetime data.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

/// A window of the board's registers.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    table: Table,
    window: u32,
    base: u32,
}

impl Window {
    /// The registers from `base` on.
    ///
    /// # Safety
    ///
    /// The board's platform device outlives the window.
    pub const unsafe fn new(table: Table, window: u32, base: u32) -> Self {
        Self {
            table,
            window,
            base,
        }
    }

    fn offset(&self, offset: usize) -> u32 {
        self.base
            .wrapping_add(u32::try_from(offset).unwrap_or(u32::MAX))
    }
}

impl Mmio for Window {
    fn read(&self, offset: usize) -> u32 {
        // SAFETY: the table's invariants; the board is there by the contract of `new`.
        unsafe { (self.table.read)(self.table.context, self.window, self.offset(offset)) }
    }

    fn write(&self, offset: usize, value: u32) {
        // SAFETY: as above.
        unsafe { (self.table.write)(self.table.context, self.window, self.offset(offset), value) };
    }

    // The board's memory accesses are the processor's own, under a lock: nothing but the compiler could reorder them.
    fn publish(&self) {
        compiler_fence(Ordering::Release);
    }

    fn observe(&self) {
        compiler_fence(Ordering::Acquire);
    }
}

/// The board's clock.
#[derive(Clone, Copy, Debug)]
pub struct BoardClock(Table);

impl BoardClock {
    /// Wraps a table.
    ///
    /// # Safety
    ///
    /// The board's platform device outlives the clock.
    pub const unsafe fn new(table: Table) -> Self {
        Self(table)
    }
}

impl Clock for BoardClock {
    fn now(&self) -> Instant {
        // SAFETY: the table's invariants; the board is there by the contract of `new`.
        Instant(unsafe { (self.0.now)(self.0.context) })
    }

    fn relax(&self) {
        core::hint::spin_loop();
    }
}
