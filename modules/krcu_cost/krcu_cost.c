// SPDX-License-Identifier: GPL-2.0
/*
 * Measures what deferred frees cost on this kernel, for `cargo xtask bench kernel`. It does nothing wrong.
 *
 * In that benchmark, the machine's time stamp counter counts executed instructions (qemu -icount shift=0: one
 * a nanosecond), so the same instructions always give the same difference. The module makes a row of calls
 * with interrupts disabled, so that no tick counts. It measures each call by itself, and subtracts the cost
 * of reading the counter. It prints the median of the row. Work that the kernel does once for many calls
 * (getting a page or sheaf, handing over a full one) is in the row's `_total`, not in the median.
 *
 * A stretch that sleeps is measured by the clock, and by the part of it in which the processor was not idle.
 * The emulator skips idle time, but the clock counts it, as on a machine that executes one instruction a
 * nanosecond.
 */
#include <linux/delay.h>
#include <linux/kernel_stat.h>
#include <linux/ktime.h>
#include <linux/sort.h>
#include <linux/tick.h>

#include "krcu_sample.h"

/* Calls in a row: fewer than one page of kfree_rcu() takes, and more than several sheaves. */
#define CALLS 256
/* The number of destroys; the median is printed. */
#define DESTROYS 15
/* The number of grace periods to wait for. */
#define GRACE_PERIODS 50
/* After this time, queued objects have been freed, and kfree_rcu() has filled its reserve of pages. */
#define SETTLE_MS 8000

struct cost_object {
	struct krcu_object object;
	char rest[64];
};

/* Objects of this many bytes, in a kmalloc cache, lie on slabs of several pages. */
#define LARGE 2048

static u64 taken[CALLS];
static struct cost_object *row[CALLS];
static u64 overhead;

static int compare(const void *left, const void *right)
{
	u64 a = *(const u64 *)left, b = *(const u64 *)right;

	return a < b ? -1 : a > b;
}

static void print_row(const char *what)
{
	u64 total = 0;
	unsigned int call;

	for (call = 0; call < CALLS; call++)
		total += taken[call];
	sort(taken, CALLS, sizeof(taken[0]), compare, NULL);
	pr_info("krcu_cost: %s=%llu %s_total=%llu calls=%u\n", what, taken[CALLS / 2], what, total, CALLS);
}

/* Measures `call` of each object of the row. */
#define MEASURE_ROW(call)                                                    \
	do {                                                                 \
		unsigned long flags;                                         \
		unsigned int index;                                          \
									     \
		local_irq_save(flags);                                       \
		for (index = 0; index < CALLS; index++) {                    \
			struct cost_object *object __maybe_unused = row[index]; \
			u64 start = get_cycles();                            \
									     \
			call;                                                \
			taken[index] = get_cycles() - start - overhead;      \
		}                                                            \
		local_irq_restore(flags);                                    \
	} while (0)

static void free_head(struct rcu_head *head)
{
	kfree(container_of(head, struct cost_object, object.rcu));
}

/* Fills the row, from a cache or, without one, from kmalloc. */
static int allocate_row(struct kmem_cache *cache, size_t size)
{
	unsigned int index;

	for (index = 0; index < CALLS; index++) {
		row[index] = cache ? kmem_cache_alloc(cache, GFP_KERNEL) :
				     kmalloc(size, GFP_KERNEL);
		if (!row[index])
			return -ENOMEM; /* The objects stay: this machine is given up. */
	}
	return 0;
}

static int measure_calls(struct kmem_cache *cache)
{
	/* The first object on a processor takes another path, and makes the kernel fill its reserve. */
	if (allocate_row(NULL, sizeof(struct cost_object)))
		return -ENOMEM;
	MEASURE_ROW(kfree_rcu(object, object.rcu));
	msleep(SETTLE_MS);

	if (allocate_row(NULL, sizeof(struct cost_object)))
		return -ENOMEM;
	MEASURE_ROW(kfree_rcu(object, object.rcu));
	print_row("kfree_rcu_kmalloc");
	msleep(SETTLE_MS);

	if (allocate_row(NULL, LARGE))
		return -ENOMEM;
	MEASURE_ROW(kfree_rcu(object, object.rcu));
	print_row("kfree_rcu_large");
	msleep(SETTLE_MS);

	if (allocate_row(cache, 0))
		return -ENOMEM;
	MEASURE_ROW(kfree_rcu(object, object.rcu));
	print_row("kfree_rcu_cache");
	msleep(SETTLE_MS);

	if (allocate_row(NULL, sizeof(struct cost_object)))
		return -ENOMEM;
	/* A callback that is a function of the kernel's own, as most are. */
	MEASURE_ROW(call_rcu((struct rcu_head *)object, (rcu_callback_t)(void *)kfree));
	print_row("call_rcu_kmalloc");
	rcu_barrier();

	if (allocate_row(NULL, sizeof(struct cost_object)))
		return -ENOMEM;
	MEASURE_ROW(call_rcu(&object->object.rcu, free_head));
	print_row("call_rcu_module");
	rcu_barrier();
	return 0;
}

