// SPDX-License-Identifier: MIT OR Apache-2.0

//! Out-of-band SPI: fixed-size full-duplex frames through `/dev/oob/spidev<bus>.<chip select>`.
//!
//! ```text
//!   Device --- enable ---> Session --- disable: an orderly end --------------> closed
//!     mode, bits,            |    '--- drop, by `?`, a panic: stop frame ----> closed
//!     speed, delays          |
//!                            write_tx, read_rx              copies, no system call
//!                            run, run_until, run_list       exchange calls: attached threads only
//!                            set_stop, set_trigger, stats, info
//! ```
//!
//! While a session lives, its whole bus is out-of-band, and the messages of ordinary drivers on
//! this bus wait.

mod errors;

pub use errors::{
    ConfigureError, DisableError, EnableError, FrameError, ListError, OpenError, QueryError,
    RunError, StopError, TriggerError,
};

use crate::call_path::CallPath;
use crate::mapping::Mapping;
use crate::sys;
use crate::time::{Instant, nanos};
use oobkit_abi::spi as abi;
pub use oobkit_abi::spi::{Info, Stats};
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// The delays around a chip select. The kernel refuses more than 1 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// From chip select active to the first clock edge.
    pub setup: Duration,
    /// From the last clock edge to chip select inactive.
    pub hold: Duration,
    /// From chip select inactive to its next activation.
    pub inactive: Duration,
}

/// The event that starts a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The exchange call.
    Call,
    /// A timer, at `first` and then every `period`. The exchange call waits until the next frame
    /// has ended.
    Timer {
        /// The date of the first frame.
        first: Instant,
        /// The time from one frame to the next: at least that of two frames.
        period: Duration,
    },
}

/// When the driver sends the stop frame, besides when the owner dies or closes the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopPolicy {
    /// After so many missed deadlines in a row. 0: not for this reason.
    pub miss_limit: u32,
    /// A deadline also counts as missed each time no exchange call comes for this long (20 us to an
    /// hour). Zero: the driver does not watch the time between calls.
    pub watch: Duration,
}

/// An SPI device of the kit, not yet in oob mode.
#[derive(Debug)]
pub struct Device {
    file: File,
}

impl Device {
    /// Opens chip select `chip_select` of bus `bus`.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(bus: u32, chip_select: u8) -> Result<Self, OpenError> {
        Self::open_path(format!("/dev/oob/spidev{bus}.{chip_select}"))
    }

    /// Opens the device at `path`.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open_path(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let file = File::options().read(true).write(true).open(path);
        file.map(|file| Self { file })
            .map_err(|e| OpenError::from_errno(Errno::from_io_error(&e).unwrap_or(Errno::IO)))
    }

    /// Sets the SPI mode, in spidev's bits: `SPI_CPHA` 1, `SPI_CPOL` 2, `SPI_CS_HIGH` 4 and so on.
    ///
    /// # Errors
    ///
    /// [`ConfigureError`].
    pub fn set_mode(&mut self, mode: u32) -> Result<&mut Self, ConfigureError> {
        self.configure::<{ abi::WR_MODE32 }, u32>(mode)
    }

    /// Sets the bits per word. 0 means 8.
    ///
    /// # Errors
    ///
    /// [`ConfigureError`].
    pub fn set_bits_per_word(&mut self, bits: u8) -> Result<&mut Self, ConfigureError> {
        self.configure::<{ abi::WR_BITS_PER_WORD }, u8>(bits)
    }

    /// Sets the device's clock, in Hz.
    ///
    /// # Errors
    ///
    /// [`ConfigureError`].
    pub fn set_speed(&mut self, hz: u32) -> Result<&mut Self, ConfigureError> {
        self.configure::<{ abi::WR_MAX_SPEED_HZ }, u32>(hz)
    }

    /// Sets the delays around the chip select.
    ///
    /// # Errors
    ///
    /// [`ConfigureError`].
    pub fn set_delays(&mut self, delays: Delays) -> Result<&mut Self, ConfigureError> {
        self.configure::<{ abi::SET_DELAYS }, abi::Delays>(abi::Delays {
            setup_ns: nanos32(delays.setup),
            hold_ns: nanos32(delays.hold),
            inactive_ns: nanos32(delays.inactive),
            reserved: 0,
        })
    }

    fn configure<const OPCODE: u32, T: zerocopy::FromBytes + zerocopy::IntoBytes>(
        &mut self,
        value: T,
    ) -> Result<&mut Self, ConfigureError> {
        sys::set::<OPCODE, T>(&self.file, value).map_err(ConfigureError::from_errno)?;
        Ok(self)
    }

    /// Enters oob mode with frames of `frame_len` bytes at `speed_hz` (0: the device's own clock),
    /// and maps the frame buffer.
    ///
    /// # Errors
    ///
    /// [`EnableError`]. The device is closed then.
    pub fn enable(self, frame_len: u32, speed_hz: u32) -> Result<Session, EnableError> {
        let mut setup = abi::Enable {
            frame_len,
            speed_hz,
            ..abi::Enable::default()
        };
        sys::exchange::<{ abi::ENABLE_OOB_MODE }, _>(&self.file, &mut setup)
            .map_err(EnableError::from_errno)?;
        // A failure from here on closes the file, which leaves oob mode again.
        let layout = Layout::new(&setup).ok_or(EnableError::Layout)?;
        let mapping =
            Mapping::new(&self.file, layout.buffer_len).map_err(EnableError::from_errno)?;
        Ok(Session {
            mapping,
            layout,
            path: CallPath::of_this_kernel(),
            file: self.file,
        })
    }
}

