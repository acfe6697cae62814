// SPDX-License-Identifier: GPL-2.0-only

//! The board in a process, on the stage's host core.
//!
//! ```text
//!   driver under test --- HostMmio::read, write ---> Board
//!        ^      |                                      |
//!        |      +-- DmaMemory (cpu pointer, bus) <-----+  DMA
//!        +--------- interrupt handlers <-- Host: relax, wait_until, run_until
//! ```
//!
//! Each access takes `access_cost` of virtual time, during which no interrupt is delivered.
//!
//! While virtual time moves, the board calls the handler of a line that is high, and calls it again
//! as long as the line stays high. A line that never goes low fails the test. Handlers do not nest:
//! a register access inside a handler moves time but delivers no interrupt.

mod memory;

pub use memory::DmaMemory;

use crate::bcm2835::board::{Block, Board, SpiCounts};
use crate::bcm2835::faults::Faults;
use crate::bcm2835::irq::{IrqLine, IrqLines};
use crate::slaves::{ChipSelect, LINES, Slaves, SpiSlave};
use core::fmt;
use memory::Arena;
use oob::host::{Device, Host};
use oob::io::Mmio;
use oob::time::{Clock, Instant, Ns};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::vec::Vec;

/// The test fails when so many handlers in a row leave a line high.
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
    handlers: RefCell<Vec<(IrqLine, Handler)>>,
    delivering: Cell<bool>,
    access_cost: Cell<Ns>,
    accesses: Cell<Accesses>,
}

/// A board attached to a [`Host`]. A clone is another handle to the same board.
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

    /// Like [`Self::new`], with a core clock of `mhz`.
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
            handlers: RefCell::new(Vec::new()),
            delivering: Cell::new(false),
            access_cost: Cell::new(Ns(40)),
            accesses: Cell::new(Accesses::default()),
        });
        host.attach(inner.clone());
        Self(inner)
    }

    /// Connects a slave to native chip select `line` (0, 1 or 2), in place of the one before.
    ///
    /// # Panics
    ///
    /// If there is no such line.
    pub fn attach_slave(&self, line: u8, slave: Rc<RefCell<dyn SpiSlave>>) {
        let mut board = self.0.board.borrow_mut();
        board.slaves().0[usize::from(line)] = Some(slave);
    }

    /// Access to the registers of a block.
    pub fn mmio(&self, block: Block) -> HostMmio {
        HostMmio {
            board: self.clone(),
            block,
        }
    }

    /// Sets the virtual time that one register access takes.
    pub fn set_access_cost(&self, cost: Ns) {
        self.0.access_cost.set(cost);
    }

    /// Allocates zeroed coherent memory, `len` bytes at a multiple of `align` (a power of two, at
    /// most 4096). The memory is never reused.
    ///
    /// # Panics
    ///
    /// If the arena is used up.
    pub fn dma_alloc(&self, len: usize, align: usize) -> DmaMemory {
        self.0.arena.alloc(len, align)
    }

    /// Sets the handler of a line, in place of the one before. A line without a handler does
    /// nothing.
    pub fn on_irq(&self, line: IrqLine, handler: impl Fn() + 'static) {
        let mut handlers = self.0.handlers.borrow_mut();
        handlers.retain(|(taken, _)| *taken != line);
        handlers.push((line, Rc::new(handler)));
    }

    /// Changes the injected faults, from now on.
    pub fn with_faults<R>(&self, change: impl FnOnce(&mut Faults) -> R) -> R {
        let mut board = self.0.board.borrow_mut();
        board.advance(self.0.host.now());
        board.with_faults(change)
    }

    /// The history of a chip-select line.
    pub fn chip_select(&self, line: u8) -> ChipSelect {
        self.0.board.borrow().chip_select(line)
    }

    /// SPI0's counters.
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
    /// Lets the time of one access pass, and returns the date at which the access takes effect.
    fn spend(&self) -> Instant {
        self.host.elapse(self.access_cost.get());
        self.host.now()
    }

    fn count(&self, change: impl FnOnce(&mut Accesses)) {
        let mut accesses = self.accesses.get();
        change(&mut accesses);
        self.accesses.set(accesses);
    }

    /// The first line that is high and has a handler.
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

/// The registers of one block. Each access takes virtual time.
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

    // The process has one thread, and the model reads memory through the same pointers: there is
    // nothing to order.
    fn publish(&self) {}

    fn observe(&self) {}
}

/// The slaves by chip-select line. The test keeps handles to them.
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

#[cfg(test)]
mod tests;
