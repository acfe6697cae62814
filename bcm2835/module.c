// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mod_devicetable.h>
#include <linux/module.h>

int oobkit_bcm2835_init(void);
void oobkit_bcm2835_exit(void);

static int __init oob_bcm2835_init(void)
{
	return oobkit_bcm2835_init();
}
module_init(oob_bcm2835_init);

static void __exit oob_bcm2835_exit(void)
{
	oobkit_bcm2835_exit();
}
module_exit(oob_bcm2835_exit);

static const struct of_device_id oob_bcm2835_of_table[] __maybe_unused = {
	{ .compatible = "oobkit,bcm2835-spi" },
	{ }
};
MODULE_DEVICE_TABLE(of, oob_bcm2835_of_table);

MODULE_DESCRIPTION("Out-of-band SPI on BCM2835 to BCM2837");
MODULE_LICENSE("GPL");
