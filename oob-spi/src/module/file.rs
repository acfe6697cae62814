// SPDX-License-Identifier: GPL-2.0-only

//! `/dev/oob/spidev<bus>.<cs>`: the system calls.
//!
//! ```text
//!   exchange call (mainline: ioctl, EVL: oob_ioctl) --> attached? --> core, out-of-band
//!   any other ioctl ----------------------------------> copy in --> mutex --> core, in-band --> copy out
//! ```
//!
//! Oob mode belongs to the process that called ENABLE. It ends by DISABLE, when that process closes the file it enabled
//! through (any descriptor of it), or with the file.

use super::{Node, Shared};
use crate::bus::{Owner, Request};
use crate::errno::{CallError, Errno};
use crate::layout::Geometry;
use crate::validate::{Change, Mapping, Settings};
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::alloc::KArc;
use kernel::bindings as b;
use kernel::error::{Error, Result};
use kernel::miscdevice::File;
use kernel::mm::Vma;
use kernel::task::current_process;
use kernel::uaccess::UserPtr;
use oob::kernel_core::with_oob;
use oob::stage::{Inband, Oob};
use oob::time::Ns;
use oobkit_abi::spi as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// An open node.
pub(super) struct SpiFile {
    shared: KArc<Shared>,
    chip_select: u8,
    /// The latest session that ENABLE began through this file, from the process `owner`; 0 for none. It may be over: DISABLE
    /// may come through any file.
    session: AtomicU64,
    owner: AtomicU64,
}

/// Apart, so that a call that has no error jumps over no table of them.
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
    // SAFETY: constants of the kernel.
    let align = unsafe { b::l1_cache_bytes() };
    // SAFETY: as above.
    let page = unsafe { b::page_size() };
    Geometry {
        align,
        page: u32::try_from(page).unwrap_or(4096),
    }
}

impl SpiFile {
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
        // SAFETY: called by `oob_ioctl` alone: a system call, nothing held.
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
        // A program that cannot learn where its buffer lies must not be left with the bus.
        self.write(inband, argument, &answer).inspect_err(|_| {
            let _ = self.disable(inband);
        })
    }

    fn try_enable(&self, inband: &Inband<'_>, args: &abi::Enable) -> Result<abi::Enable> {
        let owner = caller();
        let mut state = self.shared.inband.lock(inband);
        let state = &mut *state;
        // SAFETY: a module parameter, which may change at any time.
        let wait_ms = unsafe { (&raw const super::oobkit_spi_enable_wait_ms).read_volatile() };
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
        let memory = |layout: &_| {
            let block = buffers.make(inband, self.chip_select, layout);
            made = block.is_ok();
            block
        };
        // SAFETY: a buffer lives until `retire`, which follows `disable` and `close`, or `revoke`, which follows `shutdown`.
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
            state.buffers.retire(self.chip_select);
        }
        enabled.map_err(errno)
    }

    fn disable(&self, inband: &Inband<'_>) -> Result<i32> {
        let mut state = self.shared.inband.lock(inband);
        self.shared
            .bus
            .disable(inband, self.chip_select, caller())
            .map_err(errno)?;
        state.buffers.retire(self.chip_select);
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
            state.buffers.retire(self.chip_select);
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

    /// In a frame of its own: it is large.
    #[inline(never)]
    fn run_list(&self, argument: UserPtr) -> Result<i32> {
        let mut list: abi::RunList = self.read_oob(argument)?;
        // Statuses that cannot be written are found before a frame is sent, not afterwards.
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

    /// In a frame of its own, apart from that of the exchange calls: it is large.
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
            // spidev's 8-bit call shows the lowest 8 bits.
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
            // On EVL: in-band, where they are not served.
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
        state
            .buffers
            .check_node(inband, self.chip_select, vma)
            .map_err(|error| {
                self.shared.bus.reject(self.chip_select);
                errno(error)
            })?;
        state.buffers.map(inband, self.chip_select, vma)
    }
}

impl Drop for SpiFile {
    fn drop(&mut self) {
        // SAFETY: in-band, as for every drop of what sleeps: in `release`, or where `open` failed.
        let inband = unsafe { Inband::assume() };
        self.end(&inband, self.owner.load(Ordering::Relaxed));
    }
}
