/* SPDX-License-Identifier: GPL-2.0-only */
/* What oob_shim.ko exports to the kit's other modules. */
#ifndef OOBKIT_EVL_SHIM_H
#define OOBKIT_EVL_SHIM_H

/* The table (oob/src/table.rs) of the threads that have attached through /dev/oob/ctl. */
extern const char oobkit_oob_shim_attached[];
/* Counts that the calling thread had to go in-band during an out-of-band call. Does nothing for a thread that is not attached. */
void oobkit_oob_shim_switched(void);

#endif