fn nanos32(span: Duration) -> u32 {
    u32::try_from(nanos(span)).unwrap_or(u32::MAX)
}

/// The layout of the frame buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    frame_len: usize,
    buffer_len: usize,
    tx_offset: usize,
    rx_offset: usize,
}

impl Layout {
    /// The layout that the driver returned. `None` if the frames overlap or do not fit in the
    /// buffer.
    fn new(setup: &abi::Enable) -> Option<Self> {
        let layout = Self {
            frame_len: usize::try_from(setup.frame_len).ok()?,
            buffer_len: usize::try_from(setup.iobuf_len).ok()?,
            tx_offset: usize::try_from(setup.tx_offset).ok()?,
            rx_offset: usize::try_from(setup.rx_offset).ok()?,
        };
        let tx_end = layout.tx_offset.checked_add(layout.frame_len)?;
        let rx_end = layout.rx_offset.checked_add(layout.frame_len)?;
        let apart = rx_end <= layout.tx_offset || tx_end <= layout.rx_offset;
        (apart && tx_end.max(rx_end) <= layout.buffer_len).then_some(layout)
    }
}

/// An SPI device in oob mode, with its frame buffer.
///
/// Dropping the session unmaps the buffer and closes the device. The driver then leaves oob mode
/// and sends the stop frame, if one is set, because it takes a session that is closed without
/// DISABLE for a failed one. [`Session::disable`] is the orderly end and sends no stop frame.
#[derive(Debug)]
pub struct Session {
    mapping: Mapping,
    layout: Layout,
    path: CallPath,
    // There is no `Drop` that calls DISABLE: only a close without DISABLE sends the stop frame.
    file: File,
}

impl Session {
    /// The length of a frame in bytes.
    pub const fn frame_len(&self) -> usize {
        self.layout.frame_len
    }

    /// Sets the frame that the next exchange sends.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the length of `frame` is not that of the session's frames.
    pub fn write_tx(&mut self, frame: &[u8]) -> Result<(), FrameError> {
        self.check_len(frame.len())?;
        self.mapping
            .write(self.layout.tx_offset, frame)
            .map_err(|_| FrameError::Length)
    }

    /// Reads the frame that the last exchange received.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the length of `frame` is not that of the session's frames.
    pub fn read_rx(&self, frame: &mut [u8]) -> Result<(), FrameError> {
        self.check_len(frame.len())?;
        self.mapping
            .read(self.layout.rx_offset, frame)
            .map_err(|_| FrameError::Length)
    }

    fn check_len(&self, len: usize) -> Result<(), FrameError> {
        if len == self.layout.frame_len {
            Ok(())
        } else {
            Err(FrameError::Length)
        }
    }

    /// Exchanges one frame, within the driver's own time limit ([`Info::limit_ns`]). If a timer
    /// starts the frames, this waits until the next one has ended.
    ///
    /// # Errors
    ///
    /// [`RunError`]. Do not use the received frame then.
    pub fn run(&mut self) -> Result<(), RunError> {
        self.path
            .command::<{ abi::RUN_OOB_XFER }>(&self.file)
            .map_err(RunError::from_errno)
    }

    /// Exchanges one frame, which must have ended by `deadline`. The driver never cuts a frame
    /// short that has started.
    ///
    /// # Errors
    ///
    /// [`RunError`]. Do not use the received frame then, unless the error is [`RunError::Late`].
    pub fn run_until(&mut self, deadline: Instant) -> Result<(), RunError> {
        let mut request = abi::RunUntil {
            deadline_ns: deadline.as_nanos(),
            reserved: 0,
        };
        self.path
            .exchange::<{ abi::RUN_UNTIL }, _>(&self.file, &mut request)
            .map_err(RunError::from_errno)
    }

