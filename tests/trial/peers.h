/* SPDX-License-Identifier: GPL-2.0-only */
/* The functions of peers.c that Rust calls. module/bench/peers.rs declares them, too. */
#ifndef OOBKIT_PEERS_H
#define OOBKIT_PEERS_H

#include <linux/types.h>

struct oobkit_peers;

struct oobkit_peers *oobkit_peers_new(void);
void oobkit_peers_free(struct oobkit_peers *p);
u64 oobkit_pair_nothing(struct oobkit_peers *p, u32 times);
u64 oobkit_pair_mutex(struct oobkit_peers *p, u32 times);
u64 oobkit_pair_rwsem_write(struct oobkit_peers *p, u32 times);
u64 oobkit_pair_rwsem_read(struct oobkit_peers *p, u32 times);
u64 oobkit_pair_rwsem_shared(struct oobkit_peers *p, u32 times);
u64 oobkit_pair_spinlock(struct oobkit_peers *p, u32 times);
u64 oobkit_pair_semaphore(struct oobkit_peers *p, u32 times);
void oobkit_hold_mutex(struct oobkit_peers *p);
void oobkit_pass_mutex(struct oobkit_peers *p);
u64 oobkit_take_mutex(struct oobkit_peers *p);
void oobkit_hold_rwsem(struct oobkit_peers *p);
void oobkit_pass_rwsem(struct oobkit_peers *p);
u64 oobkit_take_rwsem(struct oobkit_peers *p);
u64 oobkit_wake_completion(struct oobkit_peers *p, u64 date);
u64 oobkit_wake_completion_timeout(struct oobkit_peers *p, u64 date);
u64 oobkit_wake_semaphore(struct oobkit_peers *p, u64 date);
u64 oobkit_wake_process(struct oobkit_peers *p, u64 date);
u64 oobkit_wake_process_until(struct oobkit_peers *p, u64 date);
u64 oobkit_expiry(struct oobkit_peers *p, u64 date);
u64 oobkit_expiry_periodic(struct oobkit_peers *p, u64 date);
u64 oobkit_sleep(struct oobkit_peers *p, u64 date);

#endif
