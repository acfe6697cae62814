// SPDX-License-Identifier: MIT OR Apache-2.0

//! `/dev/oob/spidev<bus>.<chip select>`: out-of-band SPI transfers.
//!
//! The first three numbers and [`Enable`] are EVL's own, so that a program written for EVL's spidev runs here after
//! relinking and changing the device's path. The others are this kit's.
//!
//! ```text
//! open -> WR_MODE, WR_BITS_PER_WORD, WR_MAX_SPEED_HZ -> ENABLE -> mmap -> attach
//!      -> { fill TX; RUN | RUN_UNTIL | RUN_LIST; read RX }* -> munmap -> DISABLE -> close
//! ```
//!
//! The buffer: `[ rx | pad ][ tx | pad ]`, at offset 0 of the file.
//!
//! What each call refuses with, one errno for each cause (a refused call changes nothing and is counted in
//! [`Stats::rejected`]):
//!
//! | call | errno and cause |
//! | --- | --- |
//! | all | `ENOTTY` unknown call; `EFAULT` bad pointer; `EINVAL` reserved field not zero; `ENODEV` controller gone; `ECHRNG` no such chip select; `EACCES` oob mode belongs to another process |
//! | exchange calls | `EPERM` thread not attached; `ENXIO` oob mode off; `ESHUTDOWN` being switched off; `EOWNERDEAD` stopped by the fail-safe, until DISABLE and ENABLE; `EALREADY` the bus is busy with another thread's or a timer's frame; `EAGAIN` an in-band call is setting the bus up; `EINTR` a signal came during the wait for a timer's frame |
//! | `RUN_UNTIL`, `RUN_LIST` | `ESTALE` the deadline had passed before the frame: not sent; `ETIME` it passed during the frame: exchanged, but late |
//! | `RUN_LIST` | `ENODATA` no entries; `E2BIG` too many; `EOPNOTSUPP` an entry's frames are started by a timer |
//! | frames that fail | `ETIMEDOUT` not finished in [`Info::limit_ns`]; `EREMOTEIO` bus error |
//! | `ENABLE_OOB_MODE` | `ENODATA` frame_len 0; `EMSGSIZE` too long; `EBADMSG` not whole words; `EPROTONOSUPPORT` bits per word; `EPROTOTYPE` mode; `ERANGE` speed too low; `EOVERFLOW` a frame takes more than 2 s on the wire; `EBUSY` on already; `ETIME` an in-band message held the bus too long; `ENOMEM` no memory; `EUSERS` the buffers of [`BUFFERS_MAX`] earlier sessions are still mapped; `EIO` no DMA; `EOPNOTSUPP` an active-high chip select for frames that go by DMA, or beside them, on a controller that cannot do that |
//! | `WR_*`, `SET_DELAYS` | `EBUSY` oob mode on; `EPROTOTYPE`, `EPROTONOSUPPORT`, `ERANGE` as above; `EDOM` a delay above 1 ms |
//! | `SET_TRIGGER` | `ENXIO`, `ESHUTDOWN`, `EOWNERDEAD` as above; `EOPNOTSUPP` kind; `ERANGE` period; `EOVERFLOW` first date; `E2BIG` the timer's handler could spin for more than 200 us: the frame (FIFO, with a gap between its bytes) and the chip-select delays take longer, or (DMA) the delays and 60 us do |
//! | `SET_STOP` | the same but `EOPNOTSUPP` and `EOVERFLOW`, `E2BIG` (for whichever handler sends the stop frame) with a miss limit only; `EDOM` a period without a miss limit |
//! | `GET_INFO`, `DISABLE_OOB_MODE` | `ENXIO` oob mode off; `ESHUTDOWN` being switched off |
//! | `mmap` | `ENXIO`, `ESHUTDOWN` as above; `EFBIG` too long; `ESPIPE` offset not 0; `EINVAL` not `MAP_SHARED`; `EBUSY` mapped through another node of the same device |

use crate::ioc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// spidev's and EVL's ioctl group.
pub const GROUP: u8 = b'k';

