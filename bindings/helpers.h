/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One name and one signature for what is an inline function or a macro in C, or differs between kernel versions.
 * bindgen drops the prefix rust_helper_. Linked into every module by itself; what a module does not use is dropped.
 */
#ifndef OOBKIT_HELPERS_H
#define OOBKIT_HELPERS_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 15, 0)
int _printk(const char *format, ...);
#endif

/* Errors that end the world. */
void rust_helper_BUG(void);

/* Tasks. */
int rust_helper_task_fifo_priority(struct task_struct *t);
int rust_helper_task_effective_priority(struct task_struct *t);
void *rust_helper_current_files(void);
bool rust_helper_signal_pending(void);
void rust_helper_set_current_state(unsigned int state);
void rust_helper_set_current_uninterruptible(void);
bool rust_helper_current_is_stopped(void);
void rust_helper_rcu_read_lock(void);
void rust_helper_rcu_read_unlock(void);
void rust_helper_preempt_disable(void);
void rust_helper_preempt_enable(void);
/* What a task is like. */
struct oobkit_task {
	int pid;
	int fifo_priority;
	char name[TASK_COMM_LEN];
	char cpus[64];
};
void rust_helper_describe_task(struct task_struct *t, struct oobkit_task *out);

void rust_helper_tracepoint_synchronize_unregister(void);

/* Locks. */
#ifdef CONFIG_IRQ_PIPELINE
typedef hard_spinlock_t oobkit_spinlock_t;
#else
typedef raw_spinlock_t oobkit_spinlock_t;
#endif
void rust_helper_raw_spin_lock_init(oobkit_spinlock_t *lock, const char *name, struct lock_class_key *key);
/* Where the kernel has them as functions of this very shape, Rust calls those. */
#if defined(CONFIG_SMP) && !defined(CONFIG_IRQ_PIPELINE) && !defined(CONFIG_INLINE_SPIN_LOCK_IRQSAVE) && \
	!defined(CONFIG_INLINE_SPIN_UNLOCK_IRQRESTORE)
#define OOBKIT_SPINLOCK_FUNCTIONS
unsigned long rust_helper_hard_spin_lock_irqsave(oobkit_spinlock_t *lock) __asm__("_raw_spin_lock_irqsave");
void rust_helper_hard_spin_unlock_irqrestore(oobkit_spinlock_t *lock, unsigned long flags)
	__asm__("_raw_spin_unlock_irqrestore");
#else
unsigned long rust_helper_hard_spin_lock_irqsave(oobkit_spinlock_t *lock);
void rust_helper_hard_spin_unlock_irqrestore(oobkit_spinlock_t *lock, unsigned long flags);
#endif
void rust_helper_mutex_init(struct mutex *lock, const char *name, struct lock_class_key *key);
void rust_helper_mutex_lock(struct mutex *lock);
void rust_helper_mutex_unlock(struct mutex *lock);
void rust_helper_init_waitqueue_head(wait_queue_head_t *queue, const char *name, struct lock_class_key *key);
void rust_helper_wake_up_all(wait_queue_head_t *queue);
long rust_helper_wait_event_timeout(wait_queue_head_t *queue, bool (*cond)(void *), void *arg, long jiffies);
int rust_helper_wait_event_interruptible(wait_queue_head_t *queue, bool (*cond)(void *), void *arg);
unsigned long rust_helper_msecs_to_jiffies(unsigned int ms);

/* Poll heads. */
void rust_helper_poll_wait(struct file *file, wait_queue_head_t *queue, struct poll_table_struct *table);
bool rust_helper_wq_has_sleeper(wait_queue_head_t *queue);
void rust_helper_wake_up_poll(wait_queue_head_t *queue, u32 events);
void rust_helper_init_irq_work(struct irq_work *work, void (*fn)(struct irq_work *));

/* In-band threads. */
struct task_struct *rust_helper_kthread_create(int (*fn)(void *), void *data, const char *name);
void rust_helper_kthread_stop(struct task_struct *t);
struct task_struct *rust_helper_get_task_struct(struct task_struct *t);
void rust_helper_put_task_struct(struct task_struct *t);

