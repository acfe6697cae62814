// SPDX-License-Identifier: MIT OR Apache-2.0

//! `/dev/oob/spidev<bus>.<chip select>`: out-of-band SPI transfers.
//!
//! ENABLE, DISABLE, RUN and [`Enable`] are EVL's own. A program written for EVL's spidev runs here
//! if it is relinked and its device path changed. The other calls are this kit's.
//!
//! ```text
//! open -> WR_MODE, WR_BITS_PER_WORD, WR_MAX_SPEED_HZ -> ENABLE -> mmap -> attach
//!      -> { fill TX; RUN | RUN_UNTIL | RUN_LIST; read RX }* -> munmap -> DISABLE -> close
//! ```
//!
//! The buffer is mapped at offset 0 of the file: `[ rx | pad ][ tx | pad ]`.
//!
//! The errnos of each call, one for each cause. A refused call changes nothing and is counted in
//! [`Stats::rejected`].
//!
//! - All calls: `ENOTTY` unknown call; `EFAULT` bad pointer; `EINVAL` a reserved field is not zero;
//!   `ENODEV` the controller has been unbound; `ECHRNG` no such chip select; `EACCES` oob mode
//!   belongs to another process.
//! - Exchange calls: `EPERM` the thread is not attached; `ENXIO` oob mode is off; `ESHUTDOWN` oob
//!   mode is being switched off; `EOWNERDEAD` the fail-safe has tripped (until DISABLE and ENABLE);
//!   `EALREADY` the bus is busy with another thread's or a timer's frame; `EAGAIN` an in-band call
//!   is setting the bus up; `EINTR` a signal came during the wait for a timer's frame.
//! - `RUN_UNTIL`, `RUN_LIST`: `ESTALE` the deadline had passed before the frame, which was not
//!   sent; `ETIME` it passed during the frame, which was exchanged.
//! - `RUN_LIST`: `ENODATA` no entries; `E2BIG` too many entries; `EOPNOTSUPP` a timer starts the
//!   frames of an entry.
//! - Frames that fail: `ETIMEDOUT` not finished within [`Info::limit_ns`]; `EREMOTEIO` bus error.
//! - `ENABLE_OOB_MODE`: `ENODATA` frame_len is 0; `EMSGSIZE` frame too long; `EBADMSG` not whole
//!   words; `EPROTONOSUPPORT` bits per word; `EPROTOTYPE` mode; `ERANGE` speed too low; `EOVERFLOW`
//!   a frame takes more than 2 s on the wire; `EBUSY` oob mode is already on; `ETIME` an in-band
//!   message held the bus too long; `ENOMEM` no memory; `EUSERS` the buffers of [`BUFFERS_MAX`]
//!   earlier sessions are still mapped; `EIO` no DMA channel; `EOPNOTSUPP` the controller cannot
//!   combine DMA frames with an active-high chip select, be it the device's own or another one on
//!   the bus.
//! - `WR_*`, `SET_DELAYS`: `EBUSY` oob mode is on; `EPROTOTYPE` mode; `EPROTONOSUPPORT` bits per
//!   word; `ERANGE` speed too low; `EDOM` a delay above 1 ms.
//! - `SET_TRIGGER`: `ENXIO` oob mode is off; `ESHUTDOWN` it is being switched off; `EOWNERDEAD` the
//!   fail-safe has tripped; `EOPNOTSUPP` kind; `ERANGE` period; `EOVERFLOW` first date; `E2BIG` the
//!   timer's handler could spin for more than 200 us, because the frame (FIFO, with a gap between
//!   its bytes) and the chip-select delays take longer, or (DMA) the delays and 60 us do.
//! - `SET_STOP`: those of `SET_TRIGGER` except `EOPNOTSUPP` and `EOVERFLOW`; `E2BIG` only with a
//!   miss limit, for the handler that sends the stop frame; `EDOM` a period without a miss limit.
//! - `GET_INFO`, `DISABLE_OOB_MODE`: `ENXIO` oob mode is off; `ESHUTDOWN` it is being switched off.
//! - `mmap`: `ENXIO` oob mode is off; `ESHUTDOWN` it is being switched off; `EFBIG` too long;
//!   `ESPIPE` offset not 0; `EINVAL` not `MAP_SHARED`; `EBUSY` mapped through another node of the
//!   same device.

use crate::ioc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The ioctl group of spidev and EVL.
pub const GROUP: u8 = b'k';

/// spidev: reads the mode (8 bits).
pub const RD_MODE: u32 = ioc::ior::<u8>(GROUP, 1);
/// spidev: sets the mode (8 bits).
pub const WR_MODE: u32 = ioc::iow::<u8>(GROUP, 1);
/// spidev: reads bits per word.
pub const RD_BITS_PER_WORD: u32 = ioc::ior::<u8>(GROUP, 3);
/// spidev: sets bits per word. 0 means 8.
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

