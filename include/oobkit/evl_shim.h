/* SPDX-License-Identifier: GPL-2.0-only */
/* What evl_shim.ko gives to the kit's other modules. */
#ifndef OOBKIT_EVL_SHIM_H
#define OOBKIT_EVL_SHIM_H

#include <linux/types.h>

/* Whether the calling thread has attached itself through /dev/oob/ctl. */
bool oobkit_evl_shim_attached(void);

#endif
