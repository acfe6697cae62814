/* SPDX-License-Identifier: GPL-2.0-only */
/* The version of EVL. */
#ifndef ABI_CHECK_EVL_CONTROL_H
#define ABI_CHECK_EVL_CONTROL_H

#define EVL_ABI_LEVEL OOBKIT_ABI

#endif
