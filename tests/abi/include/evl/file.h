/* SPDX-License-Identifier: GPL-2.0-only */
/* Files with out-of-band calls. Their operations are in linux/fs.h. */
#ifndef ABI_CHECK_EVL_FILE_H
#define ABI_CHECK_EVL_FILE_H

#include <linux/fs.h>

struct evl_file {
	struct file *filp;
};

int evl_open_file(struct evl_file *efilp, struct file *filp);
void evl_release_file(struct evl_file *efilp);
struct evl_file *evl_get_file(unsigned int fd);
static inline void evl_put_file(struct evl_file *efilp) { }

#endif
