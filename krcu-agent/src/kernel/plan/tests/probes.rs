//! The programs that each kernel gets, and in which order.

use super::*;

#[test]
fn probes_are_those_of_the_minimal_set_in_the_order_of_attaching() {
    let first = [
        ("cache_released", "slab_kmem_cache_release"),
        ("shutdown_end_nested", "cpus_read_unlock"),
        ("shutdown_end", "cpus_read_unlock"),
        ("shutdown_begin", "__kmem_cache_shutdown"),
        ("rcu_barrier_end", "rcu_barrier"),
        ("rcu_barrier_begin", "rcu_barrier"),
    ];
    let all = [("kvfree_barrier_end", "kvfree_rcu_barrier"), ("kvfree_barrier_begin", "kvfree_rcu_barrier")];
    let one = [
        ("kvfree_on_cache_end", "kvfree_rcu_barrier_on_cache"),
        ("kvfree_on_cache_begin", "kvfree_rcu_barrier_on_cache"),
    ];
    let others = [
        ("srcu_barrier_end", "srcu_barrier"),
        ("srcu_barrier_begin", "srcu_barrier"),
        ("tasks_barrier_end", "rcu_barrier_tasks_generic"),
        ("tasks_barrier_begin", "rcu_barrier_tasks_generic"),
        ("workqueue_flush_end", "__flush_workqueue"),
        ("workqueue_flush_begin", "__flush_workqueue"),
        ("work_flush_end", "__flush_work"),
        ("work_flush_begin", "__flush_work"),
        ("flush_work_end", "flush_work"),
        ("flush_work_begin", "flush_work"),
        ("rcu_work_flush_end", "flush_rcu_work"),
    ];
    // One kind of RCU for tasks has a barrier of its own left.
    let others_new = others.map(|(program, target)| {
        (program, if target == "rcu_barrier_tasks_generic" { "rcu_barrier_tasks" } else { target })
    });
    let works = [("work_ran", "workqueue_execute_end")];
    let queued_others = [
        ("module_going", "blocking_notifier_call_chain"),
        ("work_runs", "workqueue_execute_start"),
        ("work_queued", "workqueue_queue_work"),
        ("callback_queued_tasks", "call_rcu_tasks_generic"),
        ("callback_queued_srcu", "call_srcu"),
    ];
    let destroy = [
        ("rcu_work_flushed_nested", "flush_rcu_work"),
        ("rcu_work_flushed", "flush_rcu_work"),
        ("destroy_begin_nested", "kmem_cache_destroy"),
        ("destroy_begin", "kmem_cache_destroy"),
    ];
    let grace = [
        ("grace_end", "rcu_gp_cleanup"),
        ("grace_begin", "rcu_gp_fqs_loop"),
        ("expedited_end", "wait_rcu_exp_gp"),
        ("expedited_begin", "wait_rcu_exp_gp"),
    ];
    let array = ["freed_array_end_nested", "freed_array_end", "freed_array_nested", "freed_array"]
        .map(|program| (program, "kmem_cache_free_bulk"));
    let bulk =
        ["freed_bulk_end", "freed_bulk_nested", "freed_bulk"].map(|program| (program, "kvfree_rcu_bulk"));
    let list_old = [("freed_list_end", "kfree_rcu_work"), ("freed_list_begin", "kfree_rcu_work")];
    let list = [("freed_list_end", "kvfree_rcu_list"), ("freed_list_begin", "kvfree_rcu_list")];
    let single = [("freed_single_nested", "kvfree"), ("freed_single", "kvfree")];
    let hurry = [("callback_queued_hurry", "call_rcu_hurry")];
    let callback = [("callback_queued", "call_rcu")];
    let sheaf = [
        ("freed_sheaf_end", "rcu_free_sheaf"),
        ("freed_sheaf", "rcu_free_sheaf"),
        ("freed_sheaf_nobarn_end", "rcu_free_sheaf_nobarn"),
        ("freed_sheaf_nobarn", "rcu_free_sheaf_nobarn"),
    ];
    let runs = [
        ("callback_runs_end", "rcu_segcblist_insert_done_cbs"),
        ("callback_runs_nested", "rcu_cblist_dequeue"),
        ("callback_runs", "rcu_cblist_dequeue"),
    ];
    let module_freed = [("module_freed", "module_free")];
    let nolock = [("queued_nolock", "kfree_call_rcu_nolock")];
    let queued = [("queued", "kvfree_call_rcu")];
    let created_old = [
        ("cache_created_nested", "__kmem_cache_alias"),
        ("cache_created", "__kmem_cache_alias"),
        ("cache_made", "__kmem_cache_create"),
    ];
    let created =
        [("cache_created_nested", "__kmem_cache_create_args"), ("cache_created", "__kmem_cache_create_args")];
    let loaded = [("module_loaded", "module_load")];
    let of = |parts: &[&[(&'static str, &'static str)]]| parts.concat();
    for (series, expected) in [
        (
            "6.1",
            of(&[
                &first,
                &others,
                &destroy,
                &grace,
                &array,
                &list_old,
                &single,
                &runs,
                &works,
                &module_freed,
                &queued_others,
                &callback,
                &queued,
                &created_old,
                &loaded,
            ]),
        ),
        (
            "6.12",
            of(&[
                &first,
                &all,
                &others,
                &destroy,
                &grace,
                &bulk,
                &list,
                &single,
                &runs,
                &works,
                &module_freed,
                &queued_others,
                &hurry,
                &callback,
                &queued,
                &created,
                &loaded,
            ]),
        ),
        (
            "6.18",
            of(&[
                &first,
                &all,
                &one,
                &others,
                &destroy,
                &grace,
                &bulk,
                &list,
                &single,
                &sheaf,
                &runs,
                &works,
                &module_freed,
                &queued_others,
                &hurry,
                &callback,
                &queued,
                &created,
                &loaded,
            ]),
        ),
        (
            "7.3",
            of(&[
                &first,
                &all,
                &one,
                &others_new,
                &destroy,
                &grace,
                &bulk,
                &list,
                &single,
                &sheaf,
                &runs,
                &works,
                &module_freed,
                &queued_others,
                &hurry,
                &callback,
                &nolock,
                &queued,
                &created,
                &loaded,
            ]),
        ),
    ] {
        let plan = Plan::of(&debian(series));
        assert_eq!(planned(&plan), expected, "{series}");
        assert_eq!(plan.refusals, [], "{series}");
        assert_eq!(plan.undecidable, [""; 0], "{series}");
    }
}
