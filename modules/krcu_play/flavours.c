// SPDX-License-Identifier: GPL-2.0
/*
 * The other kinds of RCU that defer a free; each has a grace period and a barrier of its own:
 *
 *     srcu NAME N       call_srcu() of a domain of this module; its callback frees the object
 *     srcubarrier [other]  srcu_barrier() of that domain, or of another of this module's that nothing is queued to
 *     srcued            waits until every callback of srcu has freed its object; no barrier
 *     hold_srcu         a reader of that domain is there from now on: no callback of srcu that is queued now runs
 *     release_srcu      it is there no longer
 *     tasks NAME N      call_rcu_tasks(), where the kernel has it; its callback frees the object
 *     tasksbarrier      rcu_barrier_tasks()
 *     tasked            waits until every callback of tasks has freed its object; no barrier
 *     hold_tasks        a thread on the last processor runs from now on and does not sleep, for fifteen seconds at the most: no
 *                       callback of tasks that is queued now runs. Others may run on that processor, and RCU does not wait.
 *     release_tasks     it sleeps again
 *     trace NAME N      call_rcu_tasks_trace(), where the kernel has it: newer ones make call_srcu() of it
 *     tracebarrier      rcu_barrier_tasks_trace()
 *     traced            waits until every callback of trace has freed its object; no barrier
 *
 * Truth: of each statement, by its own words; and a line of the kernel's log when hold_tasks ran out by itself.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate_trace.h>
#include <linux/sched.h>
#include <linux/srcu.h>
#include <linux/string.h>

#include "play.h"

#define PLAY_HOLD_TASKS_MS 15000

static PLAY_TALLY(unsrcued);
static PLAY_TALLY(untasked);
static PLAY_TALLY(untraced);

/* Made as they are first used: where nobody uses them, nothing of them is there. */
static struct srcu_struct domain, other_domain;
static bool has_domains;
static DEFINE_MUTEX(domains_lock);
static bool srcu_is_read;
static int srcu_index;

static int play_domains_init(void)
{
	int error = 0;

	mutex_lock(&domains_lock);
	if (!has_domains) {
		error = init_srcu_struct(&domain);
		if (!error) {
			error = init_srcu_struct(&other_domain);
			if (error)
				cleanup_srcu_struct(&domain);
		}
		has_domains = !error;
	}
	mutex_unlock(&domains_lock);
	return error;
}

static void krcu_play_srcu_callback(struct rcu_head *head)
{
	play_free_object(container_of(head, struct play_object, rcu));
	play_tally_end(&unsrcued);
}

static int play_srcu(char **words, unsigned int count)
{
	struct play_cache *cache;
	int number = play_cache_and_count(words, &cache);
	int error = play_domains_init();

	if (number < 0 || error)
		return number < 0 ? number : error;
	while (number--) {
		struct play_object *object = play_take_object(cache);

		play_tally_begin(&unsrcued);
		call_srcu(&domain, &object->rcu, krcu_play_srcu_callback);
	}
	return 0;
}

static int play_srcubarrier(char **words, unsigned int count)
{
	int error = play_domains_init();

	if (error)
		return error;
	if (count > 1 && strcmp(words[1], "other"))
		return play_wrong(words[1], "is no domain");
	srcu_barrier(count > 1 ? &other_domain : &domain);
	return 0;
}

static int play_srcued(char **words, unsigned int count)
{
	play_tally_wait(&unsrcued);
	return 0;
}

static int play_hold_srcu(char **words, unsigned int count)
{
	int error = play_domains_init();

	if (error)
		return error;
	if (srcu_is_read)
		return -EBUSY;
	/* A reader may sleep, and this one does so between two statements. */
	srcu_index = srcu_read_lock(&domain);
	srcu_is_read = true;
	return 0;
}

static int play_release_srcu(char **words, unsigned int count)
{
	if (!srcu_is_read)
		return 0;
	srcu_is_read = false;
	srcu_read_unlock(&domain, srcu_index);
	return 0;
}

static bool runs, let_go;
static DECLARE_COMPLETION(running);
static DECLARE_COMPLETION(stopped);

static int play_runner(void *unused)
{
	unsigned long until = jiffies + msecs_to_jiffies(PLAY_HOLD_TASKS_MS);

	complete(&running);
	/* It may lose the processor, and never gives it up of its own accord, which is all that this kind of RCU looks at. */
	while (!READ_ONCE(let_go) && time_before(jiffies, until)) {
		cpu_relax();
		cond_resched();
	}
	if (!READ_ONCE(let_go))
		pr_info("krcu_play: a hold ran out\n");
	kthread_complete_and_exit(&stopped, 0);
}

