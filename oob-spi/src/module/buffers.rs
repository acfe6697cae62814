// SPDX-License-Identifier: GPL-2.0-only

//! Frame memory and the processes that map it.
//!
//! ```text
//!   ENABLE -> current buffer of the chip select <-- mmap: the mapping owns it, too
//!   DISABLE -> former buffer, kept while it is mapped, freed by the first ENABLE or DISABLE after that
//!   controller gone -> mmap calls waited for -> mappings revoked (SIGBUS), memory freed, while the device is still bound
//! ```
//!
//! A chip select keeps at most [`BUFFERS_MAX`] buffers, former ones that are still mapped included.
//!
//! A mapping can be revoked only once the kernel has entered it among its node's, which it does after `->mmap`. So whoever
//! revokes waits first, holding nothing, for the mmap calls of those processes that mapped a buffer.

use crate::bus::{Block, MAX_CHIP_SELECTS};
use crate::errno::{EnableError, MapError};
use crate::layout::Layout;
use kernel::alloc::KArc;
use kernel::bindings as b;
use kernel::dma::Coherent;
use kernel::error::{Result, code};
use kernel::mm::{Mm, Node, Vma};
use kernel::sync::{LockClass, Mutex};
use oob::stage::Inband;
use oobkit_abi::spi::BUFFERS_MAX;

type Checked = core::result::Result<(), MapError>;

/// One ENABLE's memory.
struct Buffer(Mutex<Memory>);

impl Buffer {
    fn new(
        inband: &Inband<'_>,
        device: *mut b::device,
        layout: &Layout,
    ) -> Result<(KArc<Self>, Block)> {
        static CLASS: LockClass = LockClass::new();
        // SAFETY: the device is bound to the controller's driver, whose removal revokes.
        let coherent = unsafe { Coherent::new(inband, device, layout.total as usize) }?;
        let block = Block {
            cpu: coherent.cpu(),
            bus: coherent.bus(),
        };
        let memory = Memory {
            coherent: Some(coherent),
            node: None,
            mm: None,
        };
        let memory = Mutex::new(inband, memory, c"oob_spi buffer", &CLASS)?;
        Ok((KArc::new(inband, Self(memory))?, block))
    }
}

struct Memory {
    /// `None` once revoked.
    coherent: Option<Coherent>,
    /// Set while the buffer may be mapped.
    node: Option<Node>,
    /// The process that mapped the buffer: one, as oob mode has one owner and children do not inherit the mapping.
    mm: Option<Mm>,
}

/// The buffers of a bus.
pub(super) struct Buffers {
    device: *mut b::device,
    slots: [[Option<KArc<Buffer>>; BUFFERS_MAX]; MAX_CHIP_SELECTS],
}

// SAFETY: the device may be named from any thread; it outlives the registration, whose end revokes all memory.
unsafe impl Send for Buffers {}

impl Buffers {
    pub(super) const fn new(device: *mut b::device) -> Self {
        Self {
            device,
            slots: [const { [const { None }; BUFFERS_MAX] }; MAX_CHIP_SELECTS],
        }
    }

    fn slot(&mut self, chip_select: u8) -> Option<&mut [Option<KArc<Buffer>>; BUFFERS_MAX]> {
        self.slots.get_mut(usize::from(chip_select))
    }

    /// Makes the current buffer of a chip select, whose last one is not in use any more.
    pub(super) fn make(
        &mut self,
        inband: &Inband<'_>,
        chip_select: u8,
        layout: &Layout,
    ) -> core::result::Result<Block, EnableError> {
        let device = self.device;
        let slot = self.slot(chip_select).ok_or(EnableError::NoSuch)?;
        drop_unmapped(slot);
        let free = slot.iter_mut().position(|entry| entry.is_none());
        let free = free.ok_or(EnableError::AllMapped)?;
        let (buffer, block) =
            Buffer::new(inband, device, layout).map_err(|_| EnableError::NoMemory)?;
        if let Some(entry) = slot.get_mut(free) {
            *entry = Some(buffer);
        }
        // The current buffer is the first one.
        slot.swap(0, free);
        Ok(block)
    }

    /// The current buffer is not in use any more.
    pub(super) fn retire(&mut self, chip_select: u8) {
        if let Some(slot) = self.slot(chip_select) {
            drop_unmapped(slot);
        }
    }

    fn current(&mut self, chip_select: u8) -> Option<&KArc<Buffer>> {
        self.slot(chip_select)?.first()?.as_ref()
    }

    /// Whether the current buffer is mapped through another node than `vma`'s.
    ///
    /// Revoking finds the mappings of one node only; another node of the same number is root's own making.
    pub(super) fn check_node(
        &mut self,
        inband: &Inband<'_>,
        chip_select: u8,
        vma: &Vma<'_>,
    ) -> Checked {
        let Some(buffer) = self.current(chip_select) else {
            return Ok(());
        };
        let first = buffer.0.lock(inband).node;
        match first.is_some_and(|first| first != vma.node()) && !KArc::is_unique(buffer) {
            true => Err(MapError::OtherNode),
            false => Ok(()),
        }
    }

    /// Maps the current buffer, for which `check_node` said yes.
    pub(super) fn map(&mut self, inband: &Inband<'_>, chip_select: u8, vma: &Vma<'_>) -> Result {
        let buffer = self.current(chip_select).ok_or(code::ENODEV)?;
        let mut memory = buffer.0.lock(inband);
        let node = vma.node();
        let coherent = memory.coherent.as_ref().ok_or(code::ENODEV)?;
        // SAFETY: the mapping owns the buffer, too; `revoke`, which frees earlier, takes the pages out before.
        unsafe { coherent.mmap(vma) }?;
        memory.node = Some(node);
        memory.mm = Mm::current(inband);
        vma.hold(buffer.clone());
        Ok(())
    }

    /// One of the processes that mapped a buffer, each time another one.
    pub(super) fn take_process(&mut self, inband: &Inband<'_>) -> Option<Mm> {
        let mut buffers = self.slots.iter().flatten().flatten();
        buffers.find_map(|buffer| buffer.0.lock(inband).mm.take())
    }

    /// Takes all memory away from the processes that map it, and frees it.
    pub(super) fn revoke(&mut self, inband: &Inband<'_>) {
        for entry in self.slots.iter_mut().flatten() {
            let Some(buffer) = entry.take() else { continue };
            let mut memory = buffer.0.lock(inband);
            if let Some(node) = memory.node.take()
                && !KArc::is_unique(&buffer)
            {
                // SAFETY: another owner is a mapping of this node.
                unsafe { node.unmap(inband) };
            }
            memory.coherent = None;
        }
    }
}

/// Lets go of the buffers that only the chip select itself still owns.
fn drop_unmapped(slot: &mut [Option<KArc<Buffer>>; BUFFERS_MAX]) {
    for entry in slot {
        if entry.as_ref().is_some_and(KArc::is_unique) {
            *entry = None;
        }
    }
}
