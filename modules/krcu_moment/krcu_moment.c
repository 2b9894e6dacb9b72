// SPDX-License-Identifier: GPL-2.0
/*
 * Makes load, and stops the machine at random moments, so that its memory can be written from outside.
 *
 * Threads allocate from caches of the module and hand the objects to kfree_rcu(), to kfree_rcu() without a head, and to
 * call_rcu(), each on a processor of its own if there are enough. Another thread stops all processors by stop_machine(). While they are stopped it writes a line
 * `NUMBER TIME` to the second serial port, and waits for a byte from there. TIME is in nanoseconds of the clock that
 * bpf_ktime_get_ns() reads. When this has happened `moments` times, the load ends.
 *
 * A task can be stopped in the middle of kfree_rcu(), because stop_machine() preempts it. Nothing here prevents that:
 * who reads the memory has to find such a task.
 *
 * The module does nothing wrong: its exit function waits for what is outstanding.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/stop_machine.h>
#include <linux/timekeeping.h>

#include "krcu_sample.h"

/* The registers of the serial port, and bits of its line status. */
#define PORT 0x2f8
#define LINE_STATUS (PORT + 5)
#define HAS_BYTE 0x01
#define HAS_ROOM 0x20
#define NO_PORT 0xff

static unsigned int moments = 100;
module_param(moments, uint, 0444);
MODULE_PARM_DESC(moments, "how many times the machine is stopped");

static unsigned int seed = 1;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "determines the pauses between the moments, and the load");

static unsigned int pause_ms = 150;
module_param(pause_ms, uint, 0444);
MODULE_PARM_DESC(pause_ms, "the longest pause between two moments");

static unsigned int burst = 512;
module_param(burst, uint, 0444);
MODULE_PARM_DESC(burst, "the most objects that a thread queues between two sleeps");

static unsigned int left;
module_param(left, uint, 0444);
MODULE_PARM_DESC(left, "moments that are still to come");

static struct kmem_cache *heads, *headless, *callbacks;

static void free_callback(struct rcu_head *head)
{
	kmem_cache_free(callbacks, container_of(head, struct krcu_object, rcu));
}

static void defer_head(struct krcu_object *object)
{
	kfree_rcu(object, rcu);
}

static void defer_headless(struct krcu_object *object)
{
	kfree_rcu_mightsleep(object);
}

static void defer_callback(struct krcu_object *object)
{
	call_rcu(&object->rcu, free_callback);
}

/*
 * A thread that makes load, and what it does with an object. It queues a burst in this many parts, and sleeps after each.
 *
 * Callbacks trickle: the segment next-ready of a processor's list holds something only if callbacks of this processor wait for
 * one grace period, and others that were queued later wait for the next one. A burst that is over within a tick waits for one
 * grace period as a whole, and then nothing is queued until it has run.
 */
struct load {
	struct kmem_cache **cache;
	void (*defer)(struct krcu_object *object);
	unsigned int parts;
	struct task_struct *thread;
};

static struct load loads[] = {
	{ .cache = &heads, .defer = defer_head, .parts = 1 },
	{ .cache = &heads, .defer = defer_head, .parts = 1 },
	{ .cache = &headless, .defer = defer_headless, .parts = 1 },
	{ .cache = &callbacks, .defer = defer_callback, .parts = 16 },
};

static u32 below(struct rnd_state *state, u32 bound)
{
	return bound ? prandom_u32_state(state) % bound : 0;
}

static int make_load(void *argument)
{
	struct load *load = argument;
	struct rnd_state state;

	prandom_seed_state(&state, ((u64)seed << 8) + (load - loads));
	while (!kthread_should_stop()) {
		u32 count = READ_ONCE(left) ? 1 + below(&state, burst / load->parts) : 0;
		u32 pause_us = 10000 / load->parts;

		while (count--) {
			struct krcu_object *object = kmem_cache_alloc(*load->cache, GFP_KERNEL);

			if (object)
				load->defer(object);
		}
		usleep_range(pause_us, pause_us + below(&state, 600000 / load->parts));
	}
	return 0;
}

static void say(const char *text)
{
	for (; *text; text++) {
		while (!(inb(LINE_STATUS) & HAS_ROOM))
			cpu_relax();
		outb(*text, PORT);
	}
}

/* Runs on one processor, while the others wait with interrupts disabled. */
static int stopped(void *argument)
{
	char line[48];

	snprintf(line, sizeof(line), "%u %llu\n", *(unsigned int *)argument, ktime_get_mono_fast_ns());
	say(line);
	while (!(inb(LINE_STATUS) & HAS_BYTE))
		cpu_relax();
	inb(PORT);
	return 0;
}

static int make_moments(void *unused)
{
	struct rnd_state state;
	unsigned int number;

	prandom_seed_state(&state, (u64)seed << 8 | 0xff);
	for (number = 1; number <= moments && !kthread_should_stop(); number++) {
		/* Not whole milliseconds: a tick should not be what a moment follows. */
		u32 pause_us = 1000 + below(&state, pause_ms * 1000);

		usleep_range(pause_us, pause_us + 1);
		stop_machine(stopped, &number, NULL);
		WRITE_ONCE(left, moments - number);
	}
	WRITE_ONCE(left, 0);
	while (!kthread_should_stop())
		msleep(10);
	return 0;
}

static struct task_struct *director;

static void end(void)
{
	struct load *load;

	if (!IS_ERR_OR_NULL(director))
		kthread_stop(director);
	for (load = loads; load < loads + ARRAY_SIZE(loads); load++)
		if (!IS_ERR_OR_NULL(load->thread))
			kthread_stop(load->thread);
	rcu_barrier();
	kmem_cache_destroy(heads);
	kmem_cache_destroy(headless);
	kmem_cache_destroy(callbacks);
}

static int __init krcu_moment_init(void)
{
	struct load *load;

	if (inb(LINE_STATUS) == NO_PORT) {
		pr_err("krcu_moment: this machine has no second serial port\n");
		return -ENODEV;
	}
	heads = krcu_cache_create("krcu_moment_head", 64);
	headless = krcu_cache_create("krcu_moment_headless", 96);
	callbacks = krcu_cache_create("krcu_moment_callback", 128);
	if (!heads || !headless || !callbacks)
		goto failed;
	left = moments;
	for (load = loads; load < loads + ARRAY_SIZE(loads); load++) {
		unsigned int number = load - loads;

		load->thread = kthread_create(make_load, load, "krcu_load/%u", number);
		if (IS_ERR(load->thread))
			goto failed;
		kthread_bind(load->thread, number % num_online_cpus());
		wake_up_process(load->thread);
	}
	director = kthread_run(make_moments, NULL, "krcu_moment");
	if (IS_ERR(director))
		goto failed;
	return 0;
failed:
	end();
	return -ENOMEM;
}

static void __exit krcu_moment_exit(void)
{
	end();
}

module_init(krcu_moment_init);
module_exit(krcu_moment_exit);
MODULE_DESCRIPTION("load, and moments at which the whole machine is stopped");
MODULE_LICENSE("GPL");
