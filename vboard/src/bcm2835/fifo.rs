// SPDX-License-Identifier: GPL-2.0-only

//! A FIFO of 64 bytes.

pub(crate) const DEPTH: usize = 64;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Fifo {
    bytes: [u8; DEPTH],
    head: usize,
    len: usize,
}

impl Fifo {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; DEPTH],
            head: 0,
            len: 0,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.len >= DEPTH
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends a byte. Returns false if the FIFO is full; the byte is then lost.
    pub(crate) fn push(&mut self, byte: u8) -> bool {
        if self.is_full() {
            return false;
        }
        // The remainder keeps the index in range, so the compiler drops the bounds check.
        let place = self.head.wrapping_add(self.len) % DEPTH;
        if let Some(slot) = self.bytes.get_mut(place) {
            *slot = byte;
        }
        self.len = self.len.wrapping_add(1);
        true
    }

    pub(crate) fn pop(&mut self) -> Option<u8> {
        self.len = self.len.checked_sub(1)?;
        let byte = self.bytes.get(self.head % DEPTH).copied();
        self.head = self.head.wrapping_add(1) % DEPTH;
        byte
    }

    /// Appends a byte and removes the first. The FIFO must not be full.
    pub(crate) fn rotate(&mut self, byte: u8) -> u8 {
        if let Some(slot) = self.bytes.get_mut(self.head.wrapping_add(self.len) % DEPTH) {
            *slot = byte;
        }
        let first = self.bytes.get(self.head % DEPTH).copied().unwrap_or(0);
        self.head = self.head.wrapping_add(1) % DEPTH;
        first
    }

    /// Inverts all bytes: the effect of a change of the access width while bytes are inside.
    pub(crate) fn garble(&mut self) {
        for byte in &mut self.bytes {
            *byte = !*byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn the_fifo_is_a_bounded_queue(ops in prop::collection::vec(prop::option::of(any::<u8>()), 0..500)) {
            let (mut fifo, mut queue) = (Fifo::new(), VecDeque::new());
            for op in ops {
                match op {
                    Some(byte) => {
                        let fits = queue.len() < DEPTH;
                        if fits {
                            queue.push_back(byte);
                        }
                        prop_assert_eq!(fifo.push(byte), fits);
                    }
                    None => prop_assert_eq!(fifo.pop(), queue.pop_front()),
                }
                prop_assert_eq!(fifo.len(), queue.len());
                if queue.len() < DEPTH {
                    queue.push_back(0x5a);
                    prop_assert_eq!(Some(fifo.rotate(0x5a)), queue.pop_front());
                }
            }
        }
    }
}
