// SPDX-License-Identifier: GPL-2.0
/*
 * The shrinker frees what a cache has queued while the cache is destroyed.
 *
 * The exit function queues its objects by kfree_rcu(), waits for a grace period, and then destroys their cache. Meanwhile a
 * thread of the module writes to /proc/sys/vm/drop_caches, as an administrator may at any time. The shrinker of kfree_rcu()
 * runs in that thread. It finds objects whose grace period is over, and frees them itself, by kmem_cache_free_bulk().
 *
 * With hold=1 (the default), the thread is preempted at the entry of the kmem_cache_free_bulk() that frees them: a probe there
 * wakes another thread on the same CPU, of a higher priority, which keeps that CPU busy until the destroy has returned. The
 * probe changes nothing else. Any task of a higher priority, or a hypervisor that takes its CPU away, may do the same to a
 * thread that reclaims memory. A kernel that cannot be preempted there (without preempt=full) does not take the CPU away.
 *
 * With hold=0 nothing is done to the thread: rounds=N says how often in N destroys that comes about by itself. Between the
 * grace period and the destroy the exit function waits up to spread microseconds, at random.
 *
 * Truth: every object is queued before the destroy. A destroy that waits for kfree_rcu() must find the cache empty.
 */
#include "krcu_sample.h"

#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <uapi/linux/sched/types.h>

static unsigned int objects = 400;
module_param(objects, uint, 0444);
MODULE_PARM_DESC(objects, "objects queued at exit; 507 fill a page, and then the monitor comes at the next tick");

static unsigned int size = 128;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size, "bytes of an object");

static bool debug;
module_param(debug, bool, 0444);
MODULE_PARM_DESC(debug, "whether the cache checks its objects: frees take longer, and a cache has no sheaves");

static bool hold = true;
module_param(hold, bool, 0444);
MODULE_PARM_DESC(hold, "whether the thread that reclaims is preempted as it frees");

static bool reclaim = true;
module_param(reclaim, bool, 0444);
MODULE_PARM_DESC(reclaim, "whether a thread of the module writes to drop_caches");

static unsigned int rounds = 1;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "caches that are created and destroyed at exit, one after the other");

static unsigned int spread;
module_param(spread, uint, 0444);
MODULE_PARM_DESC(spread, "microseconds, up to which the exit function waits before each destroy");

/* The thread that reclaims, and the one that takes the CPU away from it. */
static struct task_struct *reclaimer, *hog;
static DECLARE_COMPLETION(taken);
static bool is_over;
/* The object that is queued last; the batch that has it is the one to stop at. */
static void *last;

/* Keeps the CPU for itself once it is woken, until the destroy is over, and for half a second at most. */
static int krcu_shrink_hog(void *unused)
{
	unsigned long end;

	set_current_state(TASK_INTERRUPTIBLE);
	if (!kthread_should_stop())
		schedule();
	__set_current_state(TASK_RUNNING);
	complete(&taken);
	end = jiffies + HZ / 2;
	while (!READ_ONCE(is_over) && time_before(jiffies, end))
		cpu_relax();
	if (!READ_ONCE(is_over))
		pr_info("krcu_shrink: a hold ran out\n");
	while (!kthread_should_stop())
		msleep(1);
	return 0;
}

/* kmem_cache_free_bulk(cache, number, array) is entered. */
static int krcu_shrink_frees(struct kprobe *probe, struct pt_regs *regs)
{
	void **array = (void **)regs_get_kernel_argument(regs, 2);
	unsigned long i, number = regs_get_kernel_argument(regs, 1);

	if (current != READ_ONCE(reclaimer) || regs_get_kernel_argument(regs, 0))
		return 0;
	for (i = 0; i < number; i++) {
		if (array[i] == READ_ONCE(last)) {
			WRITE_ONCE(last, NULL);
			wake_up_process(hog);
			break;
		}
	}
	return 0;
}

static struct kprobe frees = { .symbol_name = "kmem_cache_free_bulk", .pre_handler = krcu_shrink_frees };