/* Work that is queued in any context. */
#ifdef CONFIG_EVL
typedef struct evl_work oobkit_work_t;
#else
typedef struct work_struct oobkit_work_t;
#endif
void rust_helper_work_init(oobkit_work_t *work, void (*fn)(oobkit_work_t *));
void rust_helper_work_queue(oobkit_work_t *work);
void rust_helper_work_flush(oobkit_work_t *work);
void rust_helper_work_cancel(oobkit_work_t *work);

#ifndef CONFIG_EVL
/* Threads of the shim. */
int rust_helper_task_set_fifo(struct task_struct *t, int priority);
bool rust_helper_cpu_is_online(unsigned int cpu);
void rust_helper_cond_resched(void);
#endif

/* Memory. */
void *rust_helper_kzalloc(size_t size);
void *rust_helper_vzalloc(unsigned long size);
unsigned long rust_helper_copy_from_user(void *to, const void __user *from, unsigned long n);
unsigned long rust_helper_copy_to_user(void __user *to, const void *from, unsigned long n);
unsigned long rust_helper_copy_from_user_now(void *to, const void __user *from, unsigned long n);
unsigned long rust_helper_copy_to_user_now(void __user *to, const void *from, unsigned long n);
int rust_helper_dma_set_mask_and_coherent(struct device *dev, u64 mask);
void *rust_helper_dma_alloc_coherent(struct device *dev, size_t size, u64 *bus);
unsigned long rust_helper_page_size(void);
unsigned int rust_helper_l1_cache_bytes(void);

/* Time. */
u64 rust_helper_get_cycles(void);
unsigned int rust_helper_cycles_khz(void);
unsigned int rust_helper_hrtimer_resolution(void);

/* Timers. */
void rust_helper_usleep_range(unsigned long min, unsigned long max);
void rust_helper_hrtimer_setup(struct hrtimer *timer, enum hrtimer_restart (*fn)(struct hrtimer *));
void rust_helper_hrtimer_start_abs(struct hrtimer *timer, u64 ns);
u64 rust_helper_hrtimer_forward_now(struct hrtimer *timer, u64 interval);

/* Files. */
int rust_helper_file_check_write(const struct file *file);
s64 rust_helper_file_position(const struct file *file);
long rust_helper_compat_ptr_ioctl(struct file *file, unsigned int command, unsigned long argument);
void rust_helper_set_file_private(struct file *file, void *data);
void *rust_helper_miscdevice_of(struct file *file);
struct mm_struct *rust_helper_mmgrab_current(void);
void rust_helper_mmdrop(struct mm_struct *mm);
void rust_helper_mmap_pass(struct mm_struct *mm);
unsigned long rust_helper_vma_len(const struct vm_area_struct *vma);
unsigned long rust_helper_vma_pgoff(const struct vm_area_struct *vma);
void rust_helper_vma_attach(struct vm_area_struct *vma, const struct vm_operations_struct *ops, void *data);
bool rust_helper_vma_shared(const struct vm_area_struct *vma);
struct address_space *rust_helper_vma_mapping(const struct vm_area_struct *vma);
void rust_helper_unmap_mapping(struct address_space *mapping);
void *rust_helper_vma_private(const struct vm_area_struct *vma);

/* A number in debugfs that functions read and write. */
struct oobkit_attribute {
	u64 (*get)(const void *context, u32 index);
	void (*set)(const void *context, u32 index, u64 value);
	const void *context;
	u32 index;
};
void rust_helper_debugfs_create_attribute(const char *name, bool writable, struct dentry *dir,
					  struct oobkit_attribute *attribute);
/* A text in debugfs that a function writes. */
struct oobkit_text {
	void (*show)(const struct oobkit_text *text, struct seq_file *out);
};
void rust_helper_debugfs_create_text(const char *name, struct dentry *dir, struct oobkit_text *text);

/* Devices. */
struct oobkit_platform_driver {
	struct platform_driver driver;
	void (*remove)(struct platform_device *pdev);
};
int rust_helper_platform_driver_register(struct oobkit_platform_driver *driver, struct module *owner,
					 const char *name, const struct of_device_id *of_table,
					 int (*probe)(struct platform_device *pdev),
					 void (*remove)(struct platform_device *pdev));
