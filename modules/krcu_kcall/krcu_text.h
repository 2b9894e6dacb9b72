/* SPDX-License-Identifier: GPL-2.0 */
/* What krcu_kcall queues, and what krcu_text has for it. */
#ifndef KRCU_TEXT_H
#define KRCU_TEXT_H

#include <linux/types.h>

struct krcu_memory {
	struct rcu_head rcu;
};

/* krcu_text.c: a callback whose code stays when krcu_kcall goes. */
void krcu_text_free(struct rcu_head *head);

#endif
