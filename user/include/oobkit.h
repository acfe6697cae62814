/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/*
 * The numbers and layouts that user programs and oobkit's drivers share.
 *
 *   thread:  open("/dev/oob/ctl"), OOBKIT_CTL_ATTACH, ..., OOBKIT_CTL_DETACH
 *   SPI:     open("/dev/oob/spidev0.0"), SPI_IOC_ENABLE_OOB_MODE, mmap,
 *            { fill TX; SPI_IOC_RUN_OOB_XFER; read RX }*,
 *            munmap, SPI_IOC_DISABLE_OOB_MODE, close
 *
 * Crate oobkit-abi is the same in Rust. Its documentation describes each call
 * and the errnos of each call. Its tests compile this file and compare the two.
 * Reserved fields must be zero (else EINVAL). All dates are CLOCK_MONOTONIC, in ns.
 *
 * The device also accepts the requests of <linux/spi/spidev.h> that set and read
 * mode, bits per word and clock.
 */
#ifndef OOBKIT_H
#define OOBKIT_H

#include <linux/ioctl.h>
#include <stdint.h>

/* ---- /dev/oob/ctl ---- */

#define OOBKIT_CTL_PATH "/dev/oob/ctl"

struct oobkit_attach {
	uint32_t reserved[4];
};

#define OOBKIT_CTL_ATTACH _IOW('o', 1, struct oobkit_attach)
#define OOBKIT_CTL_DETACH _IO('o', 2)

/* ---- /dev/oob/spidev<bus>.<chip select>: EVL's own calls ---- */

/* If EVL's header is included first, it has defined these already. */
#ifndef SPI_IOC_ENABLE_OOB_MODE
struct spi_ioc_oob_setup {
	uint32_t frame_len;	/* in: bytes per frame */
	uint32_t speed_hz;	/* in: clock; 0: the device's own */
	uint8_t bits_per_word;	/* in: 0: the device's own */
	uint8_t pad[3];		/* any value */
	uint32_t iobuf_len;	/* out: how many bytes to map */
	uint32_t tx_offset;	/* out: of the frame to send */
	uint32_t rx_offset;	/* out: of the received frame */
};

#define SPI_IOC_ENABLE_OOB_MODE _IOWR('k', 50, struct spi_ioc_oob_setup)
#define SPI_IOC_DISABLE_OOB_MODE _IO('k', 51)
#define SPI_IOC_RUN_OOB_XFER _IO('k', 52)
#endif

/* ---- the same device: this kit's calls ---- */

struct oobkit_spi_run_until {
	uint64_t deadline_ns;	/* date by which the frame must have ended */
	uint64_t reserved;
};

#define OOBKIT_SPI_LIST_MAX 16
/*
 * The most buffers of one chip select: the present session's, and those of
 * earlier sessions that are still mapped.
 */
#define OOBKIT_SPI_BUFFERS_MAX 4

struct oobkit_spi_list_entry {
	uint8_t chip_select;
	uint8_t reserved[3];
	int32_t status;		/* out: 0 or a negative errno */
};

struct oobkit_spi_run_list {
	uint64_t deadline_ns;	/* 0: each frame's own time limit */
	uint32_t count;
	uint32_t reserved;
	struct oobkit_spi_list_entry entries[OOBKIT_SPI_LIST_MAX];
};

#define OOBKIT_SPI_TRIGGER_CALL 0
#define OOBKIT_SPI_TRIGGER_TIMER 1

struct oobkit_spi_trigger {
	uint32_t kind;		/* OOBKIT_SPI_TRIGGER_* */
	uint32_t reserved;
	uint64_t first_ns;	/* timer: date of the first frame */
	uint64_t period_ns;	/* timer: from one frame to the next */
};

struct oobkit_spi_stop {
	uint32_t miss_limit;	/* misses in a row; 0: only on death or close */
	uint32_t reserved;
	uint64_t period_ns;	/* watch period between calls; 0: none */
};

struct oobkit_spi_delays {
	uint32_t setup_ns;
	uint32_t hold_ns;
	uint32_t inactive_ns;
	uint32_t reserved;
};

#define OOBKIT_SPI_PATH_FIFO 0
#define OOBKIT_SPI_PATH_DMA 1

struct oobkit_spi_info {
	uint32_t effective_hz;
	uint32_t path;		/* OOBKIT_SPI_PATH_* */
	uint64_t wire_ns;
	uint64_t limit_ns;	/* from a frame's start; then it is given up */
};

struct oobkit_spi_stats {
	uint64_t frames;
	uint64_t timeouts;
	uint64_t bus_errors;
	uint64_t missed;
	uint64_t overruns;
	uint64_t stops;
	uint64_t rejected;
	uint64_t worst_ns;
};

#define OOBKIT_SPI_RUN_UNTIL _IOW('k', 64, struct oobkit_spi_run_until)
#define OOBKIT_SPI_RUN_LIST _IOWR('k', 65, struct oobkit_spi_run_list)
#define OOBKIT_SPI_SET_TRIGGER _IOW('k', 66, struct oobkit_spi_trigger)
#define OOBKIT_SPI_SET_STOP _IOW('k', 67, struct oobkit_spi_stop)
#define OOBKIT_SPI_GET_STATS _IOR('k', 68, struct oobkit_spi_stats)
#define OOBKIT_SPI_GET_INFO _IOR('k', 69, struct oobkit_spi_info)
#define OOBKIT_SPI_SET_DELAYS _IOW('k', 70, struct oobkit_spi_delays)

#endif
