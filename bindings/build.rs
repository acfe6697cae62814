// SPDX-License-Identifier: GPL-2.0-only

//! Reads the headers of the kernel that is built for.
//!
//! Kbuild passes, in the environment: `OOBKIT_CFLAGS`, the compiler flags it uses for a C file of the same module, and
//! `OOBKIT_LAYOUT`, the assembly of `layout.c`, in which that compiler wrote down sizes and offsets. What bindgen made
//! of the headers must agree with it, or the crate does not compile.

use bindgen::callbacks::{ItemInfo, ParseCallbacks};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Functions that the kernel exports and the kit's code calls.
const FUNCTIONS: &str = "_printk|misc_(de)?register|kfree|vfree|ktime_get|wake_up_process|schedule_hrtimeout\
    |hrtimer_(cancel|try_to_cancel)|for_each_kernel_tracepoint|tracepoint_probe_(un)?register\
    |dma_(alloc|free|mmap)_attrs|capable|free_irq|platform_get_irq|devm_platform_ioremap_resource\
    |platform_(driver|device)_unregister|devm_clk_get|clk_get_rate|spi_(un)?register_controller\
    |spi_(new|unregister)_device|irq_work_(queue|sync)|debugfs_(create_dir|remove)|usleep_range_state\
    |device_property_read_u32_array|devm_gpiod_get_index_optional|gpiod_(cansleep|set_raw_value|set_value)";

/// Types that no function above brings along.
const TYPES: &str = "file_operations|miscdevice|vm_operations_struct|of_device_id|tracepoint|spi_board_info|spi_transfer\
    |spi_message|spi_device|spi_controller|hrtimer|irq_work|raw_spinlock|lock_class_key|irqreturn|hrtimer_restart";

/// Helpers are called what the inline function or macro behind them is called.
#[derive(Debug)]
struct StripHelperPrefix;

impl ParseCallbacks for StripHelperPrefix {
    fn item_name(&self, item: ItemInfo<'_>) -> Option<String> {
        item.name.strip_prefix("rust_helper_").map(str::to_owned)
    }
}

fn main() {
    println!("cargo::rerun-if-env-changed=OOBKIT_CFLAGS");
    println!("cargo::rerun-if-env-changed=OOBKIT_KDIR");
    println!("cargo::rerun-if-env-changed=OOBKIT_LAYOUT");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=kernel.h");
    println!("cargo::rerun-if-changed=helpers.h");
    let out = PathBuf::from(variable("OUT_DIR"));
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let layout = variable("OOBKIT_LAYOUT");
    println!("cargo::rerun-if-changed={layout}");

    let bindings = bindgen::Builder::default()
        .header(here.join("kernel.h").to_string_lossy())
        .clang_args(c_flags(&variable("OOBKIT_CFLAGS"), &variable("TARGET")))
        // Kbuild's paths are relative to the kernel's build folder.
        .clang_arg(format!("-working-directory={}", variable("OOBKIT_KDIR")))
        .use_core()
        .ctypes_prefix("core::ffi")
        .layout_tests(false)
        .derive_default(true)
        .derive_debug(false)
        .generate_comments(false)
        .default_enum_style(bindgen::EnumVariation::ModuleConsts)
        .size_t_is_usize(true)
        .parse_callbacks(Box::new(StripHelperPrefix))
        .allowlist_file(".*/bindings/helpers.h")
        .allowlist_function(FUNCTIONS)
        .allowlist_type(TYPES)
        .allowlist_var("CAP_SYS_NICE|TASK_.*|IRQF_.*|SPI_[A-Z]*|MISC_DYNAMIC_MINOR|VM_.*|CLOCK_MONOTONIC|E[A-Z0-9]+|__this_module")
        // Types whose layout no driver may depend on, and those that Rust cannot say (packed and aligned at once).
        .opaque_type("alt_instr|desc_struct|gate_struct|idt_.*|x86_.*|local_apic|lapic_.*|xregs_state|fpu.*|arch_lbr_state")
        .opaque_type("spinlock|rt_mutex.*|lockdep_map|task_struct|mm_struct|device|module|file|inode|kiocb")
        .rust_target(bindgen::RustTarget::stable(85, 0).expect("a version that bindgen knows"))
        .rust_edition(bindgen::RustEdition::Edition2024)
        .generate()
        .unwrap_or_else(|error| panic!("the kernel's headers could not be read: {error}"));
    bindings
        .write_to_file(out.join("bindings.rs"))
        .expect("OUT_DIR can be written");
    fs::write(out.join("layout.rs"), layout_asserts(Path::new(&layout)))
        .expect("OUT_DIR can be written");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: build through `make KDIR=...`"))
}

/// The flags that decide what a declaration means; the rest are the C compiler's own business and clang may not know them.
fn c_flags(all: &str, target: &str) -> Vec<String> {
    let clang_target = match target.split('-').next() {
        Some("aarch64") => "aarch64-linux-gnu",
        _ => "x86_64-linux-gnu",
    };
    let mut kept = vec![
        format!("--target={clang_target}"),
        "-Wno-everything".into(),
        "-D__BINDGEN__".into(),
    ];
    let mut words = all.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-include" | "-isystem" | "-I" | "-D" => {
                kept.push(word.to_owned());
                kept.extend(words.next().map(str::to_owned));
            }
            "-nostdinc" | "-fshort-wchar" | "-funsigned-char" | "-fms-extensions" => {
                kept.push(word.to_owned())
            }
            _ if ["-I", "-D", "-U", "-std="]
                .iter()
                .any(|start| word.starts_with(start)) =>
            {
                kept.push(word.replace('"', "").replace('\'', ""));
            }
            _ => {}
        }
    }
    kept
}

/// Lines `->size STRUCT N` and `->offset STRUCT FIELD N` become compile-time assertions.
fn layout_asserts(assembly: &Path) -> String {
    let text = fs::read_to_string(assembly)
        .unwrap_or_else(|error| panic!("{}: {error}", assembly.display()));
    let mut out = String::new();
    for line in text.lines() {
        let Some((_, fact)) = line.split_once("->") else {
            continue;
        };
        let words: Vec<_> = fact
            .split(['"', ' ', '$', '#'])
            .filter(|word| !word.is_empty())
            .collect();
        match words[..] {
            ["size", name, n] => {
                writeln!(out, "const _: () = assert!(size_of::<{name}>() == {n});")
            }
            ["offset", name, field, n] => {
                writeln!(
                    out,
                    "const _: () = assert!(core::mem::offset_of!({name}, {field}) == {n});"
                )
            }
            _ => panic!("layout.c: cannot read '{line}'"),
        }
        .expect("a String takes text");
    }
    assert!(!out.is_empty(), "layout.c yielded no facts");
    out
}
