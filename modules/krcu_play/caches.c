// SPDX-License-Identifier: GPL-2.0
/*
 * Caches and their objects:
 *
 *     create NAME [size=N] [ctor] [typesafe] [merge] [checked] [usercopy]
 *                                 checked: the kernel finds a double free, harmlessly; usercopy: by kmem_cache_create_usercopy()
 *     alloc NAME N [slow|fenced]  N objects that the module holds from now on; slow: two milliseconds between them;
 *                                 fenced: KFENCE's
 *     free NAME N [kfree|kvfree|bulk|kfree_bulk]  freed at once, by kmem_cache_free() unless another way is named; bulk is
 *                                 kmem_cache_free_bulk() of this cache, kfree_bulk the same of none
 *     twice NAME                  sleepfree on two processors, of one object: a double free; `checked` caches only, all
 *                                 slabs of which should be full: the second free cuts the list of free objects short
 *     forget NAME                 the module holds no object of it any more: they are leaked
 *     kvbarrier_on NAME           kvfree_rcu_barrier_on_cache(), where modules may call it
 *     destroy NAME                kmem_cache_destroy()
 *     again NAME                  the same of a cache whose destroy has failed
 *     abandon NAME                the module will be unloaded without destroying it
 *
 * A statement takes objects that the module holds, the last allocated first. A name may be used again after
 * the destroy. When the module is unloaded, it frees all objects that it still holds, and destroys the caches
 * that are left.
 *
 * A cache that was abandoned stays until the machine is switched off, with its name, of which the kernel has a copy
 * (kstrdup_const() of what is not in the kernel's own read-only data): another of that name cannot be created, since its folder
 * is in /sys/kernel/slab. On 6.1 its constructor's code is gone, which is called when a slab is allocated, and nobody can
 * allocate any more.
 *
 * Truth: a line of the kernel's log when a destroy comes so late that what was deferred last may have been freed before.
 */
#include <linux/delay.h>
#include <linux/kfence.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/wait.h>

#include "krcu_sample.h"
#include "play.h"

static struct play_cache {
	char name[PLAY_WORD_BYTES];
	struct kmem_cache *cache;
	struct play_object *held;
	unsigned int held_count;
	/* RCU's sequence when the last object was deferred, if one was. */
	unsigned long deferred_at;
	bool deferred;
	bool checked;
	bool destroyed;
	bool abandoned;
} caches[16];

/* Protects the lists of held objects: several threads, and interrupts, may play at the same time. */
static DEFINE_SPINLOCK(held_lock);

static struct play_cache *play_cache(const char *name)
{
	struct play_cache *cache;

	for (cache = caches; cache < caches + ARRAY_SIZE(caches); cache++)
		if (cache->cache && !strcmp(cache->name, name))
			return cache;
	play_wrong(name, "is no cache");
	return NULL;
}

struct kmem_cache *play_kmem_cache(const char *name)
{
	struct play_cache *cache = play_cache(name);

	return cache ? cache->cache : NULL;
}

void play_hold_object(struct play_cache *cache, struct play_object *object)
{
	unsigned long flags;

	object->owner = cache;
	spin_lock_irqsave(&held_lock, flags);
	object->next = cache->held;
	cache->held = object;
	cache->held_count++;
	spin_unlock_irqrestore(&held_lock, flags);
}

struct play_object *play_take_object(struct play_cache *cache)
{
	struct play_object *object;
	unsigned long flags;

	spin_lock_irqsave(&held_lock, flags);
	object = cache->held;
	if (object) {
		cache->held = object->next;
		cache->held_count--;
	}
	spin_unlock_irqrestore(&held_lock, flags);
	return object;
}

void play_has_deferred(struct play_cache *cache)
{
	cache->deferred_at = get_state_synchronize_rcu();
	cache->deferred = true;
}

void play_free_object(struct play_object *object)
{
	kmem_cache_free(object->owner->cache, object);
}

bool play_has_room(struct play_cache *cache, size_t bytes)
{
	if (kmem_cache_size(cache->cache) >= bytes)
		return true;
	play_wrong(cache->name, "has too small objects for that");
	return false;
}

struct play_cache *play_cache_with(const char *name, int objects)
{
	struct play_cache *cache = play_cache(name);

	if (cache && objects > (int)READ_ONCE(cache->held_count)) {
		play_wrong(name, "holds too few objects");
		return NULL;
	}
	return cache;
}

