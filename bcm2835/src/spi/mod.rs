// SPDX-License-Identifier: GPL-2.0-only

//! The SPI controller.
//!
//! ```text
//!  job.rs         what is known of a chip select before its first frame: CS word, divider, wire time, path, buffers
//!  registers.rs        registers and lines: program, select, deselect, wait
//!  fifo.rs        bytes through the FIFO, spinning
//!  controller.rs  oob: prepare, pulse, finish                inband.rs  set_cs, transfer
//!
//!  FIFO frame:  [line on] CS<-TA [set-up] FIFO<-len bytes, until CS.DONE, len bytes<-FIFO [hold] [line off] CS<-DONE
//!  DMA frame:   CS<-clear, DLEN<-len, [line on] CS<-TA|DMAEN [set-up] RX channel on, TX channel on
//!               ... RX channel's interrupt ...  [hold] [line off] CS<-DONE|clear, DLEN<-0
//! ```
//!
//! Rules:
//! - **Path.** A frame goes through the FIFO where it fits in ([`regs::FIFO_LEN`]) and takes at most [`SPIN_MAX`] on the
//!   wire; any other by DMA. A controller without DMA moves every frame through the FIFO, refilling it, and takes
//!   frames of at most [`FIFO_FRAME_MAX`] bytes then.
//! - **Waiting.** A thread of either stage sleeps through each wait that is expected to be longer than [`SPIN_MAX`]: until
//!   the FIFO has to be served again, and through a chip select's delay. Shorter ones are spun, and so is the wait of
//!   an oob frame that takes at most [`FRAME_SPIN_MAX`] on the wire, because a sleep by date costs two schedules and no
//!   interrupt ends it. (So a frame is spun out whole from 12.8 MHz on, where the FIFO has to be served again within 30 us;
//!   the longest one takes 2.6 ms there.) A handler spins, for at most `Prepared::spin`, whatever the hardware does.
//! - **Between frames** both FIFOs are empty, TA and DMAEN are 0, DONE has been written back and no line is active. Every
//!   path out of a frame, failures included, ends there; every frame relies on it. A write to the FIFO with TA at 0
//!   would be taken for a control word, so TA is set first, always.
//! - **FIFO order.** At most [`regs::FIFO_LEN`] bytes are between TX FIFO, shifter and RX FIFO. So neither FIFO can run
//!   over, and no flag is read per byte.
//! - **DLEN** is written before every DMA frame, because the frame counts it down. For FIFO frames it is 2, which
//!   makes bytes follow each other after 8 clocks and not 9.
//! - **DMA lengths** are the frame's, rounded up to a word; the controller sends no byte beyond DLEN. The frame memory
//!   has to provide that: each of its three areas starts at a multiple of 4 of the bus address and has room for the
//!   frame's length rounded up to 4, which areas of whole cache lines do. The rounding bytes of the RX area are
//!   overwritten.
//! - **Chip select** is a native line, asserted by TA, or a [`CsLine`] where one is given; then, and for
//!   `MODE_NO_CS`, no native line is selected. A native line is active low in DMA mode: its polarity bits have been
//!   measured to do nothing there. So frames by DMA are refused for an active-high line, and beside one whose chip
//!   select is in oob mode, too: they would select it.

mod controller;
mod fifo;
mod inband;
mod job;
mod parts;
mod registers;
pub mod regs;
mod state;

pub use parts::*;
pub use state::Spi;
