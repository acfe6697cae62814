// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checks that `include/oobkit.h` equals this crate. A C program prints every size, offset and
//! number of the header, and the test compares them. It needs `cc` and the C library's headers;
//! linking any Rust program needs these, too.

use oobkit_abi::{ctl, spi};
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

/// A C expression and its expected value.
type Check = (String, u64);

macro_rules! layout {
    ($checks:ident, $rust:ty, $c:literal, [$($field:ident),*]) => {
        $checks.push((format!("sizeof({})", $c), size_of::<$rust>() as u64));
        $checks.push((format!("_Alignof({})", $c), align_of::<$rust>() as u64));
        $({
            $checks.push((
                format!("offsetof({}, {})", $c, stringify!($field)),
                offset_of!($rust, $field) as u64,
            ));
            let field_of = |value: &$rust| size_of_val(&value.$field) as u64;
            $checks.push((
                format!("sizeof((({} *)0)->{})", $c, stringify!($field)),
                field_of(&<$rust>::default()),
            ));
        })*
    };
}

fn checks() -> Vec<Check> {
    let mut all = Vec::new();
    layout!(all, ctl::Attach, "struct oobkit_attach", [reserved]);
    layout!(
        all,
        spi::Enable,
        "struct spi_ioc_oob_setup",
        [
            frame_len,
            speed_hz,
            bits_per_word,
            pad,
            iobuf_len,
            tx_offset,
            rx_offset
        ]
    );
    layout!(
        all,
        spi::RunUntil,
        "struct oobkit_spi_run_until",
        [deadline_ns, reserved]
    );
    layout!(
        all,
        spi::ListEntry,
        "struct oobkit_spi_list_entry",
        [chip_select, reserved, status]
    );
    layout!(
        all,
        spi::RunList,
        "struct oobkit_spi_run_list",
        [deadline_ns, count, reserved, entries]
    );
    layout!(
        all,
        spi::Trigger,
        "struct oobkit_spi_trigger",
        [kind, reserved, first_ns, period_ns]
    );
    layout!(
        all,
        spi::Stop,
        "struct oobkit_spi_stop",
        [miss_limit, reserved, period_ns]
    );
    layout!(
        all,
        spi::Delays,
        "struct oobkit_spi_delays",
        [setup_ns, hold_ns, inactive_ns, reserved]
    );
    layout!(
        all,
        spi::Info,
        "struct oobkit_spi_info",
        [effective_hz, path, wire_ns, limit_ns]
    );
    layout!(
        all,
        spi::Stats,
        "struct oobkit_spi_stats",
        [
            frames, timeouts, bus_errors, missed, overruns, stops, rejected, worst_ns
        ]
    );
    let numbers = [
        ("OOBKIT_CTL_ATTACH", ctl::ATTACH),
        ("OOBKIT_CTL_DETACH", ctl::DETACH),
        ("SPI_IOC_ENABLE_OOB_MODE", spi::ENABLE_OOB_MODE),
        ("SPI_IOC_DISABLE_OOB_MODE", spi::DISABLE_OOB_MODE),
        ("SPI_IOC_RUN_OOB_XFER", spi::RUN_OOB_XFER),
        ("OOBKIT_SPI_RUN_UNTIL", spi::RUN_UNTIL),
        ("OOBKIT_SPI_RUN_LIST", spi::RUN_LIST),
        ("OOBKIT_SPI_SET_TRIGGER", spi::SET_TRIGGER),
        ("OOBKIT_SPI_SET_STOP", spi::SET_STOP),
        ("OOBKIT_SPI_GET_STATS", spi::GET_STATS),
        ("OOBKIT_SPI_GET_INFO", spi::GET_INFO),
        ("OOBKIT_SPI_SET_DELAYS", spi::SET_DELAYS),
        ("OOBKIT_SPI_LIST_MAX", spi::LIST_MAX as u32),
        ("OOBKIT_SPI_TRIGGER_CALL", spi::TRIGGER_CALL),
        ("OOBKIT_SPI_TRIGGER_TIMER", spi::TRIGGER_TIMER),
        ("OOBKIT_SPI_PATH_FIFO", spi::PATH_FIFO),
        ("OOBKIT_SPI_PATH_DMA", spi::PATH_DMA),
        ("SPI_IOC_RD_MODE", spi::RD_MODE),
        ("SPI_IOC_WR_MODE", spi::WR_MODE),
        ("SPI_IOC_RD_BITS_PER_WORD", spi::RD_BITS_PER_WORD),
        ("SPI_IOC_WR_BITS_PER_WORD", spi::WR_BITS_PER_WORD),
        ("SPI_IOC_RD_MAX_SPEED_HZ", spi::RD_MAX_SPEED_HZ),
        ("SPI_IOC_WR_MAX_SPEED_HZ", spi::WR_MAX_SPEED_HZ),
        ("SPI_IOC_RD_MODE32", spi::RD_MODE32),
        ("SPI_IOC_WR_MODE32", spi::WR_MODE32),
    ];
    all.extend(numbers.map(|(name, number)| (name.to_owned(), u64::from(number))));
    all
}

/// The values of `expressions` in C, compiled with `flags`.
fn in_c(flags: &[&str], expressions: &[Check]) -> Vec<u64> {
    let dir = tempdir();
    let (source, program) = (dir.join("probe.c"), dir.join("probe"));
    let prints: String = expressions
        .iter()
        .map(|(c, _)| format!("\tprintf(\"%llu\\n\", (unsigned long long)({c}));\n"))
        .collect();
    let text = format!(
        "#include \"oobkit.h\"\n#include <linux/spi/spidev.h>\n#include <stddef.h>\n#include <stdio.h>\n\
         int main(void)\n{{\n{prints}\tputs(OOBKIT_CTL_PATH);\n\treturn 0;\n}}\n"
    );
    std::fs::write(&source, text).expect("the probe can be written");
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../include");
    let compiled = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-I"])
        .arg(include)
        .args(flags)
        .arg("-o")
        .args([&program, &source])
        .output()
        .expect("the C compiler `cc` runs");
    let errors = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "the probe compiles:\n{errors}");
    let output = Command::new(&program).output().expect("the probe runs");
    std::fs::remove_dir_all(dir).expect("the probe can be removed");
    let output = String::from_utf8(output.stdout).expect("the probe prints text");
    let mut lines: Vec<_> = output.lines().collect();
    assert_eq!(lines.pop(), Some(ctl::PATH));
    lines
        .iter()
        .map(|line| line.parse().expect("the probe prints numbers"))
        .collect()
}

fn tempdir() -> std::path::PathBuf {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = base.join(format!("c-header-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("the target folder can be written");
    dir
}

#[test]
fn the_c_header_equals_this_crate() {
    let checks = checks();
    let got = in_c(&["-std=c11", "-pedantic"], &checks);
    assert_eq!(got.len(), checks.len());
    for ((expression, want), got) in checks.iter().zip(got) {
        assert_eq!(got, *want, "{expression}");
    }
}
