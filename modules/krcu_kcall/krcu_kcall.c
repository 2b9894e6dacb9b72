// SPDX-License-Identifier: GPL-2.0
/*
 * A module without any slab cache that defers frees of kmalloc()ed memory, and goes.
 *
 *     objects=N     how many
 *     way=rcu       by call_rcu(), with a callback in its own code
 *     way=text      by call_rcu(), with a callback in the code of krcu_text, which has to be loaded and stays
 *     way=tasks     by call_rcu_tasks(), where the kernel has it, with a callback in its own code
 *     way=kfree     by kfree_rcu(): the kernel's own code frees, and no code of this module runs
 *     early=1       they are queued as it is loaded, not as it is unloaded
 *     held=MS       a reader is there from before they are queued until the module's parameters are freed, and for so long at the
 *                   most: none runs before
 *     barrier=1     rcu_barrier(), for way=tasks rcu_barrier_tasks(), is the last thing that its exit does
 *     barrier=2     the same is the first thing that its exit does, before anything is queued there
 *     barrier=3     rcu_barrier() is the last thing that its exit does, by a jump: no frame of this module's is in its stack
 *     barrier=4     rcu_barrier() is the last thing that its init does
 *     wait=1        its exit ends by waiting until all have run, by looking again and again, which is no barrier
 *     ran           (to be read) how many callbacks in its own code have run; `early` ones can so be waited for
 *
 * Without a barrier the kernel would run code that is gone, so there is a net: where a module is freed, after its exit has
 * returned and the event module_free has told so, and before its memory goes, free_module() frees its parameters
 * (destroy_params()). Here that ends the reader and waits for the callbacks. No real module has such a net.
 *
 * Between the exit's return and module_free the kernel waits for a grace period, where the module has functions that can be traced
 * (ftrace_release_mod()); callbacks may have run by then, and need not. krcu_kcall is built without any, so that all are outstanding
 * at either moment; krcu_traced is the same as any module is built, where that is sure of the first only.
 *
 * Truth: one line as the exit ends. With `held` and without barrier=1 all are outstanding then; with barrier=1 none is. With `early` and barrier=4
 * none is.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "krcu_text.h"

/* Well below the time after which the kernel calls it a stall. */
#define KRCU_MOST_MS 15000u

static unsigned int objects = 100;
module_param(objects, uint, 0444);
MODULE_PARM_DESC(objects, "how many are queued");

static char *way = "rcu";
module_param(way, charp, 0444);
MODULE_PARM_DESC(way, "rcu, text, tasks or kfree");

static bool early;
module_param(early, bool, 0444);
MODULE_PARM_DESC(early, "queue as the module is loaded");

static unsigned int held;
module_param(held, uint, 0444);
MODULE_PARM_DESC(held, "milliseconds for which no grace period ends");

static unsigned int barrier_at;
module_param_named(barrier, barrier_at, uint, 0444);
MODULE_PARM_DESC(barrier, "1: at the end of the exit; 2: at its begin; 3: at its end, by a jump; 4: at the end of the init");

static bool wait;
module_param(wait, bool, 0444);
MODULE_PARM_DESC(wait, "the exit waits until all have run, by no barrier");

static atomic_t ran = ATOMIC_INIT(0);
static unsigned int queued;

/* krcu_text_free(), where it is wanted: a reference to its module. */
static void (*text)(struct rcu_head *head);

static bool holding, let_go;
static DECLARE_COMPLETION(reading);
static DECLARE_COMPLETION(released);

static void krcu_kcall_free(struct rcu_head *head)
{
	kfree(container_of(head, struct krcu_memory, rcu));
	atomic_inc(&ran);
}

static noinline void krcu_kcall_barrier(void)
{
#ifdef KRCU_HAS_CALL_RCU_TASKS
	if (!strcmp(way, "tasks")) {
		rcu_barrier_tasks();
		return;
	}
#endif
	rcu_barrier();
	/* Or this were a jump. */
	barrier();
}

