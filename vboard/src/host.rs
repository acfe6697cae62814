// SPDX-License-Identifier: GPL-2.0-only

//! The board in a process, on the stage's host core.
//!
//! ```text
//!   driver under test --- HostMmio::read, write ---> Board         each access takes access_cost of virtual time,
//!        ^      |                                      |           during which no interrupt is taken
//!        |      +-- DmaMemory (cpu pointer, bus) <-----+  DMA
//!        +--------- interrupt handlers <-- Host: relax, wait_until, run_until
//! ```
//!
//! An interrupt handler is called when its line is found high while virtual time moves, and again as long as it stays
//! high; one that never goes low fails the test. Handlers do not nest. A register access inside a handler moves time
//! but delivers nothing.

use crate::board::{Block, Board, SpiCounts};
use crate::bus::{BusError, BusMemory};
use crate::faults::Faults;
use crate::irq::{IrqLine, IrqLines};
use crate::slave::{ChipSelect, LINES, Slaves, SpiSlave};
use core::fmt;
use core::ptr::NonNull;
use oob::host::{Device, Host};
use oob::io::Mmio;
use oob::time::{Clock, Instant, Ns};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::vec::Vec;

/// Where the arena lies on the bus: the uncached alias of memory.
pub const ARENA_BUS: u32 = 0xc000_0000;
/// Bytes of the arena.
pub const ARENA_LEN: usize = 4 << 20;
/// This many calls of one handler with its line still high fail the test.
const STORM: u32 = 1_000;

/// How often the registers were accessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accesses {
    /// Reads of SPI0.
    pub spi_reads: u64,
    /// Writes of SPI0.
    pub spi_writes: u64,
    /// Reads of the DMA controller.
    pub dma_reads: u64,
    /// Writes of the DMA controller.
    pub dma_writes: u64,
}

type Handler = Rc<dyn Fn()>;

struct Inner {
    host: Host,
    board: RefCell<Board<Attached, Arena>>,
    arena: Arena,
    arena_used: Cell<usize>,
    handlers: RefCell<Vec<(IrqLine, Handler)>>,
    delivering: Cell<bool>,
    access_cost: Cell<Ns>,
    accesses: Cell<Accesses>,
}

/// A board attached to a [`Host`]; clones are handles to the same one.
#[derive(Clone)]
pub struct HostBoard(Rc<Inner>);

impl fmt::Debug for HostBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBoard").finish_non_exhaustive()
    }
}

impl HostBoard {
    /// A board with a core clock of 250 MHz, empty sockets, and register accesses of 40 ns.
    pub fn new(host: &Host) -> Self {
        Self::with_core_clock(host, 250)
    }

    /// As [`Self::new`], with a core clock of `mhz`.
    pub fn with_core_clock(host: &Host, mhz: u32) -> Self {
        let arena = Arena::new();
        let inner = Rc::new(Inner {
            host: host.clone(),
            board: RefCell::new(Board::new(
                Attached::default(),
                arena.clone(),
                mhz,
                host.now(),
            )),
            arena,
            arena_used: Cell::new(0),
            handlers: RefCell::new(Vec::new()),
            delivering: Cell::new(false),
            access_cost: Cell::new(Ns(40)),
            accesses: Cell::new(Accesses::default()),
        });
        host.attach(inner.clone());
        Self(inner)
    }

    /// Puts a slave on native chip select `line` (0, 1 or 2), in place of what was there.
    ///
    /// # Panics
    ///
    /// Where there is no such line.
    pub fn attach_slave(&self, line: u8, slave: Rc<RefCell<dyn SpiSlave>>) {
        let mut board = self.0.board.borrow_mut();
        board.slaves().0[usize::from(line)] = Some(slave);
    }

    /// The window of a block of registers.
    pub fn mmio(&self, block: Block) -> HostMmio {
        HostMmio {
            board: self.clone(),
            block,
        }
    }

    /// What one register access costs.
    pub fn set_access_cost(&self, cost: Ns) {
        self.0.access_cost.set(cost);
    }

