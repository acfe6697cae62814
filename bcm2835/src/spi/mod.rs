// SPDX-License-Identifier: GPL-2.0-only

//! The SPI controller.
//!
//! ```text
//!  parts.rs       what a controller is made of        state.rs       its state
//!  job.rs         a prepared chip select: CS word, divider, wire time, buffers
//!  registers.rs   registers and lines: program, select, deselect, wait
//!  fifo.rs        bytes through the FIFO
//!  controller.rs  oob: prepare, pulse, finish         inband.rs      set_cs, transfer
//!
//!  FIFO frame:  [line on] CS<-TA [set-up] FIFO<-len bytes, until CS.DONE, len bytes<-FIFO
//!               [hold] [line off] CS<-DONE
//!  DMA frame:   CS<-clear, DLEN<-len, [line on] CS<-TA|DMAEN [set-up] RX channel on, TX channel on
//!               ... RX channel's interrupt ...  [hold] [line off] CS<-DONE|clear, DLEN<-0
//! ```
//!
//! Rules:
//! - **Path.** A frame goes through the FIFO where it fits ([`regs::FIFO_LEN`]) and takes at most
//!   [`SPIN_MAX`] on the wire. DMA moves any other frame. A controller without DMA moves every
//!   frame through the FIFO, refilling it, and accepts frames of at most [`FIFO_FRAME_MAX`] bytes.
//! - **Waiting.** A thread of either stage sleeps through each wait that it expects to be longer
//!   than [`SPIN_MAX`]: until the FIFO has to be served again, and through a chip select's delay.
//!   It spins through shorter waits. It also spins through the waits of an oob frame that takes at
//!   most [`FRAME_SPIN_MAX`] on the wire, because a sleep by date costs two schedules and no
//!   interrupt ends it. From 12.8 MHz on the FIFO has to be served again within 30 us, so a whole
//!   frame is spun through; the longest one takes 2.6 ms there. A handler spins, for at most
//!   `Prepared::spin`, whatever the hardware does.
//! - **Between frames** both FIFOs are empty, TA and DMAEN are 0, DONE has been written back, and
//!   no line is active. Every way out of a frame, failures included, ends in that state, and every
//!   frame relies on it. With TA at 0 a write to the FIFO would be a control word, so TA is always
//!   set first.
//! - **FIFO order.** At most [`regs::FIFO_LEN`] bytes are between TX FIFO, shifter and RX FIFO. So
//!   neither FIFO can overflow, and no flag is read for each byte.
//! - **DLEN** is written before every DMA frame, because the frame counts it down. For FIFO frames
//!   it is 2: then bytes follow each other after 8 clocks instead of 9.
//! - **DMA lengths** are the frame's, rounded up to a word. The controller sends no byte beyond
//!   DLEN. So each of the three areas of the frame memory must start at a multiple of 4 of the bus
//!   address, and have room for the frame's length rounded up to 4. Areas of whole cache lines do.
//!   DMA overwrites the rounding bytes of the RX area.
//! - **Chip select** is a native line, asserted by TA, or a [`CsLine`] where there is one. With a
//!   [`CsLine`], and for `MODE_NO_CS`, no native line is selected. A native line is active low in
//!   DMA mode: measurements showed that its polarity bits do nothing there. So frames by DMA are
//!   refused for an active-high line. They are also refused beside an active-high line whose chip
//!   select is in oob mode, because they would select it.

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
