// SPDX-License-Identifier: GPL-2.0-only

//! The table through which a controller's driver reaches a board that `vboard.ko` simulates:
//! registers, interrupts, DMA memory and the clock.
//!
//! ```text
//!   vboard.ko -- platform device with a Table as its data --> controller's driver
//!       ^                                                         |
//!       '------ Window (Mmio), BoardClock, connect, map ----------'
//! ```
//!
//! The driver runs the same logic as on real registers; only the types of registers and clock
//! differ. The board's clock stands still while the model computes, so the driver sees no delay
//! from the model's cost.

use core::ffi::{c_char, c_void};
use core::sync::atomic::{Ordering, compiler_fence};
use oob::io::Mmio;
use oob::time::{Clock, Instant};

/// SPI0's registers.
pub const WINDOW_SPI0: u32 = 0;
/// The DMA controller's registers. Channel n is at offset `n * 0x100`.
pub const WINDOW_DMA: u32 = 1;

/// A device on the board's SPI bus.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Child {
    /// The name that its driver matches. A null name ends the list.
    pub modalias: *const c_char,
    /// The chip select that it is connected to.
    pub chip_select: u8,
    /// The highest clock that it allows, in Hz.
    pub max_speed_hz: u32,
}

/// The platform data that the board's module passes to a controller's driver.
///
/// # Invariants
///
/// While the platform device exists, each function may be called with `context` as its first
/// argument. `connect`, `disconnect`, `map` and `unmap` may be called in-band only, the others from
/// any context. `children` points to an array that lives as long and whose last element has a null
/// name.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Table {
    /// The first argument of every function.
    pub context: *const c_void,
    /// Returns the board's date, in ns.
    pub now: unsafe extern "C" fn(*const c_void) -> u64,
    /// Reads a register of a window.
    pub read: unsafe extern "C" fn(*const c_void, u32, u32) -> u32,
    /// Writes a register of a window.
    pub write: unsafe extern "C" fn(*const c_void, u32, u32, u32),
    /// From now on, `handler(argument)` is called in hard interrupt context while the interrupt of
    /// DMA channel `line` is high. The caller promises that this call is sound on any processor
    /// until `disconnect` has returned. Returns 0 or a negative errno.
    pub connect: unsafe extern "C" fn(
        *const c_void,
        u32,
        unsafe extern "C" fn(*const c_void),
        *const c_void,
    ) -> i32,
    /// Disconnects the handler of DMA channel `line`, and waits until a running call of it has
    /// returned.
    pub disconnect: unsafe extern "C" fn(*const c_void, u32),
    /// Lets the board's DMA reach memory: bus address, processor's address, length. The caller
    /// promises that any thread may read and write the memory until `unmap`. Returns 0 or a
    /// negative errno.
    pub map: unsafe extern "C" fn(*const c_void, u64, *mut u8, usize) -> i32,
    /// Takes back the memory at a bus address.
    pub unmap: unsafe extern "C" fn(*const c_void, u64),
    /// The input clock of the SPI divider, in Hz.
    pub core_hz: u32,
    /// The DMA channels of the SPI controller: TX, RX.
    pub dma_channels: [u32; 2],
    /// The devices on the SPI bus.
    pub children: *const Child,
}

// SAFETY: by the invariants, the functions may be called from any thread, and what the pointers
// lead to lives as long as the platform device, whichever thread has the table.
unsafe impl Send for Table {}
// SAFETY: by the invariants, several threads may call the functions at once. A shared table is only
// read.
unsafe impl Sync for Table {}

/// A window of the board's registers, in place of a register block that is mapped.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    table: Table,
    window: u32,
    base: u32,
}

impl Window {
    /// The registers of window `window` from offset `base` on.
    ///
    /// # Safety
    ///
    /// The board's platform device outlives the result and all its copies.
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
        // SAFETY: the platform device still exists, as the caller of `new` has promised. While it
        // does, `read` may be called from any context with the table's own `context`.
        unsafe { (self.table.read)(self.table.context, self.window, self.offset(offset)) }
    }

    fn write(&self, offset: usize, value: u32) {
        // SAFETY: the platform device still exists, as the caller of `new` has promised. While it
        // does, `write` may be called from any context with the table's own `context`.
        unsafe { (self.table.write)(self.table.context, self.window, self.offset(offset), value) };
    }

    // The model accesses memory on the calling processor, under a lock. Only the compiler could
    // reorder these accesses.
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
    /// The clock of the board behind `table`.
    ///
    /// # Safety
    ///
    /// The board's platform device outlives the result and all its copies.
    pub const unsafe fn new(table: Table) -> Self {
        Self(table)
    }
}

impl Clock for BoardClock {
    fn now(&self) -> Instant {
        // SAFETY: the platform device still exists, as the caller of `new` has promised. While it
        // does, `now` may be called from any context with the table's own `context`.
        Instant(unsafe { (self.0.now)(self.0.context) })
    }

    fn relax(&self) {
        core::hint::spin_loop();
    }
}
