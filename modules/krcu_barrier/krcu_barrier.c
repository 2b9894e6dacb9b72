// SPDX-License-Identifier: GPL-2.0
/*
 * The correct way: between the last deferred free and the destroy stands a barrier that covers it.
 *
 * Where this kernel exports kvfree_rcu_barrier() (Kbuild looks it up in Module.symvers), the objects go through
 * kfree_rcu() and that barrier waits for them. Where it does not, nothing that a module can call waits for
 * kfree_rcu(), and rcu_barrier() does not cover it; the correct way there is not to use it: the objects go through
 * call_rcu() and rcu_barrier() waits. The line before the truth says which of the two it was.
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

#ifdef KRCU_HAS_KVFREE_RCU_BARRIER

static noinline void krcu_barrier_flush(struct krcu_object *list)
{
	pr_info("krcu_barrier: way=kvfree_rcu_barrier\n");
	krcu_queue(list);
	kvfree_rcu_barrier();
}

#else

static void krcu_barrier_free(struct rcu_head *head)
{
	kmem_cache_free(cache, container_of(head, struct krcu_object, rcu));
}

static noinline void krcu_barrier_flush(struct krcu_object *list)
{
	pr_info("krcu_barrier: way=call_rcu\n");
	while (list) {
		struct krcu_object *object = list;

		list = object->next;
		call_rcu(&object->rcu, krcu_barrier_free);
	}
	rcu_barrier();
}

#endif

static int __init krcu_barrier_init(void)
{
	cache = krcu_cache_create("krcu_barrier", size);
	return cache ? 0 : -ENOMEM;
}

static void __exit krcu_barrier_exit(void)
{
	struct krcu_object *list = NULL;
	unsigned int queued = krcu_allocate(cache, objects, &list);

	krcu_barrier_flush(list);
	krcu_truth("krcu_barrier", queued, 0u, 0u);
	kmem_cache_destroy(cache);
}

module_init(krcu_barrier_init);
module_exit(krcu_barrier_exit);
MODULE_DESCRIPTION("deferred frees, the barrier that covers them, destroy");
MODULE_LICENSE("GPL");
