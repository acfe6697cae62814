/* SPDX-License-Identifier: GPL-2.0-only */
/* The stage-exclusion lock. Later levels add flags. */
#ifndef ABI_CHECK_EVL_STAX_H
#define ABI_CHECK_EVL_STAX_H

#include <evl/wait.h>

struct evl_stax {
	atomic_t gate;
	struct evl_wait_queue oob_wait;
};

#if OOBKIT_ABI < 37
void evl_init_stax(struct evl_stax *stax);
#else
#define EVL_STAX_INBAND_SPIN BIT(0)
void evl_init_stax(struct evl_stax *stax, int flags);
#endif
void evl_destroy_stax(struct evl_stax *stax);
int evl_lock_stax(struct evl_stax *stax);
int evl_trylock_stax(struct evl_stax *stax);
void evl_unlock_stax(struct evl_stax *stax);

#endif
