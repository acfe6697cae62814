// SPDX-License-Identifier: GPL-2.0-only

//! `/dev/oob/spidev<bus>.<cs>`: the system calls.
//!
//! ```text
//!   exchange call (mainline: ioctl, EVL: oob_ioctl) --> attached? --> core, out-of-band
//!   any other ioctl --> copy in --> mutex --> core, in-band --> copy out
//! ```
//!
//! Oob mode belongs to the process that called ENABLE. It ends by DISABLE, when that process closes
//! any descriptor of the file through which it called ENABLE, or when that file is released.

use super::shared::Shared;
use crate::errno::{CallError, EnableError, Errno, MapError};
use crate::layout::{Geometry, Layout};
use crate::request::{Block, Owner, Request};
use crate::validate::{Change, Mapping, Settings};
use core::ffi::c_uint;
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::alloc::KArc;
use kernel::bindings as b;
use kernel::error::{Error, Result};
use kernel::miscdevice::File;
use kernel::mm::Vma;
use kernel::task::current_process;
use kernel::uaccess::UserPtr;
use oob::kernel_core::MakeError;
use oob::kernel_core::with_oob;
use oob::stage::{Inband, Oob};
use oob::time::Ns;
use oobkit_abi::spi as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes};

unsafe extern "C" {
    static oobkit_spi_enable_wait_ms: c_uint;
}

/// A device node: one chip select of a bus.
pub(super) struct Node {
    pub(super) shared: KArc<Shared>,
    pub(super) chip_select: u8,
}

/// An open node.
pub(super) struct SpiFile {
    shared: KArc<Shared>,
    chip_select: u8,
    /// The latest session that ENABLE began through this file, from the process `owner`; 0 for
    /// none. It may be over, because DISABLE may come through any file.
    session: AtomicU64,
    owner: AtomicU64,
}

/// Kept out of line: the success path does not need the errno table.
#[cold]
#[inline(never)]
fn errno(error: impl Errno) -> Error {
    Error::from_errno(error.errno().unsigned_abs())
}

#[inline(always)]
fn caller() -> Owner {
    Owner(current_process())
}

fn geometry() -> Geometry {
    // SAFETY: returns a constant of the kernel's configuration.
    let align = unsafe { b::l1_cache_bytes() };
    // SAFETY: returns a constant of the kernel's configuration.
    let page = unsafe { b::page_size() };
    Geometry {
        align,
        page: u32::try_from(page).unwrap_or(4096),
    }
}

impl SpiFile {
    /// The chip select's set of buffers.
    fn set(&self) -> usize {
        usize::from(self.chip_select)
    }

    fn rejected(&self, error: CallError) -> Error {
        self.shared.bus.reject(self.chip_select);
        errno(error)
    }

    fn read<T: FromBytes + IntoBytes>(&self, inband: &Inband<'_>, argument: UserPtr) -> Result<T> {
        argument
            .read(inband)
            .map_err(|_| self.rejected(CallError::Fault))
    }

    fn write<T: IntoBytes + Immutable>(
        &self,
        inband: &Inband<'_>,
        argument: UserPtr,
        value: &T,
    ) -> Result<i32> {
        argument
            .write(inband, value)
            .map(|()| 0)
            .map_err(|_| self.rejected(CallError::Fault))
    }

    fn read_oob<T: FromBytes + IntoBytes>(&self, argument: UserPtr) -> Result<T> {
        argument
            .read_oob()
            .map_err(|_| self.rejected(CallError::Fault))
    }

    fn write_oob<T: IntoBytes + Immutable>(&self, argument: UserPtr, value: &T) -> Result {
        argument
            .write_oob(value)
            .map_err(|_| self.rejected(CallError::Fault))
    }

