// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mainline's primitives, which src/module/bench.rs compares with the kit's. Each is used as a C driver
 * would use it, and timed here.
 *
 *   oobkit_pair_X    enters and leaves X so many times; returns the ticks of all of them
 *   oobkit_hold_X    takes X                                                          the holder
 *   oobkit_pass_X    stamps, releases X
 *   oobkit_take_X    waits for X; returns the ticks since the stamp, 0 without a wait  the waiter
 *   oobkit_wake_X    sleeps until a hard timer's handler stamps and wakes it; returns the ticks since the stamp
 */
#include <linux/completion.h>
#include <linux/rwsem.h>
#include <linux/semaphore.h>
#include "kernel.h"
#include "peers.h"

struct oobkit_peers {
	struct mutex mutex;
	struct rw_semaphore rwsem;
	spinlock_t spin;
	struct semaphore semaphore;
	struct completion completion;
	struct task_struct *sleeper;
	bool is_raised;
	struct hrtimer completes, ups, wakes, stamps, stamps_again;
	u64 stamp;
};

static enum hrtimer_restart completes(struct hrtimer *timer)
{
	struct oobkit_peers *p = container_of(timer, struct oobkit_peers, completes);

	p->stamp = rust_helper_get_cycles();
	complete(&p->completion);
	return HRTIMER_NORESTART;
}

static enum hrtimer_restart ups(struct hrtimer *timer)
{
	struct oobkit_peers *p = container_of(timer, struct oobkit_peers, ups);

	p->stamp = rust_helper_get_cycles();
	up(&p->semaphore);
	return HRTIMER_NORESTART;
}

static enum hrtimer_restart wakes(struct hrtimer *timer)
{
	struct oobkit_peers *p = container_of(timer, struct oobkit_peers, wakes);

	p->stamp = rust_helper_get_cycles();
	WRITE_ONCE(p->is_raised, true);
	wake_up_process(p->sleeper);
	return HRTIMER_NORESTART;
}

/* Stores a stamp; the waiter is woken later. */
static enum hrtimer_restart stamps(struct hrtimer *timer)
{
	struct oobkit_peers *p = container_of(timer, struct oobkit_peers, stamps);

	p->stamp = ktime_get();
	complete(&p->completion);
	return HRTIMER_NORESTART;
}

/* The same, with a period. */
static enum hrtimer_restart stamps_again(struct hrtimer *timer)
{
	struct oobkit_peers *p = container_of(timer, struct oobkit_peers, stamps_again);

	p->stamp = ktime_get();
	complete(&p->completion);
	hrtimer_forward_now(timer, NSEC_PER_SEC);
	return HRTIMER_RESTART;
}

struct oobkit_peers *oobkit_peers_new(void)
{
	struct oobkit_peers *p = kzalloc(sizeof(*p), GFP_KERNEL);

	if (!p)
		return NULL;
	mutex_init(&p->mutex);
	init_rwsem(&p->rwsem);
	spin_lock_init(&p->spin);
	sema_init(&p->semaphore, 0);
	init_completion(&p->completion);
	rust_helper_hrtimer_setup(&p->completes, completes);
	rust_helper_hrtimer_setup(&p->ups, ups);
	rust_helper_hrtimer_setup(&p->wakes, wakes);
	rust_helper_hrtimer_setup(&p->stamps, stamps);
	rust_helper_hrtimer_setup(&p->stamps_again, stamps_again);
	return p;
}

/* No thread waits any more, so no timer is armed; a handler may still be returning. */
void oobkit_peers_free(struct oobkit_peers *p)
{
	hrtimer_cancel(&p->completes);
	hrtimer_cancel(&p->ups);
	hrtimer_cancel(&p->wakes);
	hrtimer_cancel(&p->stamps);
	hrtimer_cancel(&p->stamps_again);
	kfree(p);
}

#define PAIR(name, enter, leave)						\
	u64 oobkit_pair_##name(struct oobkit_peers *p, u32 times)		\
	{									\
		u64 begin = rust_helper_get_cycles();				\
										\
		for (; times; times--) {					\
			enter;							\
			leave;							\
			barrier();						\
		}								\
		return rust_helper_get_cycles() - begin;			\
	}

