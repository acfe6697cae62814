/* SPDX-License-Identifier: GPL-2.0-only */
/* Flags. */
#ifndef ABI_CHECK_EVL_FLAG_H
#define ABI_CHECK_EVL_FLAG_H

#include <evl/sched.h>
#include <evl/wait.h>

struct evl_flag {
	struct evl_wait_queue wait;
	bool raised;
};

static inline void evl_init_flag(struct evl_flag *wf) { }
static inline void evl_init_flag_on_stack(struct evl_flag *wf) { }

static inline void evl_destroy_flag(struct evl_flag *wf)
{
	evl_destroy_wait(&wf->wait);
}

/* The caller holds the flag's lock. */
static inline bool evl_read_flag(struct evl_flag *wf) { return false; }

#define evl_lock_flag(wf, flags) raw_spin_lock_irqsave(&(wf)->wait.wchan.lock, flags)
#define evl_unlock_flag(wf, flags) raw_spin_unlock_irqrestore(&(wf)->wait.wchan.lock, flags)

static inline int evl_wait_flag_timeout(struct evl_flag *wf, ktime_t timeout, enum evl_tmode mode)
{
	evl_add_wait_queue(&wf->wait, timeout, mode);
	return evl_wait_schedule(&wf->wait);
}

static inline int evl_wait_flag(struct evl_flag *wf)
{
	return evl_wait_flag_timeout(wf, EVL_INFINITE, EVL_REL);
}

static inline void evl_raise_flag_nosched(struct evl_flag *wf)
{
	evl_flush_wait_locked(&wf->wait, 0);
}

static inline void evl_raise_flag(struct evl_flag *wf)
{
	evl_raise_flag_nosched(wf);
	evl_schedule();
}

static inline void evl_flush_flag(struct evl_flag *wf, int reason)
{
	evl_flush_wait(&wf->wait, reason);
}

static inline void evl_clear_flag(struct evl_flag *wf) { }

#endif
