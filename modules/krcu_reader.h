/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A reader that stays until a destroy has looked at its cache, so that what was queued before the destroy is outstanding then,
 * however long the machine keeps its task from it. If destroys wait for kfree_rcu(), the reader stays until this one waits.
 *
 * The exit calls krcu_read_until(current) before it queues, and krcu_destroys() as the last thing before the destroy. The reader
 * is a thread that is there until the module's parameters are freed, which is before its text goes: an exit that ends with a
 * jump to the destroy can wait for nobody.
 */
#ifndef KRCU_READER_H
#define KRCU_READER_H

#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task.h>

/* Well below the time after which the kernel calls it a stall. */
#define KRCU_READS_MS 15000

static struct task_struct *krcu_destroyer;
static bool krcu_is_destroying;
static bool krcu_has_destroyed;
static DECLARE_COMPLETION(krcu_reading);
static DECLARE_COMPLETION(krcu_has_read);

static bool krcu_reader_may_end(void)
{
#ifdef KRCU_DESTROY_WAITS
	/* From krcu_destroys() on, that task sleeps in the destroy only. */
	return smp_load_acquire(&krcu_is_destroying) && !task_is_running(krcu_destroyer);
#else
	return smp_load_acquire(&krcu_has_destroyed);
#endif
}

static int krcu_reader(void *unused)
{
	unsigned long until = jiffies + msecs_to_jiffies(KRCU_READS_MS);
	bool ends = false;

	rcu_read_lock();
	complete(&krcu_reading);
	while (!ends && time_before(jiffies, until)) {
		udelay(10);
		ends = krcu_reader_may_end();
	}
	rcu_read_unlock();
	if (!ends)
		pr_info(KBUILD_MODNAME ": a hold ran out\n");
	put_task_struct(krcu_destroyer);
	kthread_complete_and_exit(&krcu_has_read, 0);
}

static void krcu_read_until(struct task_struct *destroyer)
{
	struct task_struct *task;

	/* With one processor, that task would not run beside the reader. */
	if (num_online_cpus() == 1)
		return;
	task = kthread_create(krcu_reader, NULL, KBUILD_MODNAME "_reader");
	if (IS_ERR(task))
		return;
	kthread_bind(task, cpumask_last(cpu_online_mask));
	krcu_destroyer = get_task_struct(destroyer);
	wake_up_process(task);
	wait_for_completion(&krcu_reading);
}

static __always_inline void krcu_destroys(void)
{
	smp_store_release(&krcu_is_destroying, true);
}

static void krcu_reader_ends(void *unused)
{
	if (!krcu_destroyer)
		return;
	smp_store_release(&krcu_has_destroyed, true);
	wait_for_completion(&krcu_has_read);
}

static const struct kernel_param_ops krcu_reader_ops = { .free = krcu_reader_ends };
module_param_cb(reader, &krcu_reader_ops, NULL, 0);

#endif
