// SPDX-License-Identifier: GPL-2.0-only

//! What an SPI controller does for the framework.
//!
//! ```text
//!  in-band   prepare(0)  start        prepare(1)              terminate(0)  terminate(1)  stop
//!  oob                        pulse [finish]   pulse [finish] ...
//! ```
//!
//! - The framework owns the life cycle. It makes all calls of one controller exclusive, and it
//!   decides deadlines.
//! - The controller owns the registers: chip select with its delays, the choice between FIFO and
//!   DMA, recovery.
//! - A pulse either moves the frame itself (`Pulse::Done`), or starts DMA and returns
//!   (`Pulse::InFlight`). In the second case the completion interrupt ends the frame, and the
//!   framework calls `finish`.
//! - `pulse`, `pulse_may_sleep` and `finish` run in any context: a thread of either stage, a
//!   timer's handler, the completion interrupt. They spin through short waits. A thread passes a
//!   [`LongWait`] that sleeps, and the controller passes each wait to it that is too long to spin.
//!   A handler's [`LongWait`] does not sleep: then the controller spins, and [`Prepared::spin`]
//!   bounds how long.
//! - When `finish` has returned, nothing of its frame is left in the hardware: no DMA runs, and no
//!   completion status is set that the interrupt handler could take for the next frame's.

use core::ptr::NonNull;
use oob::long_wait::LongWait;
use oob::stage::Inband;
use oob::time::Ns;

/// Clock phase: sample on the second edge (`SPI_CPHA`).
pub const MODE_CPHA: u32 = 1 << 0;
/// Clock polarity: idle high (`SPI_CPOL`).
pub const MODE_CPOL: u32 = 1 << 1;
/// Chip select is active high (`SPI_CS_HIGH`).
pub const MODE_CS_HIGH: u32 = 1 << 2;
/// No chip select (`SPI_NO_CS`).
pub const MODE_NO_CS: u32 = 1 << 6;

/// What a controller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Limits {
    /// Number of chip selects.
    pub chip_selects: u8,
    /// Longest frame, in bytes.
    pub max_frame_len: u32,
    /// Lowest clock, in Hz.
    pub min_speed_hz: u32,
    /// Highest clock, in Hz; a faster request is capped to it.
    pub max_speed_hz: u32,
    /// Bit `n - 1` is set where words of `n` bits are possible. A word takes 1, 2 or 4 bytes of the
    /// frame.
    pub word_bits: u32,
    /// The `MODE_*` bits that may be set.
    pub modes: u32,
}

/// Delays around the chip select.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Delays {
    /// From chip select active to the first clock edge.
    pub setup: Ns,
    /// From the last clock edge to chip select inactive.
    pub hold: Ns,
    /// From chip select inactive to its next activation.
    pub inactive: Ns,
}

impl Delays {
    /// The sum of all three.
    pub const fn sum(&self) -> Ns {
        let Self {
            setup,
            hold,
            inactive,
        } = self;
        Ns(setup.0.saturating_add(hold.0).saturating_add(inactive.0))
    }
}

/// How to send the frames of one chip select. The framework has checked it against [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Setup {
    /// The chip select, below [`Limits::chip_selects`].
    pub chip_select: u8,
    /// `MODE_*` bits.
    pub mode: u32,
    /// Wanted clock, in Hz.
    pub speed_hz: u32,
    /// Bits per word.
    pub bits_per_word: u8,
    /// Bytes per frame, at least 1. The framework checks that they are whole words.
    pub frame_len: u32,
    /// Delays around the chip select.
    pub delays: Delays,
}

/// Where one chip select's frame lies: coherent memory, which the processor and the DMA controller
/// see alike.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FrameMemory {
    /// The processor's address.
    pub cpu: NonNull<u8>,
    /// The bus address of the same byte.
    pub bus: u64,
    /// Bytes in all.
    pub len: usize,
    /// Where the received frame begins.
    pub rx_offset: usize,
    /// Where the frame to send begins.
    pub tx_offset: usize,
    /// Where the stop frame begins; user space cannot reach it.
    pub stop_offset: usize,
}

/// The kind of a frame. Both kinds receive into the same area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum FrameKind {
    /// The frame at [`FrameMemory::tx_offset`].
    Regular,
    /// The frame at [`FrameMemory::stop_offset`], which brings the device to rest when its owner
    /// fails.
    Stop,
}

