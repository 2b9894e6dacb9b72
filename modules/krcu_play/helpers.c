// SPDX-License-Identifier: GPL-2.0
/*
 * A cache that the kernel's own code creates and destroys for this module:
 *
 *     proto       proto_register() of a protocol with a slab cache, `krcu_play_proto`: every such cache has a part that may be
 *                 copied to user space, so on 6.1 kmem_cache_create_usercopy() makes it
 *     unproto     proto_unregister(), which destroys it
 *
 * Nobody can open a socket of that protocol: it has no family. What the script left is given back as the module is unloaded.
 *
 * Truth: nothing is ever allocated from that cache.
 */
#include <linux/module.h>
#include <net/sock.h>

#include "play.h"

static struct proto protocol = {
	.name = "krcu_play_proto",
	.owner = THIS_MODULE,
	.obj_size = sizeof(struct sock),
};
static bool is_registered;

static int play_proto(char **words, unsigned int count)
{
	int error = is_registered ? -EBUSY : proto_register(&protocol, 1);

	if (!error)
		is_registered = true;
	return error;
}

static int play_unproto(char **words, unsigned int count)
{
	if (!is_registered)
		return -ENOENT;
	is_registered = false;
	proto_unregister(&protocol);
	return 0;
}

void play_helpers_exit(void)
{
	if (is_registered)
		proto_unregister(&protocol);
}

const struct play_operation play_helper_operations[] = {
	{ "proto", 0, 0, false, play_proto },
	{ "unproto", 0, 0, false, play_unproto },
	{},
};
