// SPDX-License-Identifier: GPL-2.0-only

//! A registered bus and its device nodes.

use super::file::{Node, SpiFile};
use super::shared::Shared;
use crate::env::MAX_CHIP_SELECTS;
use crate::vtable::Remote;
use core::fmt::Write;
use kernel::alloc::{KArc, KBox};
use kernel::bindings as b;
use kernel::error::{Result, code};
use kernel::miscdevice;
use kernel::sync::{LockClass, Mutex};
use oob::stage::Inband;

/// A bus and its nodes. The handle that a controller's module gets points to it.
pub(super) struct Registered {
    pub(super) shared: KArc<Shared>,
    nodes: Mutex<Nodes>,
}

type Nodes = [Option<miscdevice::Registration<SpiFile>>; MAX_CHIP_SELECTS];

/// A text of at most 31 bytes.
#[derive(Default)]
struct Name {
    text: [u8; 31],
    len: usize,
}

impl Write for Name {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len.checked_add(text.len()).ok_or(core::fmt::Error)?;
        self.text
            .get_mut(self.len..end)
            .ok_or(core::fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl Name {
    fn of(prefix: &str, bus: u32, chip_select: u8) -> Result<Self> {
        let mut name = Self::default();
        write!(name, "{prefix}{bus}.{chip_select}").map_err(|_| code::EINVAL)?;
        Ok(name)
    }

    fn bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }
}

impl Registered {
    /// A bus without nodes.
    ///
    /// # Safety
    ///
    /// `device` is bound to the controller's driver until the result has been dropped.
    pub(super) unsafe fn new(
        inband: &Inband<'_>,
        device: *mut b::device,
        controller: Remote,
    ) -> Result<KBox<Self>> {
        static NODES: LockClass = LockClass::new();
        // SAFETY: the device is bound until the result has been dropped, and `drop` calls
        // `shutdown`, which revokes.
        let shared = unsafe { Shared::new(inband, controller, device) }?;
        let none = [const { None }; MAX_CHIP_SELECTS];
        let nodes = Mutex::new(inband, none, c"oob_spi nodes", &NODES)?;
        KBox::new(inband, Self { shared, nodes })
    }

    /// Makes the device nodes.
    pub(super) fn publish(&self, inband: &Inband<'_>, bus_num: u32) -> Result {
        let chip_selects = self.shared.bus.limits().chip_selects;
        let mut nodes = self.nodes.lock(inband);
        for (chip_select, node) in (0..chip_selects).zip(nodes.iter_mut()) {
            let name = Name::of("oob-spidev", bus_num, chip_select)?;
            let path = Name::of("oob/spidev", bus_num, chip_select)?;
            let device = Node {
                shared: self.shared.clone(),
                chip_select,
            };
            *node = Some(miscdevice::Registration::new(
                inband,
                name.bytes(),
                path.bytes(),
                device,
            )?);
        }
        Ok(())
    }

    /// Ends oob mode for good, and takes the buffers away from the processes that map them.
    pub(super) fn shutdown(&self, inband: &Inband<'_>) {
        let state = self.shared.inband.lock(inband);
        self.shared.bus.shutdown(inband);
        drop(state);
        // From here on `mmap` gets no buffer. The calls under way hold their process's lock and
        // want ours: wait without it.
        loop {
            let mut state = self.shared.inband.lock(inband);
            let Some(process) = state.buffers.take_process(inband) else {
                break;
            };
            drop(state);
            process.pass(inband);
        }
        self.shared.inband.lock(inband).buffers.revoke(inband);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: `oobkit_spi_unregister` and a registration that failed drop this, both in task
        // context, in-band.
        let inband = unsafe { Inband::assume() };
        *self.nodes.lock(&inband) = [const { None }; MAX_CHIP_SELECTS];
        self.shutdown(&inband);
    }
}
