// SPDX-License-Identifier: GPL-2.0-only

//! A pool: blocks of one size, from memory set up in-band, and a queue of filled blocks.
//!
//! ```text
//!            take                    send                         receive
//!   free  ---------> Block (taken) ---------> queue, in that order --------> Block (taken)
//!     ^                |                                                       |
//!     '---- dropped ---'--------------------- dropped -------------------------'
//!
//!   memory:  | next, length | bytes ... | next, length | bytes ... | ...
//! ```
//!
//! Rules:
//! 1. A block is free, queued, or taken. Only the owner of a taken block reaches its bytes. Blocks
//!    change state only under the lock.
//! 2. A block's `next` belongs to the list that the block is in, so each list has room for all
//!    blocks.
//! 3. If no block is free, taking one is an error. No caller waits, in any context.

use crate::lock::HardLock;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// Memory for a pool.
///
/// # Safety
///
/// [`Self::bytes`] returns the same bytes for as long as the value lives, even if it is moved. The
/// bytes are initialised, and no other code touches them.
pub unsafe trait Memory {
    /// All bytes of the memory.
    fn bytes(&mut self) -> NonNull<[u8]>;
}

/// The header before a block's bytes.
#[derive(Clone, Copy)]
#[repr(C)]
struct Header {
    /// The number of the next block in the same list.
    next: u32,
    /// The number of valid bytes of a queued block.
    len: u32,
}

const HEADER: usize = size_of::<Header>();
const NONE: u32 = u32::MAX;

/// The lists of a pool: the content of its hard lock, for [`Pool::new`].
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
    /// Empty lists.
    pub const fn new() -> Self {
        Self {
            free: NONE,
            first: NONE,
            last: NONE,
        }
    }
}

/// The memory holds no block, or more blocks than can be counted; or the block size is 0 or too
/// large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSize;

/// No block is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// A pool; see the module's documentation.
///
/// # Invariants
///
/// At `base` there are `count` blocks of `stride` bytes each, header included. Each number in a
/// list is below `count` and in one list only. The number of a [`Block`] is below `count` and in no
/// list.
pub struct Pool<L, M> {
    lists: L,
    base: NonNull<u8>,
    stride: usize,
    size: usize,
    count: u32,
    _memory: M,
}

// SAFETY: only the owner of a block reaches its bytes, on whichever thread; the lists are under a
// lock that is Send.
unsafe impl<L: Send, M: Send> Send for Pool<L, M> {}
// SAFETY: threads that share the pool reach the lists under the lock only, and bytes only of blocks
// that they own.
unsafe impl<L: Sync, M: Sync> Sync for Pool<L, M> {}

impl<L, M> fmt::Debug for Pool<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("size", &self.size)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// The size of the memory that `count` blocks of `size` bytes need, or `None` if [`Pool::new`]
/// would refuse it.
pub fn memory_for(count: u32, size: usize) -> Option<usize> {
    let is_size = !matches!(count, 0 | NONE) && size > 0;
    let stride = stride(size).filter(|_| is_size)?;
    stride.checked_mul(usize::try_from(count).ok()?)
}

/// The distance of two blocks: a multiple of the header's size, so that all headers are aligned
/// alike.
fn stride(size: usize) -> Option<usize> {
    size.checked_add(HEADER)?.checked_next_multiple_of(HEADER)
}

