/* SPDX-License-Identifier: GPL-2.0-only */
/* User memory. The kernel's own raw copies serve here. */
#ifndef ABI_CHECK_EVL_UACCESS_H
#define ABI_CHECK_EVL_UACCESS_H

#include <linux/uaccess.h>

#endif
