// SPDX-License-Identifier: GPL-2.0
/*
 * Two caches are destroyed, one after the other: the objects of krcu_two_correct were all freed at once by
 * kmem_cache_free(); the objects of krcu_two_pending are queued by kfree_rcu().
 *
 * Truth: nothing is outstanding in the first, everything in the second (as in krcu_pending).
 */
#include "krcu_reader.h"
#include "krcu_sample.h"

static unsigned int objects = 777;
module_param(objects, uint, 0444);
MODULE_PARM_DESC(objects, "objects queued at exit");

static unsigned int size = 128;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size, "bytes of an object");

static struct kmem_cache *correct;
static struct kmem_cache *pending;

static noinline void krcu_two_flush(void)
{
	struct krcu_object *freed = NULL, *list = NULL;
	unsigned int queued;

	krcu_allocate(correct, objects, &freed);
	krcu_free_now(correct, freed);
	queued = krcu_allocate(pending, objects, &list);

	rcu_read_lock();
	krcu_queue(list);
	krcu_truth("krcu_two_correct", 0u, 0u, 0u);
	krcu_truth("krcu_two_pending", queued, 0u, queued);
	rcu_read_unlock();
}

static int __init krcu_two_init(void)
{
	correct = krcu_cache_create("krcu_two_correct", size);
	pending = krcu_cache_create("krcu_two_pending", size);
	if (correct && pending)
		return 0;
	kmem_cache_destroy(correct);
	kmem_cache_destroy(pending);
	return -ENOMEM;
}

static void __exit krcu_two_exit(void)
{
	krcu_read_until(current);
	krcu_two_flush();
	krcu_destroys();
	/* The pending cache is first, because destroying the clean one may take long. */
	kmem_cache_destroy(pending);
	kmem_cache_destroy(correct);
}

module_init(krcu_two_init);
module_exit(krcu_two_exit);
MODULE_DESCRIPTION("one correct cache and one with deferred frees outstanding");
MODULE_LICENSE("GPL");
