/* SPDX-License-Identifier: GPL-2.0-only */
/* Work that oob code hands over to in-band code. */
#ifndef ABI_CHECK_EVL_WORK_H
#define ABI_CHECK_EVL_WORK_H

#include <linux/irq_work.h>
#include <linux/workqueue.h>
#include <evl/flag.h>

struct evl_work {
	struct irq_work irq_work;
	struct work_struct wq_work;
};

struct evl_sync_work {
	struct evl_work work;
	struct evl_flag done;
	int result;
};

void evl_init_work(struct evl_work *work, void (*handler)(struct evl_work *work));
void evl_init_sync_work(struct evl_sync_work *work, int (*handler)(struct evl_sync_work *work));

/* Later levels return whether the work was not pending already. */
#if OOBKIT_ABI < 37
void evl_call_inband_from(struct evl_work *work, struct workqueue_struct *wq);
static inline void evl_call_inband(struct evl_work *work)
{
	evl_call_inband_from(work, system_wq);
}
#else
bool evl_call_inband_from(struct evl_work *work, struct workqueue_struct *wq);
static inline bool evl_call_inband(struct evl_work *work)
{
	return evl_call_inband_from(work, system_wq);
}
#endif

int evl_call_inband_sync_from(struct evl_sync_work *work, struct workqueue_struct *wq);
static inline int evl_call_inband_sync(struct evl_sync_work *work)
{
	return evl_call_inband_sync_from(work, system_wq);
}

static inline void evl_flush_work(struct evl_work *work) { }
static inline void evl_cancel_work(struct evl_work *work) { }
static inline void evl_flush_sync_work(struct evl_sync_work *work) { }

#endif