/// spidev: reads the mode (8 bits).
pub const RD_MODE: u32 = ioc::ior::<u8>(GROUP, 1);
/// spidev: sets the mode (8 bits).
pub const WR_MODE: u32 = ioc::iow::<u8>(GROUP, 1);
/// spidev: reads bits per word.
pub const RD_BITS_PER_WORD: u32 = ioc::ior::<u8>(GROUP, 3);
/// spidev: sets bits per word; 0 means 8.
pub const WR_BITS_PER_WORD: u32 = ioc::iow::<u8>(GROUP, 3);
/// spidev: reads the clock, in Hz.
pub const RD_MAX_SPEED_HZ: u32 = ioc::ior::<u32>(GROUP, 4);
/// spidev: sets the clock, in Hz.
pub const WR_MAX_SPEED_HZ: u32 = ioc::iow::<u32>(GROUP, 4);
/// spidev: reads the mode (32 bits).
pub const RD_MODE32: u32 = ioc::ior::<u32>(GROUP, 5);
/// spidev: sets the mode (32 bits).
pub const WR_MODE32: u32 = ioc::iow::<u32>(GROUP, 5);

/// EVL: enters oob mode (in-band call). Argument: [`Enable`].
pub const ENABLE_OOB_MODE: u32 = ioc::iowr::<Enable>(GROUP, 50);
/// EVL: leaves oob mode (in-band call).
pub const DISABLE_OOB_MODE: u32 = ioc::io(GROUP, 51);
/// EVL: exchanges one frame (exchange call, oob).
pub const RUN_OOB_XFER: u32 = ioc::io(GROUP, 52);

/// Exchanges one frame that must be done by a date (exchange call). Argument: [`RunUntil`].
///
/// A frame that has been started is never cut short by its deadline: half a frame tells a device nothing.
pub const RUN_UNTIL: u32 = ioc::iow::<RunUntil>(GROUP, 64);
/// Exchanges the frames of several chip selects of the bus, one after the other (exchange call). Argument: [`RunList`].
pub const RUN_LIST: u32 = ioc::iowr::<RunList>(GROUP, 65);
/// Chooses what starts a frame (in-band call). Argument: [`Trigger`].
pub const SET_TRIGGER: u32 = ioc::iow::<Trigger>(GROUP, 66);
/// Sets the stop frame: the present content of the TX area, and when it is sent (in-band call). Argument: [`Stop`].
pub const SET_STOP: u32 = ioc::iow::<Stop>(GROUP, 67);
/// Reads the counters (in-band call). Argument: [`Stats`].
pub const GET_STATS: u32 = ioc::ior::<Stats>(GROUP, 68);
/// Reads what `ENABLE_OOB_MODE` settled on (in-band call). Argument: [`Info`].
pub const GET_INFO: u32 = ioc::ior::<Info>(GROUP, 69);
/// Sets the delays round the chip select, before `ENABLE_OOB_MODE` (in-band call). Argument: [`Delays`].
pub const SET_DELAYS: u32 = ioc::iow::<Delays>(GROUP, 70);

/// Most buffers of one chip select: the present session's, and those of earlier ones that are still mapped.
pub const BUFFERS_MAX: usize = 4;

/// Argument of [`ENABLE_OOB_MODE`]; EVL's `struct spi_ioc_oob_setup`, 24 bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Enable {
    /// In: bytes per frame.
    pub frame_len: u32,
    /// In: clock in Hz; 0 means the device's.
    pub speed_hz: u32,
    /// In: bits per word; 0 means the device's.
    pub bits_per_word: u8,
    /// Anything: padding in EVL's structure, so that EVL's programs need not set it.
    pub pad: [u8; 3],
    /// Out: bytes to map.
    pub iobuf_len: u32,
    /// Out: where the frame to send begins.
    pub tx_offset: u32,
    /// Out: where the received frame begins.
    pub rx_offset: u32,
}

/// Argument of [`RUN_UNTIL`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RunUntil {
    /// `CLOCK_MONOTONIC` date, in ns, by which the frame must be done.
    pub deadline_ns: u64,
    /// Zero.
    pub reserved: u64,
}

/// Most entries of a [`RunList`].
pub const LIST_MAX: usize = 16;

