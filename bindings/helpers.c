// SPDX-License-Identifier: GPL-2.0-only
#include <linux/version.h>
#include <linux/cache.h>
#include <linux/sched/mm.h>
#include <linux/timex.h>
#include "kernel.h"

/* The inline functions behind them cannot be traced either, and a place to trace at costs each call of theirs. */
#define helper __visible notrace

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 15, 0)
/* What printk() has been called since. */
int _printk(const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vprintk(format, args);
	va_end(args);
	return n;
}
#endif

helper void rust_helper_BUG(void)
{
	BUG();
}

/* 1 to 99 for a SCHED_FIFO task, 0 for any other. */
helper int rust_helper_task_fifo_priority(struct task_struct *t)
{
	return t->policy == SCHED_FIFO ? t->rt_priority : 0;
}

/* With what it inherits from those that wait for its rt_mutexes; 1 to 99, 0 where it is not real-time. */
helper int rust_helper_task_effective_priority(struct task_struct *t)
{
	return t->prio < MAX_RT_PRIO ? MAX_RT_PRIO - 1 - t->prio : 0;
}

helper void rust_helper_describe_task(struct task_struct *t, struct oobkit_task *out)
{
	out->pid = task_pid_nr(t);
	out->fifo_priority = rust_helper_task_fifo_priority(t);
	memcpy(out->name, t->comm, sizeof(out->name));
	out->name[sizeof(out->name) - 1] = 0;
	scnprintf(out->cpus, sizeof(out->cpus), "%*pbl", cpumask_pr_args(&t->cpus_mask));
}

/* Tells processes apart for as long as one of them holds a file open; what ->flush is given, too. */
helper void *rust_helper_current_files(void)
{
	return current->files;
}

helper bool rust_helper_signal_pending(void)
{
	return signal_pending(current);
}

helper void rust_helper_set_current_state(unsigned int state)
{
	if (state == TASK_RUNNING)
		__set_current_state(TASK_RUNNING);
	else
		set_current_state(state);
}

/* A kernel thread's long wait is no load, and no hanging task to report. */
helper void rust_helper_set_current_uninterruptible(void)
{
	unsigned int state = current->flags & PF_KTHREAD ? TASK_IDLE : TASK_UNINTERRUPTIBLE;

	set_current_state(state);
}

/* Whether the calling thread is a kthread that was asked to stop. */
helper bool rust_helper_current_is_stopped(void)
{
	return (current->flags & PF_KTHREAD) && kthread_should_stop();
}

helper void rust_helper_rcu_read_lock(void)
{
	rcu_read_lock();
}

helper void rust_helper_rcu_read_unlock(void)
{
	rcu_read_unlock();
}

helper void rust_helper_preempt_disable(void)
{
	preempt_disable();
}

helper void rust_helper_preempt_enable(void)
{
	preempt_enable();
}

helper void rust_helper_tracepoint_synchronize_unregister(void)
{
	tracepoint_synchronize_unregister();
}

/* The lock that masks interrupts for real, whatever the kernel makes of its own raw spinlocks. */
helper void rust_helper_raw_spin_lock_init(oobkit_spinlock_t *lock, const char *name, struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_SPINLOCK
	__raw_spin_lock_init((raw_spinlock_t *)lock, name, key, LD_WAIT_SPIN);
#else
	raw_spin_lock_init(lock);
#endif
}

#ifndef OOBKIT_SPINLOCK_FUNCTIONS
helper unsigned long rust_helper_hard_spin_lock_irqsave(oobkit_spinlock_t *lock)
{
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);
	return flags;
}

helper void rust_helper_hard_spin_unlock_irqrestore(oobkit_spinlock_t *lock, unsigned long flags)
{
	raw_spin_unlock_irqrestore(lock, flags);
}
#endif

helper void rust_helper_mutex_init(struct mutex *lock, const char *name, struct lock_class_key *key)
{
	__mutex_init(lock, name, key);
}