/* A stretch that may sleep. */
struct stretch {
	u64 clock_ns;
	u64 idle_us;
};

static u64 idle_us(void)
{
	u64 now;

	return get_cpu_idle_time_us(raw_smp_processor_id(), &now);
}

static struct stretch begin(void)
{
	unsigned long tick = jiffies;

	/* Grace periods advance with the tick, so begin just after one. */
	while (tick == jiffies)
		cond_resched();
	return (struct stretch){ .clock_ns = ktime_get_ns(), .idle_us = idle_us() };
}

static struct stretch end(struct stretch began)
{
	return (struct stretch){ .clock_ns = ktime_get_ns() - began.clock_ns, .idle_us = idle_us() - began.idle_us };
}

static int by_clock(const void *left, const void *right)
{
	return compare(&((const struct stretch *)left)->clock_ns, &((const struct stretch *)right)->clock_ns);
}

static void print_stretch(const char *what, struct stretch stretch, unsigned int times)
{
	pr_info("krcu_cost: %s_ns=%llu %s_busy_ns=%llu\n", what, div_u64(stretch.clock_ns, times), what,
		div_u64(stretch.clock_ns - min(stretch.clock_ns, stretch.idle_us * 1000), times));
}

/*
 * An exit path that is correct on this kernel: kfree_rcu() if the destroy waits for it; otherwise call_rcu()
 * and rcu_barrier(), since a module can call nothing that waits for kfree_rcu().
 */
static noinline void exit_path(struct kmem_cache *cache, bool queue)
{
	unsigned int index;

	for (index = 0; queue && index < CALLS; index++) {
#ifdef KRCU_DESTROY_WAITS
		kfree_rcu(row[index], object.rcu);
#else
		call_rcu(&row[index]->object.rcu, free_head);
#endif
	}
#ifndef KRCU_DESTROY_WAITS
	if (queue)
		rcu_barrier();
#endif
	kmem_cache_destroy(cache);
}

static int measure_destroy(const char *what, bool queue)
{
	struct stretch took[DESTROYS];
	unsigned int round;

	for (round = 0; round < DESTROYS; round++) {
		struct kmem_cache *cache = krcu_cache_create("krcu_cost_destroyed", sizeof(struct cost_object));
		struct stretch began;

		if (!cache || (queue && allocate_row(cache, 0)))
			return -ENOMEM;
		began = begin();
		exit_path(cache, queue);
		took[round] = end(began);
	}
	sort(took, DESTROYS, sizeof(took[0]), by_clock, NULL);
	print_stretch(what, took[DESTROYS / 2], 1);
	return 0;
}

static void measure_grace(const char *what, void (*wait)(void))
{
	struct stretch began = begin();
	unsigned int round;

	for (round = 0; round < GRACE_PERIODS; round++)
		wait();
	print_stretch(what, end(began), GRACE_PERIODS);
}

static struct kmem_cache *cache;

static int __init krcu_cost_init(void)
{
	int error;

	cache = krcu_cache_create("krcu_cost", sizeof(struct cost_object));
	if (!cache)
		return -ENOMEM;
	MEASURE_ROW(barrier());
	sort(taken, CALLS, sizeof(taken[0]), compare, NULL);
	overhead = taken[CALLS / 2];
	pr_info("krcu_cost: overhead=%llu\n", overhead);
	error = measure_calls(cache);
	if (!error)
		error = measure_destroy("destroy_empty", false);
	if (!error)
		error = measure_destroy("exit_path", true);
	if (!error) {
		measure_grace("grace", synchronize_rcu);
		measure_grace("expedited", synchronize_rcu_expedited);
	}
	if (error)
		kmem_cache_destroy(cache);
	return error;
}

/* Everything that was queued has been freed: the last measurements waited longer than that takes. */
static void __exit krcu_cost_exit(void)
{
	kmem_cache_destroy(cache);
}

module_init(krcu_cost_init);
module_exit(krcu_cost_exit);
MODULE_DESCRIPTION("what deferred frees, destroys and grace periods cost");
MODULE_LICENSE("GPL");
