// SPDX-License-Identifier: MIT OR Apache-2.0

//! Any bytes decode to a structure and back to the same bytes: no padding is hidden, no value is invalid.

use oobkit_abi::{ctl, spi};
use proptest::prelude::*;
use zerocopy::{FromBytes, Immutable, IntoBytes};

fn there_and_back<T: FromBytes + IntoBytes + Immutable>(bytes: &[u8]) -> bool {
    T::read_from_prefix(bytes).is_ok_and(|(value, rest)| {
        value.as_bytes() == &bytes[..size_of::<T>()] && rest.len() == bytes.len() - size_of::<T>()
    })
}

proptest! {
    #[test]
    fn every_byte_of_every_argument_is_kept(bytes in proptest::collection::vec(any::<u8>(), 160)) {
        prop_assert!(there_and_back::<ctl::Attach>(&bytes));
        prop_assert!(there_and_back::<spi::Enable>(&bytes));
        prop_assert!(there_and_back::<spi::RunUntil>(&bytes));
        prop_assert!(there_and_back::<spi::RunList>(&bytes));
        prop_assert!(there_and_back::<spi::ListEntry>(&bytes));
        prop_assert!(there_and_back::<spi::Trigger>(&bytes));
        prop_assert!(there_and_back::<spi::Stop>(&bytes));
        prop_assert!(there_and_back::<spi::Delays>(&bytes));
        prop_assert!(there_and_back::<spi::Info>(&bytes));
        prop_assert!(there_and_back::<spi::Stats>(&bytes));
    }

    #[test]
    fn fewer_bytes_than_the_argument_has_are_no_argument(len in 0_usize..24) {
        prop_assert!(spi::Enable::read_from_prefix(&[0; 24][..len]).is_err());
    }
}