int play_cache_and_count(char **words, struct play_cache **cache)
{
	int count = play_number(words[2]);

	*cache = play_cache(words[1]);
	if (!*cache || count < 0)
		return -EINVAL;
	if (count > READ_ONCE((*cache)->held_count))
		return play_wrong(words[2], "is more than is held");
	return count;
}

static void play_construct(void *object)
{
}

static int play_create(char **words, unsigned int count)
{
	struct play_cache *free = NULL, *cache;
	slab_flags_t flags = KRCU_CACHE_FLAGS;
	void (*constructor)(void *) = KRCU_CACHE_CONSTRUCTOR;
	int size = 128;
	unsigned int word;
	bool checked = false, usercopy = false;

	for (word = 2; word < count; word++) {
		if (!strcmp(words[word], "ctor")) {
			constructor = play_construct;
		} else if (!strcmp(words[word], "typesafe")) {
			flags |= SLAB_TYPESAFE_BY_RCU;
		} else if (!strcmp(words[word], "merge")) {
			flags &= ~KRCU_CACHE_FLAGS;
			constructor = NULL;
		} else if (!strcmp(words[word], "checked")) {
			flags |= SLAB_CONSISTENCY_CHECKS;
			checked = true;
#ifndef SLAB_NO_MERGE
			/* Objects have the same size as on other kernels; a constructor would make them larger. */
			flags |= SLAB_NOLEAKTRACE;
			constructor = NULL;
#endif
		} else if (!strcmp(words[word], "usercopy")) {
			usercopy = true;
		} else if (!strncmp(words[word], "size=", 5)) {
			size = play_number(words[word] + 5);
			if (size < (int)sizeof(struct play_object))
				return play_wrong(words[word], "is too small for an object");
		} else {
			return play_wrong(words[word], "is no property of a cache");
		}
	}
	for (cache = caches; cache < caches + ARRAY_SIZE(caches); cache++) {
		bool same = cache->cache && !strcmp(cache->name, words[1]);

		if (same && !cache->destroyed)
			return play_wrong(words[1], "is there already");
		if (same || (!free && (!cache->cache || cache->destroyed)))
			free = cache;
	}
	if (!free)
		return -ENOSPC;
	memset(free, 0, sizeof(*free));
	strscpy(free->name, words[1], sizeof(free->name));
	free->checked = checked;
	if (usercopy)
		free->cache = kmem_cache_create_usercopy(free->name, size, 0, flags, 0, size, constructor);
	else
		free->cache = kmem_cache_create(free->name, size, 0, flags, constructor);
	return free->cache ? 0 : -ENOMEM;
}

static int play_alloc(char **words, unsigned int count)
{
	struct play_cache *cache = play_cache(words[1]);
	int number = play_number(words[2]);
	bool sleeps = in_task() && !irqs_disabled();
	bool only_fenced = count > 3 && !strcmp(words[3], "fenced");
	unsigned int fenced = 0, refused = 0;
	struct play_object *others = NULL;
	int error = 0;

	if (!cache || number < 0)
		return -EINVAL;
	if (count > 3 && !only_fenced && strcmp(words[3], "slow"))
		return play_wrong(words[3], "is no way to allocate");
	while (number) {
		struct play_object *object = kmem_cache_alloc(cache->cache, sleeps ? GFP_KERNEL : GFP_ATOMIC);

		if (!object || refused > 8000) {
			error = object ? -EAGAIN : -ENOMEM;
			if (object)
				kmem_cache_free(cache->cache, object);
			break;
		}
		if (count > 3 && sleeps)
			usleep_range(2000, 3000);
		/* Kept until the end, because the next allocation would give the same object. */
		if (only_fenced && !is_kfence_address(object)) {
			object->next = others;
			others = object;
			refused++;
			/* In a test machine, KFENCE takes at most one allocation a millisecond. */
			if (sleeps)
				usleep_range(100, 200);
			continue;
		}
		fenced += is_kfence_address(object);
		play_hold_object(cache, object);
		number--;
	}
	while (others) {
		struct play_object *object = others;

		others = object->next;
		kmem_cache_free(cache->cache, object);
	}
	if (fenced)
		pr_info("krcu_play: truth cache=%s kfence=%u\n", cache->name, fenced);
	return error;
}