    /// Exchanges one frame of each chip select in `list`, in order. If there is a `deadline`, all
    /// must have ended by then.
    ///
    /// # Errors
    ///
    /// The [`RunError`] of the first failure. [`List::results`] has that of each entry.
    pub fn run_list(&mut self, list: &mut List, deadline: Option<Instant>) -> Result<(), RunError> {
        list.0.deadline_ns = deadline.map_or(0, Instant::as_nanos);
        self.path
            .exchange::<{ abi::RUN_LIST }, _>(&self.file, &mut list.0)
            .map_err(RunError::from_errno)
    }

    /// Chooses the event that starts a frame.
    ///
    /// # Errors
    ///
    /// [`TriggerError`].
    pub fn set_trigger(&mut self, trigger: Trigger) -> Result<(), TriggerError> {
        let request = match trigger {
            Trigger::Call => abi::Trigger {
                kind: abi::TRIGGER_CALL,
                ..abi::Trigger::default()
            },
            Trigger::Timer { first, period } => abi::Trigger {
                kind: abi::TRIGGER_TIMER,
                reserved: 0,
                first_ns: first.as_nanos(),
                period_ns: nanos(period),
            },
        };
        sys::set::<{ abi::SET_TRIGGER }, _>(&self.file, request).map_err(TriggerError::from_errno)
    }

    /// Sets the stop frame, which brings the device to rest when its owner fails, and when the
    /// driver sends it.
    ///
    /// The call overwrites the TX area, so write the next frame afterwards.
    ///
    /// # Errors
    ///
    /// [`StopError`].
    pub fn set_stop(&mut self, frame: &[u8], policy: StopPolicy) -> Result<(), StopError> {
        self.write_tx(frame).map_err(|_| StopError::Length)?;
        let request = abi::Stop {
            miss_limit: policy.miss_limit,
            reserved: 0,
            period_ns: nanos(policy.watch),
        };
        sys::set::<{ abi::SET_STOP }, _>(&self.file, request).map_err(StopError::from_errno)
    }

    /// The counters since the session entered oob mode.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    pub fn stats(&self) -> Result<Stats, QueryError> {
        sys::get::<{ abi::GET_STATS }, Stats>(&self.file).map_err(QueryError::from_errno)
    }

    /// The values that the driver chose when it entered oob mode: the real clock, the wire time,
    /// FIFO or DMA.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    pub fn info(&self) -> Result<Info, QueryError> {
        sys::get::<{ abi::GET_INFO }, Info>(&self.file).map_err(QueryError::from_errno)
    }

    /// Leaves oob mode and closes the device. The driver sends no stop frame, unless the fail-safe
    /// has already tripped and has yet to send it.
    ///
    /// # Errors
    ///
    /// [`DisableError`]. The device is closed in this case, too.
    pub fn disable(self) -> Result<(), DisableError> {
        let Self { mapping, file, .. } = self;
        drop(mapping);
        sys::command::<{ abi::DISABLE_OOB_MODE }>(&file).map_err(DisableError::from_errno)
    }
}

/// A list of chip selects of one bus, whose frames one call exchanges.
#[derive(Clone, Copy, Debug)]
pub struct List(abi::RunList);

impl List {
    /// A list of the given chip selects. Each must be in oob mode through a session of this process
    /// when the list is run.
    ///
    /// # Errors
    ///
    /// [`ListError`] if there are none or too many.
    pub fn new(chip_selects: &[u8]) -> Result<Self, ListError> {
        if chip_selects.is_empty() || chip_selects.len() > abi::LIST_MAX {
            return Err(ListError::Count);
        }
        let mut list = abi::RunList {
            count: u32::try_from(chip_selects.len()).map_err(|_| ListError::Count)?,
            ..abi::RunList::default()
        };
        for (entry, chip_select) in list.entries.iter_mut().zip(chip_selects) {
            entry.chip_select = *chip_select;
        }
        Ok(Self(list))
    }

    /// Each entry's chip select and the result of its last exchange.
    pub fn results(&self) -> impl Iterator<Item = (u8, Result<(), RunError>)> {
        let used = usize::try_from(self.0.count).unwrap_or(abi::LIST_MAX);
        self.0.entries.iter().take(used).map(|entry| {
            let result = match entry.status {
                0 => Ok(()),
                status => Err(RunError::from_errno(Errno::from_raw_os_error(
                    status.saturating_neg(),
                ))),
            };
            (entry.chip_select, result)
        })
    }
}

#[cfg(test)]
mod tests;
