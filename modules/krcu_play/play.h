/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of krcu_play share. */
#ifndef KRCU_PLAY_H
#define KRCU_PLAY_H

#include <linux/atomic.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/types.h>
#include <linux/wait.h>

struct play_cache;

/* The most words of a statement, and the most bytes of a word. */
#define PLAY_WORDS 8
#define PLAY_WORD_BYTES 24

/* One operation of the language. */
struct play_operation {
	const char *name;
	/* The least and the most words that may follow the name. */
	unsigned int least, most;
	/* Whether it may run where nothing may sleep. */
	bool atomic;
	/* words[0] is the name; words[count] is NULL. */
	int (*run)(char **words, unsigned int count);
};

/* A statement that outlives its script. */
struct play_saved {
	char text[PLAY_WORDS][PLAY_WORD_BYTES];
	char *words[PLAY_WORDS + 1];
	unsigned int count;
};

/* What every object begins with. */
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

/* What was deferred and has not ended yet. */
struct play_tally {
	atomic_t left;
	wait_queue_head_t ended;
};

#define PLAY_TALLY(name) \
	struct play_tally name = { ATOMIC_INIT(0), __WAIT_QUEUE_HEAD_INITIALIZER((name).ended) }

static inline void play_tally_begin(struct play_tally *tally)
{
	atomic_inc(&tally->left);
}

static inline void play_tally_end(struct play_tally *tally)
{
	if (atomic_dec_and_test(&tally->left))
		wake_up_all(&tally->ended);
}

/* Waits until all has ended, by no barrier. */
static inline void play_tally_wait(struct play_tally *tally)
{
	wait_event(tally->ended, !atomic_read(&tally->left));
}

/* Tables that end with a nameless entry. */
extern const struct play_operation play_cache_operations[];
extern const struct play_operation play_deferring_operations[];
extern const struct play_operation play_memory_operations[];
extern const struct play_operation play_wait_operations[];
extern const struct play_operation play_context_operations[];
extern const struct play_operation play_loss_operations[];
extern const struct play_operation play_handing_operations[];
extern const struct play_operation play_flavour_operations[];
extern const struct play_operation play_elsewhere_operations[];
extern const struct play_operation play_helper_operations[];

/* script.c: runs one statement; with `atomic`, nothing may sleep. */
int play_statement(char **words, unsigned int count, bool atomic);
/* Copies a statement. */
void play_save(struct play_saved *saved, char **words, unsigned int count);
/* The number in a word, or -EINVAL with a line that names the word; 0 to 1,000,000. */
int play_number(const char *word);
/* Logs which word is wrong, and returns -EINVAL. */
int play_wrong(const char *word, const char *why);

/* contexts.c: runs the statement after `word`, which ends with a colon, in the place that the word says. */
int play_elsewhere(const char *word, char **words, unsigned int count, bool atomic);
int play_contexts_init(void);
/* Waits for every thread that plays in the background. */
void play_join(void);
void play_contexts_exit(void);
/* Binds this task to a processor; false if there is none of this number. */
bool play_move_to(unsigned int cpu);

/* caches.c: destroys what the script left, once its objects are freed. */
void play_caches_exit(void);
/* The cache of a name; NULL with a line that names the word. */
struct kmem_cache *play_kmem_cache(const char *name);
/* What words[1] and words[2] name: a cache, and a number of objects that it has to hold. */
int play_cache_and_count(char **words, struct play_cache **cache);
/* The cache of a name, if it holds so many objects; NULL with a line that names the word. */
struct play_cache *play_cache_with(const char *name, int objects);
/* Whether an object of this cache has room for so many bytes; says so if not. */
bool play_has_room(struct play_cache *cache, size_t bytes);
/* The module holds an object from now on. */
void play_hold_object(struct play_cache *cache, struct play_object *object);
/* The object that is held and was allocated last; NULL when there is none. */
struct play_object *play_take_object(struct play_cache *cache);
/* Frees an object at once. */
void play_free_object(struct play_object *object);
/* Something of the cache has just been deferred. */
void play_has_deferred(struct play_cache *cache);

/* deferring.c: a callback of call_rcu() returns. */
void play_callback_ends(void);
/* Waits until all of them have, by no barrier. */
void play_wait_for_callbacks(void);

/* handing.c: a callback of call_rcu() that hands its object on to a work item. */
void krcu_play_handing_callback(struct rcu_head *head);
/* Makes what that needs; an error where the objects of this cache have no room for a work. */
int play_handing_init(struct play_cache *cache);
/* Has all of it run. */
void play_handing_exit(void);

/* flavours.c: has all run that was ever queued. */
void play_flavours_exit(void);

/* helpers.c: gives back what was registered. */
void play_helpers_exit(void);

/* memory.c: ends a famine. */
void play_feast(void);

/* waits.c: ends a hold. */
void play_release(void);

/* losses.c: arms a trap with a statement; disarms all. */
int play_arm(char **words, unsigned int count);
void play_untrap(void);

#endif