struct device *rust_helper_platform_device_dev(struct platform_device *pdev);
void *rust_helper_platform_get_drvdata(struct platform_device *pdev);
void rust_helper_platform_set_drvdata(struct platform_device *pdev, void *data);
void *rust_helper_dev_get_platdata(struct device *dev);
struct platform_device *rust_helper_platform_device_register(const char *name, int id, const void *data, size_t size,
							     u64 dma_mask);
int rust_helper_request_irq(unsigned int irq, irq_handler_t handler, unsigned long flags, const char *name, void *dev);
int rust_helper_clk_prepare_enable(struct clk *clk);
void rust_helper_clk_disable_unprepare(struct clk *clk);

/* SPI. */
struct spi_controller *rust_helper_spi_alloc_host(struct device *dev, unsigned int size);
void rust_helper_spi_controller_inherit_node(struct spi_controller *ctlr, struct device *dev);
void *rust_helper_spi_controller_get_devdata(struct spi_controller *ctlr);
void rust_helper_spi_controller_put(struct spi_controller *ctlr);
void rust_helper_spi_unregister_and_wait(struct spi_controller *ctlr);
unsigned int rust_helper_spi_get_chipselect(const struct spi_device *spi);
u32 rust_helper_spi_mode(const struct spi_device *spi);

#ifdef CONFIG_EVL
/* EVL. */
void rust_helper_kick_all_cpus_sync(void);
bool rust_helper_evl_enter_oob(void);
int rust_helper_evl_current_priority(void);
void rust_helper_evl_leave_oob(void);
void rust_helper_evl_leave_oob_for_signal(void);
bool rust_helper_fatal_signal_pending(void);
void rust_helper_evl_init_flag(struct evl_flag *flag);
void rust_helper_evl_destroy_flag(struct evl_flag *flag);
void rust_helper_evl_raise_flag(struct evl_flag *flag);
bool rust_helper_evl_take_flag(struct evl_flag *flag);
int rust_helper_evl_wait_flag_until(struct evl_flag *flag, u64 date);
void rust_helper_evl_reschedule(void);
void rust_helper_evl_init_kmutex(struct evl_kmutex *lock);
int rust_helper_evl_lock_kmutex(struct evl_kmutex *lock);
int rust_helper_evl_trylock_kmutex(struct evl_kmutex *lock);
void rust_helper_evl_unlock_kmutex(struct evl_kmutex *lock);
void rust_helper_evl_destroy_kmutex(struct evl_kmutex *lock);
int rust_helper_evl_run_kthread(struct evl_kthread *thread, void (*fn)(void *), void *arg, int priority, int cpu,
				const char *name);
void rust_helper_evl_unblock_kthread(struct evl_kthread *thread);
void rust_helper_evl_join_kthread(struct evl_kthread *thread);

/* Where a thread of either stage waits, on its own stack. */
struct oobkit_waiter {
	struct task_struct *task;	/* NULL: an EVL thread */
	union {
		struct evl_flag flag;
		struct irq_work work;
	};
};
void rust_helper_evl_waiter_init(struct oobkit_waiter *waiter, bool oob);
bool rust_helper_evl_waiter_is_oob(const struct oobkit_waiter *waiter);
int rust_helper_evl_waiter_wait_until(struct oobkit_waiter *waiter, u64 date);
void rust_helper_evl_waiter_wake(struct oobkit_waiter *waiter);
void rust_helper_evl_waiter_leave(struct oobkit_waiter *waiter);
void rust_helper_evl_init_timer(struct evl_timer *timer, void (*handler)(struct evl_timer *));
void rust_helper_evl_start_timer(struct evl_timer *timer, u64 first, u64 period);
void rust_helper_evl_stop_timer(struct evl_timer *timer);
long rust_helper_compat_ptr_oob_ioctl(struct file *file, unsigned int command, unsigned long argument);
void rust_helper_evl_init_poll_head(struct evl_poll_head *head);
void rust_helper_evl_signal_poll_events(struct evl_poll_head *head, u32 events);
unsigned long rust_helper_raw_copy_from_user(void *to, const void __user *from, unsigned long n);
unsigned long rust_helper_raw_copy_to_user(void __user *to, const void *from, unsigned long n);
#endif

#endif
