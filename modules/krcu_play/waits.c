// SPDX-License-Identifier: GPL-2.0
/*
 * Waiting, and making other tasks wait:
 *
 *     barrier     rcu_barrier()
 *     kvbarrier   kvfree_rcu_barrier(), where modules may call it
 *     flush       the same, or nothing where they may not: frees whatever the system has queued before
 *     sync        synchronize_rcu()
 *     expedite    synchronize_rcu_expedited()
 *     sleep MS    does nothing for that long
 *     hold MS [flushed]
 *                 from now on, a thread on the last processor stays in a read-side critical section, for that long
 *                 at the most: no grace period that begins now can end before. That processor does nothing else
 *                 meanwhile. flushed: runs a flush directly before it.
 *     release     ends a hold
 *     refuse      ends the script, as one that cannot be done; it is meant, so nothing is said of it
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "play.h"

/* Well below the time after which the kernel reports a stall. */
#define PLAY_HOLD_MS 15000

static unsigned long hold_until;
static bool holding, let_go;
static DECLARE_COMPLETION(ready);
static DECLARE_COMPLETION(go);
static DECLARE_COMPLETION(held);
static DECLARE_COMPLETION(released);

static int play_barrier(char **words, unsigned int count)
{
	rcu_barrier();
	return 0;
}

static int play_kvbarrier(char **words, unsigned int count)
{
#ifdef KRCU_HAS_KVFREE_RCU_BARRIER
	kvfree_rcu_barrier();
	return 0;
#else
	return -EOPNOTSUPP;
#endif
}

static int play_flush(char **words, unsigned int count)
{
	int error = play_kvbarrier(words, count);

	return error == -EOPNOTSUPP ? 0 : error;
}

static int play_sync(char **words, unsigned int count)
{
	synchronize_rcu();
	return 0;
}

static int play_expedite(char **words, unsigned int count)
{
	synchronize_rcu_expedited();
	return 0;
}

static int play_sleep(char **words, unsigned int count)
{
	int ms = play_number(words[1]);

	if (ms > 0)
		msleep(ms);
	return min(ms, 0);
}

static int play_holder(void *unused)
{
	complete(&ready);
	wait_for_completion(&go);
	rcu_read_lock();
	complete(&held);
	while (!READ_ONCE(let_go) && time_before(jiffies, hold_until))
		udelay(10);
	rcu_read_unlock();
	if (!READ_ONCE(let_go))
		pr_info("krcu_play: a hold ran out\n");
	kthread_complete_and_exit(&released, 0);
}

void play_release(void)
{
	if (!holding)
		return;
	WRITE_ONCE(let_go, true);
	wait_for_completion(&released);
	holding = false;
}

static int play_hold(char **words, unsigned int count)
{
	int ms = play_number(words[1]);
	struct task_struct *task;

	if (ms < 0)
		return ms;
	if (ms > PLAY_HOLD_MS)
		return play_wrong(words[1], "is longer than fifteen seconds");
	if (count > 2 && strcmp(words[2], "flushed"))
		return play_wrong(words[2], "is no way to hold");
	play_release();
	task = kthread_create(play_holder, NULL, "krcu_play_hold");
	if (IS_ERR(task))
		return PTR_ERR(task);
	kthread_bind(task, cpumask_last(cpu_online_mask));
	reinit_completion(&ready);
	reinit_completion(&go);
	reinit_completion(&held);
	reinit_completion(&released);
	WRITE_ONCE(let_go, false);
	holding = true;
	wake_up_process(task);
	wait_for_completion(&ready);
	if (count > 2)
		play_flush(words, count);
	hold_until = jiffies + msecs_to_jiffies(ms);
	complete(&go);
	wait_for_completion(&held);
	return 0;
}

static int play_release_now(char **words, unsigned int count)
{
	play_release();
	return 0;
}

static int play_refuse(char **words, unsigned int count)
{
	return -EINVAL;
}

const struct play_operation play_wait_operations[] = {
	{ "barrier", 0, 0, false, play_barrier },
	{ "kvbarrier", 0, 0, false, play_kvbarrier },
	{ "flush", 0, 0, false, play_flush },
	{ "sync", 0, 0, false, play_sync },
	{ "expedite", 0, 0, false, play_expedite },
	{ "sleep", 1, 1, false, play_sleep },
	{ "hold", 1, 2, false, play_hold },
	{ "release", 0, 0, false, play_release_now },
	{ "refuse", 0, 0, false, play_refuse },
	{},
};
