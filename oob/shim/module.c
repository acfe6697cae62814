// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
#include <oobkit/oob_shim.h>

int oobkit_oob_shim_init(void);
void oobkit_oob_shim_exit(void);
EXPORT_SYMBOL_GPL(oobkit_oob_shim_attached);
EXPORT_SYMBOL_GPL(oobkit_oob_shim_switched);

static int __init oob_shim_init(void)
{
	return oobkit_oob_shim_init();
}
module_init(oob_shim_init);

static void __exit oob_shim_exit(void)
{
	oobkit_oob_shim_exit();
}
module_exit(oob_shim_exit);

MODULE_DESCRIPTION("The out-of-band stage on a mainline kernel");
MODULE_LICENSE("GPL");
