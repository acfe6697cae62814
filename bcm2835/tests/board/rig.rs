// SPDX-License-Identifier: GPL-2.0-only

//! The base of the tests: a board with recording slaves, the controller, and the framework's part
//! of a frame.
//!
//! ```text
//!   Rig::run -> Spi -> Tap -> HostBoard -> Recorder (one per native chip select)
//!                       |
//!                       `- log of writes; hides CS.DONE while `stuck`
//! ```

use bcm2835::dma::{Channel, Irq};
use bcm2835::spi::{CsLine, Dma, MAX_CHIP_SELECTS, Parts, SLOTS, Spi};
use oob::host::{Host, HostFlag};
use oob::io::Mmio;
use oob::long_wait::LongWait;
use oob::time::{Clock, Instant, Ns};
use oob::wait::Flag;
use oob_dma::DescriptorMemory;
use oob_spi::controller::{
    Controller, Delays, FrameKind, FrameMemory, Outcome, PrepareError, Prepared, Pulse, Setup,
    TransferError,
};
use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::rc::Rc;
use vboard::bcm2835::board::Block;
use vboard::bcm2835::host::{DmaMemory, HostBoard, HostMmio};
use vboard::bcm2835::irq::IrqLine;
use vboard::slaves::SpiSlave;

pub(crate) const CORE_HZ: u32 = 250_000_000;
/// Bus address of SPI0's FIFO register.
const FIFO_BUS: u64 = 0x7e20_4004;

/// A slave that records what it receives, and answers with a pattern of its own.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) seed: u8,
    /// The received bytes, one entry for each selection.
    pub(crate) frames: Vec<Vec<u8>>,
    /// The date of each byte's end in the last selection.
    pub(crate) dates: Vec<Instant>,
    pub(crate) selected: bool,
}

/// The answer of a recorder with `seed` to the byte at `index` of a selection.
pub(crate) fn answer(seed: u8, index: usize) -> u8 {
    (index as u8).wrapping_mul(7).wrapping_add(seed)
}

pub(crate) fn answers(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|index| answer(seed, index)).collect()
}

impl SpiSlave for Recorder {
    fn select(&mut self, _now: Instant) {
        self.selected = true;
        self.frames.push(Vec::new());
        self.dates.clear();
    }

    fn exchange(&mut self, now: Instant, mosi: u8) -> u8 {
        self.dates.push(now);
        let frame = self.frames.last_mut().expect("a byte without chip select");
        frame.push(mosi);
        answer(self.seed, frame.len() - 1)
    }

    fn deselect(&mut self, _now: Instant) {
        self.selected = false;
    }
}

/// SPI0's registers, with a log of their writes.
#[derive(Clone)]
pub(crate) struct Tap {
    inner: HostMmio,
    pub(crate) stuck: Rc<Cell<bool>>,
    pub(crate) log: Rc<RefCell<Vec<(usize, u32)>>>,
}

impl Mmio for Tap {
    fn read(&self, offset: usize) -> u32 {
        let value = self.inner.read(offset);
        let hidden = if offset == 0 && self.stuck.get() {
            1 << 16 | 1 << 19
        } else {
            0
        };
        value & !hidden
    }

    fn write(&self, offset: usize, value: u32) {
        self.log.borrow_mut().push((offset, value));
        self.inner.write(offset, value);
    }

    fn publish(&self) {}

    fn observe(&self) {}
}

/// One channel's window of the DMA block.
#[derive(Clone)]
pub(crate) struct Window {
    inner: HostMmio,
    base: usize,
    /// The channels, in the order in which they were started.
    started: Rc<RefCell<Vec<usize>>>,
}

impl Mmio for Window {
    fn read(&self, offset: usize) -> u32 {
        self.inner.read(self.base + offset)
    }

    fn write(&self, offset: usize, value: u32) {
        if offset == 0x04 {
            self.started.borrow_mut().push(self.base / 0x100);
        }
        self.inner.write(self.base + offset, value);
    }

    fn publish(&self) {}

    fn observe(&self) {}
}

/// A chip-select line that records its changes.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) host: Host,
    pub(crate) changes: Rc<RefCell<Vec<(Instant, bool)>>>,
}

impl CsLine for Line {
    fn set(&self, active: bool) {
        self.changes.borrow_mut().push((self.host.now(), active));
    }
}

pub(crate) type Controlled = Spi<Tap, Host, Channel<Window>, Line>;

/// The memory of one chip select's frame.
pub(crate) struct Frame {
    pub(crate) memory: DmaMemory,
    pub(crate) layout: FrameMemory,
    pub(crate) len: usize,
}

impl Frame {
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.memory.fill(self.layout.tx_offset, bytes);
    }

    pub(crate) fn set_stop(&self, bytes: &[u8]) {
        self.memory.fill(self.layout.stop_offset, bytes);
    }

    pub(crate) fn received(&self) -> Vec<u8> {
        self.memory.to_vec()[self.layout.rx_offset..][..self.len].to_vec()
    }
}

