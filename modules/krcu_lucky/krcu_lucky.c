// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong, but lucky: objects are queued by kfree_rcu(), the exit function happens to take long enough for all
 * of them to be freed, and then the cache is destroyed. There is no barrier in between.
 *
 * A module cannot see that its deferred frees have happened, so it waits longer than they can take.
 * kfree_rcu() keeps pointers for at most five seconds (KFREE_DRAIN_JIFFIES). After that they need a grace
 * period and a work item; two more grace periods and the rest of `wait_ms` are more than enough for that.
 *
 * Truth: nothing is outstanding at the destroy, but only by luck.
 */
#include <linux/delay.h>

#include "krcu_sample.h"

static unsigned int objects = 777;
module_param(objects, uint, 0444);
MODULE_PARM_DESC(objects, "objects queued at exit");

static unsigned int wait_ms = 8000;
module_param(wait_ms, uint, 0444);
MODULE_PARM_DESC(wait_ms, "milliseconds between the last kfree_rcu() and the destroy");

static unsigned int size = 128;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size, "bytes of an object");

static struct kmem_cache *cache;

static noinline void krcu_lucky_flush(struct krcu_object *list)
{
	krcu_queue(list);
}

static int __init krcu_lucky_init(void)
{
	cache = krcu_cache_create("krcu_lucky", size);
	return cache ? 0 : -ENOMEM;
}

static void __exit krcu_lucky_exit(void)
{
	struct krcu_object *list = NULL;
	unsigned int queued = krcu_allocate(cache, objects, &list);

	krcu_lucky_flush(list);
	msleep(wait_ms);
	synchronize_rcu();
	synchronize_rcu();
	krcu_truth("krcu_lucky", queued, 0u, 0u);
	kmem_cache_destroy(cache);
}

module_init(krcu_lucky_init);
module_exit(krcu_lucky_exit);
MODULE_DESCRIPTION("kfree_rcu(), a long wait that is no barrier, destroy");
MODULE_LICENSE("GPL");
