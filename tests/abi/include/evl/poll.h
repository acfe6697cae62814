/* SPDX-License-Identifier: GPL-2.0-only */
/* Polling. */
#ifndef ABI_CHECK_EVL_POLL_H
#define ABI_CHECK_EVL_POLL_H

#include <linux/spinlock.h>

struct oob_poll_wait;

struct evl_poll_head {
	struct list_head watchpoints;
	hard_spinlock_t lock;
};

static inline void evl_init_poll_head(struct evl_poll_head *head) { }
void evl_poll_watch(struct evl_poll_head *head, struct oob_poll_wait *wait,
		    void (*unwatch)(struct evl_poll_head *head));
void __evl_signal_poll_events(struct evl_poll_head *head, int events);
static inline void evl_signal_poll_events(struct evl_poll_head *head, int events)
{
	__evl_signal_poll_events(head, events);
}

#endif
