// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
#include <oobkit/evl_shim.h>

int oobkit_evl_shim_init(void);
void oobkit_evl_shim_exit(void);
EXPORT_SYMBOL_GPL(oobkit_evl_shim_attached);
EXPORT_SYMBOL_GPL(oobkit_evl_shim_switched);

static int __init evl_shim_init(void)
{
	return oobkit_evl_shim_init();
}
module_init(evl_shim_init);

static void __exit evl_shim_exit(void)
{
	oobkit_evl_shim_exit();
}
module_exit(evl_shim_exit);

MODULE_DESCRIPTION("The out-of-band stage on a mainline kernel");
MODULE_LICENSE("GPL");