/// How a frame is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Path {
    /// The processor moves it through the controller's FIFO, spinning. A pulse never returns
    /// [`Pulse::InFlight`], and has no wait that is too long to spin.
    Fifo,
    /// As `Fifo`, with waits that are too long to spin: threads call
    /// [`Controller::pulse_may_sleep`].
    SlowFifo,
    /// DMA moves it, and the thread sleeps until it is done.
    Dma,
}

/// The parameters that [`Controller::prepare`] arrived at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Prepared {
    /// The clock that is programmed, in Hz.
    pub effective_hz: u32,
    /// Time of one frame on the wire at that clock, chip-select delays included.
    pub wire: Ns,
    /// The longest that a handler spins when it sends one, whatever the hardware does; chip-select
    /// delays included.
    pub spin: Ns,
    /// How frames are moved.
    pub path: Path,
}

/// Why a frame set-up was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PrepareError {
    /// The clock cannot be derived.
    Speed,
    /// DMA is needed, and there is no channel, or no memory for its descriptors.
    NoDma,
    /// The chip select is to be active high, which the controller cannot do for frames that go by
    /// DMA, or beside them.
    ActiveHigh,
}

/// What [`Controller::pulse`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Pulse {
    /// The frame has been exchanged.
    Done,
    /// DMA has been started.
    InFlight,
}

/// Why a frame was not exchanged. The controller is idle and ready for the next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum TransferError {
    /// The hardware did not finish within the time a frame can take.
    Stuck,
    /// The DMA controller saw an error on the bus.
    Bus,
    /// That chip select has no prepared frame.
    NotPrepared,
}

/// How a frame in flight ended, as seen by the framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Outcome {
    /// The flag was raised.
    Signalled,
    /// The deadline passed first: stop the DMA, empty the FIFOs, make the next pulse work.
    TimedOut,
}

/// An SPI controller. All calls are exclusive: the framework holds the bus.
pub trait Controller {
    /// What the controller can do.
    fn limits(&self) -> Limits;

    /// Prepares the frames of one chip select. Does not touch the bus's lines.
    ///
    /// # Errors
    ///
    /// See [`PrepareError`].
    ///
    /// # Safety
    ///
    /// Until [`Self::terminate`] the memory that `memory` describes is valid, for the processor and
    /// for the device. Only the processor, the device and user space access it meanwhile.
    unsafe fn prepare(
        &mut self,
        inband: &Inband<'_>,
        setup: &Setup,
        memory: &FrameMemory,
    ) -> Result<Prepared, PrepareError>;

    /// Enters oob mode: puts the registers into a known state. Clocks stay on.
    fn start(&mut self, inband: &Inband<'_>);

    /// Exchanges, or begins to exchange, the frame of `chip_select`.
    ///
    /// # Errors
    ///
    /// See [`TransferError`].
    fn pulse(&mut self, chip_select: u8, kind: FrameKind) -> Result<Pulse, TransferError>;

    /// As [`Self::pulse`], for a thread: the controller passes waits that are too long to spin to
    /// `wait`. If `wait` gives the frame up, this returns [`TransferError::Stuck`].
    ///
    /// # Errors
    ///
    /// See [`TransferError`].
    fn pulse_may_sleep(
        &mut self,
        chip_select: u8,
        kind: FrameKind,
        wait: &LongWait<'_>,
    ) -> Result<Pulse, TransferError>;

    /// Ends a frame that was in flight: chip select inactive, registers as `pulse` expects them.
    ///
    /// # Errors
    ///
    /// [`TransferError::Bus`] where DMA stopped on an error. [`TransferError::Stuck`] after
    /// [`Outcome::TimedOut`]; the framework counts an `Ok` as stuck then, too.
    fn finish(
        &mut self,
        chip_select: u8,
        outcome: Outcome,
        wait: &LongWait<'_>,
    ) -> Result<(), TransferError>;

    /// Forgets the frames of one chip select.
    fn terminate(&mut self, inband: &Inband<'_>, chip_select: u8);

    /// Leaves oob mode: puts the controller into the state that an in-band transfer expects.
    fn stop(&mut self, inband: &Inband<'_>);
}
