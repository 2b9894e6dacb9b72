// SPDX-License-Identifier: GPL-2.0
/*
 * Objects that a callback of RCU does not free, but hands on to a work item:
 *
 *     rwork NAME N         queue_rcu_work() of each, which has its own rcu_work in it; the work frees the object
 *     rwork NAME N kept    one queue_rcu_work() for all: its rcu_work is in one more object, which the module keeps, and the work
 *                          frees the N others
 *     flushrwork           flush_rcu_work() of each that was kept since the last of these; the module holds it again
 *     rworked              waits until every work of rwork has freed its objects; no barrier
 *     unkept               the module holds again what was kept: its works have to be done
 *     cancelrwork NAME N   queue_rcu_work() of each, and cancel_work_sync() of each before its work begins; the module holds the
 *                          objects again, and frees nothing. It calls rcu_barrier() in between
 *     otherrwork           queue_rcu_work() of a static one, which has to do with no object
 *     flushother           flush_rcu_work() of that one
 *     call NAME N work     (deferring.c) call_rcu(); its callback queues a work item, which lies in the object and frees it
 *     worked               waits until every work of that has freed its object; no barrier
 *     hold_works           from now on the works of all these wait before they free anything
 *     let_works            they wait no longer
 *     handed               waits until every work that rwork or call queued has begun; no barrier. Each callback has returned
 *                          then, and where works are held nothing is freed.
 *     flushworks           flush_workqueue() of the queue that all these works are queued to
 *
 * flush_rcu_work() of a work that frees its own rcu_work would read what is freed already, so rcu_barrier() and
 * flush_workqueue() are the right way to wait for the first form, and flush_rcu_work() for the second.
 *
 * Truth: of each statement, by its own words.
 */
#include <linux/completion.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "play.h"

/* An object with what hands it on. */
struct play_handed {
	struct play_object object;
	union {
		struct rcu_work rwork;
		struct work_struct work;
	};
	/* What the work of a kept one frees. */
	struct play_object *others;
};

static struct workqueue_struct *works;
static DEFINE_MUTEX(works_lock);

/* Works that have not freed their objects, by how they were queued; and all that have not begun. */
static PLAY_TALLY(rworks);
static PLAY_TALLY(called_works);
static PLAY_TALLY(unbegun);

static bool works_held;
static DECLARE_WAIT_QUEUE_HEAD(works_let);

/* Those that were kept, linked by their `next`. */
static struct play_object *kept;
static DEFINE_SPINLOCK(kept_lock);

/* Makes the queue of the works as it is first used: where nobody uses it, nothing of it is there. */
static int play_works_init(void)
{
	int error = 0;

	if (READ_ONCE(works))
		return 0;
	if (!in_task() || irqs_disabled())
		return -EAGAIN;
	mutex_lock(&works_lock);
	if (!works) {
		struct workqueue_struct *made = alloc_workqueue("krcu_play_works", WQ_UNBOUND, 0);

		if (made)
			WRITE_ONCE(works, made);
		else
			error = -ENOMEM;
	}
	mutex_unlock(&works_lock);
	return error;
}

int play_handing_init(struct play_cache *cache)
{
	return play_has_room(cache, sizeof(struct play_handed)) ? play_works_init() : -EINVAL;
}

static void play_work_begins(void)
{
	play_tally_end(&unbegun);
	wait_event(works_let, !READ_ONCE(works_held));
}

static void krcu_play_rwork(struct work_struct *work)
{
	struct play_handed *handed = container_of(to_rcu_work(work), struct play_handed, rwork);

	play_work_begins();
	play_free_object(&handed->object);
	play_tally_end(&rworks);
}

static void krcu_play_kept_rwork(struct work_struct *work)
{
	struct play_handed *handed = container_of(to_rcu_work(work), struct play_handed, rwork);
	struct play_object *object;

	play_work_begins();
	while ((object = handed->others)) {
		handed->others = object->next;
		play_free_object(object);
	}
	play_tally_end(&rworks);
}

