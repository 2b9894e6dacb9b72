//! Why: what a waiting task waits for, in sentences: whose objects, how old, and how far RCU is with the oldest.

use krcu_report::{
    BarrierRow, GraceRow, Held, Holder, WaitKind,
    words::{cache_name, count, objects},
};

use super::text::{bytes, span_of};

/// After how long a grace period is called long, and the kernel's own report is named.
const LONG_NS: u64 = 1_000_000_000;

/// Whose objects a task waits for, and the oldest of them; empty if the agent does not say so.
pub(crate) fn why(row: &BarrierRow) -> String {
    let waits_for = &row.waits_for;
    let mut parts = Vec::new();
    if !waits_for.holders.is_empty() {
        let all = row.own_outstanding + row.other_outstanding;
        let told: u64 = waits_for.holders.iter().map(|holder| holder.objects).sum();
        let mut words = holders(row.call.kind, &waits_for.holders, all.saturating_sub(told));
        if waits_for.bytes > 0 {
            words += &format!(", {} in all", bytes(waits_for.bytes));
        }
        parts.push(words);
    }
    if let Some(oldest) = &waits_for.oldest {
        let at = oldest.stack.join(" ← ");
        let at = if at.is_empty() { at } else { format!(" at {at}") };
        let age = span_of(oldest.age_ns);
        parts.push(format!("the oldest was queued {age} ago by task {}{at}", oldest.task));
        parts.extend(oldest.held.map(held));
    }
    parts.join("; ")
}

/// The same in a few words, for one line.
pub(crate) fn in_short(row: &BarrierRow) -> Option<String> {
    let oldest = row.waits_for.oldest.as_ref()?;
    let age = span_of(oldest.age_ns);
    let step = match oldest.held {
        None => String::new(),
        Some(Held::Batch) => ", in a batch: no grace period since".to_owned(),
        Some(Held::GracePeriod { since_ns, .. }) => {
            format!(", in a grace period of {} so far", span_of(since_ns))
        }
        Some(Held::Worker { since_ns }) => {
            format!(", not freed {} after a grace period", span_of(since_ns))
        }
    };
    Some(format!("the oldest is {age} old{step}"))
}

fn holders(kind: WaitKind, holders: &[Holder], rest: u64) -> String {
    let of = |holder: &Holder| format!("{} of {}", count(holder.objects), name(&holder.cache));
    let mut words = holders.iter().map(of).collect::<Vec<_>>().join(", ");
    if rest > 0 {
        let what = if kind == WaitKind::RcuBarrier { "callback" } else { "object" };
        words += &format!(" and {} of other caches", objects(rest, what));
    }
    words
}

fn name(cache: &str) -> String {
    if cache.is_empty() { "an older cache".to_owned() } else { cache_name(cache).into_owned() }
}

/// How far RCU is with an object.
fn held(held: Held) -> String {
    match held {
        Held::Batch => "no grace period has begun since, so it waits in a batch".to_owned(),
        Held::GracePeriod { since_ns, expedited } => {
            let which = if expedited { "an expedited" } else { "a" };
            format!("{which} grace period that began after that has been running for {}", span_of(since_ns))
        }
        Held::Worker { since_ns } => format!(
            "a grace period that began after that was over {} ago, so it waits for who frees it, or for a later one",
            span_of(since_ns)
        ),
    }
}

/// The grace periods of the kernel.
pub(crate) fn grace(row: &GraceRow) -> String {
    let mut words = match row.running_ns {
        Some(ns) => format!(
            "{} has been running for {}",
            if row.expedited { "an expedited one" } else { "one" },
            span_of(ns)
        ),
        None => "none runs".to_owned(),
    };
    if row.over > 0 {
        let (last, longest) = (span_of(row.last_ns), span_of(row.longest_ns));
        words += &format!("; {} over, the last took {last}, the longest {longest}", count(row.over));
    }
    if row.running_ns.is_some_and(|ns| ns >= LONG_NS) {
        words += "; some CPU or task is in a reader: the kernel's log names it after rcu_cpu_stall_timeout, 21 s by default";
    }
    words
}

#[cfg(test)]
mod tests {
    use krcu_report::{BarrierCall, OldestRow, WaitsFor};

    use super::*;

    fn row(held: Option<Held>) -> BarrierRow {
        let holder = |cache: &str, objects| Holder { cache: cache.to_owned(), objects };
        let oldest = OldestRow {
            cache: "flow".to_owned(),
            age_ns: 34_000_000,
            task: 166,
            stack: vec!["flow_free+0x1 [flow]".to_owned(), "flow_exit+0x5 [flow]".to_owned()],
            held,
        };
        BarrierRow {
            call: BarrierCall {
                kind: WaitKind::KvfreeRcuBarrier,
                cache: Some("flow".to_owned()),
                inside_destroy: true,
                task: 7,
                comm: None,
                began_ns: 0,
            },
            since_ns: 1,
            at_begin: 0,
            own_outstanding: 700,
            other_outstanding: 80,
            end_may_be_unseen: false,
            waits_for: WaitsFor {
                holders: vec![holder("flow", 700), holder("", 30)],
                bytes: 65_536,
                oldest: Some(oldest),
            },
        }
    }

    #[test]
    fn it_says_whose_objects_and_how_far_they_are() {
        let head = "700 of flow, 30 of an older cache and 50 objects of other caches, 64 KiB in all; the oldest was queued \
                    34.0 ms ago by task 166 at flow_free+0x1 [flow] ← flow_exit+0x5 [flow]";
        let (ms, expedited) = (1_000_000, false);
        for (held, rest) in [
            (None, ""),
            (Some(Held::Batch), "; no grace period has begun since, so it waits in a batch"),
            (
                Some(Held::GracePeriod { since_ns: 4 * ms, expedited }),
                "; a grace period that began after that has been running for 4.00 ms",
            ),
            (
                Some(Held::Worker { since_ns: 2 * ms }),
                "; a grace period that began after that was over 2.00 ms ago, so it waits for who frees it, or for a later one",
            ),
        ] {
            assert_eq!(why(&row(held)), format!("{head}{rest}"));
        }
        // An older agent does not say so.
        let unknown = BarrierRow { waits_for: WaitsFor::default(), ..row(None) };
        assert_eq!((why(&unknown), in_short(&unknown)), (String::new(), None));
    }

    #[test]
    fn a_long_grace_period_names_where_the_kernel_tells_more() {
        let row = GraceRow {
            running_ns: Some(999_999_999),
            expedited: false,
            over: 3,
            last_ns: 5_000_000,
            longest_ns: 9_000_000,
        };
        let words = grace(&row);
        assert!(words.ends_with("; 3 over, the last took 5.00 ms, the longest 9.00 ms"), "{words}");
        assert!(
            grace(&GraceRow { running_ns: Some(1_000_000_000), ..row }).contains("rcu_cpu_stall_timeout")
        );
        assert!(grace(&GraceRow { running_ns: None, ..row }).starts_with("none runs; "));
    }
}
