/* SPDX-License-Identifier: GPL-2.0-only */
/* Wait queues. */
#ifndef ABI_CHECK_EVL_WAIT_H
#define ABI_CHECK_EVL_WAIT_H

#include <linux/bits.h>
#include <linux/spinlock.h>
#include <evl/clock.h>

#define EVL_WAIT_FIFO 0
#define EVL_WAIT_PRIO BIT(0)

struct evl_thread;

struct evl_wait_channel {
	hard_spinlock_t lock;
};

struct evl_wait_queue {
	struct evl_wait_channel wchan;
};

void evl_destroy_wait(struct evl_wait_queue *wq);
void evl_add_wait_queue(struct evl_wait_queue *wq, ktime_t timeout, enum evl_tmode mode);
struct evl_thread *evl_wake_up(struct evl_wait_queue *wq, struct evl_thread *waiter, int reason);
int evl_flush_wait(struct evl_wait_queue *wq, int reason);
int evl_flush_wait_locked(struct evl_wait_queue *wq, int reason);
int __evl_wait_schedule(struct evl_wait_channel *wchan);

static inline int evl_wait_schedule(struct evl_wait_queue *wq)
{
	return __evl_wait_schedule(&wq->wchan);
}

#endif
