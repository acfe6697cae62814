/* SPDX-License-Identifier: GPL-2.0-only */
/* Interrupts with an out-of-band handler. */
#include_next <linux/interrupt.h>

#ifndef ABI_CHECK_INTERRUPT_H
#define ABI_CHECK_INTERRUPT_H

/* The bit moved because the kernel now uses the old one for IRQF_NO_AUTOEN. */
#if OOBKIT_ABI < 37
#define IRQF_OOB 0x00080000
#else
#define IRQF_OOB 0x00200000
/* An out-of-band handler returns this to pass the interrupt on to the in-band handler. */
#define IRQ_FORWARD ((enum irqreturn)(1 << 2))
#endif

int irq_switch_oob(unsigned int irq, bool on);

#endif