pub(crate) struct Rig {
    pub(crate) host: Host,
    pub(crate) board: HostBoard,
    pub(crate) slaves: Vec<Rc<RefCell<Recorder>>>,
    pub(crate) stuck: Rc<Cell<bool>>,
    pub(crate) log: Rc<RefCell<Vec<(usize, u32)>>>,
    pub(crate) started: Rc<RefCell<Vec<usize>>>,
    pub(crate) line: Rc<RefCell<Vec<(Instant, bool)>>>,
    pub(crate) flag: Rc<HostFlag>,
    pub(crate) spi: Controlled,
    channels: Option<(u8, u8)>,
}

/// The DMA channels that the controller gets: TX and RX.
pub(crate) const NO_DMA: Option<(u8, u8)> = None;
pub(crate) const FULL: Option<(u8, u8)> = Some((4, 5));
pub(crate) const LITE: Option<(u8, u8)> = Some((9, 10));

impl Rig {
    pub(crate) fn new(channels: Option<(u8, u8)>) -> Self {
        Self::with_line(channels, None)
    }

    pub(crate) fn on_host(host: Host, channels: Option<(u8, u8)>) -> Self {
        Self::with(host, channels, None)
    }

    /// As `new`, with a GPIO line for chip select `line`.
    pub(crate) fn with_line(channels: Option<(u8, u8)>, line: Option<usize>) -> Self {
        Self::with(Host::new(), channels, line)
    }

    fn with(host: Host, channels: Option<(u8, u8)>, line: Option<usize>) -> Self {
        let board = HostBoard::new(&host);
        let slaves: Vec<_> = (0u8..3)
            .map(|cs| {
                let seed = cs.wrapping_mul(85).wrapping_add(3);
                let slave = Rc::new(RefCell::new(Recorder {
                    seed,
                    ..Recorder::default()
                }));
                board.attach_slave(cs, slave.clone());
                slave
            })
            .collect();
        let flag = Rc::new(host.flag(&host.inband()));
        let started = Rc::default();
        let window = |channel: u8| Window {
            inner: board.mmio(Block::Dma),
            base: usize::from(channel) * 0x100,
            started: Rc::clone(&started),
        };
        let dma = channels.map(|(tx, rx)| {
            board.on_irq(IrqLine::Dma(tx), || {
                panic!("the TX channel interrupts nobody")
            });
            let (irq, raised) = (Irq::new(window(rx)), flag.clone());
            board.on_irq(IrqLine::Dma(rx), move || {
                if irq.handle() {
                    raised.raise();
                }
            });
            let memory = board.dma_alloc(SLOTS * 32, 32);
            // SAFETY: the arena that the board and `memory` share lives as long as the board, which
            // the rig keeps. Only this controller uses this part of it.
            let memory = unsafe {
                DescriptorMemory::new(memory.cpu(), u64::from(memory.bus()), memory.len())
            };
            Dma {
                tx: Channel::new(window(tx)),
                rx: Channel::new(window(rx)),
                tx_request: 6,
                rx_request: 7,
                fifo: FIFO_BUS,
                memory,
            }
        });
        let (stuck, log) = (Rc::new(Cell::new(false)), Rc::default());
        let changes = Rc::default();
        let mut lines = [const { None }; MAX_CHIP_SELECTS];
        if let Some(index) = line {
            lines[index] = Some(Line {
                host: host.clone(),
                changes: Rc::clone(&changes),
            });
        }
        let spi = Spi::new(Parts {
            mmio: Tap {
                inner: board.mmio(Block::Spi0),
                stuck: stuck.clone(),
                log: Rc::clone(&log),
            },
            clock: host.clone(),
            core_hz: NonZeroU32::new(CORE_HZ).unwrap(),
            chip_selects: 4,
            lines,
            dma,
        });
        Self {
            host,
            board,
            slaves,
            stuck,
            log,
            started,
            line: changes,
            flag,
            spi,
            channels,
        }
    }

    /// Frame memory with areas of whole cache lines.
    pub(crate) fn frame(&self, len: usize) -> Frame {
        let area = len.next_multiple_of(64);
        let memory = self.board.dma_alloc(3 * area, 64);
        let layout = FrameMemory {
            cpu: memory.cpu(),
            bus: u64::from(memory.bus()),
            len: memory.len(),
            rx_offset: 0,
            tx_offset: area,
            stop_offset: 2 * area,
        };
        Frame {
            memory,
            layout,
            len,
        }
    }

    pub(crate) fn prepare(&mut self, setup: &Setup) -> (Frame, Prepared) {
        let frame = self.frame(setup.frame_len as usize);
        let prepared = self.try_prepare(setup, &frame.layout).unwrap();
        (frame, prepared)
    }