/// Argument of [`RUN_LIST`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RunList {
    /// `CLOCK_MONOTONIC` date, in ns, by which all must be done; 0 means each frame's own time limit.
    pub deadline_ns: u64,
    /// How many entries are used, 1 to [`LIST_MAX`].
    pub count: u32,
    /// Zero.
    pub reserved: u32,
    /// The frames, in order.
    pub entries: [ListEntry; LIST_MAX],
}

/// One frame of a [`RunList`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ListEntry {
    /// In: a chip select in oob mode, enabled by this process.
    pub chip_select: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// Out: 0 or a negative errno; `-ECANCELED` where an earlier entry's failure stopped the list.
    pub status: i32,
}

/// [`Trigger::kind`]: the exchange call starts the frame.
pub const TRIGGER_CALL: u32 = 0;
/// [`Trigger::kind`]: a timer starts the frame, and the exchange call waits for the next one that ends, however late the
/// timer is. A frame that the hardware does not finish is told within 50 ms after [`Info::limit_ns`].
pub const TRIGGER_TIMER: u32 = 1;

/// Argument of [`SET_TRIGGER`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Trigger {
    /// `TRIGGER_*`; any other is `EOPNOTSUPP`.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// Timer: `CLOCK_MONOTONIC` date of the first frame, in ns, below 2^63. Call: zero.
    pub first_ns: u64,
    /// Timer: period in ns; below the time of two frames, below 20 us or above an hour it is `ERANGE`. Call: zero.
    pub period_ns: u64,
}

/// Argument of [`SET_STOP`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Stop {
    /// After how many missed deadlines in a row the stop frame is sent; 0: only when the owner dies or closes. A frame
    /// that failed is a missed deadline here.
    pub miss_limit: u32,
    /// Zero.
    pub reserved: u32,
    /// A deadline counts as missed, too, each time no exchange call comes for this long, in ns; 0: not watched. It has
    /// the bounds of [`Trigger::period_ns`]. The stop frame goes out at most one such period after the last miss, and after
    /// the frame of another chip select that is under way then. A call that waits for a timer's frame counts as one that
    /// comes all the time.
    pub period_ns: u64,
}

/// Argument of [`SET_DELAYS`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Delays {
    /// From chip select active to the first clock edge, in ns.
    pub setup_ns: u32,
    /// From the last clock edge to chip select inactive, in ns.
    pub hold_ns: u32,
    /// From chip select inactive to its next activation, in ns.
    pub inactive_ns: u32,
    /// Zero.
    pub reserved: u32,
}

/// [`Info::path`]: the processor moves the frame through the FIFO.
pub const PATH_FIFO: u32 = 0;
/// [`Info::path`]: DMA moves the frame.
pub const PATH_DMA: u32 = 1;

/// Result of [`GET_INFO`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Info {
    /// The clock that is really programmed, in Hz.
    pub effective_hz: u32,
    /// `PATH_*`.
    pub path: u32,
    /// Time of one frame on the wire at that clock, in ns.
    pub wire_ns: u64,
    /// How long the hardware has for a frame from its start, in ns; one that is not finished then is given up. This bounds a
    /// call that starts its frame itself; one that waits for a timer's frame waits for the timer first, however late that is.
    pub limit_ns: u64,
}

/// Result of [`GET_STATS`]; counted since `ENABLE_OOB_MODE`, but for `rejected`, which counts since the device appeared.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Stats {
    /// Frames exchanged.
    pub frames: u64,
    /// Frames that the hardware did not finish in time.
    pub timeouts: u64,
    /// Frames that ended in a bus error.
    pub bus_errors: u64,
    /// Deadlines missed.
    pub missed: u64,
    /// Timer triggers that found the previous frame still under way, or for which the timer itself was held up.
    pub overruns: u64,
    /// Stop frames sent.
    pub stops: u64,
    /// Calls refused for their input or their moment.
    pub rejected: u64,
    /// Longest time from an exchange call's entry to the end of the frame that it started, in ns.
    pub worst_ns: u64,
}

const _: () = {
    assert!(size_of::<Enable>() == 24);
    assert!(ENABLE_OOB_MODE == 0xC018_6B32);
    assert!(DISABLE_OOB_MODE == 0x6B33);
    assert!(RUN_OOB_XFER == 0x6B34);
};
