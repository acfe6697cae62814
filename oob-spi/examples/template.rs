// SPDX-License-Identifier: GPL-2.0-only
//! A template for a new SPI controller: bytes through a data register, no DMA. Copy it and put your
//! registers in. `tests/template.rs` exercises it: `cargo test -p oob-spi --test template`.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use oob::{io::Mmio, long_wait::LongWait, stage::Inband, time::Ns};
use oob_spi::controller::*;

const DATA: usize = 0x00; // Write: the byte to send. Read: the byte received for it.
const STATUS: usize = 0x04; // Bit 0: the byte has been exchanged.
const POLLS: u32 = 1_000; // After so many without an answer the frame is stuck.
const LIMITS: Limits = Limits {
    chip_selects: 1,
    max_frame_len: 64,
    min_speed_hz: 1_000_000,
    max_speed_hz: 1_000_000,
    word_bits: 1 << 7, // Words of 8 bits.
    modes: 0,
};

/// The registers, and the frame that `prepare` was given.
pub struct Template<M>(pub M, pub Option<(FrameMemory, usize)>);

type Pulsed = Result<Pulse, TransferError>;

impl<M: Mmio> Controller for Template<M> {
    fn limits(&self) -> Limits {
        LIMITS
    }

    unsafe fn prepare(
        &mut self,
        _: &Inband<'_>,
        setup: &Setup,
        memory: &FrameMemory,
    ) -> Result<Prepared, PrepareError> {
        self.1 = Some((*memory, setup.frame_len as usize));
        let wire = Ns(u64::from(setup.frame_len) * 8_000);
        Ok(Prepared {
            effective_hz: setup.speed_hz,
            wire,
            spin: Ns(wire.0 * 2),
            path: Path::Fifo,
        })
    }

    fn start(&mut self, _: &Inband<'_>) {} // Put the registers into a known state.

    fn pulse(&mut self, _: u8, kind: FrameKind) -> Pulsed {
        let (memory, len) = self.1.as_ref().ok_or(TransferError::NotPrepared)?;
        let at = |offset| memory.cpu.as_ptr().wrapping_add(offset);
        // SAFETY: the areas lie in the memory, which is valid from `prepare` to `terminate`.
        let byte = |offset| unsafe { AtomicU8::from_ptr(at(offset)) };
        let tx = match kind {
            FrameKind::Regular => memory.tx_offset,
            FrameKind::Stop => memory.stop_offset,
        };
        for i in 0..*len {
            self.0.write(DATA, byte(tx + i).load(Relaxed).into());
            let is_done = (0..POLLS).any(|_| self.0.read(STATUS) & 1 != 0);
            let got = is_done.then(|| self.0.read(DATA) as u8);
            byte(memory.rx_offset + i).store(got.ok_or(TransferError::Stuck)?, Relaxed);
        }
        Ok(Pulse::Done)
    }

    fn pulse_may_sleep(&mut self, cs: u8, kind: FrameKind, _: &LongWait<'_>) -> Pulsed {
        self.pulse(cs, kind) // `Path::Fifo`: no wait is too long to spin.
    }

    fn finish(&mut self, _: u8, _: Outcome, _: &LongWait<'_>) -> Result<(), TransferError> {
        Ok(()) // `Path::Fifo`: no frame is ever in flight.
    }

    fn terminate(&mut self, _: &Inband<'_>, _: u8) {
        self.1 = None;
    }

    fn stop(&mut self, _: &Inband<'_>) {} // Put the registers into the state of `start`.
}
