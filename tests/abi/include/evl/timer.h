/* SPDX-License-Identifier: GPL-2.0-only */
/* Timers. */
#ifndef ABI_CHECK_EVL_TIMER_H
#define ABI_CHECK_EVL_TIMER_H

#include <evl/clock.h>

struct evl_rq;

struct evl_timer {
	struct evl_clock *clock;
	struct evl_rq *rq;
	void (*handler)(struct evl_timer *timer);
};

#define EVL_TIMER_IGRAVITY 0
#define EVL_TIMER_KGRAVITY 0x40
#define EVL_TIMER_UGRAVITY 0x80

void __evl_init_timer(struct evl_timer *timer, struct evl_clock *clock, void (*handler)(struct evl_timer *timer),
		      struct evl_rq *rq, const char *name, int flags);
#define evl_init_timer(timer, handler) \
	__evl_init_timer(timer, &evl_mono_clock, handler, NULL, #handler, EVL_TIMER_IGRAVITY)

void evl_start_timer(struct evl_timer *timer, ktime_t first, ktime_t interval);
void __evl_stop_timer(struct evl_timer *timer);
static inline void evl_stop_timer(struct evl_timer *timer)
{
	__evl_stop_timer(timer);
}
void evl_destroy_timer(struct evl_timer *timer);
unsigned long evl_get_timer_overruns(struct evl_timer *timer);

void evl_move_timer(struct evl_timer *timer, struct evl_clock *clock, struct evl_rq *rq);
static inline void evl_prepare_timed_wait(struct evl_timer *timer, struct evl_clock *clock, struct evl_rq *rq)
{
	evl_move_timer(timer, clock, rq);
}

#endif
