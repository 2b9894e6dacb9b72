#!/usr/bin/env python3
"""Lists the deferred frees that a kernel's memory holds: what kfree_rcu() and call_rcu() have not freed yet.

    krcu_outstanding.py --debug-info VMLINUX VMCORE

VMCORE is a dump of a machine: what kdump or makedumpfile wrote, or qemu's dump-guest-memory. Without it, the kernel that
runs here is read, which needs root; its lists change meanwhile, so a whole answer needs a dump. VMLINUX is the kernel's own
file with its debug information; it may be left out where drgn finds it by itself.

It needs drgn (`pip install drgn`) and uses nothing of krcu: what it says can be held against what krcu says. It reads the
lists of Linux 6.12 and later. If the kernel has a structure that it does not know, it stops and says which.

It prints one JSON object a line:

    {"kind": "outstanding", "how": "kfree_rcu", "object": "0xffff...", "cache": "NAME", "cpu": 0, "place": "page"}

`object` is the object's address for kfree_rcu(), and that of its rcu_head for call_rcu(). `cache` is null for memory that is
of no slab cache. `place` says where it lies:

    page, list                 queued on this CPU, and not yet waiting for a grace period together with others
    batch page, batch list     a batch of this CPU, which waits for its grace period or for its work
    callbacks: SEGMENT         the callback list of this CPU: done, wait, next-ready or next
    bypass                     the list beside it of a CPU whose callbacks are offloaded
    sheaf                      the sheaf of a cache that this CPU fills
    full sheaf                 a sheaf that is full: its own rcu_head is in a callback list
    deferred                   queued where no lock may be taken, for an interrupt to queue it again

A function may have taken a list over and be freeing it. Where its stack holds the list, its objects are printed in the order
in which they are freed. Memory does not show how many of the first ones are free already:

    {"kind": "in hand", "how": "kfree_rcu", "object": "0xffff...", "cache": "NAME", "task": 31, "function": "kfree_rcu_work",
     "list": "bulk_head[0]"}

A list of rcu_heads whose begin is in a register that the stack does not give back, so that its objects cannot be printed:

    {"kind": "unread", "task": 31, "function": "kfree_rcu_work", "list": "head"}

Each task that is inside of a function that queues or frees:

    {"kind": "inside", "task": 31, "comm": "kworker/u8:1", "function": "kfree_rcu_work", "frames": ["__schedule", ...]}

And each task whose stack cannot be read, as that of one that runs in a kernel that is alive:

    {"kind": "no stack", "task": 31, "comm": "kworker/u8:1", "why": "cannot unwind stack of running task"}
"""

import argparse
import json
import mmap
import struct
import sys

import drgn
from drgn import FaultError, Program, cast, container_of
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.llist import llist_for_each
from drgn.helpers.linux.percpu import per_cpu, per_cpu_ptr
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.slab import find_containing_slab_cache, for_each_slab_cache, slab_object_info

# Functions that queue. A task that is inside of one may have handed over an object that is on no list yet.
QUEUEING = ("kvfree_call_rcu", "kfree_call_rcu_nolock", "__call_rcu_common", "call_rcu", "call_rcu_hurry")
# Functions that take a list of objects over and free them, with the variables that hold the list.
FREEING = ("kfree_rcu_work", "kvfree_rcu_drain_ready", "kvfree_rcu_list", "kvfree_rcu_bulk", "rcu_do_batch")
# Callbacks that free a whole sheaf. The rcu_head is in the sheaf.
SHEAF_CALLBACKS = ("rcu_free_sheaf", "rcu_free_sheaf_nobarn")
# The segments of a callback list, in order.
SEGMENTS = ("done", "wait", "next-ready", "next")
# More than this on one list is a list that never ends.
LONGEST = 10_000_000


class Unknown(Exception):
    """The kernel has something that this script does not know."""