static int play_free(char **words, unsigned int count)
{
	const char *how = count > 3 ? words[3] : "cache";
	struct play_cache *cache;
	void *objects[64];
	size_t gathered = 0;
	bool of_none = !strcmp(how, "kfree_bulk");
	bool in_bulk = of_none || !strcmp(how, "bulk");
	int number = play_cache_and_count(words, &cache);

	if (number < 0)
		return number;
	if (!in_bulk && strcmp(how, "cache") && strcmp(how, "kfree") && strcmp(how, "kvfree"))
		return play_wrong(how, "is no way to free");
	if (in_bulk && number > (int)ARRAY_SIZE(objects))
		return play_wrong(words[2], "is too much for one bulk free");
	while (number--) {
		struct play_object *object = play_take_object(cache);

		if (!strcmp(how, "kfree"))
			kfree(object);
		else if (!strcmp(how, "kvfree"))
			kvfree(object);
		else if (in_bulk)
			objects[gathered++] = object;
		else
			kmem_cache_free(cache->cache, object);
	}
	if (gathered)
		kmem_cache_free_bulk(of_none ? NULL : cache->cache, gathered, objects);
	return 0;
}

static int play_twice(char **words, unsigned int count)
{
	struct play_cache *cache = play_cache(words[1]);
	unsigned int here = raw_smp_processor_id();
	struct play_object *object;

	if (!cache)
		return -EINVAL;
	/* One more object keeps the slab from being given back: otherwise the second free would free its pages. */
	if (!cache->checked || READ_ONCE(cache->held_count) < 2)
		return play_wrong(words[1], "is not `checked`, or holds less than two");
	object = play_take_object(cache);
	/* With pages of pointers, nothing is written to the object. On two processors, it is in two batches. */
	kfree_rcu_mightsleep(object);
	if (!play_move_to(here ? 0 : 1))
		return -ENODEV;
	kfree_rcu_mightsleep(object);
	play_move_to(here);
	return 0;
}

static int play_forget(char **words, unsigned int count)
{
	struct play_cache *cache = play_cache(words[1]);

	if (!cache)
		return -EINVAL;
	cache->held = NULL;
	cache->held_count = 0;
	return 0;
}

static int play_kvbarrier_on(char **words, unsigned int count)
{
#ifdef KRCU_HAS_KVFREE_RCU_BARRIER_ON_CACHE
	struct play_cache *cache = play_cache(words[1]);

	if (!cache)
		return -EINVAL;
	kvfree_rcu_barrier_on_cache(cache->cache);
	return 0;
#else
	return -EOPNOTSUPP;
#endif
}

static int play_destroy(char **words, unsigned int count)
{
	struct play_cache *cache = play_cache(words[1]);

	if (!cache)
		return -EINVAL;
	if (cache->destroyed)
		return play_wrong(words[1], "is destroyed already");
	cache->destroyed = true;
	if (cache->deferred && poll_state_synchronize_rcu(cache->deferred_at))
		pr_info("krcu_play: a grace period ended before the destroy of %s\n", cache->name);
	kmem_cache_destroy(cache->cache);
	return 0;
}

static int play_again(char **words, unsigned int count)
{
	struct play_cache *cache = play_cache(words[1]);

	if (!cache)
		return -EINVAL;
	if (!cache->destroyed)
		return play_wrong(words[1], "was never destroyed");
	kmem_cache_destroy(cache->cache);
	return 0;
}

static int play_abandon(char **words, unsigned int count)
{
	struct play_cache *cache = play_cache(words[1]);

	if (!cache)
		return -EINVAL;
	if (cache->destroyed)
		return play_wrong(words[1], "is destroyed already");
	cache->abandoned = true;
	return 0;
}

void play_caches_exit(void)
{
	struct play_cache *cache;

	for (cache = caches; cache < caches + ARRAY_SIZE(caches); cache++) {
		struct play_object *object;

		if (!cache->cache || cache->destroyed || cache->abandoned)
			continue;
		while ((object = play_take_object(cache)))
			kmem_cache_free(cache->cache, object);
#ifdef KRCU_HAS_KVFREE_RCU_BARRIER
		kvfree_rcu_barrier();
#endif
		rcu_barrier();
		kmem_cache_destroy(cache->cache);
	}
}

const struct play_operation play_cache_operations[] = {
	{ "create", 1, 7, false, play_create },
	{ "alloc", 2, 3, true, play_alloc },
	{ "free", 2, 3, true, play_free },
	{ "twice", 1, 1, false, play_twice },
	{ "forget", 1, 1, false, play_forget },
	{ "kvbarrier_on", 1, 1, false, play_kvbarrier_on },
	{ "destroy", 1, 1, false, play_destroy },
	{ "again", 1, 1, false, play_again },
	{ "abandon", 1, 1, false, play_abandon },
	{},
};