helper void rust_helper_mutex_lock(struct mutex *lock)
{
	mutex_lock(lock);
}

helper void rust_helper_mutex_unlock(struct mutex *lock)
{
	mutex_unlock(lock);
}

helper void rust_helper_init_waitqueue_head(wait_queue_head_t *queue, const char *name, struct lock_class_key *key)
{
	__init_waitqueue_head(queue, name, key);
}

helper void rust_helper_wake_up_all(wait_queue_head_t *queue)
{
	wake_up_all(queue);
}

helper long rust_helper_wait_event_timeout(wait_queue_head_t *queue, bool (*cond)(void *), void *arg, long jiffies)
{
	return wait_event_timeout(*queue, cond(arg), jiffies);
}

helper int rust_helper_wait_event_interruptible(wait_queue_head_t *queue, bool (*cond)(void *), void *arg)
{
	return wait_event_interruptible(*queue, cond(arg));
}

/* With a memory barrier behind it, which the next one's pairs with. */
helper void rust_helper_poll_wait(struct file *file, wait_queue_head_t *queue, struct poll_table_struct *table)
{
	poll_wait(file, queue, table);
}

helper bool rust_helper_wq_has_sleeper(wait_queue_head_t *queue)
{
	return wq_has_sleeper(queue);
}

helper void rust_helper_wake_up_poll(wait_queue_head_t *queue, u32 events)
{
	wake_up_poll(queue, (__force __poll_t)events);
}

helper void rust_helper_init_irq_work(struct irq_work *work, void (*fn)(struct irq_work *))
{
	init_irq_work(work, fn);
}

helper unsigned long rust_helper_msecs_to_jiffies(unsigned int ms)
{
	return msecs_to_jiffies(ms);
}

helper struct task_struct *rust_helper_kthread_create(int (*fn)(void *), void *data, const char *name)
{
	return kthread_create(fn, data, "%s", name);
}

/* Ends what it waits for where a signal would, too: the kernel's own does so from 6.0 on. */
helper void rust_helper_kthread_stop(struct task_struct *t)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 0, 0)
	set_tsk_thread_flag(t, TIF_SIGPENDING);
#endif
	kthread_stop(t);
}

helper struct task_struct *rust_helper_get_task_struct(struct task_struct *t)
{
	return get_task_struct(t);
}

helper void rust_helper_put_task_struct(struct task_struct *t)
{
	put_task_struct(t);
}

#ifdef CONFIG_EVL
helper void rust_helper_work_init(oobkit_work_t *work, void (*fn)(oobkit_work_t *))
{
	evl_init_work(work, fn);
}

helper void rust_helper_work_queue(oobkit_work_t *work)
{
	evl_call_inband_from(work, system_unbound_wq);
}

helper void rust_helper_work_flush(oobkit_work_t *work)
{
	evl_flush_work(work);
}

helper void rust_helper_work_cancel(oobkit_work_t *work)
{
	evl_cancel_work(work);
}
#else
helper void rust_helper_work_init(oobkit_work_t *work, void (*fn)(oobkit_work_t *))
{
	INIT_WORK(work, fn);
}

helper void rust_helper_work_queue(oobkit_work_t *work)
{
	queue_work(system_unbound_wq, work);
}

helper void rust_helper_work_flush(oobkit_work_t *work)
{
	flush_work(work);
}

helper void rust_helper_work_cancel(oobkit_work_t *work)
{
	cancel_work_sync(work);
}
#endif

#ifndef CONFIG_EVL
helper int rust_helper_task_set_fifo(struct task_struct *t, int priority)
{
	const struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = SCHED_FIFO,
		.sched_priority = priority,
	};

	return sched_setattr_nocheck(t, &attr);
}

helper bool rust_helper_cpu_is_online(unsigned int cpu)
{
	return cpu < nr_cpu_ids && cpu_online(cpu);
}

helper void rust_helper_cond_resched(void)
{
	cond_resched();
}
#endif

helper void *rust_helper_kzalloc(size_t size)
{
	return kzalloc(size, GFP_KERNEL);
}

