// SPDX-License-Identifier: GPL-2.0-only
/* Interrupt lines that software drives, for src/module/interrupt.rs. */
#include <linux/parport.h>
#include "kernel.h"

int oobkit_soft_irq_line(void);
void oobkit_free_soft_irq_line(unsigned int irq);
int oobkit_printer_interrupt(unsigned short port);

/*
 * A line that no hardware drives: generic_handle_irq(), called in hard interrupt context, does.
 * Dovetail's pipeline offers modules no such call.
 */
int oobkit_soft_irq_line(void)
{
#ifdef CONFIG_IRQ_PIPELINE
	return -EOPNOTSUPP;
#else
	int irq = irq_alloc_desc(NUMA_NO_NODE);

	if (irq >= 0) {
		irq_set_chip_and_handler(irq, &dummy_irq_chip, handle_simple_irq);
		irq_clear_status_flags(irq, IRQ_NOREQUEST);
	}
	return irq;
#endif
}

void oobkit_free_soft_irq_line(unsigned int irq)
{
	irq_free_desc(irq);
}

/*
 * Makes QEMU's printer port interrupt once: a write to its control register does so if the
 * interrupt is enabled. Reading the status ends the level.
 */
int oobkit_printer_interrupt(unsigned short port)
{
#ifdef CONFIG_X86
	const u8 enable = 0x10, control = PARPORT_CONTROL_INIT | PARPORT_CONTROL_SELECT;

	outb(control | enable, port + 2);
	outb(control, port + 2);
	inb(port + 1);
	return 0;
#else
	return -EOPNOTSUPP;
#endif
}