    #[inline(always)]
    fn out_of_band<X: Errno>(
        &self,
        call: impl FnOnce(&Oob<'_>) -> core::result::Result<(), X>,
    ) -> Result<i32> {
        // SAFETY: only `oob_ioctl` and what it calls come here, from a system call that holds no
        // lock.
        match unsafe { with_oob(call) } {
            Some(result) => result.map(|()| 0).map_err(errno),
            None => Err(self.rejected(CallError::NotAttached)),
        }
    }

    fn settings(&self, inband: &Inband<'_>) -> Settings {
        let state = self.shared.inband.lock(inband);
        state
            .settings
            .get(usize::from(self.chip_select))
            .copied()
            .unwrap_or_default()
    }

    fn change(&self, inband: &Inband<'_>, change: Change) -> Result<i32> {
        let mut state = self.shared.inband.lock(inband);
        let Some(settings) = state.settings.get_mut(usize::from(self.chip_select)) else {
            return Ok(0);
        };
        self.shared
            .bus
            .configure(self.chip_select, settings, change)
            .map(|()| 0)
            .map_err(errno)
    }

    fn enable(&self, inband: &Inband<'_>, argument: UserPtr) -> Result<i32> {
        let args: abi::Enable = self.read(inband, argument)?;
        let answer = self.try_enable(inband, &args)?;
        // A program that cannot learn where its buffer lies must not keep the bus.
        self.write(inband, argument, &answer).inspect_err(|_| {
            let _ = self.disable(inband);
        })
    }

    fn try_enable(&self, inband: &Inband<'_>, args: &abi::Enable) -> Result<abi::Enable> {
        let owner = caller();
        let mut state = self.shared.inband.lock(inband);
        let state = &mut *state;
        // SAFETY: the address of a static of `module.c`. Volatile, because a module parameter may
        // change at any time.
        let wait_ms = unsafe { (&raw const oobkit_spi_enable_wait_ms).read_volatile() };
        let default = Settings::default();
        let request = Request {
            owner,
            args,
            settings: state
                .settings
                .get(usize::from(self.chip_select))
                .unwrap_or(&default),
            geometry: geometry(),
            gate_limit: Ns(u64::from(wait_ms).saturating_mul(1_000_000)),
        };
        let mut made = false;
        let buffers = &mut state.buffers;
        let memory = |layout: &Layout| {
            let place = buffers.make(inband, self.set(), layout.total as usize);
            made = place.is_ok();
            place
                .map(|place| Block {
                    cpu: place.cpu,
                    bus: place.bus,
                })
                .map_err(|error| match error {
                    MakeError::NoSuch => EnableError::NoSuch,
                    MakeError::AllMapped => EnableError::AllMapped,
                    MakeError::NoMemory => EnableError::NoMemory,
                })
        };
        // SAFETY: a buffer has `total` bytes. It lives until `retire`, which follows `disable` and
        // `close`, or `revoke`, which follows `shutdown`.
        let enabled = unsafe {
            self.shared
                .bus
                .enable(inband, self.chip_select, &request, memory)
        };
        if enabled.is_ok() {
            let session = state.sessions.begin(self.chip_select);
            self.owner.store(owner.0, Ordering::Relaxed);
            self.session.store(session, Ordering::Relaxed);
        } else if made {
            state.buffers.retire(self.set());
        }
        enabled.map_err(errno)
    }

    fn disable(&self, inband: &Inband<'_>) -> Result<i32> {
        let mut state = self.shared.inband.lock(inband);
        self.shared
            .bus
            .disable(inband, self.chip_select, caller())
            .map_err(errno)?;
        state.buffers.retire(self.set());
        state.sessions.end(self.chip_select);
        Ok(0)
    }

    /// Ends oob mode for its owner, with the stop frame.
    fn end(&self, inband: &Inband<'_>, owner: u64) {
        let mut state = self.shared.inband.lock(inband);
        let session = self.session.load(Ordering::Relaxed);
        if state.sessions.is_on(self.chip_select, session)
            && self.owner.load(Ordering::Relaxed) == owner
        {
            self.shared
                .bus
                .close(inband, self.chip_select, Owner(owner));
            state.buffers.retire(self.set());
            state.sessions.end(self.chip_select);
        }
    }

    fn in_band<X: Errno>(
        &self,
        inband: &Inband<'_>,
        call: impl FnOnce() -> core::result::Result<(), X>,
    ) -> Result<i32> {
        let _one_at_a_time = self.shared.inband.lock(inband);
        call().map(|()| 0).map_err(errno)
    }

    /// Kept out of line, because its stack frame is large.
    #[inline(never)]
    fn run_list(&self, argument: UserPtr) -> Result<i32> {
        let mut list: abi::RunList = self.read_oob(argument)?;
        // Writing the list back first finds an unwritable one before a frame is sent.
        self.write_oob(argument, &list)?;
        let (bus, chip_select, owner) = (&self.shared.bus, self.chip_select, caller());
        let result = self.out_of_band(|oob| bus.run_list(oob, chip_select, owner, &mut list));
        self.write_oob(argument, &list)?;
        result
    }
}

impl File for SpiFile {
    type Device = Node;

