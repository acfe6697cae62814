// SPDX-License-Identifier: GPL-2.0-only

//! Device memory that processes map, and that can be taken away from them.
//!
//! A driver keeps some *sets* of buffers, one for each channel, chip select or line that it serves.
//! Each set has one current buffer, which the device uses, and former ones that a process still
//! maps.
//!
//! ```text
//!   make     -> current buffer of the set <-- map: the mapping owns it, too
//!   retire   -> former buffer, kept while it is mapped; a later `make` or `retire` frees it
//!   unbind   -> take_process: wait for mmap calls -> revoke: mappings gone (SIGBUS), memory freed
//! ```
//!
//! The kernel enters a mapping among its node's only after `->mmap` has returned, and a mapping can
//! be revoked only then. So before it revokes, the driver waits for the mmap calls of those
//! processes that mapped a buffer. It holds nothing meanwhile: such a call holds its process's
//! lock, and wants the driver's.

use crate::stage::Inband;
use core::ptr::NonNull;
use kernel::alloc::KArc;
use kernel::bindings as b;
use kernel::dma::Coherent;
use kernel::error::{Result, code};
use kernel::mm::{Mm, Node, Vma};
use kernel::sync::{LockClass, Mutex};

/// Why a buffer was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MakeError {
    /// There is no such set.
    NoSuch,
    /// All buffers of the set are still mapped.
    AllMapped,
    /// There is no memory.
    NoMemory,
}

/// The addresses of a buffer: zeroed, coherent memory.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The processor's address.
    pub cpu: NonNull<u8>,
    /// The bus address of the same byte.
    pub bus: u64,
}

struct Buffer(Mutex<Memory>);

impl Buffer {
    /// # Safety
    ///
    /// `device` is bound to its driver, whose removal revokes.
    unsafe fn new(
        inband: &Inband<'_>,
        device: *mut b::device,
        len: usize,
    ) -> Result<(KArc<Self>, Place)> {
        static CLASS: LockClass = LockClass::new();
        // SAFETY: the device is bound by this function's contract, and `revoke` drops the memory
        // before that ends.
        let coherent = unsafe { Coherent::new(inband, device, len) }?;
        let place = Place {
            cpu: coherent.cpu(),
            bus: coherent.bus(),
        };
        let memory = Memory {
            coherent: Some(coherent),
            node: None,
            mm: None,
        };
        let memory = Mutex::new(inband, memory, c"oob mapped buffer", &CLASS)?;
        Ok((KArc::new(inband, Self(memory))?, place))
    }
}

struct Memory {
    /// `None` once revoked.
    coherent: Option<Coherent>,
    /// Set while the buffer may be mapped.
    node: Option<Node>,
    /// The process that mapped the buffer. There is one: a buffer has one user, and children do not
    /// inherit the mapping.
    mm: Option<Mm>,
}

/// `SETS` sets of at most `EACH` buffers, former ones that are still mapped included.
pub struct MappedBuffers<const SETS: usize, const EACH: usize> {
    device: *mut b::device,
    sets: [[Option<KArc<Buffer>>; EACH]; SETS],
}

// SAFETY: the device may be named from any thread, and outlives the buffers by the contract of
// `new`.
unsafe impl<const SETS: usize, const EACH: usize> Send for MappedBuffers<SETS, EACH> {}

impl<const SETS: usize, const EACH: usize> MappedBuffers<SETS, EACH> {
    /// Empty sets of buffers for the DMA of `device`.
    ///
    /// # Safety
    ///
    /// Whenever [`Self::make`] is called, `device` is bound to its driver, and [`Self::revoke`] is
    /// called before that ends.
    pub const unsafe fn new(device: *mut b::device) -> Self {
        Self {
            device,
            sets: [const { [const { None }; EACH] }; SETS],
        }
    }

    fn set(&mut self, set: usize) -> Option<&mut [Option<KArc<Buffer>>; EACH]> {
        self.sets.get_mut(set)
    }

