// SPDX-License-Identifier: GPL-2.0
/*
 * A module that stays while krcu_kcall goes: the callback that it exports is in its own code. It does nothing by itself, and its
 * exit calls rcu_barrier(), so that it may go whatever was queued with its callback. To any other module that barrier is one of
 * somebody who has nothing to do with it.
 *
 * Truth: when it goes, none of its callbacks is outstanding.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "krcu_text.h"

void krcu_text_free(struct rcu_head *head)
{
	kfree(container_of(head, struct krcu_memory, rcu));
}
EXPORT_SYMBOL_GPL(krcu_text_free);

static int __init krcu_text_init(void)
{
	return 0;
}

static void __exit krcu_text_exit(void)
{
	rcu_barrier();
	/* A call that is the last thing would be a jump, and this function in no stack. */
	barrier();
}

module_init(krcu_text_init);
module_exit(krcu_text_exit);
MODULE_DESCRIPTION("a callback whose code stays");
MODULE_LICENSE("GPL");
