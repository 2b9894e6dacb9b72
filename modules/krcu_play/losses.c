// SPDX-License-Identifier: GPL-2.0
/*
 * What makes an eBPF watcher lose events:
 *
 *     drops NAME N        N tasks, each of which takes one more reference of a `merge` cache and drops it
 *     inside: STATEMENT   arms a trap: when this task next runs into a probe, and the probe asks for the time of
 *                         its event, the statement runs there, inside the probe's run; the trap that was armed
 *                         last goes off first
 *     sprung              fails unless all traps have gone off
 */
#include <linux/completion.h>
#include <linux/ftrace.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "play.h"

/* Tasks that drop a reference at the same time. If each destroy waits for grace periods, they wait together. */
#define PLAY_DROPPERS 64

struct play_drop {
	struct kmem_cache *cache;
	const char *name;
	struct completion done;
	int error;
};

static int play_dropper(void *data)
{
	struct play_drop *drop = data;
	struct kmem_cache *cache = kmem_cache_create(drop->name, kmem_cache_size(drop->cache), 0, 0, NULL);

	if (!cache)
		drop->error = -ENOMEM;
	else if (cache != drop->cache)
		drop->error = -EXDEV;
	kmem_cache_destroy(cache);
	kthread_complete_and_exit(&drop->done, 0);
}

static int play_drops(char **words, unsigned int count)
{
	int left = play_number(words[2]), error = 0;
	struct kmem_cache *cache = play_kmem_cache(words[1]);
	struct play_drop *drops;

	if (left < 0 || !cache)
		return -EINVAL;
	drops = kcalloc(PLAY_DROPPERS, sizeof(*drops), GFP_KERNEL);
	if (!drops)
		return -ENOMEM;
	while (left > 0 && !error) {
		unsigned int started, number = min(left, PLAY_DROPPERS);

		for (started = 0; started < number; started++) {
			struct play_drop *drop = drops + started;
			struct task_struct *task;

			drop->cache = cache;
			drop->name = words[1];
			init_completion(&drop->done);
			task = kthread_run(play_dropper, drop, "krcu_play_drop");
			if (IS_ERR(task)) {
				error = PTR_ERR(task);
				break;
			}
		}
		left -= started;
		while (started--) {
			wait_for_completion(&drops[started].done);
			error = error ?: drops[started].error;
		}
	}
	kfree(drops);
	return error;
}

/* The armed statements, the last one on top. */
#define PLAY_TRAPS 4

static struct play_saved traps[PLAY_TRAPS];
static unsigned int armed;
static struct task_struct *trapped;
static int trap_error;

/* Runs inside a run of a probe: neither the probe nor its trampoline can be entered again on this processor. */
static void notrace play_time_is_asked(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
				       struct ftrace_regs *regs)
{
	struct play_saved *trap;

	if (READ_ONCE(trapped) != current || !in_task() || !armed)
		return;
	trap = traps + --armed;
	trap_error = play_statement(trap->words, trap->count, true) ?: trap_error;
}

/* The callback may run inside itself. The kernel's guard against recursion lets that happen once. */
static struct ftrace_ops time_ops = {
	.func = play_time_is_asked,
	.flags = FTRACE_OPS_FL_RECURSION,
};

void play_untrap(void)
{
	if (!trapped)
		return;
	unregister_ftrace_function(&time_ops);
	WRITE_ONCE(trapped, NULL);
	armed = 0;
}

int play_arm(char **words, unsigned int count)
{
	static char function[] = "bpf_ktime_get_ns";
	int error;

	if (armed == PLAY_TRAPS)
		return -ENOSPC;
	if (trapped && trapped != current)
		return -EBUSY;
	play_save(traps + armed, words, count);
	if (!trapped) {
		error = ftrace_set_filter(&time_ops, function, strlen(function), 1);
		if (!error)
			error = register_ftrace_function(&time_ops);
		if (error)
			return error;
		trap_error = 0;
	}
	armed++;
	WRITE_ONCE(trapped, current);
	return 0;
}

static int play_sprung(char **words, unsigned int count)
{
	unsigned int waiting = armed;

	play_untrap();
	return waiting ? -EAGAIN : trap_error;
}

const struct play_operation play_loss_operations[] = {
	{ "drops", 2, 2, false, play_drops },
	{ "sprung", 0, 0, false, play_sprung },
	{},
};
