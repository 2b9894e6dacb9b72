// SPDX-License-Identifier: GPL-2.0
/*
 * krcu_play runs a short script, one statement after the other, so that the expected verdicts are known
 * before.
 *
 *     echo 'create a; alloc a 20; queue a 20; destroy a' >/sys/module/krcu_play/parameters/play
 *
 * The writer itself does it, on processor 0, and its write() returns when all is done. The script in the parameter `exit`
 * is done by the module's exit function, and that in `init` by its init function, which tidies up and fails if the script cannot be
 * done. Statements end with `;` or a new line. A word that ends with a colon says where
 * the rest of its statement is done (contexts.c); the operations are in caches.c, deferring.c,
 * handing.c, flavours.c, elsewhere.c, helpers.c, memory.c, waits.c and losses.c. What cannot be understood is -EINVAL, and one
 * line of the kernel's log names the word; what was done before it stays done.
 *
 * Truth: each statement is its own truth. Counts are exact: an operation that cannot do all of its work says
 * so.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "play.h"

static const struct play_operation *const tables[] = {
	play_cache_operations,
	play_deferring_operations,
	play_memory_operations,
	play_wait_operations,
	play_context_operations,
	play_loss_operations,
	play_handing_operations,
	play_flavour_operations,
	play_elsewhere_operations,
	play_helper_operations,
};

int play_wrong(const char *word, const char *why)
{
	pr_err("krcu_play: `%s` %s\n", word, why);
	return -EINVAL;
}

int play_number(const char *word)
{
	unsigned int number;

	if (kstrtouint(word, 10, &number) || number > 1000000)
		return play_wrong(word, "is no number up to 1000000");
	return number;
}

static const struct play_operation *play_operation(const char *name)
{
	const struct play_operation *operation;
	unsigned int table;

	for (table = 0; table < ARRAY_SIZE(tables); table++)
		for (operation = tables[table]; operation->name; operation++)
			if (!strcmp(operation->name, name))
				return operation;
	return NULL;
}

int play_statement(char **words, unsigned int count, bool atomic)
{
	const struct play_operation *operation;
	size_t length = strlen(words[0]);
	int error;

	if (length && words[0][length - 1] == ':') {
		if (count == 1)
			return play_wrong(words[0], "has nothing to do");
		return play_elsewhere(words[0], words + 1, count - 1, atomic);
	}
	operation = play_operation(words[0]);
	if (!operation)
		return play_wrong(words[0], "is no operation");
	if (count - 1 < operation->least || count - 1 > operation->most)
		return play_wrong(words[0], "has too few or too many words behind it");
	if (atomic && !operation->atomic)
		return play_wrong(words[0], "may sleep, which cannot be done here");
	error = operation->run(words, count);
	if (error && error != -EINVAL)
		pr_err("krcu_play: `%s` failed (%d)\n", words[0], error);
	return error;
}

void play_save(struct play_saved *saved, char **words, unsigned int count)
{
	unsigned int word;

	for (word = 0; word < count; word++) {
		strscpy(saved->text[word], words[word], PLAY_WORD_BYTES);
		saved->words[word] = saved->text[word];
	}
	saved->words[count] = NULL;
	saved->count = count;
}

/* Runs all statements of a text; stops at the first that fails. */
static int play_script(const char *text)
{
	char *words[PLAY_WORDS + 1];
	char *copy, *rest, *statement, *word;
	unsigned int count;
	int error = 0;

	copy = kstrdup(text, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	rest = copy;
	while (!error && (statement = strsep(&rest, ";\n"))) {
		for (count = 0; !error && (word = strsep(&statement, " \t"));) {
			if (!*word)
				continue;
			if (count == PLAY_WORDS || strlen(word) >= PLAY_WORD_BYTES)
				error = play_wrong(word, "is too long, or one word too many");
			else
				words[count++] = word;
		}
		words[count] = NULL;
		if (!error && count)
			error = play_statement(words, count, false);
	}
	kfree(copy);
	return error;
}

/* Runs the script on processor 0, whatever the task was bound to before. */
static int play_here(const char *text)
{
	struct cpumask *before = kmalloc(cpumask_size(), GFP_KERNEL);
	int error;

	if (!before)
		return -ENOMEM;
	cpumask_copy(before, current->cpus_ptr);
	error = play_move_to(0) ? play_script(text) : -ENODEV;
	set_cpus_allowed_ptr(current, before);
	kfree(before);
	return error;
}

static int play_set(const char *text, const struct kernel_param *param)
{
	/* The parameter was set at load time, when nothing can run the script yet. */
	if (THIS_MODULE->state != MODULE_STATE_LIVE)
		return -EAGAIN;
	return play_here(text);
}

static const struct kernel_param_ops play_ops = { .set = play_set };
module_param_cb(play, &play_ops, NULL, 0200);
MODULE_PARM_DESC(play, "a script, run by the task that writes it");

static char exit_script[1024];
module_param_string(exit, exit_script, sizeof(exit_script), 0644);
MODULE_PARM_DESC(exit, "a script, run when the module is unloaded");

static char init_script[1024];
module_param_string(init, init_script, sizeof(init_script), 0444);
MODULE_PARM_DESC(init, "a script, run when the module is loaded");

static noinline void krcu_play_tidy(void)
{
	play_untrap();
	play_feast();
	play_release();
	play_join();
	play_handing_exit();
	play_flavours_exit();
	play_helpers_exit();
	play_caches_exit();
	/* The callbacks' code goes with the module. */
	rcu_barrier();
	play_contexts_exit();
}

static int __init krcu_play_init(void)
{
	int error = play_contexts_init();

	if (error)
		return error;
	error = play_here(init_script);
	if (error)
		krcu_play_tidy();
	return error;
}

static noinline void krcu_play_last_script(void)
{
	play_here(exit_script);
}

static void __exit krcu_play_exit(void)
{
	krcu_play_last_script();
	krcu_play_tidy();
}

module_init(krcu_play_init);
module_exit(krcu_play_exit);
MODULE_DESCRIPTION("does to slab caches what a script says");
MODULE_LICENSE("GPL");