static void play_queue_rwork(struct play_handed *handed, work_func_t function)
{
	play_tally_begin(&rworks);
	play_tally_begin(&unbegun);
	INIT_RCU_WORK(&handed->rwork, function);
	queue_rcu_work(works, &handed->rwork);
}

static struct play_handed *play_take_handed(struct play_cache *cache)
{
	return container_of(play_take_object(cache), struct play_handed, object);
}

static void play_keep(struct play_cache *cache, int number)
{
	struct play_handed *keeper = play_take_handed(cache);
	unsigned long flags;

	keeper->others = NULL;
	while (number--) {
		struct play_object *object = play_take_object(cache);

		object->next = keeper->others;
		keeper->others = object;
	}
	spin_lock_irqsave(&kept_lock, flags);
	keeper->object.next = kept;
	kept = &keeper->object;
	spin_unlock_irqrestore(&kept_lock, flags);
	play_queue_rwork(keeper, krcu_play_kept_rwork);
}

static int play_rwork(char **words, unsigned int count)
{
	struct play_cache *cache;
	int number = play_cache_and_count(words, &cache);
	bool keeps = count > 3;
	int error;

	if (number < 0)
		return number;
	if (keeps && strcmp(words[3], "kept"))
		return play_wrong(words[3], "is no way to queue a work");
	if (keeps && !play_cache_with(words[1], number + 1))
		return -EINVAL;
	error = play_handing_init(cache);
	if (error)
		return error;
	if (keeps)
		play_keep(cache, number);
	else
		while (number--)
			play_queue_rwork(play_take_handed(cache), krcu_play_rwork);
	/* Works that are held outlast the grace period. */
	if (!READ_ONCE(works_held))
		play_has_deferred(cache);
	return 0;
}

/* What was kept, linked by its `next`; nothing is kept any more. */
static struct play_object *play_take_kept(void)
{
	struct play_object *object;
	unsigned long flags;

	spin_lock_irqsave(&kept_lock, flags);
	object = kept;
	kept = NULL;
	spin_unlock_irqrestore(&kept_lock, flags);
	return object;
}

/* The module holds again what was kept, after a flush of each if so wanted. */
static void play_hold_kept(bool flush)
{
	struct play_object *object = play_take_kept();

	while (object) {
		struct play_object *next = object->next;

		if (flush)
			flush_rcu_work(&container_of(object, struct play_handed, object)->rwork);
		play_hold_object(object->owner, object);
		object = next;
	}
}

static int play_flushrwork(char **words, unsigned int count)
{
	play_hold_kept(true);
	return 0;
}

static int play_rworked(char **words, unsigned int count)
{
	play_tally_wait(&rworks);
	return 0;
}

static int play_unkept(char **words, unsigned int count)
{
	if (atomic_read(&rworks.left))
		return -EBUSY;
	play_hold_kept(false);
	return 0;
}

/* Keeps the only worker of a queue, until the works behind it are cancelled. */
struct play_gate {
	struct work_struct work;
	struct completion open;
};

static void krcu_play_gate(struct work_struct *work)
{
	wait_for_completion(&container_of(work, struct play_gate, work)->open);
}