helper void *rust_helper_vzalloc(unsigned long size)
{
	return vzalloc(size);
}

helper unsigned long rust_helper_copy_from_user(void *to, const void __user *from, unsigned long n)
{
	return copy_from_user(to, from, n);
}

helper unsigned long rust_helper_copy_to_user(void __user *to, const void *from, unsigned long n)
{
	return copy_to_user(to, from, n);
}

/* As copy_from_user() does: no copy from an address whose check the processor has only guessed. */
static void end_speculation(void)
{
#ifdef barrier_nospec
	barrier_nospec();
#endif
}

/* Those that never sleep: what is left is behind a page that is not there, or not the caller's. */
helper unsigned long rust_helper_copy_from_user_now(void *to, const void __user *from, unsigned long n)
{
	unsigned long left = n;

	if (access_ok(from, n)) {
		end_speculation();
		pagefault_disable();
		left = __copy_from_user_inatomic(to, from, n);
		pagefault_enable();
	}
	return left;
}

helper unsigned long rust_helper_copy_to_user_now(void __user *to, const void *from, unsigned long n)
{
	unsigned long left = n;

	if (access_ok(to, n)) {
		pagefault_disable();
		left = __copy_to_user_inatomic(to, from, n);
		pagefault_enable();
	}
	return left;
}

helper int rust_helper_dma_set_mask_and_coherent(struct device *dev, u64 mask)
{
	return dma_set_mask_and_coherent(dev, mask);
}

helper void *rust_helper_dma_alloc_coherent(struct device *dev, size_t size, u64 *bus)
{
	dma_addr_t address = 0;
	void *cpu = dma_alloc_coherent(dev, size, &address, GFP_KERNEL);

	*bus = address;
	return cpu;
}

helper unsigned long rust_helper_page_size(void)
{
	return PAGE_SIZE;
}

helper unsigned int rust_helper_l1_cache_bytes(void)
{
	return L1_CACHE_BYTES;
}

/* The processor's counter where its rate is known, else the clock. */
helper u64 rust_helper_get_cycles(void)
{
#ifdef CONFIG_X86_64
	return tsc_khz ? get_cycles() : ktime_get_ns();
#elif defined(CONFIG_ARM64)
	/* get_cycles() goes there by a pointer. */
	return __arch_counter_get_cntvct();
#else
	return ktime_get_ns();
#endif
}

helper unsigned int rust_helper_cycles_khz(void)
{
#ifdef CONFIG_X86_64
	return tsc_khz ? tsc_khz : USEC_PER_SEC;
#elif defined(CONFIG_ARM64)
	return arch_timer_get_cntfrq() / 1000;
#else
	return USEC_PER_SEC;
#endif
}

helper unsigned int rust_helper_hrtimer_resolution(void)
{
	return hrtimer_resolution;
}

/*
 * CLOCK_MONOTONIC, absolute dates, expiry in hard interrupt context on PREEMPT_RT too, on the processor that arms it: not on
 * another one that is busy, where mainline would queue the timer of a processor that is idle.
 */
helper void rust_helper_hrtimer_setup(struct hrtimer *timer, enum hrtimer_restart (*fn)(struct hrtimer *))
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
	timer->function = fn;
#endif
}

helper void rust_helper_hrtimer_start_abs(struct hrtimer *timer, u64 ns)
{
	hrtimer_start(timer, ns_to_ktime(ns), HRTIMER_MODE_ABS_PINNED_HARD);
}

/*
 * For the timer's handler, which is a hard interrupt's: how many dates have passed; 0 where it has been armed anew, by the
 * handler or elsewhere. That is done under this lock, and while the handler runs the timer does not change its processor. A
 * timer in the queue must not be moved.
 */
