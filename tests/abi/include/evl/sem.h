/* SPDX-License-Identifier: GPL-2.0-only */
/* Semaphores. evl_broadcast() is left out: level 32 exports it but declares it in no header. */
#ifndef ABI_CHECK_EVL_SEM_H
#define ABI_CHECK_EVL_SEM_H

#include <evl/wait.h>

struct evl_ksem {
	struct evl_wait_queue wait;
	unsigned int value;
};

static inline void evl_init_ksem(struct evl_ksem *ksem, unsigned int value) { }
static inline void evl_destroy_ksem(struct evl_ksem *ksem) { }
int evl_down_timeout(struct evl_ksem *ksem, ktime_t date);
int evl_down(struct evl_ksem *ksem);
int evl_trydown(struct evl_ksem *ksem);
void evl_up(struct evl_ksem *ksem);

#endif