    /// Prepares, possibly with memory that is refused.
    pub(crate) fn try_prepare(
        &mut self,
        setup: &Setup,
        memory: &FrameMemory,
    ) -> Result<Prepared, PrepareError> {
        // SAFETY: tests keep the frames that they use. They change a frame's layout only to one
        // that is refused.
        unsafe { self.spi.prepare(&self.host.inband(), setup, memory) }
    }

    pub(crate) fn start(&mut self) {
        self.spi.start(&self.host.inband());
    }

    /// Runs a frame as the framework does, and waits for at most `limit`.
    pub(crate) fn run_within(
        &mut self,
        cs: u8,
        kind: FrameKind,
        limit: Ns,
    ) -> Result<(), TransferError> {
        self.flag.clear();
        if self.spi.pulse(cs, kind)? == Pulse::Done {
            return Ok(());
        }
        let deadline = self.host.now().after(limit);
        let outcome = match self.flag.wait_until(&self.host.oob(), deadline) {
            Ok(()) => Outcome::Signalled,
            Err(_) => Outcome::TimedOut,
        };
        self.spi.finish(cs, outcome, &LongWait::SPIN)
    }

    pub(crate) fn run(&mut self, cs: u8) -> Result<(), TransferError> {
        self.run_within(cs, FrameKind::Regular, Ns(1_000_000_000))
    }

    /// Runs a frame as a thread does. Each sleep takes `late` longer. Returns the spans of the
    /// sleeps.
    pub(crate) fn run_asleep(&mut self, cs: u8, late: Ns) -> (Vec<Ns>, Result<(), TransferError>) {
        let spans = RefCell::default();
        let host = self.host.clone();
        let sleep = |span: Ns| {
            RefCell::<Vec<Ns>>::borrow_mut(&spans).push(span);
            host.run_until(host.now().after(span).after(late));
            true
        };
        let wait = LongWait::new(&sleep);
        let ended = match self.spi.pulse_may_sleep(cs, FrameKind::Regular, &wait) {
            Ok(Pulse::Done) => Ok(()),
            Ok(Pulse::InFlight) => {
                self.flag
                    .wait_until(&self.host.oob(), Instant::NEVER)
                    .unwrap();
                self.spi.finish(cs, Outcome::Signalled, &wait)
            }
            Err(error) => Err(error),
        };
        (spans.into_inner(), ended)
    }

    pub(crate) fn sent(&self, cs: u8) -> Vec<u8> {
        let slave = self.slaves[usize::from(cs)].borrow();
        slave.frames.last().cloned().unwrap_or_default()
    }

    pub(crate) fn seed(&self, cs: u8) -> u8 {
        self.slaves[usize::from(cs)].borrow().seed
    }

    /// Runs a frame with new data, and checks what both ends received.
    pub(crate) fn exchange(&mut self, cs: u8, frame: &Frame, salt: usize) {
        let bytes = payload(frame.len, salt);
        frame.send(&bytes);
        self.run(cs)
            .unwrap_or_else(|error| panic!("{} bytes: {error:?}", frame.len));
        assert_eq!(self.sent(cs), bytes, "sent, {} bytes", frame.len);
        assert_eq!(
            frame.received(),
            answers(self.seed(cs), frame.len),
            "received, {} bytes",
            frame.len
        );
        self.at_rest();
    }

    /// Checks what holds between frames: nothing is selected, the FIFOs are empty, DONE and TA are
    /// 0, no channel has work left, and no byte was ever lost or garbled.
    pub(crate) fn at_rest(&self) {
        assert!(self.slaves.iter().all(|slave| !slave.borrow().selected));
        let cs = self.board.mmio(Block::Spi0).read(0);
        assert_eq!(cs & (1 << 7 | 1 << 8 | 1 << 16 | 1 << 17), 0, "CS {cs:#x}");
        for channel in self.channels.into_iter().flat_map(<[u8; 2]>::from) {
            let offset = usize::from(channel) * 0x100 + 0x04;
            let block = self.board.mmio(Block::Dma).read(offset);
            assert_eq!(block, 0, "channel {channel} is armed");
        }
        let counts = self.board.spi_counts();
        assert_eq!((counts.overruns, counts.underruns), (0, 0));
        assert_eq!((counts.garbled, counts.control_words), (0, 0));
    }
}

pub(crate) fn payload(len: usize, salt: usize) -> Vec<u8> {
    (0..len)
        .map(|index| (index * 31 + salt * 101 + 1) as u8)
        .collect()
}

pub(crate) fn setup(chip_select: u8, frame_len: u32, speed_hz: u32) -> Setup {
    Setup {
        chip_select,
        mode: 0,
        speed_hz,
        bits_per_word: 8,
        frame_len,
        delays: Delays::default(),
    }
}