helper u64 rust_helper_hrtimer_forward_now(struct hrtimer *timer, u64 interval)
{
	raw_spinlock_t *lock = &timer->base->cpu_base->lock;
	u64 passed = 0;

	raw_spin_lock(lock);
	if (!hrtimer_is_queued(timer))
		passed = hrtimer_forward_now(timer, ns_to_ktime(interval));
	raw_spin_unlock(lock);
	return passed;
}

helper void rust_helper_usleep_range(unsigned long min, unsigned long max)
{
	usleep_range(min, max);
}

/* Whether kernel_write() is for this file: it does not serve those of the older way. */
helper int rust_helper_file_check_write(const struct file *file)
{
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (!(file->f_mode & FMODE_CAN_WRITE) || !file->f_op->write_iter || file->f_op->write)
		return -EINVAL;
	return 0;
}

helper s64 rust_helper_file_position(const struct file *file)
{
	return file->f_pos;
}

/* The call of a 32-bit program, its argument made a pointer of this kernel's. */
helper long rust_helper_compat_ptr_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
#ifdef CONFIG_COMPAT
	return compat_ptr_ioctl(file, command, argument);
#else
	return -ENOTTY;
#endif
}

helper void rust_helper_set_file_private(struct file *file, void *data)
{
	file->private_data = data;
}

/* misc_open() leaves the miscdevice in private_data for ->open. */
helper void *rust_helper_miscdevice_of(struct file *file)
{
	return file->private_data;
}

/* NULL in a kernel thread. */
helper struct mm_struct *rust_helper_mmgrab_current(void)
{
	if (current->mm)
		mmgrab(current->mm);
	return current->mm;
}

helper void rust_helper_mmdrop(struct mm_struct *mm)
{
	mmdrop(mm);
}

/* Waits for whatever changes the mappings now. */
helper void rust_helper_mmap_pass(struct mm_struct *mm)
{
	mmap_read_lock(mm);
	mmap_read_unlock(mm);
}

helper unsigned long rust_helper_vma_len(const struct vm_area_struct *vma)
{
	return vma->vm_end - vma->vm_start;
}

helper unsigned long rust_helper_vma_pgoff(const struct vm_area_struct *vma)
{
	return vma->vm_pgoff;
}

/* No copy at fork and no growth by mremap: one mapping, one count. */
helper void rust_helper_vma_attach(struct vm_area_struct *vma, const struct vm_operations_struct *ops, void *data)
{
	vma->vm_ops = ops;
	vma->vm_private_data = data;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTCOPY | VM_DONTDUMP);
#else
	vma->vm_flags |= VM_DONTEXPAND | VM_DONTCOPY | VM_DONTDUMP;
#endif
}

helper bool rust_helper_vma_shared(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_SHARED;
}

helper struct address_space *rust_helper_vma_mapping(const struct vm_area_struct *vma)
{
	return vma->vm_file->f_mapping;
}

/* Takes the pages out of every process that maps them; what it touches there later is a SIGBUS. */
helper void rust_helper_unmap_mapping(struct address_space *mapping)
{
	unmap_mapping_range(mapping, 0, 0, 1);
}

helper void *rust_helper_vma_private(const struct vm_area_struct *vma)
{
	return vma->vm_private_data;
}

static int oobkit_attribute_get(void *data, u64 *value)
{
	const struct oobkit_attribute *attribute = data;

	*value = attribute->get(attribute->context, attribute->index);
	return 0;
}

