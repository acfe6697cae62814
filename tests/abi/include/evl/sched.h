/* SPDX-License-Identifier: GPL-2.0-only */
/* Scheduling and stage switches. */
#ifndef ABI_CHECK_EVL_SCHED_H
#define ABI_CHECK_EVL_SCHED_H

#include <linux/cpumask.h>
#include <evl/thread.h>

struct evl_rq;

static inline struct evl_rq *this_evl_rq(void) { return NULL; }

extern struct cpumask evl_cpu_affinity;
static inline bool is_threading_cpu(int cpu)
{
	return cpumask_test_cpu(cpu, &evl_cpu_affinity);
}

void __evl_schedule(void);
static inline void evl_schedule(void)
{
	__evl_schedule();
}

int evl_switch_oob(void);
void evl_switch_inband(int cause);

#endif