    /// Zeroed coherent memory, `len` bytes at a multiple of `align` (a power of two, at most 4096). It is never reused.
    ///
    /// # Panics
    ///
    /// Where the arena is used up.
    pub fn dma_alloc(&self, len: usize, align: usize) -> DmaMemory {
        let offset = self.0.arena_used.get().next_multiple_of(align);
        assert!(offset + len <= ARENA_LEN, "the arena is used up");
        self.0.arena_used.set(offset + len);
        DmaMemory {
            arena: self.0.arena.clone(),
            offset,
            len,
        }
    }

    /// Sets the handler of a line; a line without one interrupts nobody.
    pub fn on_irq(&self, line: IrqLine, handler: impl Fn() + 'static) {
        let mut handlers = self.0.handlers.borrow_mut();
        handlers.retain(|(taken, _)| *taken != line);
        handlers.push((line, Rc::new(handler)));
    }

    /// Changes the faults in force, now.
    pub fn with_faults<R>(&self, change: impl FnOnce(&mut Faults) -> R) -> R {
        let mut board = self.0.board.borrow_mut();
        board.advance(self.0.host.now());
        board.with_faults(change)
    }

    /// What a chip-select line went through.
    pub fn chip_select(&self, line: u8) -> ChipSelect {
        self.0.board.borrow().chip_select(line)
    }

    /// What went wrong in SPI0.
    pub fn spi_counts(&self) -> SpiCounts {
        self.0.board.borrow().spi_counts()
    }

    /// How often the registers were accessed so far.
    pub fn accesses(&self) -> Accesses {
        self.0.accesses.get()
    }

    /// The interrupt lines that are high now.
    pub fn irq_lines(&self) -> IrqLines {
        let mut board = self.0.board.borrow_mut();
        board.advance(self.0.host.now());
        board.irq_lines()
    }
}

impl Inner {
    /// Lets an access cost its time; the board then is at the date at which the access takes effect.
    fn spend(&self) -> Instant {
        self.host.elapse(self.access_cost.get());
        self.host.now()
    }

    fn count(&self, change: impl FnOnce(&mut Accesses)) {
        let mut accesses = self.accesses.get();
        change(&mut accesses);
        self.accesses.set(accesses);
    }

    /// The first handler whose line is high.
    fn due(&self) -> Option<(IrqLine, Handler)> {
        let lines = self.board.borrow().irq_lines();
        if lines.is_empty() {
            return None;
        }
        let handlers = self.handlers.borrow();
        handlers
            .iter()
            .find(|(line, _)| lines.contains(*line))
            .cloned()
    }
}

impl Device for Inner {
    fn next_event(&self) -> Option<Instant> {
        if !self.delivering.get() && self.due().is_some() {
            return Some(self.host.now());
        }
        self.board.borrow().next_event()
    }

    fn advance(&self, now: Instant) {
        self.board.borrow_mut().advance(now);
        if self.delivering.replace(true) {
            return;
        }
        let mut calls = 0;
        while let Some((line, handler)) = self.due() {
            calls += 1;
            assert!(calls < STORM, "interrupt storm: {line:?} stays high");
            handler();
            self.board.borrow_mut().advance(self.host.now());
        }
        self.delivering.set(false);
    }
}

/// A window of registers; each access costs virtual time.
#[derive(Clone, Debug)]
pub struct HostMmio {
    board: HostBoard,
    block: Block,
}

impl Mmio for HostMmio {
    fn read(&self, offset: usize) -> u32 {
        let inner = &self.board.0;
        let now = inner.spend();
        inner.count(|accesses| match self.block {
            Block::Spi0 => accesses.spi_reads += 1,
            Block::Dma => accesses.dma_reads += 1,
        });
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        inner.board.borrow_mut().read(now, self.block, offset)
    }

    fn write(&self, offset: usize, value: u32) {
        let inner = &self.board.0;
        let now = inner.spend();
        inner.count(|accesses| match self.block {
            Block::Spi0 => accesses.spi_writes += 1,
            Block::Dma => accesses.dma_writes += 1,
        });
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        inner
            .board
            .borrow_mut()
            .write(now, self.block, offset, value);
    }

    // One thread, and the model reads memory through the same pointers: nothing to order.
    fn publish(&self) {}

    fn observe(&self) {}
}

/// Slaves that a test keeps a handle to.
#[derive(Default)]
struct Attached([Option<Rc<RefCell<dyn SpiSlave>>>; LINES]);

