// SPDX-License-Identifier: GPL-2.0-only

//! Makes the same random register accesses to the board's model and to QEMU's, and compares the
//! values read.
//!
//! ```text
//!   script (seed) ---> model (vboard, 1 s of virtual time after each access) ---+
//!        |                                                                      +--> compare
//!        +-----------> qemu-system-aarch64 -M raspi3b -S -qtest stdio ----------+
//! ```
//!
//! QEMU completes everything within an access, so the model gets enough virtual time after each
//! access to complete it, too. The sequences are polled SPI, and DMA from memory to memory. The SPI
//! slave is a flash that streams its content without end, so each byte shows its position.
//! `differences.rs` lists the known differences; any other difference is a failure.
//!
//! `cargo run -p vboard --example qemu-diff -- [--sequences N] [--seed S]`

mod differences;
mod machine;
mod qemu;
mod script;

use machine::{Machine, Model};
use std::process::ExitCode;

struct Options {
    sequences: u64,
    seed: u64,
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        sequences: 200,
        seed: 1,
    };
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| format!("{name} needs a number"))?;
        let value = value
            .parse()
            .map_err(|_| format!("{name}: {value} is not a number"))?;
        match name.as_str() {
            "--sequences" => options.sequences = value,
            "--seed" => options.seed = value,
            _ => {
                return Err(format!(
                    "unknown option {name}; known: --sequences N, --seed S"
                ));
            }
        }
    }
    Ok(options)
}

fn run(options: &Options, model: &mut dyn Machine, other: &mut dyn Machine) -> (u64, u64, u64) {
    let (mut passed, mut failed, mut compared) = (0, 0, 0);
    for sequence in 0..options.sequences {
        let outcome = script::play(options.seed, sequence, model, other);
        compared += outcome.compared;
        match outcome.mismatch {
            None => passed += 1,
            Some(mismatch) => {
                failed += 1;
                println!("seed {} sequence {sequence}: {mismatch}", options.seed);
                for line in outcome.log.iter().rev().take(12).rev() {
                    println!("    {line}");
                }
            }
        }
    }
    (passed, failed, compared)
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let mut qemu = match qemu::Qemu::start() {
        Ok(qemu) => qemu,
        Err(problem) => {
            eprintln!(
                "qemu-system-aarch64 (10.0 or later, Debian package qemu-system-arm): {problem}"
            );
            return ExitCode::from(2);
        }
    };
    println!("known differences:");
    for known in differences::KNOWN {
        println!("  {known}");
    }
    let (passed, failed, compared) = run(&options, &mut Model::new(), &mut qemu);
    println!(
        "{} sequences, {compared} values compared",
        options.sequences
    );
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vboard::bcm2835::board::Block;

    const OPTIONS: Options = Options {
        sequences: 40,
        seed: 7,
    };

    /// A model with a defect: after 300 reads, some bits of one register are flipped.
    struct Broken {
        model: Model,
        register: (Block, u32),
        flip: u32,
        accesses: u32,
    }

    impl Machine for Broken {
        fn read(&mut self, block: Block, offset: u32) -> u32 {
            self.accesses += 1;
            let value = self.model.read(block, offset);
            let hit = self.register == (block, offset) && self.accesses > 300;
            if hit { value ^ self.flip } else { value }
        }

        fn write(&mut self, block: Block, offset: u32, value: u32) {
            self.model.write(block, offset, value);
        }

        fn load(&mut self, offset: u32, data: &[u8]) {
            self.model.load(offset, data);
        }

        fn memory(&mut self) -> Vec<u8> {
            let mut memory = self.model.memory();
            if self.register == (Block::Dma, 0xdead) {
                memory[100] ^= 1;
            }
            memory
        }
    }

    #[test]
    fn the_model_agrees_with_itself() {
        let (passed, failed, compared) = run(&OPTIONS, &mut Model::new(), &mut Model::new());
        assert_eq!((passed, failed), (40, 0));
        assert!(compared > 1_000);
    }

    #[test]
    fn each_defect_is_found() {
        let defects = [
            (Block::Spi0, 0x00, 1 << 16),
            (Block::Spi0, 0x00, 1 << 17),
            (Block::Spi0, 0x00, 1 << 18),
            (Block::Spi0, 0x00, 1 << 19),
            (Block::Spi0, 0x00, 1 << 20),
            (Block::Spi0, 0x00, 1 << 7),
            (Block::Spi0, 0x04, 1),
            (Block::Spi0, 0x08, 1 << 15),
            (Block::Spi0, 0x0c, 1),
            (Block::Spi0, 0x14, 1 << 31),
            (Block::Dma, 0x000, 1 << 2),
            (Block::Dma, 0x10c, 4),
            (Block::Dma, 0xfe0, 1),
            (Block::Dma, 0xdead, 0),
        ];
        for (block, offset, flip) in defects {
            let mut broken = Broken {
                model: Model::new(),
                register: (block, offset),
                flip,
                accesses: 0,
            };
            let (_, failed, _) = run(&OPTIONS, &mut Model::new(), &mut broken);
            assert!(failed > 0, "{block:?} {offset:#x} {flip:#x}");
        }
    }
}
