// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sizes and offsets as this kernel's C compiler sees them, for every structure whose size or fields Rust code uses.
 * Only assembled, never linked; bindings/generate turns each line into a compile-time assertion on the Rust side, and what
 * an inline function reads that is too short for a helper's call into what Rust code reads it by.
 */
#include <linux/version.h>
#include "kernel.h"

#define SIZE(s) asm volatile("\n.ascii \"->size " #s " %0\"" : : "i"(sizeof(struct s)))
#define OFFSET(s, f) asm volatile("\n.ascii \"->offset " #s " " #f " %0\"" : : "i"(offsetof(struct s, f)))

void oobkit_layout(void);
void oobkit_layout(void)
{
	SIZE(file_operations);
	OFFSET(file_operations, owner);
	OFFSET(file_operations, open);
	OFFSET(file_operations, release);
	OFFSET(file_operations, flush);
	OFFSET(file_operations, unlocked_ioctl);
	OFFSET(file_operations, compat_ioctl);
	OFFSET(file_operations, mmap);
	OFFSET(file_operations, read);
	OFFSET(file_operations, write);
	OFFSET(file_operations, poll);
	SIZE(miscdevice);
	OFFSET(miscdevice, minor);
	OFFSET(miscdevice, name);
	OFFSET(miscdevice, fops);
	OFFSET(miscdevice, parent);
	OFFSET(miscdevice, nodename);
	OFFSET(miscdevice, mode);
	SIZE(vm_operations_struct);
	OFFSET(vm_operations_struct, open);
	OFFSET(vm_operations_struct, close);
	SIZE(hrtimer);
	SIZE(mutex);
	SIZE(rt_mutex);
	SIZE(work_struct);
	SIZE(wait_queue_head);
	SIZE(irq_work);
	SIZE(raw_spinlock);
	SIZE(lock_class_key);
#ifdef CONFIG_EVL
	SIZE(evl_file);
	SIZE(evl_flag);
	SIZE(oobkit_waiter);
	SIZE(evl_timer);
	OFFSET(file_operations, oob_ioctl);
	OFFSET(file_operations, compat_oob_ioctl);
	OFFSET(file_operations, oob_read);
	OFFSET(file_operations, oob_write);
	OFFSET(file_operations, oob_poll);
	SIZE(evl_poll_head);
	SIZE(evl_work);
	SIZE(evl_kmutex);
	SIZE(evl_kthread);
#endif
	SIZE(of_device_id);
	OFFSET(of_device_id, compatible);
	SIZE(oobkit_attribute);
	OFFSET(oobkit_attribute, get);
	OFFSET(oobkit_attribute, set);
	OFFSET(oobkit_attribute, context);
	OFFSET(oobkit_attribute, index);
	SIZE(oobkit_task);
	OFFSET(oobkit_task, pid);
	OFFSET(oobkit_task, fifo_priority);
	OFFSET(oobkit_task, name);
	OFFSET(oobkit_task, cpus);
	SIZE(oobkit_text);
	OFFSET(oobkit_text, show);
	SIZE(oobkit_platform_driver);
	OFFSET(oobkit_platform_driver, driver);
	SIZE(platform_device);
	SIZE(resource);
	OFFSET(resource, start);
	OFFSET(resource, end);
	SIZE(device);
	SIZE(module);
	SIZE(tracepoint);
	OFFSET(tracepoint, name);
	SIZE(spi_controller);
	OFFSET(spi_controller, bus_num);
	OFFSET(spi_controller, num_chipselect);
	OFFSET(spi_controller, mode_bits);
	OFFSET(spi_controller, bits_per_word_mask);
	OFFSET(spi_controller, min_speed_hz);
	OFFSET(spi_controller, max_speed_hz);
	OFFSET(spi_controller, set_cs);
	OFFSET(spi_controller, prepare_message);
	OFFSET(spi_controller, unprepare_message);
	OFFSET(spi_controller, transfer_one);
	SIZE(spi_device);
	OFFSET(spi_device, controller);
	SIZE(spi_transfer);
	OFFSET(spi_transfer, tx_buf);
	OFFSET(spi_transfer, rx_buf);
	OFFSET(spi_transfer, len);
	OFFSET(spi_transfer, speed_hz);
	OFFSET(spi_transfer, effective_speed_hz);
	SIZE(spi_board_info);
	OFFSET(spi_board_info, modalias);
	OFFSET(spi_board_info, max_speed_hz);
	OFFSET(spi_board_info, chip_select);
	asm volatile("\n.ascii \"->private %0\"" : : "i"(offsetof(struct file, private_data)));
#ifdef CONFIG_X86_64
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0) && LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
	asm volatile("\n.ascii \"->current pcpu_hot %0\"" : : "i"(offsetof(struct pcpu_hot, current_task)));
#else
	asm volatile("\n.ascii \"->current current_task %0\"" : : "i"(0));
#endif
#endif
}
