// SPDX-License-Identifier: GPL-2.0-only

//! The board's memory in a process: one arena, reached by the processor's pointer and by bus
//! address.

use crate::memory::{BusError, BusMemory};
use core::cell::Cell;
use core::ptr::NonNull;
use std::rc::Rc;
use std::vec::Vec;

/// Where the arena lies on the bus: the uncached alias of memory.
pub(crate) const ARENA_BUS: u32 = 0xc000_0000;
/// Bytes of the arena.
pub(crate) const ARENA_LEN: usize = 4 << 20;

/// The memory that DMA reaches. It is allocated at once, so it never moves.
#[derive(Clone, Debug)]
pub(super) struct Arena(Rc<Pages>);

/// # Invariants
///
/// `base` points to [`ARENA_LEN`] bytes that this value alone owns and frees. One thread reaches
/// them, through raw pointers only.
#[derive(Debug)]
struct Pages {
    base: NonNull<u8>,
    /// Bytes handed out so far.
    used: Cell<usize>,
}

#[repr(C, align(4096))]
struct Backing([u8; ARENA_LEN]);

impl Arena {
    pub(super) fn new() -> Self {
        let layout = std::alloc::Layout::new::<Backing>();
        // SAFETY: the layout's size is `ARENA_LEN`, which is not zero.
        let raw = unsafe { std::alloc::alloc_zeroed(layout) };
        let base = NonNull::new(raw).unwrap_or_else(|| std::alloc::handle_alloc_error(layout));
        // INVARIANT: the allocation above has `ARENA_LEN` bytes, and no other value has its
        // pointer.
        Self(Rc::new(Pages {
            base,
            used: Cell::new(0),
        }))
    }

    /// Hands out `len` bytes that were never handed out before, at a multiple of `align`.
    pub(super) fn alloc(&self, len: usize, align: usize) -> DmaMemory {
        let offset = self.0.used.get().next_multiple_of(align);
        assert!(offset + len <= ARENA_LEN, "the arena is used up");
        self.0.used.set(offset + len);
        DmaMemory {
            arena: self.clone(),
            offset,
            len,
        }
    }

    /// A pointer to the `len` bytes at bus address `bus`.
    fn at(&self, bus: u32, len: usize) -> Result<NonNull<u8>, BusError> {
        let offset =
            usize::try_from(bus.checked_sub(ARENA_BUS).ok_or(BusError)?).map_err(|_| BusError)?;
        if offset > ARENA_LEN || ARENA_LEN - offset < len {
            return Err(BusError);
        }
        // SAFETY: `offset` is at most `ARENA_LEN`, the size of the allocation that `base` points
        // to.
        Ok(unsafe { self.0.base.add(offset) })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: `Arena::new` allocated `base` with this layout, and this value alone frees it.
        unsafe { std::alloc::dealloc(self.base.as_ptr(), std::alloc::Layout::new::<Backing>()) };
    }
}

impl BusMemory for Arena {
    fn read(&self, bus: u32, out: &mut [u8]) -> Result<(), BusError> {
        let from = self.at(bus, out.len())?;
        // SAFETY: `at` checked that so many bytes lie in the arena. `out` does not overlap them,
        // since no reference is ever made to the arena's bytes.
        unsafe { from.copy_to_nonoverlapping(NonNull::from(&mut *out).cast(), out.len()) };
        Ok(())
    }

    fn write(&mut self, bus: u32, data: &[u8]) -> Result<(), BusError> {
        let to = self.at(bus, data.len())?;
        // SAFETY: `at` checked that so many bytes lie in the arena. `data` does not overlap them,
        // since no reference is ever made to the arena's bytes.
        unsafe { to.copy_from_nonoverlapping(NonNull::from(data).cast(), data.len()) };
        Ok(())
    }
}

/// Coherent memory: the processor's pointer and the bus address of the same bytes. It may outlive
/// its board.
#[derive(Debug)]
pub struct DmaMemory {
    arena: Arena,
    offset: usize,
    len: usize,
}

impl DmaMemory {
    /// The first byte, as the processor sees it. The pointer is valid while this value or its board
    /// lives.
    pub fn cpu(&self) -> NonNull<u8> {
        // SAFETY: `Arena::alloc` checked that `offset` is at most `ARENA_LEN`, the size of the
        // allocation.
        unsafe { self.arena.0.base.add(self.offset) }
    }

    /// The first byte, as DMA sees it.
    pub fn bus(&self) -> u32 {
        ARENA_BUS + u32::try_from(self.offset).unwrap_or(0)
    }

    /// Length in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the length is zero.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A copy of the present content.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = std::vec![0; self.len];
        // The range was checked when the memory was handed out, so this cannot fail.
        let _ = self.arena.read(self.bus(), &mut out);
        out
    }

    /// Copies `data` to `offset`.
    ///
    /// # Panics
    ///
    /// If it does not fit.
    pub fn fill(&self, offset: usize, data: &[u8]) {
        assert!(offset + data.len() <= self.len, "beyond the memory");
        let at = self.bus() + u32::try_from(offset).unwrap_or(0);
        let _ = self.arena.clone().write(at, data);
    }
}
