// SPDX-License-Identifier: GPL-2.0
/*
 * krcu_pending with 100,000 objects: many per-CPU pages of pointers, drains that start while the queueing goes on,
 * and more events than a small ring holds.
 *
 * Truth: every object is outstanding at the destroy, as in krcu_pending: the read-side section holds back every
 * grace period, whatever the drains have started.
 */
#include "krcu_sample.h"

static unsigned int objects = 100000;
module_param(objects, uint, 0444);
MODULE_PARM_DESC(objects, "objects queued at exit");

static unsigned int size = 128;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size, "bytes of an object");

static struct kmem_cache *cache;

static noinline void krcu_many_flush(void)
{
	struct krcu_object *list = NULL;
	unsigned int queued = krcu_allocate(cache, objects, &list);

	rcu_read_lock();
	krcu_queue(list);
	krcu_truth("krcu_many", queued, 0u, queued);
	rcu_read_unlock();
}

static int __init krcu_many_init(void)
{
	cache = krcu_cache_create("krcu_many", size);
	return cache ? 0 : -ENOMEM;
}

static void __exit krcu_many_exit(void)
{
	krcu_many_flush();
	kmem_cache_destroy(cache);
}

module_init(krcu_many_init);
module_exit(krcu_many_exit);
MODULE_DESCRIPTION("kfree_rcu() of many objects and destroy");
MODULE_LICENSE("GPL");