/* What `echo 2 >/proc/sys/vm/drop_caches` does. */
static int krcu_shrink_reclaim(void *file)
{
	loff_t at = 0;

	if (kernel_write(file, "2\n", 2, &at) != 2)
		pr_info("krcu_shrink: caches cannot be dropped\n");
	while (!kthread_should_stop())
		msleep(1);
	return 0;
}

static struct task_struct *krcu_shrink_thread(int (*run)(void *), void *data, const char *name)
{
	struct task_struct *thread = kthread_create(run, data, name);

	if (IS_ERR(thread))
		return NULL;
	kthread_bind(thread, 0);
	return thread;
}

static noinline void krcu_shrink_queue(struct kmem_cache *cache)
{
	struct krcu_object *list = NULL;
	unsigned int queued = krcu_allocate(cache, objects, &list);
	struct krcu_object *object;

	for (object = list; object; object = object->next)
		WRITE_ONCE(last, object);
	/* The form that may sleep gets a page for an array, which the others then use. Without a page they form a list. */
	object = list;
	if (object) {
		list = object->next;
		kfree_rcu_mightsleep(object);
	}
	krcu_queue(list);
	if (rounds == 1)
		krcu_truth("krcu_shrink", queued, 0u, 0u);
}

/* One cache: its objects are queued and ready to be freed when the other thread begins to reclaim. */
static void krcu_shrink_round(struct file *drop_caches)
{
	struct kmem_cache *cache = kmem_cache_create("krcu_shrink", max_t(unsigned int, size, sizeof(struct krcu_object)), 0,
						     KRCU_CACHE_FLAGS | (debug ? SLAB_POISON | SLAB_CONSISTENCY_CHECKS : 0),
						     KRCU_CACHE_CONSTRUCTOR);

	if (!cache)
		return;
	is_over = false;
	reinit_completion(&taken);
	reclaimer = drop_caches ? krcu_shrink_thread(krcu_shrink_reclaim, drop_caches, "krcu_reclaim") : NULL;
	hog = hold ? krcu_shrink_thread(krcu_shrink_hog, NULL, "krcu_hog") : NULL;
	if (hog) {
		sched_set_fifo(hog);
		wake_up_process(hog);
	}
	krcu_shrink_queue(cache);
	synchronize_rcu();
	if (reclaimer)
		wake_up_process(reclaimer);
	if (hog && reclaimer && !wait_for_completion_timeout(&taken, 2 * HZ))
		pr_info("krcu_shrink: the shrinker has freed none of them by itself\n");
	if (spread)
		usleep_range(get_random_u32_below(spread), spread);
	kmem_cache_destroy(cache);
	WRITE_ONCE(is_over, true);
	if (hog)
		kthread_stop(hog);
	if (reclaimer)
		kthread_stop(reclaimer);
}

static int __init krcu_shrink_init(void)
{
	return hold ? register_kprobe(&frees) : 0;
}

static void __exit krcu_shrink_exit(void)
{
	struct file *drop_caches = reclaim ? filp_open("/proc/sys/vm/drop_caches", O_WRONLY, 0) : NULL;
	unsigned int round;

	if (IS_ERR(drop_caches)) {
		pr_info("krcu_shrink: caches cannot be dropped\n");
		drop_caches = NULL;
	}
	/* On another CPU than the thread that reclaims, where there is another. */
	set_cpus_allowed_ptr(current, cpumask_of(cpumask_last(cpu_online_mask)));
	for (round = 0; round < rounds; round++)
		krcu_shrink_round(drop_caches);
	if (drop_caches)
		filp_close(drop_caches, NULL);
	if (hold)
		unregister_kprobe(&frees);
	if (rounds > 1)
		pr_info("krcu_shrink: %u rounds\n", rounds);
}

module_init(krcu_shrink_init);
module_exit(krcu_shrink_exit);
MODULE_DESCRIPTION("objects of kfree_rcu() that the shrinker frees while their cache is destroyed");
MODULE_LICENSE("GPL");
