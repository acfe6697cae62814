// SPDX-License-Identifier: GPL-2.0-only

use super::*;
use crate::slaves::motor::Motor;
use motor_frame::{Command, FLAG_ENABLE, FRAME_LEN, Status};
use oob::wait::{Flag, WaitError};
use zerocopy::{FromBytes, IntoBytes};

const CS: usize = 0x00;
const CLK: usize = 0x08;
const DLEN: usize = 0x0c;
const TA: u32 = 1 << 7;
const DMAEN: u32 = 1 << 8;
const INTD: u32 = 1 << 9;
const CLEAR: u32 = 3 << 4;
const DONE: u32 = 1 << 16;
const INT: u32 = 1 << 2;
const RX: usize = 0x500;
const TX: usize = 0x400;

/// A minimal DMA driver: it exchanges one frame with the motor on line 0.
struct Rig {
    host: Host,
    board: HostBoard,
    motor: Rc<RefCell<Motor>>,
    frames: DmaMemory,
    blocks: DmaMemory,
    done: Rc<oob::host::HostFlag>,
}

impl Rig {
    fn new() -> Self {
        let host = Host::new();
        let board = HostBoard::new(&host);
        let motor = Rc::new(RefCell::new(Motor::new()));
        board.attach_slave(0, motor.clone());
        let done = Rc::new(host.flag(&host.inband()));
        let (dma, raised) = (board.mmio(Block::Dma), done.clone());
        board.on_irq(IrqLine::Dma(5), move || {
            dma.write(RX, INT | 1);
            raised.raise();
        });
        board.mmio(Block::Spi0).write(CLK, 26);
        Self {
            frames: board.dma_alloc(2 * FRAME_LEN, 4),
            blocks: board.dma_alloc(64, 32),
            host,
            board,
            motor,
            done,
        }
    }

    fn pulse(&self, command: &Command) {
        let (spi, dma) = (self.board.mmio(Block::Spi0), self.board.mmio(Block::Dma));
        self.frames.fill(FRAME_LEN, command.as_bytes());
        let out = [
            6 << 16 | 0x148,
            self.frames.bus() + 16,
            0x7e20_4004,
            16,
            0,
            0,
            0,
            0,
        ];
        let back = [
            7 << 16 | 0x419,
            0x7e20_4004,
            self.frames.bus(),
            16,
            0,
            0,
            0,
            0,
        ];
        for (index, word) in (0..).zip(out.into_iter().chain(back)) {
            self.blocks.fill(index * 4, &u32::to_le_bytes(word));
        }
        spi.write(DLEN, 16);
        spi.write(CS, TA | DMAEN | DONE);
        dma.write(RX + 4, self.blocks.bus() + 32);
        dma.write(RX, 1);
        dma.write(TX + 4, self.blocks.bus());
        dma.write(TX, 1);
    }

    fn wait(&self) -> Result<(), WaitError> {
        let deadline = self.host.now().after(Ns(100_000));
        self.done.wait_until(&self.host.oob(), deadline)
    }

    fn finish(&self) {
        self.board.mmio(Block::Spi0).write(CS, DONE | CLEAR);
    }
}

#[test]
fn a_frame_by_dma_reaches_the_motor_and_its_interrupt_the_driver() {
    let rig = Rig::new();
    for sequence in 1..=20 {
        let began = rig.host.now();
        rig.pulse(&Command::new(sequence, FLAG_ENABLE, 1 << 15));
        assert_eq!(rig.wait(), Ok(()));
        rig.finish();
        let took = rig.host.now().since(began).0;
        let wire = 16 * 8 * 26 * 4;
        assert!((wire..wire + 2_000).contains(&took), "{took} ns");
        let status = Status::read_from_bytes(&rig.frames.to_vec()[..FRAME_LEN]).unwrap();
        assert!(status.is_valid());
        assert_eq!(status.sequence.get(), sequence - 1);
        rig.host.run_until(rig.host.now().after(Ns(100_000)));
    }
    assert_eq!(rig.motor.borrow().counts().accepted, 20);
    assert!(rig.motor.borrow_mut().status(rig.host.now()).position.get() > 0);
    assert_eq!(rig.board.chip_select(0).selections, 20);
    assert_eq!(rig.board.spi_counts().overruns, 0);
}

