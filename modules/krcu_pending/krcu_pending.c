// SPDX-License-Identifier: GPL-2.0
/*
 * The mistake itself: objects are handed to kfree_rcu(), and the cache that they belong to is destroyed at once.
 *
 * The exit function ends with kmem_cache_destroy(). The compiler makes this a tail call, so no frame of this
 * module is on the stack when the kernel complains.
 *
 * Truth: every object is outstanding at the destroy. The objects are queued inside one RCU read-side section,
 * which also prints the truth, so no grace period that covers any of them can end before that. Another reader stays until
 * the destroy has looked, or waits (krcu_reader.h).
 */
#include "krcu_reader.h"
#include "krcu_sample.h"

static unsigned int objects = 777;
module_param(objects, uint, 0444);
MODULE_PARM_DESC(objects, "objects queued at exit");

static unsigned int size = 128;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size, "bytes of an object");

static struct kmem_cache *cache;

static noinline void krcu_pending_flush(void)
{
	struct krcu_object *list = NULL;
	unsigned int queued = krcu_allocate(cache, objects, &list);

	rcu_read_lock();
	krcu_queue(list);
	krcu_truth("krcu_pending", queued, 0u, queued);
	rcu_read_unlock();
}

static int __init krcu_pending_init(void)
{
	cache = krcu_cache_create("krcu_pending", size);
	return cache ? 0 : -ENOMEM;
}

static void __exit krcu_pending_exit(void)
{
	krcu_read_until(current);
	krcu_pending_flush();
	krcu_destroys();
	kmem_cache_destroy(cache);
}

module_init(krcu_pending_init);
module_exit(krcu_pending_exit);
MODULE_DESCRIPTION("kfree_rcu() and destroy, with nothing in between");
MODULE_LICENSE("GPL");
