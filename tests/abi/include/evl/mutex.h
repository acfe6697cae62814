/* SPDX-License-Identifier: GPL-2.0-only */
/* Mutexes. */
#ifndef ABI_CHECK_EVL_MUTEX_H
#define ABI_CHECK_EVL_MUTEX_H

#include <linux/atomic.h>
#include <evl/wait.h>

struct evl_mutex {
	struct evl_wait_channel wchan;
	struct evl_clock *clock;
};

struct evl_kmutex {
	struct evl_mutex mutex;
	atomic_t fastlock;
};

int evl_lock_mutex_timeout(struct evl_mutex *mutex, ktime_t timeout, enum evl_tmode mode);
int evl_trylock_mutex(struct evl_mutex *mutex);
void evl_unlock_mutex(struct evl_mutex *mutex);
void evl_destroy_mutex(struct evl_mutex *mutex);

static inline void evl_init_kmutex(struct evl_kmutex *kmutex) { }

static inline void evl_destroy_kmutex(struct evl_kmutex *kmutex)
{
	evl_destroy_mutex(&kmutex->mutex);
}

static inline int evl_lock_kmutex(struct evl_kmutex *kmutex)
{
	return evl_lock_mutex_timeout(&kmutex->mutex, EVL_INFINITE, EVL_REL);
}

static inline int evl_trylock_kmutex(struct evl_kmutex *kmutex)
{
	return evl_trylock_mutex(&kmutex->mutex);
}

static inline void evl_unlock_kmutex(struct evl_kmutex *kmutex)
{
	evl_unlock_mutex(&kmutex->mutex);
}

#endif
