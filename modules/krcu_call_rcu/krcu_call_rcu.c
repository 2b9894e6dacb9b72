// SPDX-License-Identifier: GPL-2.0
/*
 * Correct on every kernel: the module's own call_rcu() callback frees each object, and rcu_barrier() waits
 * for all callbacks before the cache is destroyed.
 *
 * Truth: nothing is outstanding at the destroy.
 */
#include "krcu_sample.h"

static unsigned int objects = 777;
module_param(objects, uint, 0444);
MODULE_PARM_DESC(objects, "objects queued at exit");

static unsigned int size = 128;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size, "bytes of an object");

static struct kmem_cache *cache;

static void krcu_call_rcu_free(struct rcu_head *head)
{
	kmem_cache_free(cache, container_of(head, struct krcu_object, rcu));
}

static noinline void krcu_call_rcu_flush(struct krcu_object *list)
{
	while (list) {
		struct krcu_object *object = list;

		list = object->next;
		call_rcu(&object->rcu, krcu_call_rcu_free);
	}
}

static int __init krcu_call_rcu_init(void)
{
	cache = krcu_cache_create("krcu_call_rcu", size);
	return cache ? 0 : -ENOMEM;
}

static void __exit krcu_call_rcu_exit(void)
{
	struct krcu_object *list = NULL;
	unsigned int queued = krcu_allocate(cache, objects, &list);

	krcu_call_rcu_flush(list);
	rcu_barrier();
	krcu_truth("krcu_call_rcu", queued, 0u, 0u);
	kmem_cache_destroy(cache);
}

module_init(krcu_call_rcu_init);
module_exit(krcu_call_rcu_exit);
MODULE_DESCRIPTION("call_rcu(), rcu_barrier(), destroy");
MODULE_LICENSE("GPL");
