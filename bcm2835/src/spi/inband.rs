// SPDX-License-Identifier: GPL-2.0-only

//! The controller, for ordinary messages while oob mode is off.
//!
//! ```text
//!   message:  set_cs_inband(on)  transfer_inband  transfer_inband ...  set_cs_inband(off)
//!             CS <- idle | TA         FIFO             FIFO            CS <- idle | DONE
//! ```
//!
//! - Transfers have any length, and go through the FIFO. The message pump makes the delays between
//!   transfers and around the chip select.
//! - TA asserts the native chip select, so TA stays set from `set_cs_inband(on)` to `(off)`. A
//!   transfer whose chip select is not held sets and clears TA itself.
//! - A transfer that gets stuck leaves everything at rest, chip select included.

use super::fifo::{End, exchange};
use super::job::{Divider, idle_word};
use super::parts::CsLine;
use super::registers::{Mode, Stuck};
use super::regs::Cs;
use super::state::Spi;
use oob::io::Mmio;
use oob::long_wait::LongWait;
use oob::stage::Inband;
use oob::time::{Clock, Instant};
use oob_dma::PulseChannel;
use oob_spi::controller::{MODE_CS_HIGH, MODE_NO_CS};
use oob_spi::inband::{Buffers, InbandController, InbandError, InbandSetup};

impl<M: Mmio, C: Clock, D: PulseChannel, L: CsLine> InbandController for Spi<M, C, D, L> {
    fn set_cs_inband(
        &mut self,
        _inband: &Inband<'_>,
        chip_select: u8,
        mode: u32,
        active: bool,
    ) -> Result<(), InbandError> {
        let (idle, on_line) = self.claim_inband(chip_select, mode)?;
        if active {
            self.registers.program_idle(idle);
            if on_line {
                self.registers.drive(chip_select, true);
            }
            self.registers.begin(idle, Mode::Fifo);
            self.held = Some(chip_select);
        } else {
            if on_line {
                self.registers.drive(chip_select, false);
            }
            self.registers.end(idle, false);
            self.held = None;
        }
        Ok(())
    }

    fn transfer_inband(
        &mut self,
        _inband: &Inband<'_>,
        setup: &InbandSetup,
        buffers: Buffers<'_>,
        wait: &LongWait<'_>,
    ) -> Result<u32, InbandError> {
        let divider = Divider::new(self.core_hz, setup.speed_hz).ok_or(InbandError::Speed)?;
        let (len, tx, rx) = match buffers {
            Buffers::Send(tx) => (tx.len(), Some(tx), None),
            Buffers::Receive(rx) => (rx.len(), None, Some(rx)),
            Buffers::Both(tx, rx) if tx.len() == rx.len() => (tx.len(), Some(tx), Some(rx)),
            Buffers::Both(..) => return Err(InbandError::Length),
        };
        let (idle, _) = self.claim_inband(setup.chip_select, setup.mode)?;
        let held = self.held == Some(setup.chip_select);
        if !held {
            self.registers.program_idle(idle);
        }
        self.registers.set_clock(divider);
        if !held {
            self.registers.begin(idle, Mode::Fifo);
        }
        let ends = (End::new(tx), End::new(rx));
        let moved = exchange(
            &self.registers,
            divider,
            len,
            ends,
            Instant::NEVER,
            |span| wait.pass(span),
        );
        match moved {
            Ok(()) if held => {}
            Ok(()) => self.registers.end(idle, false),
            Err(Stuck) => {
                self.quiesce();
                return Err(InbandError::Stuck);
            }
        }
        Ok(divider.effective_hz())
    }
}

impl<M: Mmio, C: Clock, D: PulseChannel, L: CsLine> Spi<M, C, D, L> {
    /// The chip select's CS word at rest, and whether it is a GPIO line. The registers that oob
    /// mode programmed are lost: `start` programs them anew.
    fn claim_inband(&mut self, chip_select: u8, mode: u32) -> Result<(Cs, bool), InbandError> {
        if !self.has_chip_select(chip_select) {
            return Err(InbandError::ChipSelect);
        }
        let on_line = self.registers.line(chip_select).is_some() && mode & MODE_NO_CS == 0;
        self.registers
            .set_active_high(chip_select, mode & MODE_CS_HIGH != 0 && !on_line);
        Ok((idle_word(chip_select, mode, on_line), on_line))
    }
}
