/* SPDX-License-Identifier: GPL-2.0-only */
/* Clocks, and the two kinds of timeouts: relative and absolute. */
#ifndef ABI_CHECK_EVL_CLOCK_H
#define ABI_CHECK_EVL_CLOCK_H

#include <linux/ktime.h>

struct evl_clock;
extern struct evl_clock evl_mono_clock;

enum evl_tmode {
	EVL_REL,
	EVL_ABS,
};

#define EVL_INFINITE ((ktime_t)0)
/* EVL_NONBLOCK is left out: level 32 declares it, but treats it as a date. */

static inline ktime_t evl_read_clock(struct evl_clock *clock) { return 0; }
static inline ktime_t evl_ktime_monotonic(void) { return 0; }

int evl_sleep(ktime_t delay);
int evl_sleep_until(ktime_t date);
int evl_set_period(struct evl_clock *clock, ktime_t first, ktime_t period);
int evl_wait_period(unsigned long *overruns);

#endif
