/* SPDX-License-Identifier: GPL-2.0-only */
/* What evl_shim.ko gives to the kit's other modules. */
#ifndef OOBKIT_EVL_SHIM_H
#define OOBKIT_EVL_SHIM_H

/* The record of the calling thread (evl/src/record.rs) where it has attached itself through /dev/oob/ctl, else NULL. */
const void *oobkit_evl_shim_record(void);
/* The calling thread had to go in-band in an out-of-band call; nothing where it is not attached. */
void oobkit_evl_shim_switched(void);

#endif
