// SPDX-License-Identifier: GPL-2.0-only

//! A bus with what its files share.

use super::env::{CoreBus, KernelEnv};
use crate::bus::Bus;
use crate::env::MAX_CHIP_SELECTS;
use crate::validate::Settings;
use crate::vtable::Remote;
use kernel::alloc::KArc;
use kernel::bindings as b;
use kernel::error::Result;
use kernel::sync::{LockClass, Mutex};
use oob::kernel_core::MappedBuffers;
use oob::stage::Inband;
use oobkit_abi::spi::BUFFERS_MAX;

/// What in-band calls change, one at a time.
pub(super) struct InbandState {
    pub(super) settings: [Settings; MAX_CHIP_SELECTS],
    pub(super) sessions: Sessions,
    /// One set for each chip select.
    pub(super) buffers: MappedBuffers<MAX_CHIP_SELECTS, BUFFERS_MAX>,
}

/// The session of each chip select that is in oob mode. A session lasts from ENABLE to the end of
/// oob mode. Sessions are numbered from 1 on; 0 means none.
#[derive(Default)]
pub(super) struct Sessions {
    latest: u64,
    on: [u64; MAX_CHIP_SELECTS],
}

impl Sessions {
    pub(super) fn begin(&mut self, chip_select: u8) -> u64 {
        self.latest = self.latest.wrapping_add(1).max(1);
        self.set(chip_select, self.latest);
        self.latest
    }

    pub(super) fn end(&mut self, chip_select: u8) {
        self.set(chip_select, 0);
    }

    fn set(&mut self, chip_select: u8, session: u64) {
        if let Some(on) = self.on.get_mut(usize::from(chip_select)) {
            *on = session;
        }
    }

    pub(super) fn is_on(&self, chip_select: u8, session: u64) -> bool {
        session != 0 && self.on.get(usize::from(chip_select)) == Some(&session)
    }
}

/// A bus, alive as long as its registration or any of its files.
pub(super) struct Shared {
    pub(super) bus: CoreBus,
    pub(super) inband: Mutex<InbandState>,
}

impl Shared {
    /// A bus without files. Kept out of line, because the bus passes over the stack, which is
    /// scarce in a kernel.
    ///
    /// # Safety
    ///
    /// `device` is bound to the controller's driver, and the buffers are revoked before that ends.
    #[inline(never)]
    pub(super) unsafe fn new(
        inband: &Inband<'_>,
        controller: Remote,
        device: *mut b::device,
    ) -> Result<KArc<Self>> {
        static INBAND: LockClass = LockClass::new();
        let env = KernelEnv::new(inband)?;
        let state = InbandState {
            settings: [Settings::default(); MAX_CHIP_SELECTS],
            sessions: Sessions::default(),
            // SAFETY: the caller promises the same of `device`.
            buffers: unsafe { MappedBuffers::new(device) },
        };
        let state = Mutex::new(inband, state, c"oob_spi inband", &INBAND)?;
        let shared = KArc::new(
            inband,
            Self {
                bus: Bus::new(controller, env),
                inband: state,
            },
        )?;
        // SAFETY: the bus does not move any more, and `drop` cancels the timers before the bus
        // goes.
        unsafe { shared.bus.env().connect(&raw const shared.bus) };
        Ok(shared)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the last owner is a registration or a file. Both are dropped in task context,
        // in-band.
        let inband = unsafe { Inband::assume() };
        self.bus.env().cancel_timers(&inband);
    }
}
