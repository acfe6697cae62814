/* SPDX-License-Identifier: GPL-2.0-only */
/* Interrupts that are handled out-of-band. */
#include_next <linux/interrupt.h>

#ifndef ABI_CHECK_INTERRUPT_H
#define ABI_CHECK_INTERRUPT_H

/* The bit moved when the kernel took the old one for IRQF_NO_AUTOEN. */
#if OOBKIT_ABI < 37
#define IRQF_OOB 0x00080000
#else
#define IRQF_OOB 0x00200000
/* What a handler returns that leaves the interrupt to the in-band one. */
#define IRQ_FORWARD ((enum irqreturn)(1 << 2))
#endif

int irq_switch_oob(unsigned int irq, bool on);

#endif
