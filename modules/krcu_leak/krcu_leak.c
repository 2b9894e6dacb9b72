// SPDX-License-Identifier: GPL-2.0
/*
 * A plain leak: objects are allocated and never freed, and their cache is destroyed. Nothing is deferred.
 *
 * Truth: all of them are leaked.
 */
#include "krcu_sample.h"

static unsigned int objects = 5;
module_param(objects, uint, 0444);
MODULE_PARM_DESC(objects, "objects allocated and forgotten");

static unsigned int size = 128;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size, "bytes of an object");

static struct kmem_cache *cache;

static int __init krcu_leak_init(void)
{
	cache = krcu_cache_create("krcu_leak", size);
	return cache ? 0 : -ENOMEM;
}

static void __exit krcu_leak_exit(void)
{
	struct krcu_object *list = NULL;
	unsigned int leaked = krcu_allocate(cache, objects, &list);

	krcu_truth("krcu_leak", 0u, leaked, 0u);
	kmem_cache_destroy(cache);
}

module_init(krcu_leak_init);
module_exit(krcu_leak_exit);
MODULE_DESCRIPTION("objects that are never freed, and destroy");
MODULE_LICENSE("GPL");
