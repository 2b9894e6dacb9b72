// SPDX-License-Identifier: GPL-2.0
/*
 * Like krcu_pending, but with the form without an rcu_head: kfree_rcu_mightsleep(), which is kvfree_rcu()
 * with one argument on older kernels.
 *
 * That form may sleep, so no read-side section can delay the grace periods. Instead the module keeps each
 * object's grace-period cookie: an object whose grace period has not ended just before the destroy cannot
 * have been freed.
 *
 * Truth: `outstanding` is the number of queued objects, an upper bound. `outstanding_min` is the number of
 * objects whose grace period had not ended, a lower bound. If the kernel gets no page of pointers, it waits
 * for a grace period and frees the object at once; such an object does not count in the lower bound, which is
 * right.
 */
#include <linux/vmalloc.h>

#include "krcu_sample.h"

static unsigned int objects = 300;
module_param(objects, uint, 0444);
MODULE_PARM_DESC(objects, "objects queued at exit");

static unsigned int size = 128;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size, "bytes of an object");

static struct kmem_cache *cache;
static unsigned long *cookies;

#ifdef kfree_rcu_mightsleep
#define krcu_free_mightsleep(object) kfree_rcu_mightsleep(object)
#else
#define krcu_free_mightsleep(object) kvfree_rcu(object)
#endif

static noinline unsigned int krcu_mightsleep_flush(void)
{
	unsigned int queued;

	for (queued = 0; queued < objects; queued++) {
		struct krcu_object *object = kmem_cache_alloc(cache, GFP_KERNEL);

		if (!object)
			break;
		cookies[queued] = get_state_synchronize_rcu();
		krcu_free_mightsleep(object);
	}
	return queued;
}

static int __init krcu_mightsleep_init(void)
{
	cookies = vzalloc(array_size(objects, sizeof(*cookies)));
	if (!cookies)
		return -ENOMEM;
	cache = krcu_cache_create("krcu_mightsleep", size);
	if (!cache)
		vfree(cookies);
	return cache ? 0 : -ENOMEM;
}

static void __exit krcu_mightsleep_exit(void)
{
	unsigned int queued = krcu_mightsleep_flush();
	unsigned int sure = krcu_not_elapsed(cookies, queued);

	krcu_truth_between("krcu_mightsleep", queued, sure);
	vfree(cookies);
	kmem_cache_destroy(cache);
}

module_init(krcu_mightsleep_init);
module_exit(krcu_mightsleep_exit);
MODULE_DESCRIPTION("the form of kfree_rcu() without an rcu_head, and destroy");
MODULE_LICENSE("GPL");
