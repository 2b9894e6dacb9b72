// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that belongs to none of our caches, but is freed by the same machinery:
 *
 *     small N    kmalloc(), by kfree_rcu()
 *     large N    kmalloc() of more than any slab has, by kfree_rcu()
 *     big N      vmalloc(), by kvfree_rcu()
 *     famine     from now on, this task gets no page unless it must have one
 *     feast      ends the famine
 *     drain      queues enough large objects on each processor that its batch leaves at once, not after five seconds
 */
#include <linux/cpumask.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "play.h"

#define PLAY_SMALL_BYTES 64
/* Objects of kmalloc() on slabs have at most two pages; a sheaf takes no larger ones. */
#define PLAY_LARGE_BYTES (2 * PAGE_SIZE + 1)
/* More pointers than one page has room for (KVFREE_BULK_MAX_ENTR). */
#define PLAY_DRAIN_OBJECTS (PAGE_SIZE / sizeof(void *) + 8)

struct play_memory {
	struct rcu_head rcu;
};

static noinline int play_queue_kmalloc(unsigned int number, size_t bytes)
{
	while (number--) {
		struct play_memory *memory = kmalloc(bytes, GFP_KERNEL);

		if (!memory)
			return -ENOMEM;
		kfree_rcu(memory, rcu);
	}
	return 0;
}

static int play_small(char **words, unsigned int count)
{
	int number = play_number(words[1]);

	return number < 0 ? number : play_queue_kmalloc(number, PLAY_SMALL_BYTES);
}

static int play_large(char **words, unsigned int count)
{
	int number = play_number(words[1]);

	return number < 0 ? number : play_queue_kmalloc(number, PLAY_LARGE_BYTES);
}

static int play_big(char **words, unsigned int count)
{
	int number = play_number(words[1]);

	if (number < 0)
		return number;
	while (number--) {
		struct play_memory *memory = vmalloc(PAGE_SIZE);

		if (!memory)
			return -ENOMEM;
		kvfree_rcu(memory, rcu);
	}
	return 0;
}

/* The page allocator refuses requests of this task that may fail. */
static struct task_struct *starving;

/* Runs instead of __get_free_pages(). */
static noinline notrace unsigned long play_no_page(void)
{
	return 0;
}

static int play_page_is_asked(struct kprobe *probe, struct pt_regs *regs)
{
#ifdef CONFIG_X86_64
	/* kfree_rcu_mightsleep() asks for its page with these flags: the request may fail. */
	if (READ_ONCE(starving) == current && in_task() && (regs_get_kernel_argument(regs, 0) & __GFP_NORETRY)) {
		instruction_pointer_set(regs, (unsigned long)play_no_page);
		return 1;
	}
#endif
	return 0;
}

/* A probe with this handler may change where the function goes. */
static void play_page_was_asked(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe page_probe;

void play_feast(void)
{
	if (!starving)
		return;
	WRITE_ONCE(starving, NULL);
	unregister_kprobe(&page_probe);
}

static int play_famine(char **words, unsigned int count)
{
	/* Newer kernels have the first. */
	static const char *const names[] = { "get_free_pages_noprof", "__get_free_pages" };
	unsigned int name;
	int error = -ENOENT;

	if (!IS_ENABLED(CONFIG_X86_64))
		return -EOPNOTSUPP;
	if (starving)
		return -EBUSY;
	for (name = 0; error == -ENOENT && name < ARRAY_SIZE(names); name++) {
		page_probe = (struct kprobe) {
			.symbol_name = names[name],
			.pre_handler = play_page_is_asked,
			.post_handler = play_page_was_asked,
		};
		error = register_kprobe(&page_probe);
	}
	if (!error)
		WRITE_ONCE(starving, current);
	return error;
}

static int play_feast_now(char **words, unsigned int count)
{
	play_feast();
	return 0;
}

static int play_drain(char **words, unsigned int count)
{
	unsigned int cpu, here = raw_smp_processor_id();
	int error = 0;

	for_each_online_cpu(cpu)
		if (!error && play_move_to(cpu))
			error = play_queue_kmalloc(PLAY_DRAIN_OBJECTS, PLAY_LARGE_BYTES);
	play_move_to(here);
	return error;
}

const struct play_operation play_memory_operations[] = {
	{ "small", 1, 1, false, play_small },
	{ "large", 1, 1, false, play_large },
	{ "big", 1, 1, false, play_big },
	{ "famine", 0, 0, false, play_famine },
	{ "feast", 0, 0, false, play_feast_now },
	{ "drain", 0, 0, false, play_drain },
	{},
};
