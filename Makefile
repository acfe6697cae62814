# SPDX-License-Identifier: GPL-2.0-only
#
#   make KDIR=<headers package or build folder of a kernel> [O=<folder for what is built>]
#        [CARGO_DIR=..] [ARCH=..] [CROSS_COMPILE=..]
#
# builds the kit's modules for that kernel. ARCH defaults to the kernel's own architecture, x86 or
# arm64. If this machine has another one, CROSS_COMPILE defaults to Debian's prefix
# (aarch64-linux-gnu-, x86_64-linux-gnu-). Cargo compiles the Rust code, Kbuild compiles the few
# lines of C and links. If the kernel's folder or the toolchain is unfit, make prints one line that
# names the fault, and builds nothing.
#
#   make abi-check KDIR=<headers package> [O=..] [CARGO_DIR=..]
#
# compiles and links the modules against declarations of EVL's interface, because no package has a
# kernel with EVL (see tests/abi/README.md).

KDIR ?= /lib/modules/$(shell uname -r)/build
kdir := $(realpath $(KDIR))
ARCH ?= $(shell sed -n 's/^CONFIG_X86_64=y$$/x86/p; s/^CONFIG_ARM64=y$$/arm64/p' $(kdir)/include/config/auto.conf 2>/dev/null)
gnu-x86 := x86_64
gnu-x86_64 := x86_64
gnu-arm64 := aarch64
CROSS_COMPILE ?= $(addsuffix -linux-gnu-,$(filter-out $(shell uname -m),$(gnu-$(ARCH))))
CARGO ?= $(firstword $(wildcard /usr/bin/cargo) cargo)
RUSTC ?= $(firstword $(wildcard /usr/bin/rustc) rustc)
top := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
# name:folder of each module.
list := $(shell sed -nE 's/^([a-z0-9_]+)[ \t]+([^ \t]+).*/\1:\2/p' $(top)/modules.list)
name = $(word 1,$(subst :, ,$1))
sources = $(wildcard $(top)/$(word 2,$(subst :, ,$1))/*.c)
# O has another meaning to the kernel's make, so no command-line variable is passed on implicitly.
MAKEOVERRIDES :=

O ?= $(top)/target/kernel/$(notdir $(kdir))
out := $(abspath $(O))
# EVL's declarations and exports. scripts/abi-check runs make once for each ABI level.
ABI_DIR ?= $(top)/tests/abi
# The C file from which the C compiler computes sizes and offsets of structures.
LAYOUT ?= $(top)/bindings/layout.c
abi-flags := $(if $(OOBKIT_ABI),OOBKIT_ABI=$(OOBKIT_ABI) CONFIG_EVL=y \
	KBUILD_EXTRA_SYMBOLS=$(out)/exports.symvers)
# Builds for several kernels may share this folder, to compile code that fits all of them once.
CARGO_DIR ?= $(out)/cargo

.PHONY: modules check abi-check clean
modules: check
	@mkdir -p $(out)
	@$(foreach m,$(list),ln -sfn $(top)/bindings/helpers.c $(out)/$(call name,$m)_helpers.c; \
		$(foreach c,$(call sources,$m),ln -sfn $c $(out)/$(call name,$m)_$(notdir $c);))
	@ln -sfn $(top)/Kbuild $(out)/Kbuild
	@ln -sfn $(abspath $(LAYOUT)) $(out)/layout.c
	+@$(MAKE) --no-print-directory -C $(kdir) M=$(out) \
		ARCH=$(ARCH) $(if $(CROSS_COMPILE),CROSS_COMPILE=$(CROSS_COMPILE)) \
		OOBKIT=$(top) OOBKIT_CARGO_DIR=$(abspath $(CARGO_DIR)) CARGO=$(CARGO) RUSTC=$(RUSTC) \
		$(abi-flags) CONFIG_DEBUG_INFO_BTF_MODULES= modules

abi-check: check
	+@$(top)/scripts/abi-check $(abspath $(ABI_DIR)) $(out) \
		$(MAKE) --no-print-directory -C $(top) KDIR=$(kdir) ARCH=$(ARCH) CROSS_COMPILE=$(CROSS_COMPILE) \
		CARGO_DIR=$(abspath $(CARGO_DIR)) CARGO=$(CARGO) RUSTC=$(RUSTC)

check:
	@$(top)/scripts/check-target "$(KDIR)" "$(ARCH)" "$(CROSS_COMPILE)" "$(RUSTC)" "$(CARGO)"

clean:
	rm -rf $(out)
