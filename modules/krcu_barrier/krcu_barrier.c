// SPDX-License-Identifier: GPL-2.0
/*
 * The correct way: a barrier that covers the last deferred free comes between it and the destroy.
 *
 * If this kernel exports kvfree_rcu_barrier() (Kbuild looks it up in Module.symvers), the module frees its
 * objects by kfree_rcu(), and that barrier waits for them. Otherwise a module can call nothing that waits for
 * kfree_rcu(), since rcu_barrier() does not cover it. The correct way is then not to use kfree_rcu(): the
 * module frees its objects by call_rcu(), and rcu_barrier() waits for them. The line before the truth says
 * which of the two the module did.
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
MODULE_DESCRIPTION("deferred frees, a barrier that covers them, destroy");
MODULE_LICENSE("GPL");
