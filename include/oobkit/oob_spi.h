/* SPDX-License-Identifier: GPL-2.0-only */
/* What oob_spi.ko exports to the modules of controllers. oob-spi/src/registration.rs calls it. */
#ifndef OOBKIT_OOB_SPI_H
#define OOBKIT_OOB_SPI_H

#include <linux/types.h>

struct device;

void *oobkit_spi_register(struct device *dev, const void *ops, void *controller);
int oobkit_spi_publish(void *bus, unsigned int bus_num);
void oobkit_spi_shutdown(void *bus);
void oobkit_spi_unregister(void *bus);
bool oobkit_spi_interrupt(void *bus, bool (*is_over)(void *argument), void *argument);
int oobkit_spi_enter_inband(void *bus);
bool oobkit_spi_try_enter_inband(void *bus);
void oobkit_spi_exit_inband(void *bus);

#endif
