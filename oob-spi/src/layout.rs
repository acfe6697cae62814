// SPDX-License-Identifier: GPL-2.0-only

//! Where things lie in the memory of one chip select.
//!
//! ```text
//!  0            tx_offset      iobuf_len  stop_offset             total
//!  | rx   | pad | tx     | pad |   pad    | stop          | pad   |
//!  |<--- a multiple of the cache line --->|
//!  |<------- mappable: whole pages ------>|<--- whole pages ------>|
//! ```
//!
//! RX and TX share no cache line, because the device writes one and the processor the other. The
//! stop frame shares no page with them, so a faulty program cannot overwrite the frame that brings
//! its device to rest.

/// What a layout depends on; both are powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a level 1 cache line.
    pub align: u32,
    /// Bytes of a page.
    pub page: u32,
}

/// Offsets and lengths, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where the received frame begins.
    pub rx_offset: u32,
    /// Where the frame to send begins.
    pub tx_offset: u32,
    /// RX and TX with their padding.
    pub iobuf_len: u32,
    /// The bytes that may be mapped: `iobuf_len` in whole pages.
    pub mappable: u32,
    /// Where the stop frame begins.
    pub stop_offset: u32,
    /// Bytes in all, in whole pages.
    pub total: u32,
}

const fn align_up(len: u32, align: u32) -> Option<u32> {
    if !align.is_power_of_two() {
        return None;
    }
    len.checked_next_multiple_of(align)
}

/// Lays out frames of `frame_len` bytes. `None` where that does not fit 32 bits, or `geometry` is
/// not of powers of two.
pub const fn layout(frame_len: u32, geometry: Geometry) -> Option<Layout> {
    let Some(tx_offset) = align_up(frame_len, geometry.align) else {
        return None;
    };
    let Some(iobuf_len) = tx_offset.checked_mul(2) else {
        return None;
    };
    let Some(mappable) = align_up(iobuf_len, geometry.page) else {
        return None;
    };
    let Some(stop_len) = align_up(frame_len, geometry.page) else {
        return None;
    };
    let Some(total) = mappable.checked_add(stop_len) else {
        return None;
    };
    Some(Layout {
        rx_offset: 0,
        tx_offset,
        iobuf_len,
        mappable,
        stop_offset: mappable,
        total,
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn offsets_are_those_of_evl() {
        let geometry = Geometry {
            align: 64,
            page: 4096,
        };
        let got = layout(140, geometry).unwrap();
        assert_eq!((got.rx_offset, got.tx_offset, got.iobuf_len), (0, 192, 384));
        assert_eq!(
            (got.mappable, got.stop_offset, got.total),
            (4096, 4096, 8192)
        );
        assert_eq!(layout(0x8000_0000, geometry), None);
        assert_eq!(
            layout(
                8,
                Geometry {
                    align: 0,
                    page: 4096
                }
            ),
            None
        );
        assert_eq!(layout(8, Geometry { align: 64, page: 3 }), None);
    }

    proptest! {
        #[test]
        fn areas_are_aligned_and_apart(len in 1u32.., align in 0u32..8, page in 0u32..6) {
            let geometry = Geometry { align: 16 << align, page: 4096 << page };
            // 64 bits give the exact answer, and tell whether it fits 32.
            let half = u64::from(len).next_multiple_of(u64::from(geometry.align));
            let page = u64::from(geometry.page);
            let mappable = (2 * half).next_multiple_of(page);
            let total = mappable + u64::from(len).next_multiple_of(page);
            match layout(len, geometry) {
                None => prop_assert!(total > u64::from(u32::MAX)),
                Some(got) => {
                    prop_assert_eq!(u64::from(got.tx_offset), half);
                    prop_assert_eq!(u64::from(got.iobuf_len), 2 * half);
                    prop_assert_eq!(u64::from(got.mappable), mappable);
                    prop_assert_eq!(u64::from(got.total), total);
                    prop_assert!(got.rx_offset + len <= got.tx_offset);
                    prop_assert!(got.tx_offset + len <= got.iobuf_len);
                    prop_assert!(got.iobuf_len <= got.mappable);
                    prop_assert!(got.mappable <= got.stop_offset);
                    prop_assert_eq!(got.stop_offset % geometry.page, 0);
                    prop_assert!(got.stop_offset + len <= got.total);
                }
            }
        }
    }
}
