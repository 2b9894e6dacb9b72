// SPDX-License-Identifier: GPL-2.0
/*
 * Frees that are deferred by the kind of RCU that everybody means:
 *
 *     queue NAME N                kfree_rcu()
 *     sleepfree NAME N            kfree_rcu_mightsleep(): there is no rcu_head
 *     nolock NAME N               kfree_rcu_nolock(), where the kernel has it
 *     call NAME N [kfree|requeue|again|work]  call_rcu(); its callback frees by kmem_cache_free(), kfree() or kfree_rcu(), or hands
 *                                 the object to call_rcu() once more, whose callback frees it by kmem_cache_free(), or on to a
 *                                 work item (handing.c)
 *     hurry NAME N                call_rcu_hurry(), where the kernel has it; the callback frees by kmem_cache_free()
 *     called                      waits until every callback of these has returned, and freed its object or handed it on; no
 *                                 barrier
 *
 * What a statement takes are objects that the module holds, the last allocated first.
 *
 * Truth: of each statement, by its own words.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "play.h"

/* Callbacks that have not returned yet. */
static PLAY_TALLY(uncalled);

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

void play_callback_ends(void)
{
	play_tally_end(&uncalled);
}

void play_wait_for_callbacks(void)
{
	play_tally_wait(&uncalled);
}

static void krcu_play_free_callback(struct rcu_head *head)
{
	struct play_object *object = container_of(head, struct play_object, rcu);

	play_free_object(object);
	play_tally_end(&uncalled);
}

static void krcu_play_kfree_callback(struct rcu_head *head)
{
	kfree(container_of(head, struct play_object, rcu));
	play_tally_end(&uncalled);
}

static void krcu_play_requeue_callback(struct rcu_head *head)
{
	struct play_object *object = container_of(head, struct play_object, rcu);

	kfree_rcu(object, rcu);
	play_tally_end(&uncalled);
}

/* The object is handed over once more, and counts as called until it is free. */
static void krcu_play_again_callback(struct rcu_head *head)
{
	call_rcu(head, krcu_play_free_callback);
}

static void play_call_rcu(struct play_cache *cache, int number, rcu_callback_t callback)
{
	while (number--) {
		struct play_object *object = play_take_object(cache);

		play_tally_begin(&uncalled);
		call_rcu(&object->rcu, callback);
	}
	play_has_deferred(cache);
}

static int play_call(char **words, unsigned int count)
{
	rcu_callback_t callback = krcu_play_free_callback;
	struct play_cache *cache;
	int number = play_cache_and_count(words, &cache);
	int error;

	if (number < 0)
		return number;
	if (count > 3 && !strcmp(words[3], "work")) {
		error = play_handing_init(cache);
		if (error)
			return error;
		callback = krcu_play_handing_callback;
	} else if (count > 3 && !strcmp(words[3], "kfree")) {
		callback = krcu_play_kfree_callback;
	} else if (count > 3 && !strcmp(words[3], "requeue")) {
		callback = krcu_play_requeue_callback;
	} else if (count > 3 && !strcmp(words[3], "again")) {
		callback = krcu_play_again_callback;
	} else if (count > 3) {
		return play_wrong(words[3], "is no callback");
	}
	play_call_rcu(cache, number, callback);
	return 0;
}

static int play_hurry(char **words, unsigned int count)
{
#ifdef KRCU_HAS_CALL_RCU_HURRY
	struct play_cache *cache;
	int number = play_cache_and_count(words, &cache);

	if (number < 0)
		return number;
	while (number--) {
		struct play_object *object = play_take_object(cache);

		play_tally_begin(&uncalled);
		call_rcu_hurry(&object->rcu, krcu_play_free_callback);
	}
	play_has_deferred(cache);
	return 0;
#else
	return -EOPNOTSUPP;
#endif
}

static int play_called(char **words, unsigned int count)
{
	play_wait_for_callbacks();
	return 0;
}

const struct play_operation play_deferring_operations[] = {
	{ "queue", 2, 2, true, play_queue },
	{ "sleepfree", 2, 2, false, play_sleepfree },
	{ "nolock", 2, 2, true, play_nolock },
	{ "call", 2, 3, true, play_call },
	{ "hurry", 2, 2, true, play_hurry },
	{ "called", 0, 0, false, play_called },
	{},
};