impl Attached {
    fn with<R>(&self, line: u8, call: impl FnOnce(&mut dyn SpiSlave) -> R) -> Option<R> {
        let slave = self.0.get(usize::from(line))?.as_ref()?;
        Some(call(&mut *slave.borrow_mut()))
    }
}

impl Slaves for Attached {
    fn select(&mut self, line: u8, now: Instant) {
        self.with(line, |slave| slave.select(now));
    }

    fn exchange(&mut self, line: u8, now: Instant, mosi: u8) -> u8 {
        self.with(line, |slave| slave.exchange(now, mosi))
            .unwrap_or(0xff)
    }

    fn deselect(&mut self, line: u8, now: Instant) {
        self.with(line, |slave| slave.deselect(now));
    }
}

/// The memory that DMA reaches, all of it made at once so that it never moves.
#[derive(Clone, Debug)]
struct Arena(Rc<Pages>);

/// # Invariants
///
/// `base` points to [`ARENA_LEN`] bytes that this value alone owns and frees. They are only reached through raw
/// pointers, by one thread.
#[derive(Debug)]
struct Pages {
    base: NonNull<u8>,
}

#[repr(C, align(4096))]
struct Backing([u8; ARENA_LEN]);

impl Arena {
    fn new() -> Self {
        let layout = std::alloc::Layout::new::<Backing>();
        // SAFETY: the layout is not empty.
        let raw = unsafe { std::alloc::alloc_zeroed(layout) };
        let base = NonNull::new(raw).unwrap_or_else(|| std::alloc::handle_alloc_error(layout));
        // INVARIANT: just made, for the value below.
        Self(Rc::new(Pages { base }))
    }

    /// The place of `len` bytes from bus address `bus` on.
    fn at(&self, bus: u32, len: usize) -> Result<NonNull<u8>, BusError> {
        let offset =
            usize::try_from(bus.checked_sub(ARENA_BUS).ok_or(BusError)?).map_err(|_| BusError)?;
        if offset > ARENA_LEN || ARENA_LEN - offset < len {
            return Err(BusError);
        }
        // SAFETY: inside the memory that the invariant of `Pages` speaks of.
        Ok(unsafe { self.0.base.add(offset) })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: by the invariant, made with this layout and owned by this value.
        unsafe { std::alloc::dealloc(self.base.as_ptr(), std::alloc::Layout::new::<Backing>()) };
    }
}

impl BusMemory for Arena {
    fn read(&self, bus: u32, out: &mut [u8]) -> Result<(), BusError> {
        let from = self.at(bus, out.len())?;
        // SAFETY: `at` checked the range; `out` is not in the arena, to whose bytes no references are made.
        unsafe { from.copy_to_nonoverlapping(NonNull::from(&mut *out).cast(), out.len()) };
        Ok(())
    }

    fn write(&mut self, bus: u32, data: &[u8]) -> Result<(), BusError> {
        let to = self.at(bus, data.len())?;
        // SAFETY: as in `read`.
        unsafe { to.copy_from_nonoverlapping(NonNull::from(data).cast(), data.len()) };
        Ok(())
    }
}

/// Coherent memory: the processor's pointer and the bus address of the same bytes. Lives on behind its board.
#[derive(Debug)]
pub struct DmaMemory {
    arena: Arena,
    offset: usize,
    len: usize,
}

impl DmaMemory {
    /// The first byte, as the processor sees it; valid while this value or its board lives.
    pub fn cpu(&self) -> NonNull<u8> {
        // SAFETY: `dma_alloc` keeps offset and length inside the arena.
        unsafe { self.arena.0.base.add(self.offset) }
    }

    /// The first byte, as DMA sees it.
    pub fn bus(&self) -> u32 {
        ARENA_BUS + u32::try_from(self.offset).unwrap_or(0)
    }

    /// Bytes in all.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A copy of what is there now.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = std::vec![0; self.len];
        // In range by construction, so this cannot fail.
        let _ = self.arena.read(self.bus(), &mut out);
        out
    }

    /// Puts `data` at `offset`.
    ///
    /// # Panics
    ///
    /// Where it does not fit.
    pub fn fill(&self, offset: usize, data: &[u8]) {
        assert!(offset + data.len() <= self.len, "beyond the memory");
        let at = self.bus() + u32::try_from(offset).unwrap_or(0);
        let _ = self.arena.clone().write(at, data);
    }
}

#[cfg(test)]
mod tests;