#[test]
fn every_access_costs_time_and_is_counted() {
    let rig = Rig::new();
    let before = (rig.host.now(), rig.board.accesses());
    rig.board.set_access_cost(Ns(70));
    rig.pulse(&Command::new(1, 0, 0));
    rig.board.mmio(Block::Spi0).read(CS);
    let accesses = rig.board.accesses();
    assert_eq!(rig.host.now().since(before.0), Ns(7 * 70));
    assert_eq!(accesses.spi_writes - before.1.spi_writes, 2);
    assert_eq!(accesses.spi_reads - before.1.spi_reads, 1);
    assert_eq!((accesses.dma_writes, accesses.dma_reads), (4, 0));
}

#[test]
fn a_lost_interrupt_ends_in_the_waits_deadline() {
    let rig = Rig::new();
    rig.board
        .with_faults(|faults| faults.lost_irqs = Some((IrqLine::Dma(5), 1)));
    rig.pulse(&Command::new(1, 0, 0));
    assert_eq!(rig.wait(), Err(WaitError::TimedOut));
    let dma = rig.board.mmio(Block::Dma);
    assert_ne!(dma.read(RX) & INT, 0);
    dma.write(RX, INT);
    rig.finish();
    rig.pulse(&Command::new(2, 0, 0));
    assert_eq!(rig.wait(), Ok(()));
}

#[test]
fn a_line_raised_by_a_register_write_interrupts_at_the_next_wait() {
    let rig = Rig::new();
    let spi = rig.board.mmio(Block::Spi0);
    let (masked, calls) = (spi.clone(), Rc::new(Cell::new(0)));
    let counted = calls.clone();
    rig.board.on_irq(IrqLine::Spi, move || {
        counted.set(counted.get() + 1);
        masked.write(CS, TA);
    });
    spi.write(CS, TA | INTD);
    assert_eq!(calls.get(), 0, "not inside the driver's own access");
    assert!(rig.board.irq_lines().contains(IrqLine::Spi));
    rig.host.relax();
    assert_eq!(calls.get(), 1);
    rig.host.relax();
    assert_eq!(calls.get(), 1);
}

#[test]
fn a_handler_is_called_again_while_its_line_is_high_and_never_nests() {
    let rig = Rig::new();
    let spi = rig.board.mmio(Block::Spi0);
    let (window, host) = (spi.clone(), rig.host.clone());
    let (calls, inside) = (Rc::new(Cell::new(0)), Cell::new(false));
    let counted = calls.clone();
    rig.board.on_irq(IrqLine::Spi, move || {
        assert!(!inside.replace(true), "nested");
        counted.set(counted.get() + 1);
        host.relax();
        if counted.get() == 3 {
            window.write(CS, TA);
        }
        inside.set(false);
    });
    spi.write(CS, TA | INTD);
    rig.host.relax();
    assert_eq!(calls.get(), 3);
}

#[test]
#[should_panic(expected = "interrupt storm")]
fn a_line_that_is_never_lowered_fails_the_test() {
    let rig = Rig::new();
    rig.board.on_irq(IrqLine::Spi, || {});
    rig.board.mmio(Block::Spi0).write(CS, TA | INTD);
    rig.host.relax();
}

#[test]
fn memory_is_aligned_zeroed_and_shared() {
    let rig = Rig::new();
    let a = rig.board.dma_alloc(3, 1);
    let b = rig.board.dma_alloc(64, 4096);
    assert_eq!(b.bus() % 4096, 0);
    assert_eq!(b.cpu().addr().get() % 4096, 0);
    assert!(b.bus() >= a.bus() + 3);
    assert_eq!(b.to_vec(), [0; 64]);
    // SAFETY: `b` has 64 bytes, so its first one may be written, and nothing accesses it at the
    // same time.
    unsafe { b.cpu().write(9) };
    assert_eq!(b.to_vec()[0], 9);
    b.fill(0, &[7]);
    // SAFETY: `b` has 64 bytes, all initialised, and nothing accesses them at the same time.
    assert_eq!(unsafe { b.cpu().read() }, 7);
}