impl<L: HardLock<Lists>, M: Memory> Pool<L, M> {
    /// A pool of as many free blocks of `size` bytes as the memory holds. Called in-band. The lock
    /// holds [`Lists::new`].
    ///
    /// # Errors
    ///
    /// [`BadSize`].
    pub fn new(lists: L, mut memory: M, size: usize) -> Result<Self, BadSize> {
        let bytes = memory.bytes();
        let stride = stride(size).filter(|_| size > 0).ok_or(BadSize)?;
        let count = bytes.len().checked_div(stride).ok_or(BadSize)?;
        let count = u32::try_from(count).map_err(|_| BadSize)?;
        // A block's header also keeps lengths in 32 bits.
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
            // INVARIANT: each number below `count` goes into the list once.
            pool.give_back(index);
        }
        Ok(pool)
    }

    /// The size of a block in bytes.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The number of blocks.
    pub const fn count(&self) -> u32 {
        self.count
    }

    fn at(&self, index: u32) -> NonNull<u8> {
        let offset = (index as usize).wrapping_mul(self.stride);
        // SAFETY: by the invariants the number is below `count`, so the block lies inside the
        // memory.
        unsafe { self.base.add(offset) }
    }

    /// # Safety
    ///
    /// The block is in a list whose lock is held, or the caller owns it.
    unsafe fn header(&self, index: u32) -> Header {
        // SAFETY: the block lies inside the memory, and no other code writes its header meanwhile,
        // by contract. The read needs no alignment.
        unsafe { self.at(index).cast::<Header>().read_unaligned() }
    }

    /// # Safety
    ///
    /// As for [`Self::header`].
    unsafe fn set_header(&self, index: u32, header: Header) {
        // SAFETY: the block lies inside the memory, and no other code uses its header meanwhile, by
        // contract. The write needs no alignment.
        unsafe { self.at(index).cast::<Header>().write_unaligned(header) };
    }

    fn give_back(&self, index: u32) {
        self.lists.with(|lists| {
            let header = Header {
                next: lists.free,
                len: 0,
            };
            // SAFETY: both callers own the block: `new` before it is in any list, `Block::drop` by
            // its invariant.
            unsafe { self.set_header(index, header) };
            lists.free = index;
        });
    }

    /// Takes a free block. Its bytes have any content. Callable from any context.
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
            // SAFETY: the block is in the list of free blocks, whose lock is held.
            lists.free = unsafe { self.header(index) }.next;
            Ok(index)
        })?;
        // INVARIANT: the number has left its list.
        Ok(Block { pool: self, index })
    }

    /// Takes the first queued block, and returns it with the number of its valid bytes. Callable
    /// from any context.
    pub fn receive(&self) -> Option<(Block<'_, L, M>, usize)> {
        let (index, len) = self.lists.with(|lists| {
            let index = lists.first;
            if index == NONE {
                return None;
            }
            // SAFETY: the block is in the queue, whose lock is held.
            let header = unsafe { self.header(index) };
            lists.first = header.next;
            Some((index, header.len as usize))
        })?;
        // INVARIANT: the number has left its list.
        Some((Block { pool: self, index }, len))
    }

    /// Whether the queue is empty now.
    pub fn is_queue_empty(&self) -> bool {
        self.lists.with(|lists| lists.first == NONE)
    }
}

/// A taken block. Dropping it frees it; that works in any context.
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
    /// Queues the block. Its first `len` bytes are valid, at most all of them. Callable from any
    /// context.
    pub fn send(self, len: usize) {
        let Self { pool, index } = self;
        core::mem::forget(self);
        let len = u32::try_from(len.min(pool.size)).unwrap_or(u32::MAX);
        pool.lists.with(|lists| {
            // SAFETY: the caller owned the block, and `forget` above has ended that without freeing
            // it.
            unsafe { pool.set_header(index, Header { next: NONE, len }) };
            if lists.first == NONE {
                lists.first = index;
            } else {
                let last = lists.last;
                // SAFETY: the queue is not empty, so `last` is in it, and its lock is held.
                let before = unsafe { pool.header(last) };
                let linked = Header {
                    next: index,
                    ..before
                };
                // SAFETY: `last` is in the queue, whose lock is held.
                unsafe { pool.set_header(last, linked) };
            }
            lists.last = index;
        });
    }

    fn bytes(&self) -> NonNull<[u8]> {
        // SAFETY: a block's stride is its size plus at least a header, so the bytes behind the
        // header lie inside the memory.
        let bytes = unsafe { self.pool.at(self.index).add(HEADER) };
        NonNull::slice_from_raw_parts(bytes, self.pool.size)
    }
}

impl<L: HardLock<Lists>, M: Memory> Deref for Block<'_, L, M> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the memory is initialised, and only this block's owner reaches its bytes.
        unsafe { self.bytes().as_ref() }
    }
}

impl<L: HardLock<Lists>, M: Memory> DerefMut for Block<'_, L, M> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the memory is initialised, only this block's owner reaches its bytes, and `self`
        // is borrowed uniquely.
        unsafe { self.bytes().as_mut() }
    }
}

impl<L: HardLock<Lists>, M: Memory> Drop for Block<'_, L, M> {
    fn drop(&mut self) {
        self.pool.give_back(self.index);
    }
}