static int oobkit_attribute_set(void *data, u64 value)
{
	const struct oobkit_attribute *attribute = data;

	attribute->set(attribute->context, attribute->index, value);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(oobkit_attribute_fops, oobkit_attribute_get, oobkit_attribute_set, "%llu\n");

helper void rust_helper_debugfs_create_attribute(const char *name, bool writable, struct dentry *dir,
						 struct oobkit_attribute *attribute)
{
	debugfs_create_file_unsafe(name, writable ? 0600 : 0400, dir, attribute, &oobkit_attribute_fops);
}

static int oobkit_text_show(struct seq_file *out, void *unused)
{
	const struct oobkit_text *text = out->private;

	text->show(text, out);
	return 0;
}

DEFINE_SHOW_ATTRIBUTE(oobkit_text);

helper void rust_helper_debugfs_create_text(const char *name, struct dentry *dir, struct oobkit_text *text)
{
	debugfs_create_file(name, 0400, dir, text, &oobkit_text_fops);
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
static int oobkit_platform_remove(struct platform_device *pdev)
{
	struct platform_driver *driver = to_platform_driver(pdev->dev.driver);

	container_of(driver, struct oobkit_platform_driver, driver)->remove(pdev);
	return 0;
}
#endif

helper int rust_helper_platform_driver_register(struct oobkit_platform_driver *driver, struct module *owner,
						const char *name, const struct of_device_id *of_table,
						int (*probe)(struct platform_device *pdev),
						void (*remove)(struct platform_device *pdev))
{
	driver->remove = remove;
	driver->driver.probe = probe;
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
	driver->driver.remove = oobkit_platform_remove;
#else
	driver->driver.remove = remove;
#endif
	driver->driver.driver.name = name;
	driver->driver.driver.of_match_table = of_table;
	return __platform_driver_register(&driver->driver, owner);
}

helper struct device *rust_helper_platform_device_dev(struct platform_device *pdev)
{
	return &pdev->dev;
}

helper void *rust_helper_platform_get_drvdata(struct platform_device *pdev)
{
	return platform_get_drvdata(pdev);
}

helper void rust_helper_platform_set_drvdata(struct platform_device *pdev, void *data)
{
	platform_set_drvdata(pdev, data);
}

helper void *rust_helper_dev_get_platdata(struct device *dev)
{
	return dev_get_platdata(dev);
}

helper struct platform_device *rust_helper_platform_device_register(const char *name, int id, const void *data,
								    size_t size, u64 dma_mask)
{
	const struct platform_device_info info = {
		.name = name,
		.id = id,
		.data = data,
		.size_data = size,
		.dma_mask = dma_mask,
	};

	return platform_device_register_full(&info);
}

helper int rust_helper_request_irq(unsigned int irq, irq_handler_t handler, unsigned long flags, const char *name,
				   void *dev)
{
	return request_irq(irq, handler, flags, name, dev);
}

helper int rust_helper_clk_prepare_enable(struct clk *clk)
{
	return clk_prepare_enable(clk);
}

helper void rust_helper_clk_disable_unprepare(struct clk *clk)
{
	clk_disable_unprepare(clk);
}

helper struct spi_controller *rust_helper_spi_alloc_host(struct device *dev, unsigned int size)
{
	return __spi_alloc_controller(dev, size, false);
}

/* So that the core finds the devices below the controller's node. */
helper void rust_helper_spi_controller_inherit_node(struct spi_controller *ctlr, struct device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 15, 0)
	device_set_node(&ctlr->dev, dev_fwnode(dev));
#else
	ctlr->dev.fwnode = dev->fwnode;
	ctlr->dev.of_node = dev->of_node;
#endif
}

helper void *rust_helper_spi_controller_get_devdata(struct spi_controller *ctlr)
{
	return spi_controller_get_devdata(ctlr);
}

helper void rust_helper_spi_controller_put(struct spi_controller *ctlr)
{
	spi_controller_put(ctlr);
}

/*
 * The SPI core does not wait for a message that its sender transfers by itself, and 6.1's spidev lets go of its device in
 * the middle of one. Whoever transfers holds io_mutex.
 */
helper void rust_helper_spi_unregister_and_wait(struct spi_controller *ctlr)
{
	spi_controller_get(ctlr);
	spi_unregister_controller(ctlr);
	mutex_lock(&ctlr->io_mutex);
	mutex_unlock(&ctlr->io_mutex);
	spi_controller_put(ctlr);
}

helper unsigned int rust_helper_spi_get_chipselect(const struct spi_device *spi)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	return spi_get_chipselect(spi, 0);
#else
	return spi->chip_select;
#endif
}

