/* SPDX-License-Identifier: GPL-2.0-only */
/* User memory. The raw copies are the kernel's own. */
#ifndef ABI_CHECK_EVL_UACCESS_H
#define ABI_CHECK_EVL_UACCESS_H

#include <linux/uaccess.h>

#endif