static int play_release_tasks(char **words, unsigned int count)
{
	if (!runs)
		return 0;
	WRITE_ONCE(let_go, true);
	wait_for_completion(&stopped);
	runs = false;
	return 0;
}

static int play_hold_tasks(char **words, unsigned int count)
{
	struct task_struct *task;

	if (runs)
		return -EBUSY;
	task = kthread_create(play_runner, NULL, "krcu_play_runs");
	if (IS_ERR(task))
		return PTR_ERR(task);
	kthread_bind(task, cpumask_last(cpu_online_mask));
	reinit_completion(&running);
	reinit_completion(&stopped);
	WRITE_ONCE(let_go, false);
	runs = true;
	wake_up_process(task);
	wait_for_completion(&running);
	return 0;
}

#ifdef KRCU_HAS_CALL_RCU_TASKS

static bool has_tasks;

static void krcu_play_tasks_callback(struct rcu_head *head)
{
	play_free_object(container_of(head, struct play_object, rcu));
	play_tally_end(&untasked);
}

static int play_tasks(char **words, unsigned int count)
{
	struct play_cache *cache;
	int number = play_cache_and_count(words, &cache);

	if (number < 0)
		return number;
	has_tasks = true;
	while (number--) {
		struct play_object *object = play_take_object(cache);

		play_tally_begin(&untasked);
		call_rcu_tasks(&object->rcu, krcu_play_tasks_callback);
	}
	return 0;
}

static int play_tasksbarrier(char **words, unsigned int count)
{
	rcu_barrier_tasks();
	return 0;
}

static void play_tasks_exit(void)
{
	if (has_tasks)
		rcu_barrier_tasks();
}

#else

static int play_tasks(char **words, unsigned int count)
{
	return -EOPNOTSUPP;
}

#define play_tasksbarrier play_tasks

static void play_tasks_exit(void)
{
}

#endif

static int play_tasked(char **words, unsigned int count)
{
	play_tally_wait(&untasked);
	return 0;
}

#ifdef KRCU_HAS_CALL_RCU_TASKS_TRACE

static bool has_trace;

static void krcu_play_trace_callback(struct rcu_head *head)
{
	play_free_object(container_of(head, struct play_object, rcu));
	play_tally_end(&untraced);
}

static int play_trace(char **words, unsigned int count)
{
	struct play_cache *cache;
	int number = play_cache_and_count(words, &cache);

	if (number < 0)
		return number;
	has_trace = true;
	while (number--) {
		struct play_object *object = play_take_object(cache);

		play_tally_begin(&untraced);
		call_rcu_tasks_trace(&object->rcu, krcu_play_trace_callback);
	}
	return 0;
}

static int play_tracebarrier(char **words, unsigned int count)
{
	rcu_barrier_tasks_trace();
	return 0;
}

static void play_trace_exit(void)
{
	if (has_trace)
		rcu_barrier_tasks_trace();
}

#else

static int play_trace(char **words, unsigned int count)
{
	return -EOPNOTSUPP;
}

#define play_tracebarrier play_trace

static void play_trace_exit(void)
{
}

#endif

static int play_traced(char **words, unsigned int count)
{
	play_tally_wait(&untraced);
	return 0;
}

void play_flavours_exit(void)
{
	play_release_srcu(NULL, 0);
	play_release_tasks(NULL, 0);
	if (has_domains) {
		srcu_barrier(&domain);
		cleanup_srcu_struct(&domain);
		cleanup_srcu_struct(&other_domain);
	}
	play_tasks_exit();
	play_trace_exit();
}

const struct play_operation play_flavour_operations[] = {
	{ "srcu", 2, 2, false, play_srcu },
	{ "srcubarrier", 0, 1, false, play_srcubarrier },
	{ "srcued", 0, 0, false, play_srcued },
	{ "hold_srcu", 0, 0, false, play_hold_srcu },
	{ "release_srcu", 0, 0, false, play_release_srcu },
	{ "tasks", 2, 2, false, play_tasks },
	{ "tasksbarrier", 0, 0, false, play_tasksbarrier },
	{ "tasked", 0, 0, false, play_tasked },
	{ "hold_tasks", 0, 0, false, play_hold_tasks },
	{ "release_tasks", 0, 0, false, play_release_tasks },
	{ "trace", 2, 2, false, play_trace },
	{ "tracebarrier", 0, 0, false, play_tracebarrier },
	{ "traced", 0, 0, false, play_traced },
	{},
};
