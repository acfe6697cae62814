/* SPDX-License-Identifier: GPL-2.0-only */
/* Which EVL this is. */
#ifndef ABI_CHECK_EVL_CONTROL_H
#define ABI_CHECK_EVL_CONTROL_H

#define EVL_ABI_LEVEL OOBKIT_ABI

#endif