    /// Makes the current buffer of a set. The former one is not in use any more.
    ///
    /// # Errors
    ///
    /// See [`MakeError`].
    pub fn make(
        &mut self,
        inband: &Inband<'_>,
        set: usize,
        len: usize,
    ) -> core::result::Result<Place, MakeError> {
        let device = self.device;
        let set = self.set(set).ok_or(MakeError::NoSuch)?;
        drop_unmapped(set);
        let free = set.iter_mut().position(|entry| entry.is_none());
        let free = free.ok_or(MakeError::AllMapped)?;
        // SAFETY: the device is bound by the contract of `new`.
        let made = unsafe { Buffer::new(inband, device, len) };
        let (buffer, place) = made.map_err(|_| MakeError::NoMemory)?;
        if let Some(entry) = set.get_mut(free) {
            *entry = Some(buffer);
        }
        // The current buffer is the first one.
        set.swap(0, free);
        Ok(place)
    }

    /// The current buffer of a set is not in use any more.
    pub fn retire(&mut self, set: usize) {
        if let Some(set) = self.set(set) {
            drop_unmapped(set);
        }
    }

    fn current(&mut self, set: usize) -> Option<&KArc<Buffer>> {
        self.set(set)?.first()?.as_ref()
    }

    /// Whether [`Self::map`] may map the current buffer: not while it is mapped through another
    /// node than `vma`'s.
    ///
    /// Revoking finds the mappings of one node only. Only root can make a second node of the same
    /// number.
    pub fn may_map(&mut self, inband: &Inband<'_>, set: usize, vma: &Vma<'_>) -> bool {
        let Some(buffer) = self.current(set) else {
            return true;
        };
        let first = buffer.0.lock(inband).node;
        !first.is_some_and(|first| first != vma.node()) || KArc::is_unique(buffer)
    }

    /// Maps the current buffer, for which [`Self::may_map`] returned `true`.
    ///
    /// # Errors
    ///
    /// `ENODEV` where there is no buffer, or what `dma_mmap_attrs` returns.
    pub fn map(&mut self, inband: &Inband<'_>, set: usize, vma: &Vma<'_>) -> Result {
        let buffer = self.current(set).ok_or(code::ENODEV)?;
        let mut memory = buffer.0.lock(inband);
        let node = vma.node();
        let coherent = memory.coherent.as_ref().ok_or(code::ENODEV)?;
        // SAFETY: the mapping owns the buffer, too (`hold`, below). `revoke`, which frees the
        // memory earlier, takes the pages out of the process first.
        unsafe { coherent.mmap(vma) }?;
        memory.node = Some(node);
        memory.mm = Mm::current(inband);
        vma.hold(buffer.clone());
        Ok(())
    }

    /// One of the processes that mapped a buffer; each call returns another one.
    pub fn take_process(&mut self, inband: &Inband<'_>) -> Option<Mm> {
        let mut buffers = self.sets.iter().flatten().flatten();
        buffers.find_map(|buffer| buffer.0.lock(inband).mm.take())
    }

    /// Takes all memory away from the processes that map it, and frees it.
    pub fn revoke(&mut self, inband: &Inband<'_>) {
        for entry in self.sets.iter_mut().flatten() {
            let Some(buffer) = entry.take() else { continue };
            let mut memory = buffer.0.lock(inband);
            if let Some(node) = memory.node.take()
                && !KArc::is_unique(&buffer)
            {
                // SAFETY: the buffer's other owner is a mapping of this node, so the node is alive.
                unsafe { node.unmap(inband) };
            }
            memory.coherent = None;
        }
    }
}

/// Drops the buffers that no mapping owns.
fn drop_unmapped(set: &mut [Option<KArc<Buffer>>]) {
    for entry in set {
        if entry.as_ref().is_some_and(KArc::is_unique) {
            *entry = None;
        }
    }
}
