// SPDX-License-Identifier: MIT OR Apache-2.0

//! The frame buffer that the program, the driver and the DMA controller share.
//!
//! ```text
//!   0            rx_offset+len      tx_offset          tx_offset+len    len
//!   [ received frame | pad .......... | frame to send  | pad .......... ]
//! ```
//!
//! The device may write here at any moment. So the program never makes a reference to these bytes:
//! it copies them with volatile accesses, and any value of a byte is valid. The copies use words of
//! 8 bytes if they can, because the memory may be uncached. A copy during a frame may see a mixture
//! of old and new bytes; only the exchange call orders copies and frames.

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};

const WORD: usize = size_of::<u64>();

/// A mapping of a device's frame buffer.
///
/// # Invariants
///
/// `base` is page-aligned. The `len` bytes from there are mapped, readable and writable until this
/// value is dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, so any of its threads may access and unmap it.
unsafe impl Send for Mapping {}

/// Why a copy was refused: its bytes do not lie within the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfRange;

impl Mapping {
    /// Maps `len` bytes, at least 1, from the start of `fd`.
    pub(crate) fn new(fd: impl AsFd, len: usize) -> Result<Self, Errno> {
        // SAFETY: the address is null, so the kernel chooses a free range, and no existing mapping
        // is replaced.
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

    /// The address of byte `offset`, if `len` bytes from there lie within the mapping.
    fn range(&self, offset: usize, len: usize) -> Result<NonNull<u8>, OutOfRange> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => {
                // SAFETY: `offset` is at most `self.len`, so the result is within the mapping or
                // one past its end.
                Ok(unsafe { self.base.add(offset) })
            }
            _ => Err(OutOfRange),
        }
    }

    /// Copies `from` to the bytes from `offset` on.
    pub(crate) fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), OutOfRange> {
        let to = self.range(offset, from.len())?;
        if to.addr().get() % WORD != 0 {
            // SAFETY: `range` checked that `from.len()` bytes lie in the mapping, which is
            // writable; no reference to its bytes exists.
            unsafe { write_bytes(to, from) };
            return Ok(());
        }
        let (words, tail) = from.as_chunks::<WORD>();
        for (i, word) in words.iter().enumerate() {
            // SAFETY: word `i` lies within the first `from.len()` bytes, which `range` checked.
            let place = unsafe { to.cast::<u64>().add(i) };
            // SAFETY: mapped and writable by the type's invariant, and aligned as tested above.
            unsafe { place.write_volatile(u64::from_ne_bytes(*word)) };
        }
        // SAFETY: the words are at most as long as the slice, so this is within the range that
        // `range` checked.
        let rest = unsafe { to.add(words.len() * WORD) };
        // SAFETY: the tail ends where the slice ends, so its bytes lie in the range that `range`
        // checked. No reference to them exists.
        unsafe { write_bytes(rest, tail) };
        Ok(())
    }

    /// Copies the bytes from `offset` on to `into`.
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfRange> {
        let from = self.range(offset, into.len())?;
        if from.addr().get() % WORD != 0 {
            // SAFETY: `range` checked that `into.len()` bytes lie in the mapping, which is
            // readable; no reference to its bytes exists.
            unsafe { read_bytes(from, into) };
            return Ok(());
        }
        let (words, tail) = into.as_chunks_mut::<WORD>();
        for (i, word) in words.iter_mut().enumerate() {
            // SAFETY: word `i` lies within the first `into.len()` bytes, which `range` checked.
            let place = unsafe { from.cast::<u64>().add(i) };
            // SAFETY: mapped and readable by the type's invariant, and aligned as tested above.
            *word = unsafe { place.read_volatile() }.to_ne_bytes();
        }
        // SAFETY: the words are at most as long as the slice, so this is within the range that
        // `range` checked.
        let rest = unsafe { from.add(words.len() * WORD) };
        // SAFETY: the tail ends where the slice ends, so its bytes lie in the range that `range`
        // checked. No reference to them exists.
        unsafe { read_bytes(rest, tail) };
        Ok(())
    }
}

/// Copies byte by byte.
///
/// # Safety
///
/// The `from.len()` bytes at `to` are mapped and writable, and no reference to them exists.
unsafe fn write_bytes(to: NonNull<u8>, from: &[u8]) {
    for (i, byte) in from.iter().enumerate() {
        // SAFETY: `i` is below `from.len()`, and the caller has promised so many bytes at `to`.
        let place = unsafe { to.add(i) };
        // SAFETY: the caller has promised that the byte is mapped and writable. Every address is
        // aligned for a byte.
        unsafe { place.write_volatile(*byte) };
    }
}

/// Copies byte by byte.
///
/// # Safety
///
/// The `into.len()` bytes at `from` are mapped and readable, and no reference to them exists.
unsafe fn read_bytes(from: NonNull<u8>, into: &mut [u8]) {
    for (i, byte) in into.iter_mut().enumerate() {
        // SAFETY: `i` is below `into.len()`, and the caller has promised so many bytes at `from`.
        let place = unsafe { from.add(i) };
        // SAFETY: the caller has promised that the byte is mapped and readable. Every address is
        // aligned for a byte.
        *byte = unsafe { place.read_volatile() };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `new` mapped the range, and no reference to it was ever made. munmap fails for an
        // invalid range only, so its result is ignored.
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
    fn every_offset_and_length_reads_back_the_bytes_written() {
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
    fn accesses_outside_the_mapping_are_refused() {
        let mut mapping = mapping(64);
        assert_eq!(mapping.write(60, &[0; 5]), Err(OutOfRange));
        assert_eq!(mapping.write(usize::MAX, &[0; 2]), Err(OutOfRange));
        assert_eq!(mapping.read(65, &mut []), Err(OutOfRange));
        assert_eq!(mapping.read(64, &mut []), Ok(()));
    }
}