class Kernel:
    """The structures of one kernel, and what lies in them."""

    def __init__(self, prog):
        self.prog = prog
        self.caches = {}
        self.names = {}
        self.cpus = list(for_each_possible_cpu(prog))
        self.page_size = prog["PAGE_SIZE"].value_()

    def cache_of(self, address):
        """The name of the slab cache that an address is of."""
        page = address // self.page_size
        if page not in self.caches:
            cache = find_containing_slab_cache(self.prog, address)
            self.caches[page] = cache.name.string_().decode() if cache else None
        return self.caches[page]

    def say(self, kind, how, address, **more):
        line = {"kind": kind, "how": how, "object": hex(address), "cache": self.cache_of(address)}
        print(json.dumps(line | more))

    # kfree_rcu(), queued for each CPU

    def pages(self, head):
        """The objects in the pages of a list, page by page."""
        for page in list_for_each_entry("struct kvfree_rcu_bulk_data", head, "list"):
            yield from self.records(page)

    def records(self, page):
        count = page.nr_records.value_()
        most = (self.page_size - page.records.address_of_().value_() % self.page_size) // 8
        if count > most:
            raise Unknown(f"the page {page.value_():#x} says that it holds {count} pointers, and has room for {most}")
        return self.pointers(page.records.address_of_().value_(), count)

    def pointers(self, address, count):
        return struct.unpack(f"<{count}Q", self.prog.read(address, 8 * count))

    def heads(self, head):
        """The rcu_heads of a list that kfree_rcu() links."""
        for _ in range(LONGEST):
            if not head:
                return
            yield head
            head = head.next
        raise Unknown("a list of rcu_heads does not end")

    def of_head(self, head):
        """The object of a head that kfree_rcu() linked."""
        address = head.value_()
        if head.type_.type.has_member("func"):
            # The function of an rcu_head is the object, or the head's offset in it.
            function = cast("unsigned long", head.func).value_()
            return address - function if function < self.page_size else function
        # A kvfree_rcu_head has no function: the object is what the head lies in.
        info = slab_object_info(self.prog, address)
        return info.address if info else address

    def kfree_rcu(self):
        krc = self.variable("krc")
        for cpu in self.cpus:
            queue = per_cpu(krc, cpu)
            if not queue.initialized:
                continue
            for channel in queue.bulk_head:
                self.all_of("kfree_rcu", self.pages(channel.address_of_()), cpu, "page")
            self.all_of("kfree_rcu", map(self.of_head, self.heads(queue.head)), cpu, "list")
            for batch in queue.krw_arr:
                for channel in batch.bulk_head_free:
                    self.all_of("kfree_rcu", self.pages(channel.address_of_()), cpu, "batch page")
                self.all_of("kfree_rcu", map(self.of_head, self.heads(batch.head_free)), cpu, "batch list")

    def all_of(self, how, objects, cpu, place):
        for address in objects:
            self.say("outstanding", how, address, cpu=cpu, place=place)

    def variable(self, name):
        try:
            return self.prog[name]
        except KeyError:
            raise Unknown(f"this kernel has no variable {name}") from None

    # call_rcu()

    def callbacks(self):
        data = self.variable("rcu_data")
        for cpu in self.cpus:
            of_cpu = per_cpu(data, cpu)
            segment, ends = 0, [tail.value_() for tail in of_cpu.cblist.tails]
            if len(ends) != len(SEGMENTS):
                raise Unknown(f"a callback list has {len(ends)} segments, and not {len(SEGMENTS)}")
            # A segment ends where its tail points to the link that leads on.
            link = of_cpu.cblist.head.address_of_().value_()
            for head in self.heads(of_cpu.cblist.head):
                while segment < len(SEGMENTS) - 1 and ends[segment] == link:
                    segment += 1
                self.callback(head, cpu, f"callbacks: {SEGMENTS[segment]}")
                link = head.next.address_of_().value_()
            if hasattr(of_cpu, "nocb_bypass"):
                for head in self.heads(of_cpu.nocb_bypass.head):
                    self.callback(head, cpu, "bypass")

    def callback(self, head, cpu, place):
        self.say("outstanding", "call_rcu", head.value_(), cpu=cpu, place=place)
        if self.name_of(cast("unsigned long", head.func).value_()) in SHEAF_CALLBACKS:
            self.full_sheaf(head, ("rcu_head", "callback_head"), cpu)

    def full_sheaf(self, node, members, cpu):
        """The objects of a sheaf that is linked by one of its members; the kernel's macro `rcu_head` renames one."""
        sheaf = self.prog.type("struct slab_sheaf")
        for member in members:
            if sheaf.has_member(member):
                self.all_of("kfree_rcu", self.sheaf_objects(container_of(node, sheaf, member)), cpu, "full sheaf")
                return
        raise Unknown(f"struct slab_sheaf has no member {members[0]}")

    def name_of(self, function):
        if function not in self.names:
            try:
                self.names[function] = self.prog.symbol(function).name
            except LookupError:
                self.names[function] = None
        return self.names[function]

    # kfree_rcu() into the sheaf of a cache

    def sheaves(self):
        try:
            self.prog.type("struct slab_sheaf")
        except LookupError:
            return
        for cache in for_each_slab_cache(self.prog):
            if not cache.cpu_sheaves:
                continue
            for cpu in self.cpus:
                sheaf = per_cpu_ptr(cache.cpu_sheaves, cpu).rcu_free
                if sheaf:
                    self.all_of("kfree_rcu", self.sheaf_objects(sheaf), cpu, "sheaf")

    # kfree_rcu() where no lock may be taken

    def deferred(self):
        try:
            work = self.prog["deferred_percpu_work"]
        except KeyError:
            return
        for cpu in self.cpus:
            of_cpu = per_cpu(work, cpu)
            if hasattr(of_cpu, "objects_by_rcu"):
                for node in llist_for_each(of_cpu.objects_by_rcu.first):
                    self.all_of("kfree_rcu", [self.of_head(cast("struct kvfree_rcu_head *", node))], cpu, "deferred")
            if hasattr(of_cpu, "rcu_sheaves"):
                for node in llist_for_each(of_cpu.rcu_sheaves.first):
                    self.full_sheaf(node, ("llnode",), cpu)

    def sheaf_objects(self, sheaf):
        return self.pointers(sheaf.objects.address_of_().value_(), sheaf.size.value_())

    # What no list holds, because a function has it in hand

    def tasks(self):
        for task in for_each_task(self.prog, idle=True):
            pid, comm = task.pid.value_(), task.comm.string_().decode(errors="replace")
            try:
                frames = list(self.prog.stack_trace(task))
            except (FaultError, ValueError) as error:
                print(json.dumps({"kind": "no stack", "task": pid, "comm": comm, "why": str(error)}))
                continue
            names = [frame.name or "?" for frame in frames]
            for function in QUEUEING + FREEING:
                if function in names:
                    print(json.dumps({"kind": "inside", "task": pid, "comm": comm, "function": function, "frames": names}))
            for frame in frames:
                self.in_hand(pid, frame, "kvfree_rcu_list" in names)

    def in_hand(self, task, frame, frees_list):
        """What a frame of a function that frees has taken over from the lists."""
        function = frame.name
        if function == "kfree_rcu_work":
            pages, head = "bulk_head", "head"
        elif function == "kvfree_rcu_drain_ready":
            pages, head = "bulk_ready", "head_ready"
        elif function == "rcu_do_batch":
            more = {"task": task, "function": function, "list": "rcl"}
            for head in self.heads(self.local(frame, "rcl").head):
                self.say("in hand", "call_rcu", head.value_(), **more)
            return
        else:
            return
        for number, channel in enumerate(self.local(frame, pages)):
            more = {"task": task, "function": function, "list": f"{pages}[{number}]"}
            for page in self.remaining_pages(channel.address_of_()):
                for address in self.records(page):
                    self.say("in hand", "kfree_rcu", address, **more)
        more = {"task": task, "function": function, "list": head}
        if frees_list or frame[head].absent_:
            print(json.dumps({"kind": "unread"} | more))
        else:
            for address in map(self.of_head, self.heads(frame[head])):
                self.say("in hand", "kfree_rcu", address, **more)

    def remaining_pages(self, head):
        """The pages of a list whose first ones may be freed already, and used for other things."""
        pages, node = [], head.prev
        while node != head:
            page = container_of(node, "struct kvfree_rcu_bulk_data", "list")
            if pages and node.next != pages[-1].list.address_of_():
                break
            pages.append(page)
            node = node.prev
        return reversed(pages)

    @staticmethod
    def local(frame, name):
        try:
            value = frame[name]
        except KeyError:
            raise Unknown(f"{frame.name}() has no variable {name}") from None
        if value.absent_:
            raise Unknown(f"the variable {name} of {frame.name}() is in no place that can be read")
        return value