PAIR(nothing, , )
PAIR(mutex, mutex_lock(&p->mutex), mutex_unlock(&p->mutex))
PAIR(rwsem_write, down_write(&p->rwsem), up_write(&p->rwsem))
PAIR(rwsem_read, down_read(&p->rwsem), up_read(&p->rwsem))
PAIR(spinlock, spin_lock(&p->spin), spin_unlock(&p->spin))
PAIR(semaphore, up(&p->semaphore), down(&p->semaphore))

u64 oobkit_pair_rwsem_shared(struct oobkit_peers *p, u32 times)
{
	u64 ticks;

	down_read(&p->rwsem);
	ticks = oobkit_pair_rwsem_read(p, times);
	up_read(&p->rwsem);
	return ticks;
}

#define HAND_OVER(name, enter, leave)						\
	void oobkit_hold_##name(struct oobkit_peers *p)				\
	{									\
		enter;								\
	}									\
	void oobkit_pass_##name(struct oobkit_peers *p)				\
	{									\
		p->stamp = rust_helper_get_cycles();				\
		leave;								\
	}									\
	u64 oobkit_take_##name(struct oobkit_peers *p)				\
	{									\
		u64 end;							\
										\
		p->stamp = 0;							\
		enter;								\
		end = rust_helper_get_cycles();					\
		leave;								\
		return p->stamp ? end - p->stamp : 0;				\
	}

HAND_OVER(mutex, mutex_lock(&p->mutex), mutex_unlock(&p->mutex))
HAND_OVER(rwsem, down_write(&p->rwsem), up_write(&p->rwsem))

u64 oobkit_wake_completion(struct oobkit_peers *p, u64 date)
{
	rust_helper_hrtimer_start_abs(&p->completes, date);
	wait_for_completion(&p->completion);
	return rust_helper_get_cycles() - p->stamp;
}

u64 oobkit_wake_completion_timeout(struct oobkit_peers *p, u64 date)
{
	rust_helper_hrtimer_start_abs(&p->completes, date);
	wait_for_completion_timeout(&p->completion, HZ);
	return rust_helper_get_cycles() - p->stamp;
}

u64 oobkit_wake_semaphore(struct oobkit_peers *p, u64 date)
{
	rust_helper_hrtimer_start_abs(&p->ups, date);
	down(&p->semaphore);
	return rust_helper_get_cycles() - p->stamp;
}

u64 oobkit_wake_process(struct oobkit_peers *p, u64 date)
{
	u64 end;

	p->sleeper = current;
	p->is_raised = false;
	rust_helper_hrtimer_start_abs(&p->wakes, date);
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		if (READ_ONCE(p->is_raised))
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	end = rust_helper_get_cycles();
	/* The handler uses the address of this task. */
	hrtimer_cancel(&p->wakes);
	return end - p->stamp;
}

/* The same, with a deadline as exact as the kit's. */
u64 oobkit_wake_process_until(struct oobkit_peers *p, u64 date)
{
	ktime_t limit = ns_to_ktime(date + NSEC_PER_SEC);
	u64 end;

	p->sleeper = current;
	p->is_raised = false;
	rust_helper_hrtimer_start_abs(&p->wakes, date);
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		if (READ_ONCE(p->is_raised))
			break;
		if (!schedule_hrtimeout(&limit, HRTIMER_MODE_ABS_HARD))
			break;
	}
	__set_current_state(TASK_RUNNING);
	end = rust_helper_get_cycles();
	hrtimer_cancel(&p->wakes);
	return end - p->stamp;
}

/* From a date to the handler of a plain hrtimer, in ns. */
u64 oobkit_expiry(struct oobkit_peers *p, u64 date)
{
	rust_helper_hrtimer_start_abs(&p->stamps, date);
	wait_for_completion(&p->completion);
	return p->stamp - date;
}

u64 oobkit_expiry_periodic(struct oobkit_peers *p, u64 date)
{
	rust_helper_hrtimer_start_abs(&p->stamps_again, date);
	wait_for_completion(&p->completion);
	hrtimer_cancel(&p->stamps_again);
	return p->stamp - date;
}

/* From a date to the thread that slept until it, in ns. */
u64 oobkit_sleep(struct oobkit_peers *p, u64 date)
{
	ktime_t expires = ns_to_ktime(date);

	set_current_state(TASK_UNINTERRUPTIBLE);
	schedule_hrtimeout(&expires, HRTIMER_MODE_ABS_HARD);
	return ktime_get() - date;
}