/// Exchanges one frame, which must have ended by a date (exchange call). Argument: [`RunUntil`].
///
/// The driver never cuts a started frame short at its deadline, because half a frame tells a device
/// nothing.
pub const RUN_UNTIL: u32 = ioc::iow::<RunUntil>(GROUP, 64);
/// Exchanges the frames of several chip selects of the bus, one after the other (exchange call).
/// Argument: [`RunList`].
pub const RUN_LIST: u32 = ioc::iowr::<RunList>(GROUP, 65);
/// Chooses the event that starts a frame (in-band call). Argument: [`Trigger`].
pub const SET_TRIGGER: u32 = ioc::iow::<Trigger>(GROUP, 66);
/// Makes the present content of the TX area the stop frame, and sets when the driver sends it
/// (in-band call). Argument: [`Stop`].
pub const SET_STOP: u32 = ioc::iow::<Stop>(GROUP, 67);
/// Reads the counters (in-band call). Argument: [`Stats`].
pub const GET_STATS: u32 = ioc::ior::<Stats>(GROUP, 68);
/// Reads the values that `ENABLE_OOB_MODE` chose (in-band call). Argument: [`Info`].
pub const GET_INFO: u32 = ioc::ior::<Info>(GROUP, 69);
/// Sets the delays around the chip select, before `ENABLE_OOB_MODE` (in-band call). Argument:
/// [`Delays`].
pub const SET_DELAYS: u32 = ioc::iow::<Delays>(GROUP, 70);

/// The most buffers of one chip select: the present session's, and those of earlier sessions that
/// are still mapped.
pub const BUFFERS_MAX: usize = 4;

/// The argument of [`ENABLE_OOB_MODE`]: EVL's `struct spi_ioc_oob_setup`, 24 bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Enable {
    /// In: bytes per frame.
    pub frame_len: u32,
    /// In: the clock in Hz. 0 means the device's own.
    pub speed_hz: u32,
    /// In: bits per word. 0 means the device's own.
    pub bits_per_word: u8,
    /// Any value. It is padding in EVL's structure, so programs for EVL do not set it.
    pub pad: [u8; 3],
    /// Out: how many bytes to map.
    pub iobuf_len: u32,
    /// Out: the offset of the frame to send.
    pub tx_offset: u32,
    /// Out: the offset of the received frame.
    pub rx_offset: u32,
}

/// The argument of [`RUN_UNTIL`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RunUntil {
    /// The `CLOCK_MONOTONIC` date, in ns, by which the frame must have ended.
    pub deadline_ns: u64,
    /// Zero.
    pub reserved: u64,
}

/// The most entries of a [`RunList`].
pub const LIST_MAX: usize = 16;

/// The argument of [`RUN_LIST`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RunList {
    /// The `CLOCK_MONOTONIC` date, in ns, by which all frames must have ended. 0 means each frame's
    /// own time limit.
    pub deadline_ns: u64,
    /// The number of entries used: 1 to [`LIST_MAX`].
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
    /// In: a chip select that this process has put into oob mode.
    pub chip_select: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// Out: 0 or a negative errno. `-ECANCELED` if an earlier entry's failure stopped the list.
    pub status: i32,
}

/// [`Trigger::kind`]: the exchange call starts the frame.
pub const TRIGGER_CALL: u32 = 0;
/// [`Trigger::kind`]: a timer starts the frame, and the exchange call waits until the next one has
/// ended, however late the timer is. If the hardware does not finish a frame, the call returns
/// within 50 ms after [`Info::limit_ns`].
pub const TRIGGER_TIMER: u32 = 1;

/// The argument of [`SET_TRIGGER`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Trigger {
    /// `TRIGGER_*`. Any other value is `EOPNOTSUPP`.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// Timer: the `CLOCK_MONOTONIC` date of the first frame, in ns, below 2^63. Call: zero.
    pub first_ns: u64,
    /// Timer: the period in ns. `ERANGE` if it is below the time of two frames, below 20 us or
    /// above an hour. Call: zero.
    pub period_ns: u64,
}

/// The argument of [`SET_STOP`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Stop {
    /// The driver sends the stop frame after so many missed deadlines in a row. 0: only when the
    /// owner dies or closes the device. A frame that failed counts as a missed deadline.
    pub miss_limit: u32,
    /// Zero.
    pub reserved: u32,
    /// The watch period in ns: a deadline also counts as missed each time no exchange call comes
    /// for this long. 0: the driver does not watch. The bounds are those of [`Trigger::period_ns`].
    /// The stop frame starts at most one period after the last miss; if another chip select's frame
    /// is under way then, after that frame. While a call waits for a timer's frame, the watch
    /// period does not expire.
    pub period_ns: u64,
}

/// The argument of [`SET_DELAYS`].
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

/// The result of [`GET_INFO`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Info {
    /// The clock that the controller is programmed to, in Hz.
    pub effective_hz: u32,
    /// `PATH_*`.
    pub path: u32,
    /// The time of one frame on the wire at that clock, in ns.
    pub wire_ns: u64,
    /// The time limit of a frame from its start, in ns. The driver gives up a frame that has not
    /// ended by then. The limit bounds a call that starts its frame itself. A call that waits for a
    /// timer's frame first waits for the timer, however late that is.
    pub limit_ns: u64,
}

/// The result of [`GET_STATS`]: counters since `ENABLE_OOB_MODE`, except `rejected`, which counts
/// since the device appeared.
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
    /// Timer expiries that found the previous frame still under way, or that came too late because
    /// the timer was held up.
    pub overruns: u64,
    /// Stop frames sent.
    pub stops: u64,
    /// Calls refused because of their arguments or the present state.
    pub rejected: u64,
    /// The longest time from an exchange call's entry to the end of the frame that it started, in
    /// ns.
    pub worst_ns: u64,
}

const _: () = {
    assert!(size_of::<Enable>() == 24);
    assert!(ENABLE_OOB_MODE == 0xC018_6B32);
    assert!(DISABLE_OOB_MODE == 0x6B33);
    assert!(RUN_OOB_XFER == 0x6B34);
};
