// SPDX-License-Identifier: GPL-2.0
/*
 * One cache is destroyed while a thread keeps queueing into another.
 *
 * From load to unload, a thread of this module queues objects of krcu_race_busy by kfree_rcu(), one after the
 * other. At unload, all objects of krcu_race_quiet have been freed by kmem_cache_free(), and that cache is
 * destroyed while the thread goes on. Then the thread is stopped, and krcu_race_busy is destroyed.
 *
 * Truth: nothing is outstanding in krcu_race_quiet. In krcu_race_busy, `outstanding` is the number of queued
 * objects, an upper bound, since objects that were queued long before may have been freed. `outstanding_min`
 * counts the objects whose grace period had not ended, which cannot have been freed. The thread queues at
 * most `objects` objects. It waits a little between two of them, but not while krcu_race_quiet is destroyed.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/vmalloc.h>

#include "krcu_sample.h"

static unsigned int objects = 20000;
module_param(objects, uint, 0444);
MODULE_PARM_DESC(objects, "the most objects that the thread queues");

static unsigned int size = 128;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size, "bytes of an object");

static struct kmem_cache *quiet;
static struct kmem_cache *busy;
static unsigned long *cookies;
static struct task_struct *thread;
static unsigned int queued;
static bool hurry;
static DECLARE_COMPLETION(running);

static noinline void krcu_race_queue_one(struct krcu_object *object)
{
	cookies[queued++] = get_state_synchronize_rcu();
	kfree_rcu(object, rcu);
}

static int krcu_race_thread(void *unused)
{
	while (!kthread_should_stop()) {
		struct krcu_object *object = NULL;

		if (queued < objects)
			object = kmem_cache_alloc(busy, GFP_KERNEL);
		if (object)
			krcu_race_queue_one(object);
		if (queued == 10)
			complete_all(&running);
		/* While the quiet cache is destroyed, queue as fast as possible: on some kernels that destroy takes a few microseconds. */
		if (READ_ONCE(hurry) && queued < objects)
			cond_resched();
		else
			usleep_range(50, 100);
	}
	return 0;
}

static int __init krcu_race_init(void)
{
	if (objects < 10)
		return -EINVAL;
	cookies = vzalloc(array_size(objects, sizeof(*cookies)));
	quiet = krcu_cache_create("krcu_race_quiet", size);
	busy = krcu_cache_create("krcu_race_busy", size);
	if (cookies && quiet && busy) {
		thread = kthread_run(krcu_race_thread, NULL, "krcu_race");
		if (!IS_ERR(thread))
			return 0;
	}
	kmem_cache_destroy(quiet);
	kmem_cache_destroy(busy);
	vfree(cookies);
	return -ENOMEM;
}

static void __exit krcu_race_exit(void)
{
	struct krcu_object *list = NULL;
	unsigned int before, sure;

	krcu_allocate(quiet, 100, &list);
	krcu_free_now(quiet, list);
	krcu_truth("krcu_race_quiet", 0u, 0u, 0u);
	wait_for_completion(&running);
	WRITE_ONCE(hurry, true);
	before = READ_ONCE(queued);
	while (READ_ONCE(queued) == before && before < objects)
		cond_resched();
	before = READ_ONCE(queued);
	kmem_cache_destroy(quiet);
	pr_info("krcu_race: queued=%u while krcu_race_quiet was destroyed\n", READ_ONCE(queued) - before);

	kthread_stop(thread);
	sure = krcu_not_elapsed(cookies, queued);
	krcu_truth_between("krcu_race_busy", queued, sure);
	vfree(cookies);
	kmem_cache_destroy(busy);
}

module_init(krcu_race_init);
module_exit(krcu_race_exit);
MODULE_DESCRIPTION("a cache is destroyed while objects of another are queued");
MODULE_LICENSE("GPL");