helper u32 rust_helper_spi_mode(const struct spi_device *spi)
{
	return spi->mode;
}

#ifdef CONFIG_EVL
helper void rust_helper_kick_all_cpus_sync(void)
{
	kick_all_cpus_sync();
}

/* Brings the calling thread out-of-band, where it is not there already; false for one that cannot go there now. */
helper bool rust_helper_evl_enter_oob(void)
{
	return evl_current() && (running_oob() || !evl_switch_oob());
}

/* The calling EVL thread's, with what it inherits from those that wait for its mutexes. */
helper int rust_helper_evl_current_priority(void)
{
	return READ_ONCE(evl_current()->cprio);
}

/* Brings the calling thread in-band, where it is not there already. */
helper void rust_helper_evl_leave_oob(void)
{
	if (running_oob())
		evl_switch_inband(EVL_HMDIAG_NONE);
}

/*
 * Where a signal waits for a thread that is still out-of-band, EVL puts its own answer in place of the call's, by which the
 * call is made once more. A frame that was moved is not to be moved again.
 */
helper void rust_helper_evl_leave_oob_for_signal(void)
{
	if (running_oob() && signal_pending(current))
		evl_switch_inband(EVL_HMDIAG_SIGDEMOTE);
}

helper bool rust_helper_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

helper void rust_helper_evl_init_flag(struct evl_flag *flag)
{
	evl_init_flag(flag);
}

helper void rust_helper_evl_destroy_flag(struct evl_flag *flag)
{
	evl_destroy_flag(flag);
}

helper void rust_helper_evl_raise_flag(struct evl_flag *flag)
{
	evl_raise_flag(flag);
}

/* Consumes the event, if it is there, without waiting. */
helper bool rust_helper_evl_take_flag(struct evl_flag *flag)
{
	unsigned long flags;
	bool raised;

	evl_lock_flag(flag, flags);
	raised = evl_read_flag(flag);
	evl_unlock_flag(flag, flags);
	return raised;
}

/*
 * 0, -ETIMEDOUT, or -EINTR: then the thread has to go in-band, and is there when this returns. -ECANCELED: a kernel thread,
 * whose wait was ended and which stays out-of-band. Date 0: no limit.
 */
helper int rust_helper_evl_wait_flag_until(struct evl_flag *flag, u64 date)
{
	/* "No limit" is a span: as a date it has passed. */
	int ret = date ? evl_wait_flag_timeout(flag, ns_to_ktime(date), EVL_ABS) : evl_wait_flag(flag);

	if (ret != -EINTR)
		return ret;
	if (current->flags & PF_KTHREAD)
		return -ECANCELED;
	evl_switch_inband(EVL_HMDIAG_SIGDEMOTE);
	return ret;
}

/* Called with no hard lock held, or inside one: then it is left to the outermost one's end. */
helper void rust_helper_evl_reschedule(void)
{
	if (!hard_irqs_disabled())
		evl_schedule();
}

helper void rust_helper_evl_init_kmutex(struct evl_kmutex *lock)
{
	evl_init_kmutex(lock);
}

helper int rust_helper_evl_lock_kmutex(struct evl_kmutex *lock)
{
	return evl_lock_kmutex(lock);
}

helper int rust_helper_evl_trylock_kmutex(struct evl_kmutex *lock)
{
	return evl_trylock_kmutex(lock);
}

helper void rust_helper_evl_unlock_kmutex(struct evl_kmutex *lock)
{
	evl_unlock_kmutex(lock);
}

helper void rust_helper_evl_destroy_kmutex(struct evl_kmutex *lock)
{
	evl_destroy_kmutex(lock);
}

/* On processor cpu, or, where that is negative, on any that EVL has. */
helper int rust_helper_evl_run_kthread(struct evl_kthread *thread, void (*fn)(void *), void *arg, int priority, int cpu,
				       const char *name)
{
	int ret;

	if (cpu < 0)
		ret = evl_run_kthread(thread, fn, arg, priority, 0, "%s", name);
	else if (cpu < nr_cpu_ids && cpu_online(cpu))
		ret = evl_run_kthread_on_cpu(thread, cpu, fn, arg, priority, 0, "%s", name);
	else
		return -EINVAL;
	/* It was made, and ends without having called the function. */
	if (ret && thread->status)
		evl_join_kthread(thread, true);
	return ret;
}