static int play_cancelrwork(char **words, unsigned int count)
{
	struct workqueue_struct *one;
	struct play_object *taken = NULL;
	struct play_cache *cache;
	struct play_gate gate;
	int number = play_cache_and_count(words, &cache);
	int error = 0;

	if (number < 0)
		return number;
	if (!play_has_room(cache, sizeof(struct play_handed)))
		return -EINVAL;
	one = alloc_ordered_workqueue("krcu_play_gate", 0);
	if (!one)
		return -ENOMEM;
	init_completion(&gate.open);
	INIT_WORK_ONSTACK(&gate.work, krcu_play_gate);
	queue_work(one, &gate.work);
	while (number--) {
		struct play_handed *handed = play_take_handed(cache);

		handed->object.next = taken;
		taken = &handed->object;
		INIT_RCU_WORK(&handed->rwork, krcu_play_rwork);
		queue_rcu_work(one, &handed->rwork);
	}
	/* Without it, the first cancel would spin until the end of a grace period, which it would hold up. */
	rcu_barrier();
	while (taken) {
		struct play_handed *handed = container_of(taken, struct play_handed, object);

		taken = taken->next;
		if (!cancel_work_sync(&handed->rwork.work))
			error = -EBUSY;
		play_hold_object(cache, &handed->object);
	}
	complete(&gate.open);
	destroy_workqueue(one);
	destroy_work_on_stack(&gate.work);
	return error;
}

static void krcu_play_other_rwork(struct work_struct *work)
{
}

static struct rcu_work other_rwork;

static int play_otherrwork(char **words, unsigned int count)
{
	static bool made;
	int error = play_works_init();

	if (error)
		return error;
	if (!made)
		INIT_RCU_WORK(&other_rwork, krcu_play_other_rwork);
	made = true;
	return queue_rcu_work(works, &other_rwork) ? 0 : -EBUSY;
}

static int play_flushother(char **words, unsigned int count)
{
	if (!other_rwork.work.func)
		return -ENOENT;
	flush_rcu_work(&other_rwork);
	return 0;
}

static void krcu_play_handed_work(struct work_struct *work)
{
	struct play_handed *handed = container_of(work, struct play_handed, work);

	play_work_begins();
	play_free_object(&handed->object);
	play_tally_end(&called_works);
}

void krcu_play_handing_callback(struct rcu_head *head)
{
	struct play_handed *handed = container_of(head, struct play_handed, object.rcu);

	play_tally_begin(&called_works);
	play_tally_begin(&unbegun);
	INIT_WORK(&handed->work, krcu_play_handed_work);
	queue_work(works, &handed->work);
	play_callback_ends();
}

static int play_worked(char **words, unsigned int count)
{
	play_wait_for_callbacks();
	play_tally_wait(&called_works);
	return 0;
}

static int play_handed_on(char **words, unsigned int count)
{
	play_wait_for_callbacks();
	play_tally_wait(&unbegun);
	return 0;
}

static int play_hold_works(char **words, unsigned int count)
{
	/* Made here, that nothing of it is between a hold and a destroy. */
	int error = play_works_init();

	if (!error)
		WRITE_ONCE(works_held, true);
	return error;
}

static int play_let_works(char **words, unsigned int count)
{
	WRITE_ONCE(works_held, false);
	wake_up_all(&works_let);
	return 0;
}

static int play_flushworks(char **words, unsigned int count)
{
	if (!works)
		return -ENOENT;
	flush_workqueue(works);
	return 0;
}

void play_handing_exit(void)
{
	if (!works)
		return;
	play_let_works(NULL, 0);
	/* Callbacks that are outstanding queue their works first. */
	rcu_barrier();
	destroy_workqueue(works);
	play_hold_kept(false);
}

const struct play_operation play_handing_operations[] = {
	{ "rwork", 2, 3, true, play_rwork },
	{ "flushrwork", 0, 0, false, play_flushrwork },
	{ "rworked", 0, 0, false, play_rworked },
	{ "unkept", 0, 0, false, play_unkept },
	{ "cancelrwork", 2, 2, false, play_cancelrwork },
	{ "otherrwork", 0, 0, true, play_otherrwork },
	{ "flushother", 0, 0, false, play_flushother },
	{ "worked", 0, 0, false, play_worked },
	{ "handed", 0, 0, false, play_handed_on },
	{ "hold_works", 0, 0, false, play_hold_works },
	{ "let_works", 0, 0, false, play_let_works },
	{ "flushworks", 0, 0, false, play_flushworks },
	{},
};
