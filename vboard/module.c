// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>

int oobkit_vboard_init(void);
void oobkit_vboard_exit(void);

static int __init vboard_init(void)
{
	return oobkit_vboard_init();
}
module_init(vboard_init);

static void __exit vboard_exit(void)
{
	oobkit_vboard_exit();
}
module_exit(vboard_exit);

MODULE_DESCRIPTION("A simulated board: BCM2835 SPI and DMA with a motor and a flash");
MODULE_LICENSE("GPL");
