// SPDX-License-Identifier: MIT OR Apache-2.0

//! The frame buffer that the program, the driver and the DMA controller share.
//!
//! ```text
//!   0            rx_offset+len      tx_offset          tx_offset+len    len
//!   [ received frame | pad .......... | frame to send  | pad .......... ]
//! ```
//!
//! A device writes here at any moment, so no reference to these bytes is ever made: they are copied in and out with
//! volatile accesses, and any value of a byte is valid. Words are 8 bytes where they can be, since the memory may be
//! uncached. What a copy sees of a frame that is under way is a mixture; the exchange call is what orders them.

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};

const WORD: usize = size_of::<u64>();

/// A mapping of a device's frame buffer.
///
/// # Invariants
///
/// `base` is page-aligned and begins `len` mapped, readable and writable bytes, until this value is dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, and nothing in it is bound to a thread.
unsafe impl Send for Mapping {}

/// Why a copy was refused: its bytes do not lie within the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfRange;

impl Mapping {
    /// Maps `len` bytes, at least 1, from the start of `fd`.
    pub(crate) fn new(fd: impl AsFd, len: usize) -> Result<Self, Errno> {
        // SAFETY: a fresh range that the kernel chooses; it replaces no mapping.
        let address = unsafe {
            mmap(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd,
                0,
            )
        }?;
        // INVARIANT: mmap succeeded, so the range is mapped, and only `drop` unmaps it.
        NonNull::new(address.cast::<u8>())
            .map(|base| Self { base, len })
            .ok_or(Errno::FAULT)
    }

    /// The address of byte `offset`, of which `len` bytes lie within the mapping.
    fn range(&self, offset: usize, len: usize) -> Result<NonNull<u8>, OutOfRange> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => {
                // SAFETY: `offset` is at most `self.len`, so this stays within or one past the mapping.
                Ok(unsafe { self.base.add(offset) })
            }
            _ => Err(OutOfRange),
        }
    }

    /// Copies `from` to the bytes from `offset` on.
    pub(crate) fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), OutOfRange> {
        let to = self.range(offset, from.len())?;
        if to.addr().get() % WORD != 0 {
            // SAFETY: `range` found so many bytes in the mapping, which no reference covers.
            unsafe { write_bytes(to, from) };
            return Ok(());
        }
        let (words, tail) = from.as_chunks::<WORD>();
        for (i, word) in words.iter().enumerate() {
            // SAFETY: word `i` of `from` has its place within the range checked above.
            let place = unsafe { to.cast::<u64>().add(i) };
            // SAFETY: mapped and writable by the type's invariant, and aligned as tested above.
            unsafe { place.write_volatile(u64::from_ne_bytes(*word)) };
        }
        // SAFETY: the words end where the tail begins, within the range checked above.
        let rest = unsafe { to.add(words.len() * WORD) };
        // SAFETY: the tail's place is the rest of that range.
        unsafe { write_bytes(rest, tail) };
        Ok(())
    }

    /// Copies the bytes from `offset` on to `into`.
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfRange> {
        let from = self.range(offset, into.len())?;
        if from.addr().get() % WORD != 0 {
            // SAFETY: `range` found so many bytes in the mapping, which no reference covers.
            unsafe { read_bytes(from, into) };
            return Ok(());
        }
        let (words, tail) = into.as_chunks_mut::<WORD>();
        for (i, word) in words.iter_mut().enumerate() {
            // SAFETY: word `i` of `into` has its place within the range checked above.
            let place = unsafe { from.cast::<u64>().add(i) };
            // SAFETY: mapped and readable by the type's invariant, and aligned as tested above.
            *word = unsafe { place.read_volatile() }.to_ne_bytes();
        }
        // SAFETY: the words end where the tail begins, within the range checked above.
        let rest = unsafe { from.add(words.len() * WORD) };
        // SAFETY: the tail's place is the rest of that range.
        unsafe { read_bytes(rest, tail) };
        Ok(())
    }
}

/// Copies byte by byte.
///
/// # Safety
///
/// `to` begins `from.len()` bytes that are mapped and writable, and to which there is no reference.
unsafe fn write_bytes(to: NonNull<u8>, from: &[u8]) {
    for (i, byte) in from.iter().enumerate() {
        // SAFETY: byte `i` of `from` has its place by this function's contract.
        let place = unsafe { to.add(i) };
        // SAFETY: as above; a byte is always aligned.
        unsafe { place.write_volatile(*byte) };
    }
}

/// Copies byte by byte.
///
/// # Safety
///
/// `from` begins `into.len()` bytes that are mapped and readable, and to which there is no reference.
unsafe fn read_bytes(from: NonNull<u8>, into: &mut [u8]) {
    for (i, byte) in into.iter_mut().enumerate() {
        // SAFETY: byte `i` of `into` has its place by this function's contract.
        let place = unsafe { from.add(i) };
        // SAFETY: as above; a byte is always aligned.
        *byte = unsafe { place.read_volatile() };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new`, and no reference to it was ever made.
        // A failure would mean that it is gone already.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(len: usize) -> Mapping {
        let zero = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/zero")
            .unwrap();
        Mapping::new(&zero, len).unwrap()
    }

    #[test]
    fn what_is_written_is_read_at_every_offset_and_length() {
        let mut mapping = mapping(128);
        for offset in 0..20 {
            for len in 0..40 {
                let pattern: Vec<u8> = (0..len).map(|i| (offset * 7 + i * 3 + 1) as u8).collect();
                mapping.write(0, &[0xee; 128]).unwrap();
                mapping.write(offset, &pattern).unwrap();
                let mut all = [0; 128];
                mapping.read(0, &mut all).unwrap();
                assert_eq!(&all[offset..offset + len], &pattern[..]);
                assert!(all[..offset].iter().all(|byte| *byte == 0xee));
                assert!(all[offset + len..].iter().all(|byte| *byte == 0xee));
                let mut back = vec![0; len];
                mapping.read(offset, &mut back).unwrap();
                assert_eq!(back, pattern);
            }
        }
    }

    #[test]
    fn nothing_outside_is_touched() {
        let mut mapping = mapping(64);
        assert_eq!(mapping.write(60, &[0; 5]), Err(OutOfRange));
        assert_eq!(mapping.write(usize::MAX, &[0; 2]), Err(OutOfRange));
        assert_eq!(mapping.read(65, &mut []), Err(OutOfRange));
        assert_eq!(mapping.read(64, &mut []), Ok(()));
    }
}
