// SPDX-License-Identifier: GPL-2.0
/*
 * What makes an eBPF watcher lose events:
 *
 *     inside: STATEMENT   arms a trap: when this task next runs into a probe, and the probe asks for the time of
 *                         its event, the statement runs there, inside the probe's run; the trap that was armed
 *                         last goes off first
 *     sprung              fails unless all traps have gone off
 */
#include <linux/ftrace.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "play.h"

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
	{ "sprung", 0, 0, false, play_sprung },
	{},
};
