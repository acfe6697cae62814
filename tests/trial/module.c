// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>

int oobkit_trial_init(void);
void oobkit_trial_exit(void);

static int __init oob_trial_init(void)
{
	return oobkit_trial_init();
}
module_init(oob_trial_init);

static void __exit oob_trial_exit(void)
{
	oobkit_trial_exit();
}
module_exit(oob_trial_exit);

MODULE_DESCRIPTION("Tests of the out-of-band stage's services from inside");
MODULE_LICENSE("GPL");
