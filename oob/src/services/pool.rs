// SPDX-License-Identifier: GPL-2.0-only

//! Blocks of one size, from memory set up in-band, and a line of blocks that were filled.
//!
//! ```text
//!            take                    send                         receive
//!   free  ---------> Block (taken) ---------> line, in that order ---------> Block (taken)
//!     ^                |                                                       |
//!     '---- dropped ---'--------------------- dropped -------------------------'
//!
//!   memory:  | next, length | bytes ... | next, length | bytes ... | ...
//! ```
//!
//! Rules:
//! 1. A block is free, in the line, or taken; who has taken it has its bytes alone. It moves under
//!    the lock only.
//! 2. `next` of a block belongs to the list that the block is in, so a list has room for all of
//!    them.
//! 3. Where no block is free, taking one is an error: nobody waits, in any context.

use crate::lock::HardLock;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// Memory for a pool.
///
/// # Safety
///
/// [`Self::bytes`] gives the same bytes as long as the value lives, wherever it is moved to; they
/// are initialised, and nobody else touches them.
pub unsafe trait Memory {
    /// All of it.
    fn bytes(&mut self) -> NonNull<[u8]>;
}

/// What precedes a block's bytes.
#[derive(Clone, Copy)]
#[repr(C)]
struct Header {
    /// The number of the next block in the same list.
    next: u32,
    /// In the line: bytes that count.
    len: u32,
}

const HEADER: usize = size_of::<Header>();
const NONE: u32 = u32::MAX;

/// What the lock guards: for [`Pool::new`].
#[derive(Debug)]
pub struct Lists {
    free: u32,
    first: u32,
    last: u32,
}

impl Default for Lists {
    fn default() -> Self {
        Self::new()
    }
}

impl Lists {
    /// Without blocks.
    pub const fn new() -> Self {
        Self {
            free: NONE,
            first: NONE,
            last: NONE,
        }
    }
}

/// The memory does not hold a single block, or more than can be counted; or a block is to have no
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSize;

/// No block is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// See the module.
///
/// # Invariants
///
/// From `base` on there are `count` blocks of `stride` bytes each, header included. Each number in
/// a list is below `count`, and in no other list; so is no [`Block`]'s.
pub struct Pool<L, M> {
    lists: L,
    base: NonNull<u8>,
    stride: usize,
    size: usize,
    count: u32,
    _memory: M,
}

// SAFETY: a block's bytes are reached by whoever has the block alone; the lists are under the lock.
unsafe impl<L: Send, M: Send> Send for Pool<L, M> {}
// SAFETY: as above.
unsafe impl<L: Sync, M: Sync> Sync for Pool<L, M> {}

impl<L, M> fmt::Debug for Pool<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("size", &self.size)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// Bytes of memory that `count` blocks of `size` bytes need; none where [`Pool::new`] would not
/// take it.
pub fn memory_for(count: u32, size: usize) -> Option<usize> {
    let is_size = !matches!(count, 0 | NONE) && size > 0;
    let stride = stride(size).filter(|_| is_size)?;
    stride.checked_mul(usize::try_from(count).ok()?)
}

/// Whole headers, so that every one is aligned as the first.
fn stride(size: usize) -> Option<usize> {
    size.checked_add(HEADER)?.checked_next_multiple_of(HEADER)
}

impl<L: HardLock<Lists>, M: Memory> Pool<L, M> {
    /// As many blocks of `size` bytes as the memory holds, all free; in-band. The lock is round
    /// [`Lists::new`].
    ///
    /// # Errors
    ///
    /// [`BadSize`].
    pub fn new(lists: L, mut memory: M, size: usize) -> Result<Self, BadSize> {
        let bytes = memory.bytes();
        let stride = stride(size).filter(|_| size > 0).ok_or(BadSize)?;
        let count = bytes.len().checked_div(stride).ok_or(BadSize)?;
        let count = u32::try_from(count).map_err(|_| BadSize)?;
        // A length is told in 32 bits, too.
        if count == 0 || count == NONE || u32::try_from(size).is_err() {
            return Err(BadSize);
        }
        let pool = Self {
            lists,
            base: bytes.cast(),
            stride,
            size,
            count,
            _memory: memory,
        };
        for index in (0..count).rev() {
            // INVARIANT: each number below the count, once.
            pool.give_back(index);
        }
        Ok(pool)
    }

    /// Bytes of a block.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// How many blocks there are.
    pub const fn count(&self) -> u32 {
        self.count
    }