def vmcoreinfo_in(path):
    """The kernel's own note of its build, searched for in a dump that does not name it: qemu writes such dumps."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        begin = memory.find(b"VMCOREINFO\0\0OSRELEASE=")
        if begin < 0:
            return None
        begin += len(b"VMCOREINFO\0\0")
        return memory[begin : memory.find(b"\0", begin)]


def opened(path, debug_info):
    prog = Program()
    if path is None:
        prog.set_kernel()
    else:
        try:
            prog.set_core_dump(path)
        except ValueError:
            note = vmcoreinfo_in(path)
            if note is None:
                raise Unknown(f"{path} is no dump of a Linux kernel: it holds no VMCOREINFO") from None
            prog = Program(vmcoreinfo=note)
            prog.set_core_dump(path)
    if debug_info:
        prog.load_debug_info([debug_info])
    else:
        prog.load_debug_info(main=True)
    return prog


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--debug-info", metavar="VMLINUX", help="the kernel with its debug information")
    parser.add_argument("vmcore", metavar="VMCORE", nargs="?", help="a dump; without it, the running kernel")
    arguments = parser.parse_args()
    try:
        kernel = Kernel(opened(arguments.vmcore, arguments.debug_info))
        kernel.kfree_rcu()
        kernel.sheaves()
        kernel.deferred()
        kernel.callbacks()
        kernel.tasks()
    except (Unknown, OSError, drgn.MissingDebugInfoError) as error:
        sys.exit(f"krcu_outstanding: {error}")
    except (AttributeError, LookupError) as error:
        sys.exit(f"krcu_outstanding: this kernel has a structure that this script does not know: {error}")


if __name__ == "__main__":
    main()