    fn open(_inband: &Inband<'_>, node: &Node) -> Result<Self> {
        Ok(Self {
            shared: node.shared.clone(),
            chip_select: node.chip_select,
            session: AtomicU64::new(0),
            owner: AtomicU64::new(0),
        })
    }

    #[inline(always)]
    fn oob_ioctl(&self, command: u32, argument: UserPtr) -> Option<Result<i32>> {
        let (bus, cs) = (&self.shared.bus, self.chip_select);
        match command {
            abi::RUN_OOB_XFER => Some(self.out_of_band(|oob| bus.run(oob, cs, caller()))),
            abi::RUN_UNTIL => Some(self.read_oob(argument).and_then(|args: abi::RunUntil| {
                self.out_of_band(|oob| bus.run_until(oob, cs, caller(), &args))
            })),
            abi::RUN_LIST => Some(self.run_list(argument)),
            _ => None,
        }
    }

    /// Kept out of line, because its stack frame is large and the exchange calls need none of it.
    #[inline(never)]
    fn ioctl(&self, inband: &Inband<'_>, command: u32, argument: UserPtr) -> Result<i32> {
        let (bus, cs) = (&self.shared.bus, self.chip_select);
        match command {
            abi::ENABLE_OOB_MODE => self.enable(inband, argument),
            abi::DISABLE_OOB_MODE => self.disable(inband),
            abi::SET_TRIGGER => {
                let args: abi::Trigger = self.read(inband, argument)?;
                self.in_band(inband, || bus.set_trigger(inband, cs, caller(), &args))
            }
            abi::SET_STOP => {
                let args: abi::Stop = self.read(inband, argument)?;
                self.in_band(inband, || bus.set_stop(inband, cs, caller(), &args))
            }
            abi::SET_DELAYS => self.change(inband, Change::Delays(self.read(inband, argument)?)),
            abi::GET_STATS => self.write(inband, argument, &bus.stats(cs)),
            abi::GET_INFO => self.write(inband, argument, &bus.info(cs).map_err(errno)?),
            abi::WR_MODE => self.change(
                inband,
                Change::Mode(u32::from(self.read::<u8>(inband, argument)?)),
            ),
            abi::WR_MODE32 => self.change(inband, Change::Mode(self.read(inband, argument)?)),
            abi::WR_BITS_PER_WORD => {
                self.change(inband, Change::BitsPerWord(self.read(inband, argument)?))
            }
            abi::WR_MAX_SPEED_HZ => {
                self.change(inband, Change::Speed(self.read(inband, argument)?))
            }
            // As in spidev, the 8-bit call shows the lowest 8 bits.
            abi::RD_MODE => self.write(
                inband,
                argument,
                &self.settings(inband).mode.to_le_bytes()[0],
            ),
            abi::RD_MODE32 => self.write(inband, argument, &self.settings(inband).mode),
            abi::RD_BITS_PER_WORD => {
                self.write(inband, argument, &self.settings(inband).bits_per_word)
            }
            abi::RD_MAX_SPEED_HZ => self.write(inband, argument, &self.settings(inband).speed_hz),
            // Only EVL calls this with an exchange call: from a thread in-band, where exchange
            // calls are not served.
            abi::RUN_OOB_XFER | abi::RUN_UNTIL | abi::RUN_LIST => {
                Err(self.rejected(CallError::NotAttached))
            }
            _ => Err(self.rejected(CallError::Unknown)),
        }
    }

    fn flush(&self, inband: &Inband<'_>, process: u64) {
        self.end(inband, process);
    }

    fn mmap(&self, inband: &Inband<'_>, vma: &Vma<'_>) -> Result {
        let mapping = Mapping {
            offset: (vma.page_offset() as u64).saturating_mul(u64::from(geometry().page)),
            len: vma.len() as u64,
            shared: vma.is_shared(),
        };
        let mut state = self.shared.inband.lock(inband);
        self.shared
            .bus
            .check_map(self.chip_select, caller(), &mapping)
            .map_err(errno)?;
        if !state.buffers.may_map(inband, self.set(), vma) {
            self.shared.bus.reject(self.chip_select);
            return Err(errno(MapError::OtherNode));
        }
        state.buffers.map(inband, self.set(), vma)
    }
}

impl Drop for SpiFile {
    fn drop(&mut self) {
        // SAFETY: the kernel drops a file in `release`, or where `open` failed: both are task
        // context, in-band.
        let inband = unsafe { Inband::assume() };
        self.end(&inband, self.owner.load(Ordering::Relaxed));
    }
}
