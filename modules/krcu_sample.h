/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all sample modules share: the object, a cache that is never merged with another, lists with which a
 * module queues all of its objects in one go, and the line in which the module tells the truth about itself.
 */
#ifndef KRCU_SAMPLE_H
#define KRCU_SAMPLE_H

#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

/* The object. `next` links objects before they are queued; nothing reads it afterwards. */
struct krcu_object {
	struct rcu_head rcu;
	struct krcu_object *next;
};

/*
 * A merged cache is only an alias: destroying it drops a reference and hides every mistake. SLAB_NO_MERGE
 * prevents merging since 6.5. Before that, a constructor does.
 */
#ifdef SLAB_NO_MERGE
#define KRCU_CACHE_FLAGS SLAB_NO_MERGE
#define KRCU_CACHE_CONSTRUCTOR NULL
#else
static void krcu_object_construct(void *object)
{
}
#define KRCU_CACHE_FLAGS 0
#define KRCU_CACHE_CONSTRUCTOR krcu_object_construct
#endif

static inline struct kmem_cache *krcu_cache_create(const char *name, unsigned int size)
{
	if (size < sizeof(struct krcu_object))
		size = sizeof(struct krcu_object);
	return kmem_cache_create(name, size, 0, KRCU_CACHE_FLAGS, KRCU_CACHE_CONSTRUCTOR);
}

/* Allocates `count` objects, linked. Returns for how many there was memory. */
static inline unsigned int krcu_allocate(struct kmem_cache *cache, unsigned int count, struct krcu_object **list)
{
	unsigned int allocated;

	for (allocated = 0; allocated < count; allocated++) {
		struct krcu_object *object = kmem_cache_alloc(cache, GFP_KERNEL);

		if (!object)
			break;
		object->next = *list;
		*list = object;
	}
	return allocated;
}

/* Queues all objects of a list by kfree_rcu(); the caller's frame is the queueing site. */
static __always_inline void krcu_queue(struct krcu_object *list)
{
	while (list) {
		struct krcu_object *object = list;

		list = object->next;
		kfree_rcu(object, rcu);
	}
}

/* Frees all objects of a list, at once. */
static inline void krcu_free_now(struct kmem_cache *cache, struct krcu_object *list)
{
	while (list) {
		struct krcu_object *object = list;

		list = object->next;
		kmem_cache_free(cache, object);
	}
}

/* How many of these grace periods, from get_state_synchronize_rcu(), have not ended yet. */
static inline unsigned int krcu_not_elapsed(const unsigned long *cookies, unsigned int count)
{
	unsigned int running = 0;

	while (count)
		running += !poll_state_synchronize_rcu(cookies[--count]);
	return running;
}

/*
 * The truth, for people and scripts, as KEY=VALUE words. `outstanding` counts the deferred frees that had not
 * happened when the line was printed. `leaked` counts the objects that will never be freed.
 */
#define krcu_truth(cache, queued, leaked, outstanding)                                                     \
	pr_info(KBUILD_MODNAME ": truth cache=%s queued=%u leaked=%u outstanding=%u\n", cache, queued, leaked, \
		outstanding)

/* The truth of a module that only knows bounds: at least `sure` of the `queued` objects were outstanding. */
#define krcu_truth_between(cache, queued, sure)                                                           \
	pr_info(KBUILD_MODNAME ": truth cache=%s queued=%u leaked=0 outstanding=%u outstanding_min=%u\n", cache, \
		queued, queued, sure)

#endif
