/* SPDX-License-Identifier: GPL-2.0-only */
/* Threads. */
#ifndef ABI_CHECK_EVL_THREAD_H
#define ABI_CHECK_EVL_THREAD_H

#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/irq_work.h>

#define EVL_HMDIAG_NONE 0
#define EVL_HMDIAG_SIGDEMOTE 1

struct evl_thread {
	int cprio;
};

static inline struct evl_thread *evl_current(void) { return NULL; }

struct evl_kthread {
	struct evl_thread thread;
	struct completion done;
	void (*threadfn)(void *arg);
	int status;
};

extern struct cpumask evl_oob_cpus;
int __evl_run_kthread(struct evl_kthread *kthread, int clone_flags);

static inline __printf(6, 7) int abi_check_run_kthread(struct evl_kthread *kthread, const struct cpumask *cpus,
						       void (*fn)(void *arg), void *arg, int priority,
						       const char *format, ...)
{
	return __evl_run_kthread(kthread, 0);
}

#define evl_run_kthread(kthread, fn, arg, priority, clone_flags, format, ...) \
	((void)(clone_flags), \
	 abi_check_run_kthread(kthread, &evl_oob_cpus, fn, arg, priority, format, ##__VA_ARGS__))
#define evl_run_kthread_on_cpu(kthread, cpu, fn, arg, priority, clone_flags, format, ...) \
	((void)(clone_flags), \
	 abi_check_run_kthread(kthread, cpumask_of(cpu), fn, arg, priority, format, ##__VA_ARGS__))

void evl_cancel_thread(struct evl_thread *thread);
int evl_join_thread(struct evl_thread *thread, bool uninterruptible);
void evl_unblock_thread(struct evl_thread *thread, int reason);

static inline void evl_stop_kthread(struct evl_kthread *kthread)
{
	evl_cancel_thread(&kthread->thread);
	evl_join_thread(&kthread->thread, true);
}

static inline int evl_join_kthread(struct evl_kthread *kthread, bool uninterruptible)
{
	return evl_join_thread(&kthread->thread, uninterruptible);
}

static inline bool evl_kthread_should_stop(void) { return false; }

static inline void evl_unblock_kthread(struct evl_kthread *kthread, int reason)
{
	evl_unblock_thread(&kthread->thread, reason);
}

void evl_set_kthread_priority(struct evl_kthread *kthread, int priority);

#endif
