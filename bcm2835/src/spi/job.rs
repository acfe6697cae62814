// SPDX-License-Identifier: GPL-2.0-only

//! What `prepare` works out for a chip select, before its first frame.
//!
//! ```text
//!   core clock, wanted clock -> Divider -> effective clock, time on the wire
//!   frame memory: [ rx .. | pad ][ tx .. | pad ][ stop .. | pad ]
//!                 pad: for DMA, up to the next multiple of 4
//! ```

use super::regs::{Clk, Cs, NATIVE_LINES, NO_LINE};
use core::num::NonZeroU32;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU8;
use oob::time::{Instant, Ns};
use oob_spi::controller::{Delays, FrameMemory, MODE_CPHA, MODE_CPOL, MODE_NO_CS};
use oob_spi::validate::MAX_SPIN;

/// Descriptors of one chip select: RX, regular TX, stop TX.
pub(super) const SLOTS: usize = 3;

/// Clocks between the starts of two bytes, gap included: 9 where DLEN is below 2, else 8.
const GAPLESS: u32 = 8;
const WITH_GAP: u32 = 9;

/// A frame may take twice its time on the wire and this before the hardware counts as stuck. It
/// covers what holds the processor up meanwhile: interrupts, or an emulator.
const SLACK: Ns = Ns(100_000);

/// Core clock over SPI clock: even, 2 to 65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Divider {
    core_hz: NonZeroU32,
    cdiv: u32,
}

impl Divider {
    const MIN: u32 = 2;
    const MAX: u32 = 65_536;

    /// The divider for the fastest clock that is at most `hz`. `None` where even the slowest clock
    /// is faster than `hz`.
    pub(super) fn new(core_hz: NonZeroU32, hz: u32) -> Option<Self> {
        let hz = NonZeroU32::new(hz)?;
        let exact = core_hz.get().div_ceil(hz.get()).max(Self::MIN);
        let cdiv = exact.checked_next_multiple_of(2)?;
        (cdiv <= Self::MAX).then_some(Self { core_hz, cdiv })
    }

    /// The lowest and the highest clock, in Hz.
    pub(super) fn range(core_hz: NonZeroU32) -> (u32, u32) {
        (core_hz.get().div_ceil(Self::MAX), core_hz.get() / Self::MIN)
    }

    /// The clock, in Hz.
    pub(super) fn effective_hz(self) -> u32 {
        self.core_hz.get().checked_div(self.cdiv).unwrap_or(0)
    }

    /// The value of CLK: 65536 is written as 0.
    pub(super) fn register(self) -> Clk {
        let mut clk = Clk(0);
        clk.set_cdiv(self.cdiv & 0xffff);
        clk
    }

    /// Time of `len` bytes that follow each other without a gap.
    pub(super) fn time(self, len: u32) -> Ns {
        self.clocks(len, GAPLESS)
    }

    /// After this time, `len` bytes that have not been exchanged are stuck.
    pub(super) fn limit(self, len: u32) -> Ns {
        let wire = self.clocks(len, WITH_GAP).0;
        Ns(wire.saturating_mul(2).saturating_add(SLACK.0))
    }

    /// The same for a whole frame that a handler may have to send. It stays within [`MAX_SPIN`]
    /// unless the frame itself, with gaps between its bytes and with `delays`, takes longer.
    pub(super) fn handlers_limit(self, len: u32, delays: Ns) -> Ns {
        let room = Ns(MAX_SPIN.0.saturating_sub(delays.0));
        let limit = self.limit(len);
        match self.clocks(len, WITH_GAP) <= room {
            true => limit.min(room),
            false => limit,
        }
    }

    fn clocks(self, len: u32, per_byte: u32) -> Ns {
        let hz = u64::from(self.core_hz.get());
        let clocks = u64::from(len)
            .saturating_mul(u64::from(per_byte))
            .saturating_mul(u64::from(self.cdiv));
        // In two parts: the clocks of a long, slow frame times 10^9 do not fit 64 bits.
        let whole = clocks.checked_div(hz).unwrap_or(0);
        let rest = clocks.checked_rem(hz).unwrap_or(0);
        let part = rest.saturating_mul(1_000_000_000).div_ceil(hz.max(1));
        Ns(whole.saturating_mul(1_000_000_000).saturating_add(part))
    }
}

/// The CS register of a chip select at rest, without the polarity bits. `on_line`: the chip select
/// is a GPIO line.
pub(super) fn idle_word(chip_select: u8, mode: u32, on_line: bool) -> Cs {
    let mut cs = Cs(0);
    let native = chip_select < NATIVE_LINES && !on_line && mode & MODE_NO_CS == 0;
    cs.set_line(if native {
        u32::from(chip_select)
    } else {
        NO_LINE
    });
    cs.set_cpha(mode & MODE_CPHA != 0);
    cs.set_cpol(mode & MODE_CPOL != 0);
    cs
}

/// A frame's length, rounded up to the words of a DMA transfer, in bytes.
pub(super) fn padded(len: u32) -> u32 {
    len.next_multiple_of(4)
}

