// SPDX-License-Identifier: GPL-2.0-only

//! A DMA channel that is pulsed.
//!
//! ```text
//!           thread                                        interrupt
//!  prepare: control block -> coherent memory
//!  pulse:   CONBLK_AD <- block, CS <- ACTIVE
//!           (sleeps)          ... runs ...                Irq::handle: CS.INT? CS <- INT | ACTIVE
//!  residue: CONBLK_AD = 0 -> done
//!  abort:   CS <- 0, until no write is outstanding, CS <- RESET
//! ```
//!
//! - One thread at a time owns [`Channel`]. The channel's interrupt handler owns [`Irq`]. They
//!   share the hardware only, and the handler writes nothing but its acknowledgement.
//! - The acknowledgement keeps ACTIVE set, so it never pauses a transfer that the thread has just
//!   started. On a channel without a control block ACTIVE does nothing.
//! - Every transfer has WAIT_RESP. Towards a FIFO, posted writes would run past the request line;
//!   towards memory, the interrupt must not overtake the data.
//! - A transfer has one control block. SRC_IGNORE, DEST_IGNORE and stride are not used, because
//!   lite channels lack them.
//! - A bus error raises no interrupt: the transfer never ends. `take_fault` tells such an error
//!   from other causes.

pub mod regs;

use core::fmt;
use core::num::NonZeroU32;
use oob::io::Mmio;
use oob::time::{Clock, Ns};
use oob_dma::{DescriptorMemory, Direction, Fault, PrepareError, PulseChannel, Transfer};
use regs::{ControlBlock, Cs, Debug, Ti};

/// How long [`Channel::abort`](oob_dma::Channel::abort) waits for outstanding writes. They take
/// well under a microsecond. Only a device that has stopped answering holds one for ever.
const ABORT_WAIT: Ns = Ns(20_000);

/// Highest number of a request line (PERMAP has 5 bits).
const LAST_REQUEST: u8 = 31;

/// A channel, by its register window of at least 0x24 bytes.
pub struct Channel<M> {
    mmio: M,
    lite: bool,
}

impl<M> fmt::Debug for Channel<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("lite", &self.lite)
            .finish_non_exhaustive()
    }
}

/// The bus address, never 0, of a control block that is ready to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block(NonZeroU32);

impl<M: Mmio> Channel<M> {
    /// Takes a channel over, and reads from it whether it is a lite one.
    pub fn new(mmio: M) -> Self {
        let lite = Debug(mmio.read(regs::DEBUG)).lite();
        Self { mmio, lite }
    }

    /// Whether this is a lite channel.
    pub fn is_lite(&self) -> bool {
        self.lite
    }

    /// Most bytes that one transfer moves.
    pub fn max_len(&self) -> u32 {
        if self.lite {
            regs::LITE_MAX_LEN
        } else {
            regs::FULL_MAX_LEN
        }
    }
}

/// The control block of `transfer`, whose length is within the channel's limits.
fn control_block(transfer: &Transfer) -> Result<ControlBlock, PrepareError> {
    if transfer.request > LAST_REQUEST {
        return Err(PrepareError::Request);
    }
    let memory = u32::try_from(transfer.memory).map_err(|_| PrepareError::Address)?;
    let device = u32::try_from(transfer.device).map_err(|_| PrepareError::Address)?;
    if !memory.is_multiple_of(4)
        || !device.is_multiple_of(4)
        || memory.checked_add(transfer.len).is_none()
    {
        return Err(PrepareError::Address);
    }
    let mut ti = Ti(0);
    ti.set_inten(transfer.interrupt);
    ti.set_wait_resp(true);
    ti.set_permap(u32::from(transfer.request));
    let (source, dest) = match transfer.direction {
        Direction::ToDevice => {
            ti.set_src_inc(true);
            ti.set_dest_dreq(true);
            (memory, device)
        }
        Direction::FromDevice => {
            ti.set_dest_inc(true);
            ti.set_src_dreq(true);
            (device, memory)
        }
    };
    Ok(ControlBlock {
        ti: ti.0,
        source,
        dest,
        len: transfer.len,
        stride: 0,
        next: 0,
        reserved: [0; 2],
    })
}

