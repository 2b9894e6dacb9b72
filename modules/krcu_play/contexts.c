// SPDX-License-Identifier: GPL-2.0
/*
 * Where a statement runs:
 *
 *     irq:    in a hard interrupt (irq_work)          cpuN:   by this task, on processor N
 *     bh:     in a softirq (tasklet)                  work:   by a worker of a workqueue
 *     off:    by this task, interrupts disabled       bg:     in its own thread; the script goes on
 *     inside: by this task, while a probe runs (losses.c)
 *
 * They can be combined: `cpu1: irq: queue a 5`. All except bg: and inside: return when the statement is done.
 * Operation:
 *
 *     join    waits for the threads of bg:
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "play.h"

static struct workqueue_struct *queue;

/* A statement that runs elsewhere while this task waits. */
struct play_errand {
	char **words;
	unsigned int count;
	int error;
	struct irq_work irq;
	struct tasklet_struct tasklet;
	struct work_struct work;
	struct completion done;
};

static void play_in_irq(struct irq_work *irq)
{
	struct play_errand *errand = container_of(irq, struct play_errand, irq);

	errand->error = play_statement(errand->words, errand->count, true);
	complete(&errand->done);
}

static void play_in_softirq(struct tasklet_struct *tasklet)
{
	struct play_errand *errand = container_of(tasklet, struct play_errand, tasklet);

	errand->error = play_statement(errand->words, errand->count, true);
	complete(&errand->done);
}

static void play_in_worker(struct work_struct *work)
{
	struct play_errand *errand = container_of(work, struct play_errand, work);

	errand->error = play_statement(errand->words, errand->count, false);
	complete(&errand->done);
}

static int play_errand(const char *word, char **words, unsigned int count)
{
	struct play_errand errand = { .words = words, .count = count };

	init_completion(&errand.done);
	if (!strcmp(word, "irq:")) {
		init_irq_work(&errand.irq, play_in_irq);
		irq_work_queue(&errand.irq);
		wait_for_completion(&errand.done);
		irq_work_sync(&errand.irq);
	} else if (!strcmp(word, "bh:")) {
		tasklet_setup(&errand.tasklet, play_in_softirq);
		tasklet_schedule(&errand.tasklet);
		wait_for_completion(&errand.done);
		tasklet_kill(&errand.tasklet);
	} else {
		INIT_WORK_ONSTACK(&errand.work, play_in_worker);
		queue_work(queue, &errand.work);
		flush_work(&errand.work);
		destroy_work_on_stack(&errand.work);
	}
	return errand.error;
}

static noinline int play_irqs_off(char **words, unsigned int count)
{
	unsigned long flags;
	int error;

	local_irq_save(flags);
	error = play_statement(words, count, true);
	local_irq_restore(flags);
	return error;
}

bool play_move_to(unsigned int cpu)
{
	return cpu < nr_cpu_ids && cpu_online(cpu) && !set_cpus_allowed_ptr(current, cpumask_of(cpu));
}

static int play_on_cpu(const char *word, char **words, unsigned int count)
{
	unsigned int cpu, here = raw_smp_processor_id();
	int error;

	if (kstrtouint(word, 10, &cpu) || !play_move_to(cpu))
		return -ENODEV;
	error = play_statement(words, count, false);
	play_move_to(here);
	return error;
}

/* The threads of bg:, each with its own copy of a statement. */
#define PLAY_THREADS 8

static struct play_thread {
	struct play_saved statement;
	bool busy;
	struct completion done;
} threads[PLAY_THREADS];

static int play_thread(void *data)
{
	struct play_thread *thread = data;

	play_statement(thread->statement.words, thread->statement.count, false);
	kthread_complete_and_exit(&thread->done, 0);
}

static int play_in_background(char **words, unsigned int count)
{
	struct play_thread *thread = threads;
	struct task_struct *task;

	while (thread->busy)
		if (++thread == threads + PLAY_THREADS)
			return -EBUSY;
	play_save(&thread->statement, words, count);
	init_completion(&thread->done);
	task = kthread_create(play_thread, thread, "krcu_play");
	if (IS_ERR(task))
		return PTR_ERR(task);
	thread->busy = true;
	wake_up_process(task);
	return 0;
}

void play_join(void)
{
	struct play_thread *thread;

	for (thread = threads; thread < threads + PLAY_THREADS; thread++) {
		if (thread->busy)
			wait_for_completion(&thread->done);
		thread->busy = false;
	}
}

static int play_join_all(char **words, unsigned int count)
{
	play_join();
	return 0;
}

int play_elsewhere(const char *word, char **words, unsigned int count, bool atomic)
{
	char number[PLAY_WORD_BYTES];

	if (atomic)
		return play_wrong(word, "cannot be reached from where nothing may sleep");
	if (!strcmp(word, "irq:") || !strcmp(word, "bh:") || !strcmp(word, "work:"))
		return play_errand(word, words, count);
	if (!strcmp(word, "off:"))
		return play_irqs_off(words, count);
	if (!strcmp(word, "bg:"))
		return play_in_background(words, count);
	if (!strcmp(word, "inside:"))
		return play_arm(words, count);
	if (!strncmp(word, "cpu", 3)) {
		strscpy(number, word + 3, sizeof(number));
		number[strlen(number) - 1] = '\0';
		return play_on_cpu(number, words, count);
	}
	return play_wrong(word, "is no place");
}

int play_contexts_init(void)
{
	queue = alloc_workqueue("krcu_play", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return queue ? 0 : -ENOMEM;
}

void play_contexts_exit(void)
{
	destroy_workqueue(queue);
}

const struct play_operation play_context_operations[] = {
	{ "join", 0, 0, false, play_join_all },
	{},
};