helper void rust_helper_evl_unblock_kthread(struct evl_kthread *thread)
{
	evl_unblock_kthread(thread, 0);
	evl_schedule();
}

helper void rust_helper_evl_join_kthread(struct evl_kthread *thread)
{
	evl_join_kthread(thread, true);
}

static void oobkit_waiter_called(struct irq_work *work)
{
	wake_up_process(container_of(work, struct oobkit_waiter, work)->task);
}

/* An EVL thread's waiter where it is one and can go out-of-band, else a task's. */
helper void rust_helper_evl_waiter_init(struct oobkit_waiter *waiter, bool oob)
{
	waiter->task = oob && rust_helper_evl_enter_oob() ? NULL : current;
	if (waiter->task)
		init_irq_work(&waiter->work, oobkit_waiter_called);
	else
		evl_init_flag_on_stack(&waiter->flag);
}

helper bool rust_helper_evl_waiter_is_oob(const struct oobkit_waiter *waiter)
{
	return !waiter->task;
}

helper int rust_helper_evl_waiter_wait_until(struct oobkit_waiter *waiter, u64 date)
{
	return rust_helper_evl_wait_flag_until(&waiter->flag, date);
}

/* With a hard lock held, which the thread must take before it leaves. */
helper void rust_helper_evl_waiter_wake(struct oobkit_waiter *waiter)
{
	if (waiter->task)
		irq_work_queue(&waiter->work);
	else
		evl_raise_flag_nosched(&waiter->flag);
}

helper void rust_helper_evl_waiter_leave(struct oobkit_waiter *waiter)
{
	if (waiter->task)
		irq_work_sync(&waiter->work);
	else
		evl_destroy_flag(&waiter->flag);
}

helper void rust_helper_evl_init_timer(struct evl_timer *timer, void (*handler)(struct evl_timer *))
{
	evl_init_timer(timer, handler);
}

/* Expires on the processor that arms it, as an hrtimer does, where that one takes part in EVL. */
helper void rust_helper_evl_start_timer(struct evl_timer *timer, u64 first, u64 period)
{
	unsigned long flags = hard_local_irq_save();

	if (is_threading_cpu(raw_smp_processor_id())) {
		evl_stop_timer(timer);
		evl_prepare_timed_wait(timer, timer->clock, this_evl_rq());
	}
	evl_start_timer(timer, ns_to_ktime(first), ns_to_ktime(period));
	hard_local_irq_restore(flags);
}

helper void rust_helper_evl_stop_timer(struct evl_timer *timer)
{
	evl_stop_timer(timer);
}

helper long rust_helper_compat_ptr_oob_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
#ifdef CONFIG_COMPAT
	return compat_ptr_oob_ioctl(file, command, argument);
#else
	return -ENOTTY;
#endif
}

helper void rust_helper_evl_init_poll_head(struct evl_poll_head *head)
{
	evl_init_poll_head(head);
}

helper void rust_helper_evl_signal_poll_events(struct evl_poll_head *head, u32 events)
{
	evl_signal_poll_events(head, events);
	rust_helper_evl_reschedule();
}

/* EVL's raw copies look at no limit. A page that is not there brings the thread in-band, and the copy goes on. */
helper unsigned long rust_helper_raw_copy_from_user(void *to, const void __user *from, unsigned long n)
{
	if (!access_ok(from, n))
		return n;
	end_speculation();
	return raw_copy_from_user(to, from, n);
}

helper unsigned long rust_helper_raw_copy_to_user(void __user *to, const void *from, unsigned long n)
{
	return access_ok(to, n) ? raw_copy_to_user(to, from, n) : n;
}
#endif
