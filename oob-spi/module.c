// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
#include <oobkit/oob_spi.h>

unsigned int oobkit_spi_inband_wait_ms = 1000;
module_param_named(inband_wait_ms, oobkit_spi_inband_wait_ms, uint, 0644);
MODULE_PARM_DESC(inband_wait_ms, "how long an in-band message that is the first in its queue waits for oob mode to end before it fails with EBUSY");

unsigned int oobkit_spi_enable_wait_ms = 1000;
module_param_named(enable_wait_ms, oobkit_spi_enable_wait_ms, uint, 0644);
MODULE_PARM_DESC(enable_wait_ms, "how long ENABLE waits for an in-band message to end before it fails with ETIME");

EXPORT_SYMBOL_GPL(oobkit_spi_register);
EXPORT_SYMBOL_GPL(oobkit_spi_publish);
EXPORT_SYMBOL_GPL(oobkit_spi_shutdown);
EXPORT_SYMBOL_GPL(oobkit_spi_unregister);
EXPORT_SYMBOL_GPL(oobkit_spi_interrupt);
EXPORT_SYMBOL_GPL(oobkit_spi_enter_inband);
EXPORT_SYMBOL_GPL(oobkit_spi_try_enter_inband);
EXPORT_SYMBOL_GPL(oobkit_spi_exit_inband);

MODULE_DESCRIPTION("Out-of-band SPI transfers");
MODULE_LICENSE("GPL");