static int krcu_kcall_reader(void *unused)
{
	unsigned long until = jiffies + msecs_to_jiffies(min(held, KRCU_MOST_MS));

	rcu_read_lock();
	complete(&reading);
	while (!READ_ONCE(let_go) && time_before(jiffies, until))
		udelay(10);
	rcu_read_unlock();
	if (!READ_ONCE(let_go))
		pr_info("a hold ran out\n");
	kthread_complete_and_exit(&released, 0);
}

static int krcu_kcall_hold(void)
{
	struct task_struct *task = kthread_create(krcu_kcall_reader, NULL, KBUILD_MODNAME "_hold");

	if (IS_ERR(task))
		return PTR_ERR(task);
	kthread_bind(task, cpumask_last(cpu_online_mask));
	holding = true;
	wake_up_process(task);
	wait_for_completion(&reading);
	return 0;
}

static int krcu_kcall_queue_one(struct krcu_memory *memory)
{
	if (!strcmp(way, "kfree")) {
		kfree_rcu(memory, rcu);
		return 0;
	}
#ifdef KRCU_HAS_CALL_RCU_TASKS
	if (!strcmp(way, "tasks")) {
		call_rcu_tasks(&memory->rcu, krcu_kcall_free);
		return 0;
	}
#endif
	if (strcmp(way, "rcu") && !text) {
		kfree(memory);
		return -EINVAL;
	}
	call_rcu(&memory->rcu, text ? text : krcu_kcall_free);
	return 0;
}

static noinline int krcu_kcall_queue(void)
{
	int error = held ? krcu_kcall_hold() : 0;

	while (!error && queued < objects) {
		struct krcu_memory *memory = kmalloc(sizeof(*memory), GFP_KERNEL);

		error = memory ? krcu_kcall_queue_one(memory) : -ENOMEM;
		if (!error)
			queued++;
	}
	return error;
}

/* Those that have not run and whose code is this module's. */
static unsigned int krcu_kcall_outstanding(void)
{
	return !strcmp(way, "kfree") || text ? 0 : queued - atomic_read(&ran);
}

static int krcu_kcall_ran(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%d\n", atomic_read(&ran));
}

/* The net: see above. */
static void krcu_kcall_last(void *unused)
{
	if (holding) {
		WRITE_ONCE(let_go, true);
		wait_for_completion(&released);
	}
	/* One that has been counted may not have returned yet. */
	if (strcmp(way, "kfree") && !text && barrier_at != 1 && barrier_at != 3)
		krcu_kcall_barrier();
}

static const struct kernel_param_ops ran_ops = { .get = krcu_kcall_ran, .free = krcu_kcall_last };
module_param_cb(ran, &ran_ops, NULL, 0444);
MODULE_PARM_DESC(ran, "how many callbacks in this module's code have run");

static int __init krcu_kcall_init(void)
{
	if (!strcmp(way, "text")) {
		text = symbol_get(krcu_text_free);
		if (!text)
			return -ENOENT;
	}
	if (early) {
		int error = krcu_kcall_queue();

		if (error)
			return error;
	}
	if (barrier_at == 4)
		krcu_kcall_barrier();
	return 0;
}

static void __exit krcu_kcall_exit(void)
{
	if (barrier_at == 2)
		krcu_kcall_barrier();
	if (!early && krcu_kcall_queue())
		pr_err("only %u were queued\n", queued);
	while (wait && krcu_kcall_outstanding())
		msleep(20);
	/* The last of them may not have returned yet. */
	if (wait)
		msleep(100);
	if (barrier_at == 1)
		krcu_kcall_barrier();
	pr_info("truth module=" KBUILD_MODNAME " queued=%u outstanding=%u\n", queued, krcu_kcall_outstanding());
	if (text)
		symbol_put(krcu_text_free);
	if (barrier_at == 3)
		rcu_barrier();
}

module_init(krcu_kcall_init);
module_exit(krcu_kcall_exit);
MODULE_DESCRIPTION("deferred frees of memory of no cache, and a module that goes");
MODULE_LICENSE("GPL");