/// One area of the frame memory.
pub(super) type Area = NonNull<[AtomicU8]>;

/// The area of `len` bytes at `offset`, and its bus address. `None` where the memory has fewer than
/// `reach` bytes there.
pub(super) fn area(
    memory: &FrameMemory,
    offset: usize,
    len: u32,
    reach: u32,
) -> Option<(Area, u64)> {
    let end = offset.checked_add(usize::try_from(reach).ok()?)?;
    if end > memory.len {
        return None;
    }
    let bus = memory.bus.checked_add(u64::try_from(offset).ok()?)?;
    // SAFETY: `offset` is at most `end`, which lies within the `memory.len` bytes at `memory.cpu`.
    let start = unsafe { memory.cpu.add(offset) };
    let bytes = NonNull::slice_from_raw_parts(start.cast::<AtomicU8>(), usize::try_from(len).ok()?);
    Some((bytes, bus))
}

/// The descriptors of a frame that DMA moves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptors<T> {
    pub(super) rx: T,
    pub(super) tx: T,
    pub(super) stop: T,
}

/// A chip select with its frame, ready to be pulsed.
///
/// # Invariants
///
/// From `prepare` to `terminate`, `rx`, `tx` and `stop` lie in the frame memory, which is valid for
/// that time. Only user space and DMA access it meanwhile, and atomic accesses may race with them.
/// All three have the frame's length.
#[derive(Debug)]
pub(super) struct Job<T> {
    /// CS at rest, without the polarity bits.
    pub(super) idle: Cs,
    /// Whether the chip select is a GPIO line.
    pub(super) on_line: bool,
    pub(super) divider: Divider,
    pub(super) delays: Delays,
    /// The chip select stays inactive until this date.
    pub(super) ready: Instant,
    /// After this time a frame is stuck: one that a handler spins through, or one whose completion
    /// was signalled too early.
    pub(super) limit: Ns,
    pub(super) len: u32,
    pub(super) rx: Area,
    pub(super) tx: Area,
    pub(super) stop: Area,
    /// Present where DMA moves the frame.
    pub(super) dma: Option<Descriptors<T>>,
}

// SAFETY: by the type's invariant the areas are memory that is valid on every processor, and is not
// bound to a thread.
unsafe impl<T: Send> Send for Job<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CORE: NonZeroU32 = NonZeroU32::new(250_000_000).unwrap();

    fn cdiv(hz: u32) -> Option<u32> {
        Divider::new(CORE, hz).map(|d| d.cdiv)
    }

    #[test]
    fn dividers_at_the_edges() {
        assert_eq!(cdiv(u32::MAX), Some(2));
        assert_eq!(cdiv(125_000_000), Some(2));
        assert_eq!(cdiv(124_999_999), Some(4));
        assert_eq!(cdiv(10_000_000), Some(26));
        assert_eq!(cdiv(3_815), Some(65_532));
        assert_eq!(cdiv(0), None);
        let (low, high) = Divider::range(CORE);
        assert_eq!((low, high), (3_815, 125_000_000));
        assert_eq!(cdiv(low - 1), None);
        // This core clock needs the largest divider, which is written as 0.
        let core = NonZeroU32::new(65_536_000).unwrap();
        let slowest = Divider::new(core, 1_000).unwrap();
        assert_eq!(
            (slowest.cdiv, slowest.register(), slowest.effective_hz()),
            (65_536, Clk(0), 1_000)
        );
    }

    #[test]
    fn times_do_not_overflow_and_are_rounded_up() {
        let slow = Divider {
            core_hz: CORE,
            cdiv: 65_536,
        };
        assert_eq!(slow.time(65_532), Ns(137_430_564_864));
        let odd = Divider {
            core_hz: NonZeroU32::new(3).unwrap(),
            cdiv: 2,
        };
        assert_eq!(odd.time(1), Ns(5_333_333_334));
        assert_eq!(slow.limit(1), Ns(2 * 2_359_296 + 100_000));
    }

    proptest! {
        #[test]
        fn no_even_divider_is_better(core in 4u32..=500_000_000, hz in 1u32..) {
            let core = NonZeroU32::new(core).unwrap();
            let wanted = u64::from(hz);
            let clock_at = |cdiv: u32| u64::from(core.get()) / u64::from(cdiv);
            match Divider::new(core, hz) {
                Some(d) => {
                    prop_assert!(d.cdiv >= 2 && d.cdiv <= 65_536 && d.cdiv.is_multiple_of(2));
                    // Not faster than wanted, unless the fastest clock or a faster one was wanted.
                    prop_assert!(u64::from(core.get()) <= wanted * u64::from(d.cdiv)
                        || (d.cdiv == 2 && wanted >= clock_at(2)));
                    // The next faster clock would be too fast.
                    prop_assert!(d.cdiv == 2 || u64::from(core.get()) > wanted * u64::from(d.cdiv - 2));
                }
                None => prop_assert!(u64::from(core.get()) > wanted * 65_536),
            }
        }
    }
}