    fn at(&self, index: u32) -> NonNull<u8> {
        let offset = (index as usize).wrapping_mul(self.stride);
        // SAFETY: by the invariants the number is below the count, and so the block inside the
        // memory.
        unsafe { self.base.add(offset) }
    }

    /// # Safety
    ///
    /// The block is in a list whose lock is held, or the caller has taken it.
    unsafe fn header(&self, index: u32) -> Header {
        // SAFETY: nobody else writes to it, by contract; the memory need not be aligned.
        unsafe { self.at(index).cast::<Header>().read_unaligned() }
    }

    /// # Safety
    ///
    /// As for [`Self::header`].
    unsafe fn set_header(&self, index: u32, header: Header) {
        // SAFETY: nobody else looks at it, by contract; the memory need not be aligned.
        unsafe { self.at(index).cast::<Header>().write_unaligned(header) };
    }

    fn give_back(&self, index: u32) {
        self.lists.with(|lists| {
            let header = Header {
                next: lists.free,
                len: 0,
            };
            // SAFETY: the caller gives the block away, so nobody else has it.
            unsafe { self.set_header(index, header) };
            lists.free = index;
        });
    }

    /// Takes a block, whatever its bytes are; in any context.
    ///
    /// # Errors
    ///
    /// [`Exhausted`].
    pub fn take(&self) -> Result<Block<'_, L, M>, Exhausted> {
        let index = self.lists.with(|lists| {
            let index = lists.free;
            if index == NONE {
                return Err(Exhausted);
            }
            // SAFETY: in the list of free ones, under the lock.
            lists.free = unsafe { self.header(index) }.next;
            Ok(index)
        })?;
        // INVARIANT: it has left its list.
        Ok(Block { pool: self, index })
    }

    /// Takes the first block of the line, and how many of its bytes count; in any context.
    pub fn receive(&self) -> Option<(Block<'_, L, M>, usize)> {
        let (index, len) = self.lists.with(|lists| {
            let index = lists.first;
            if index == NONE {
                return None;
            }
            // SAFETY: in the line, under the lock.
            let header = unsafe { self.header(index) };
            lists.first = header.next;
            Some((index, header.len as usize))
        })?;
        // INVARIANT: it has left its list.
        Some((Block { pool: self, index }, len))
    }

    /// Whether the line is empty now.
    pub fn is_line_empty(&self) -> bool {
        self.lists.with(|lists| lists.first == NONE)
    }
}

/// A block that somebody has taken; free again when dropped, in any context.
pub struct Block<'a, L: HardLock<Lists>, M: Memory> {
    pool: &'a Pool<L, M>,
    index: u32,
}

impl<L: HardLock<Lists>, M: Memory> fmt::Debug for Block<'_, L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Block").field(&self.index).finish()
    }
}

impl<L: HardLock<Lists>, M: Memory> Block<'_, L, M> {
    /// Puts the block at the end of the line; its first `len` bytes count, or as many as it has. In
    /// any context.
    pub fn send(self, len: usize) {
        let Self { pool, index } = self;
        core::mem::forget(self);
        let len = u32::try_from(len.min(pool.size)).unwrap_or(u32::MAX);
        pool.lists.with(|lists| {
            // SAFETY: the caller had taken it, and gives it away.
            unsafe { pool.set_header(index, Header { next: NONE, len }) };
            if lists.first == NONE {
                lists.first = index;
            } else {
                let last = lists.last;
                // SAFETY: in the line, under the lock; where the line is not empty, `last` is in
                // it.
                let before = unsafe { pool.header(last) };
                let linked = Header {
                    next: index,
                    ..before
                };
                // SAFETY: as above.
                unsafe { pool.set_header(last, linked) };
            }
            lists.last = index;
        });
    }

    fn bytes(&self) -> NonNull<[u8]> {
        // SAFETY: the block is longer than its header.
        let bytes = unsafe { self.pool.at(self.index).add(HEADER) };
        NonNull::slice_from_raw_parts(bytes, self.pool.size)
    }
}

impl<L: HardLock<Lists>, M: Memory> Deref for Block<'_, L, M> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: initialised, and this block's alone.
        unsafe { self.bytes().as_ref() }
    }
}

impl<L: HardLock<Lists>, M: Memory> DerefMut for Block<'_, L, M> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed uniquely.
        unsafe { self.bytes().as_mut() }
    }
}

impl<L: HardLock<Lists>, M: Memory> Drop for Block<'_, L, M> {
    fn drop(&mut self) {
        self.pool.give_back(self.index);
    }
}
