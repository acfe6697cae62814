/* SPDX-License-Identifier: GPL-2.0-only */
/* Dovetail's hard spinlocks, beside the kernel's own locks. */
#include_next <linux/spinlock.h>

#ifndef ABI_CHECK_SPINLOCK_H
#define ABI_CHECK_SPINLOCK_H

#if OOBKIT_ABI != 32 && OOBKIT_ABI != 37
#error "OOBKIT_ABI is 32 or 37"
#endif

/* The raw_spin_* operations take hard and raw spinlocks, and tell them apart by type. */
typedef struct {
	struct raw_spinlock rlock;
} hard_spinlock_t;

static inline struct raw_spinlock *abi_check_hard(hard_spinlock_t *lock)
{
	return &lock->rlock;
}

static inline struct raw_spinlock *abi_check_raw(struct raw_spinlock *lock)
{
	return lock;
}

#define abi_check_lock(lock) \
	_Generic((lock), hard_spinlock_t *: abi_check_hard, default: abi_check_raw)(lock)

/* The kernel's own operations, as functions: the macros below redefine their names. */
static inline void abi_check_init(struct raw_spinlock *lock)
{
	raw_spin_lock_init(lock);
}

static inline unsigned long abi_check_save(struct raw_spinlock *lock)
{
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);
	return flags;
}

static inline void abi_check_restore(struct raw_spinlock *lock, unsigned long flags)
{
	raw_spin_unlock_irqrestore(lock, flags);
}

#undef raw_spin_lock_init
#undef raw_spin_lock_irqsave
#undef raw_spin_unlock_irqrestore
#define raw_spin_lock_init(lock) abi_check_init(abi_check_lock(lock))
#define raw_spin_lock_irqsave(lock, flags) ((flags) = abi_check_save(abi_check_lock(lock)))
#define raw_spin_unlock_irqrestore(lock, flags) abi_check_restore(abi_check_lock(lock), flags)

#include <linux/irq_pipeline.h>

#endif
