/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of krcu_play share. */
#ifndef KRCU_PLAY_H
#define KRCU_PLAY_H

#include <linux/types.h>

struct kmem_cache;

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

/* Tables that end with a nameless entry. */
extern const struct play_operation play_cache_operations[];
extern const struct play_operation play_memory_operations[];
extern const struct play_operation play_wait_operations[];
extern const struct play_operation play_context_operations[];
extern const struct play_operation play_loss_operations[];

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

/* memory.c: ends a famine. */
void play_feast(void);

/* waits.c: ends a hold. */
void play_release(void);

/* losses.c: arms a trap with a statement; disarms all. */
int play_arm(char **words, unsigned int count);
void play_untrap(void);

#endif