impl<M: Mmio> PulseChannel for Channel<M> {
    type Descriptor = Block;

    unsafe fn prepare(
        &self,
        memory: &DescriptorMemory,
        slot: usize,
        transfer: &Transfer,
    ) -> Result<Block, PrepareError> {
        if transfer.len == 0 || !transfer.len.is_multiple_of(4) || transfer.len > self.max_len() {
            return Err(PrepareError::Length);
        }
        let block = control_block(transfer)?;
        let (cpu, bus) = memory
            .slot(slot, <Self as oob_dma::Channel>::SLOT)
            .ok_or(PrepareError::Slot)?;
        let bus = u32::try_from(bus).map_err(|_| PrepareError::Slot)?;
        let descriptor = Block(NonZeroU32::new(bus).ok_or(PrepareError::Slot)?);
        // SAFETY: `DescriptorMemory::slot` returned 32 bytes, aligned to 32, of memory that belongs
        // to `memory`. No transfer from this slot is under way, by this function's contract.
        unsafe { cpu.cast::<ControlBlock>().write_volatile(block) };
        Ok(descriptor)
    }

    #[inline]
    fn pulse(&self, descriptor: Block) {
        self.mmio.publish();
        self.mmio.write(regs::CONBLK_AD, descriptor.0.get());
        let mut go = Cs(0);
        go.set_active(true);
        self.mmio.write(regs::CS, go.0);
    }

    #[inline]
    fn residue(&self) -> u32 {
        if self.mmio.read(regs::CONBLK_AD) == 0 {
            self.mmio.observe();
            return 0;
        }
        self.mmio.read(regs::TXFR_LEN).max(1)
    }
}

impl<M: Mmio> oob_dma::Channel for Channel<M> {
    const SLOT: usize = size_of::<ControlBlock>();

    const ABORT_MAX: Ns = ABORT_WAIT;

    fn abort(&self, clock: &impl Clock) {
        self.mmio.write(regs::CS, 0);
        let deadline = clock.now().after(ABORT_WAIT);
        while Cs(self.mmio.read(regs::CS)).writing() && clock.now() < deadline {
            clock.relax();
        }
        let mut reset = Cs(0);
        reset.set_reset(true);
        self.mmio.write(regs::CS, reset.0);
        self.mmio.observe();
    }

    fn take_fault(&self) -> Option<Fault> {
        let debug = Debug(self.mmio.read(regs::DEBUG));
        let fault = if debug.read() {
            Fault::Read
        } else if debug.fifo() {
            Fault::Fifo
        } else if debug.read_last() {
            Fault::ReadLast
        } else {
            return None;
        };
        let mut clear = Debug(0);
        clear.set_read_last(true);
        clear.set_fifo(true);
        clear.set_read(true);
        self.mmio.write(regs::DEBUG, clear.0);
        Some(fault)
    }
}

/// The interrupt side of a channel, over the same register window.
pub struct Irq<M> {
    mmio: M,
}

impl<M> fmt::Debug for Irq<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Irq").finish_non_exhaustive()
    }
}

impl<M: Mmio> Irq<M> {
    /// The interrupt side of the channel behind `mmio`.
    pub const fn new(mmio: M) -> Self {
        Self { mmio }
    }

    /// Acknowledges the channel's interrupt, and returns whether there was one. Several channels
    /// share one line, so `false` is normal. Afterwards, what the transfer wrote to memory is
    /// visible.
    #[inline]
    pub fn handle(&self) -> bool {
        if !Cs(self.mmio.read(regs::CS)).int() {
            return false;
        }
        let mut ack = Cs(0);
        ack.set_int(true);
        ack.set_active(true);
        self.mmio.write(regs::CS, ack.0);
        self.mmio.observe();
        true
    }
}
