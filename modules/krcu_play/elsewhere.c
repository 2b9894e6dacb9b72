// SPDX-License-Identifier: GPL-2.0
/*
 * Callbacks whose rcu_head does not lie in what they free, or in no cache of this module's:
 *
 *     wrap NAME N          call_rcu() with a head in a kmalloc()ed wrapper; its callback frees one object and the wrapper
 *     parent NAME CHILD N  call_rcu() with a head in an object of NAME; its callback frees that and one object of CHILD
 *     kcall N              call_rcu() of kmalloc()ed memory: no cache of this module's has to do with it
 *     ran                  waits until every callback of these three has freed what it frees; no barrier
 *
 * `hold` (waits.c) keeps them from running.
 *
 * Truth: of each statement, by its own words.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "play.h"

static PLAY_TALLY(unran);

/* Which is also what kcall frees, with nothing in it. */
struct play_wrapper {
	struct rcu_head rcu;
	struct play_object *wrapped;
};

struct play_parent {
	struct play_object object;
	struct play_object *child;
};

static void krcu_play_wrapper_callback(struct rcu_head *head)
{
	struct play_wrapper *wrapper = container_of(head, struct play_wrapper, rcu);

	play_free_object(wrapper->wrapped);
	kfree(wrapper);
	play_tally_end(&unran);
}

static void krcu_play_parent_callback(struct rcu_head *head)
{
	struct play_parent *parent = container_of(head, struct play_parent, object.rcu);

	play_free_object(parent->child);
	play_free_object(&parent->object);
	play_tally_end(&unran);
}

static void krcu_play_memory_callback(struct rcu_head *head)
{
	kfree(container_of(head, struct play_wrapper, rcu));
	play_tally_end(&unran);
}

static int play_wrap(char **words, unsigned int count)
{
	struct play_cache *cache;
	int number = play_cache_and_count(words, &cache);

	if (number < 0)
		return number;
	while (number--) {
		struct play_wrapper *wrapper = kmalloc(sizeof(*wrapper), GFP_KERNEL);

		if (!wrapper)
			return -ENOMEM;
		wrapper->wrapped = play_take_object(cache);
		play_tally_begin(&unran);
		call_rcu(&wrapper->rcu, krcu_play_wrapper_callback);
	}
	play_has_deferred(cache);
	return 0;
}

static int play_parent(char **words, unsigned int count)
{
	int number = play_number(words[3]);
	struct play_cache *cache, *children;

	if (number < 0)
		return number;
	cache = play_cache_with(words[1], number);
	children = play_cache_with(words[2], number);
	if (!cache || !children || !play_has_room(cache, sizeof(struct play_parent)))
		return -EINVAL;
	while (number--) {
		struct play_parent *parent = container_of(play_take_object(cache), struct play_parent, object);

		parent->child = play_take_object(children);
		play_tally_begin(&unran);
		call_rcu(&parent->object.rcu, krcu_play_parent_callback);
	}
	play_has_deferred(cache);
	play_has_deferred(children);
	return 0;
}

static int play_kcall(char **words, unsigned int count)
{
	int number = play_number(words[1]);

	if (number < 0)
		return number;
	while (number--) {
		struct play_wrapper *memory = kmalloc(sizeof(*memory), GFP_KERNEL);

		if (!memory)
			return -ENOMEM;
		play_tally_begin(&unran);
		call_rcu(&memory->rcu, krcu_play_memory_callback);
	}
	return 0;
}

static int play_ran(char **words, unsigned int count)
{
	play_tally_wait(&unran);
	return 0;
}

const struct play_operation play_elsewhere_operations[] = {
	{ "wrap", 2, 2, false, play_wrap },
	{ "parent", 3, 3, false, play_parent },
	{ "kcall", 1, 1, false, play_kcall },
	{ "ran", 0, 0, false, play_ran },
	{},
};
