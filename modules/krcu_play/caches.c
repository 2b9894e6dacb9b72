// SPDX-License-Identifier: GPL-2.0
/*
 * Caches and their objects:
 *
 *     create NAME [size=N] [ctor] [typesafe] [merge] [checked]
 *                                 checked: the kernel detects a double free, without harm
 *     alloc NAME N [slow|fenced]  the module holds N more objects; slow: two milliseconds between them;
 *                                 fenced: objects of KFENCE's pool
 *     free NAME N [kfree|kvfree|bulk]
 *                                 frees at once, by kmem_cache_free() or in the named way
 *     queue NAME N                kfree_rcu()
 *     sleepfree NAME N            kfree_rcu_mightsleep(): there is no rcu_head
 *     nolock NAME N               kfree_rcu_nolock(), where the kernel has it
 *     call NAME N [kfree|requeue] call_rcu(); its callback frees by kmem_cache_free(), kfree() or kfree_rcu()
 *     called                      waits until every callback has freed its object, without a barrier
 *     twice NAME                  sleepfree of one object on two processors: a double free. For `checked` caches
 *                                 only; all their slabs should be full, since the second free cuts the list of
 *                                 free objects short
 *     forget NAME                 the module forgets all objects that it holds: they are leaked
 *     kvbarrier_on NAME           kvfree_rcu_barrier_on_cache(), where modules may call it
 *     destroy NAME                kmem_cache_destroy()
 *     again NAME                  the same, for a cache whose destroy has failed
 *
 * A statement takes objects that the module holds, the last allocated first. A name may be used again after
 * the destroy. When the module is unloaded, it frees all objects that it still holds, and destroys the caches
 * that are left.
 *
 * Truth: a line in the kernel's log if a destroy comes so late that the objects deferred last may have been
 * freed before it.
 */
#include <linux/delay.h>
#include <linux/kfence.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/wait.h>

#include "krcu_sample.h"
#include "play.h"

struct play_cache;

struct play_object {
	union {
		struct rcu_head rcu;
#ifdef kfree_rcu_nolock
		struct kvfree_rcu_head nolock;
#endif
	};
	struct play_object *next;
	struct play_cache *owner;
};

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
} caches[16];

/* Protects the lists of held objects: several threads, and interrupts, may play at the same time. */
static DEFINE_SPINLOCK(held_lock);

/* Callbacks that have not freed their objects yet. */
static atomic_t uncalled = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(all_called);

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

static void play_hold_object(struct play_cache *cache, struct play_object *object)
{
	unsigned long flags;

	object->owner = cache;
	spin_lock_irqsave(&held_lock, flags);
	object->next = cache->held;
	cache->held = object;
	cache->held_count++;
	spin_unlock_irqrestore(&held_lock, flags);
}

static struct play_object *play_take_object(struct play_cache *cache)
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

static void play_has_deferred(struct play_cache *cache)
{
	cache->deferred_at = get_state_synchronize_rcu();
	cache->deferred = true;
}

/* The cache named by words[1], and the number words[2] of objects that must be held. */
static int play_cache_and_count(char **words, struct play_cache **cache)
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
	bool checked = false;

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
	size_t bulk = 0;
	int number = play_cache_and_count(words, &cache);

	if (number < 0)
		return number;
	if (strcmp(how, "cache") && strcmp(how, "kfree") && strcmp(how, "kvfree") && strcmp(how, "bulk"))
		return play_wrong(how, "is no way to free");
	if (!strcmp(how, "bulk") && number > (int)ARRAY_SIZE(objects))
		return play_wrong(words[2], "is too much for one bulk free");
	while (number--) {
		struct play_object *object = play_take_object(cache);

		if (!strcmp(how, "kfree"))
			kfree(object);
		else if (!strcmp(how, "kvfree"))
			kvfree(object);
		else if (!strcmp(how, "bulk"))
			objects[bulk++] = object;
		else
			kmem_cache_free(cache->cache, object);
	}
	if (bulk)
		kmem_cache_free_bulk(cache->cache, bulk, objects);
	return 0;
}

static int play_queue(char **words, unsigned int count)
{
	struct play_cache *cache;
	int number = play_cache_and_count(words, &cache);

	if (number < 0)
		return number;
	while (number--) {
		struct play_object *object = play_take_object(cache);

		kfree_rcu(object, rcu);
	}
	play_has_deferred(cache);
	return 0;
}

static int play_sleepfree(char **words, unsigned int count)
{
	struct play_cache *cache;
	int number = play_cache_and_count(words, &cache);

	if (number < 0)
		return number;
	while (number--) {
		struct play_object *object = play_take_object(cache);

		kfree_rcu_mightsleep(object);
	}
	play_has_deferred(cache);
	return 0;
}

static int play_nolock(char **words, unsigned int count)
{
#ifdef kfree_rcu_nolock
	struct play_cache *cache;
	int number = play_cache_and_count(words, &cache);

	if (number < 0)
		return number;
	while (number--) {
		struct play_object *object = play_take_object(cache);

		kfree_rcu_nolock(object, nolock);
	}
	play_has_deferred(cache);
	return 0;
#else
	return -EOPNOTSUPP;
#endif
}

static void play_callback_done(void)
{
	if (atomic_dec_and_test(&uncalled))
		wake_up_all(&all_called);
}

static void krcu_play_free_callback(struct rcu_head *head)
{
	struct play_object *object = container_of(head, struct play_object, rcu);

	kmem_cache_free(object->owner->cache, object);
	play_callback_done();
}

static void krcu_play_kfree_callback(struct rcu_head *head)
{
	kfree(container_of(head, struct play_object, rcu));
	play_callback_done();
}

static void krcu_play_requeue_callback(struct rcu_head *head)
{
	struct play_object *object = container_of(head, struct play_object, rcu);

	kfree_rcu(object, rcu);
	play_callback_done();
}

static int play_call(char **words, unsigned int count)
{
	rcu_callback_t callback = krcu_play_free_callback;
	struct play_cache *cache;
	int number = play_cache_and_count(words, &cache);

	if (number < 0)
		return number;
	if (count > 3 && !strcmp(words[3], "kfree"))
		callback = krcu_play_kfree_callback;
	else if (count > 3 && !strcmp(words[3], "requeue"))
		callback = krcu_play_requeue_callback;
	else if (count > 3)
		return play_wrong(words[3], "is no callback");
	while (number--) {
		struct play_object *object = play_take_object(cache);

		atomic_inc(&uncalled);
		call_rcu(&object->rcu, callback);
	}
	play_has_deferred(cache);
	return 0;
}

static int play_called(char **words, unsigned int count)
{
	wait_event(all_called, !atomic_read(&uncalled));
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

void play_caches_exit(void)
{
	struct play_cache *cache;

	for (cache = caches; cache < caches + ARRAY_SIZE(caches); cache++) {
		struct play_object *object;

		if (!cache->cache || cache->destroyed)
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
	{ "create", 1, 6, false, play_create },
	{ "alloc", 2, 3, true, play_alloc },
	{ "free", 2, 3, true, play_free },
	{ "queue", 2, 2, true, play_queue },
	{ "sleepfree", 2, 2, false, play_sleepfree },
	{ "nolock", 2, 2, true, play_nolock },
	{ "call", 2, 3, true, play_call },
	{ "called", 0, 0, false, play_called },
	{ "twice", 1, 1, false, play_twice },
	{ "forget", 1, 1, false, play_forget },
	{ "kvbarrier_on", 1, 1, false, play_kvbarrier_on },
	{ "destroy", 1, 1, false, play_destroy },
	{ "again", 1, 1, false, play_again },
	{},
};
