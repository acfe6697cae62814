// SPDX-License-Identifier: GPL-2.0-only

use super::*;
use crate::bcm2835::faults::Noise;
use crate::bcm2835::irq::IrqLine;

fn running(change: impl FnOnce(&mut crate::bcm2835::faults::Faults)) -> Rig {
    let mut rig = Rig::new();
    rig.put(SENT, &pattern(128));
    rig.set(CLK, 4);
    rig.board.with_faults(change);
    rig.frame(4, 5, 128);
    rig.drain();
    rig
}

#[test]
fn a_stuck_transmit_dreq_holds_everything_until_it_goes() {
    let mut rig = running(|faults| faults.spi_tx_dreq_stuck = true);
    assert_eq!(rig.channel(4, 0) & (ACTIVE | HELD), ACTIVE | HELD);
    assert_eq!(rig.channel(4, TXFR_LEN), 128);
    assert!(rig.board.irq_lines().is_empty());
    rig.board
        .with_faults(|faults| faults.spi_tx_dreq_stuck = false);
    rig.drain();
    assert!(rig.board.irq_lines().contains(IrqLine::Dma(5)));
}

#[test]
fn a_stuck_receive_dreq_fills_the_fifo_and_stalls_the_shifter() {
    let mut rig = running(|faults| faults.spi_rx_dreq_stuck = true);
    assert_eq!(rig.get(CS) & RXF, RXF);
    assert_eq!(rig.board.spi_counts().shifted, 64);
    // Mainline's driver recovers like this.
    rig.set_channel(4, 0, RESET);
    rig.set_channel(5, 0, RESET);
    rig.set(CS, DONE | CLEAR);
    rig.board
        .with_faults(|faults| faults.spi_rx_dreq_stuck = false);
    rig.frame(4, 5, 128);
    rig.drain();
    assert_eq!(rig.at(RECEIVED, 128), complement(&pattern(128)));
}

#[test]
fn a_bus_error_stops_the_channel_at_its_word_without_an_interrupt() {
    for (fault, at) in [(RECEIVED + 41, 40), (BLOCKS + 32, 0)] {
        let mut rig = running(|faults| faults.bus_error_at = Some(fault));
        assert_eq!(rig.channel(5, 0) & (ACTIVE | ERROR | END | INT), ERROR);
        assert_eq!(rig.channel(5, DEBUG) & 7, 4);
        assert_ne!(rig.channel(5, CONBLK_AD), 0);
        assert_eq!(rig.at(RECEIVED, 128)[..at], complement(&pattern(128))[..at]);
        assert_eq!(rig.at(RECEIVED, 128)[at..], vec![0; 128 - at]);
        rig.set_channel(5, DEBUG, 7);
        assert_eq!(rig.channel(5, 0) & ERROR, 0);
    }
    // The same address as the destination.
    let mut rig = running(|faults| faults.bus_error_at = Some(FIFO_BUS));
    assert_eq!(rig.channel(4, 0) & (ACTIVE | ERROR), ERROR);
    assert_eq!(rig.channel(5, 0) & (ACTIVE | ERROR | HELD), ACTIVE | HELD);
}

#[test]
fn an_unmapped_address_is_a_bus_error_even_within_a_batch() {
    for (source, dest) in [
        (SENT, BASE + (256 << 10) - 20),
        (BASE + (256 << 10) - 20, SENT),
        (0x7e00_0000, SENT),
        (SENT, 0x7e21_5040),
    ] {
        let mut rig = Rig::new();
        let block = rig.block(0, [S_INC | D_INC | INTEN, source, dest, 400, 0, 0]);
        rig.start(0, block);
        rig.drain();
        assert_eq!(rig.channel(0, 0) & (ACTIVE | ERROR | END | INT), ERROR);
        let left = if source >> 24 == 0x7e || dest >> 24 == 0x7e {
            400
        } else {
            380
        };
        assert_eq!(rig.channel(0, TXFR_LEN), left);
    }
}

#[test]
fn the_given_number_of_interrupts_is_lost_and_the_status_bits_stay() {
    let mut rig = Rig::new();
    let line = IrqLine::Dma(1);
    rig.board
        .with_faults(|faults| faults.lost_irqs = Some((line, 2)));
    for round in 0..4 {
        let block = rig.block(0, [S_INC | D_INC | INTEN, SENT, RECEIVED, 32, 0, 0]);
        rig.start(1, block);
        rig.drain();
        assert_eq!(rig.dma(INT_STATUS), 2);
        assert_eq!(rig.board.irq_lines().contains(line), round >= 2, "{round}");
        rig.set_channel(1, 0, INT);
        assert!(rig.board.irq_lines().is_empty());
    }
}

#[test]
fn noise_flips_the_same_single_bits_for_the_same_seed() {
    let run = |seed| {
        let mut rig = running(|faults| faults.miso_noise = Some(Noise::new(seed, 4)));
        rig.at(RECEIVED, 128)
    };
    let clean = complement(&pattern(128));
    let flips: Vec<u32> = run(1)
        .iter()
        .zip(&clean)
        .map(|(a, b)| (a ^ b).count_ones())
        .collect();
    assert!(flips.iter().all(|flips| *flips <= 1));
    assert!((10..60).contains(&flips.iter().sum::<u32>()), "{flips:?}");
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_hung_channel_never_ends_and_only_reset_frees_it() {
    let mut rig = running(|faults| faults.hung_channels = 1 << 5);
    assert_eq!(rig.channel(5, 0) & (ACTIVE | INT), ACTIVE);
    rig.set_channel(5, 0, 0);
    rig.wait(1_000_000);
    assert_eq!(
        rig.channel(5, 0) & (ACTIVE | WAITING),
        WAITING,
        "the access is never answered"
    );
    rig.board.with_faults(|faults| faults.hung_channels = 0);
    rig.set_channel(5, 0, ACTIVE | ABORT);
    rig.wait(1_000_000);
    assert_eq!(rig.channel(5, 0) & (ACTIVE | INT), ACTIVE);
    for n in [4, 5] {
        rig.set_channel(n, 0, RESET);
    }
    rig.set(CS, DONE | CLEAR);
    rig.frame(4, 5, 128);
    rig.drain();
    assert_eq!(rig.at(RECEIVED, 128), complement(&pattern(128)));
}
