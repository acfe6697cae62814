/* SPDX-License-Identifier: GPL-2.0-only */
/* The current stage, and the processor's own interrupt flag. */
#ifndef ABI_CHECK_IRQ_PIPELINE_H
#define ABI_CHECK_IRQ_PIPELINE_H

#include <linux/types.h>

static inline bool running_oob(void) { return false; }
static inline bool running_inband(void) { return true; }

static inline unsigned long hard_local_irq_save(void) { return 0; }
static inline void hard_local_irq_restore(unsigned long flags) { }
static inline bool hard_irqs_disabled(void) { return false; }

#endif
