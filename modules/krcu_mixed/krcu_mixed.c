// SPDX-License-Identifier: GPL-2.0
/*
 * Both mistakes in one cache: some objects are queued by kfree_rcu(), some are forgotten, and the cache is
 * destroyed.
 *
 * Truth: the queued objects are outstanding at the destroy (as in krcu_pending), the others are leaked.
 */
#include "krcu_reader.h"
#include "krcu_sample.h"

static unsigned int objects = 777;
module_param(objects, uint, 0444);
MODULE_PARM_DESC(objects, "objects queued at exit");

static unsigned int leaked = 5;
module_param(leaked, uint, 0444);
MODULE_PARM_DESC(leaked, "objects allocated and forgotten");

static unsigned int size = 128;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size, "bytes of an object");

static struct kmem_cache *cache;

static noinline void krcu_mixed_flush(void)
{
	struct krcu_object *forgotten = NULL, *list = NULL;
	unsigned int lost = krcu_allocate(cache, leaked, &forgotten);
	unsigned int queued = krcu_allocate(cache, objects, &list);

	rcu_read_lock();
	krcu_queue(list);
	krcu_truth("krcu_mixed", queued, lost, queued);
	rcu_read_unlock();
}

static int __init krcu_mixed_init(void)
{
	cache = krcu_cache_create("krcu_mixed", size);
	return cache ? 0 : -ENOMEM;
}

static void __exit krcu_mixed_exit(void)
{
	krcu_read_until(current);
	krcu_mixed_flush();
	krcu_destroys();
	kmem_cache_destroy(cache);
}

module_init(krcu_mixed_init);
module_exit(krcu_mixed_exit);
MODULE_DESCRIPTION("deferred frees and a leak, and destroy");
MODULE_LICENSE("GPL");
