//! `call_rcu_hurry()`, which is a function of its own only where RCU can be lazy.
//!
//! The facts are those of Debian's 6.12, edited as each case says. Debian sets RCU_LAZY from 6.12 on. Without it
//! include/linux/rcupdate.h has a `static inline` that calls `call_rcu()`, and kernel/rcu/tree_nocb.h has no shrinker of
//! lazy callbacks.

use krcu_model::state::Blind;

use super::{Facts, Function, Offer, Plan, debian, planned};
use crate::kernel::catalog::LAZY;

const CALLBACKS: &str = "Objects queued by call_rcu() cannot be told from leaked ones.";

const ABSENT: Function = Function { btf: Some(false), symbols: Some(0), traceable: Some(false) };
const THERE: Function = Function { btf: Some(true), symbols: Some(1), traceable: Some(true) };
/// A copy of an inline function, which is marked `notrace`; an exported function without a place for a probe looks the same.
const COPY: Function = Function { btf: Some(true), symbols: Some(1), traceable: Some(false) };
/// One in each of three files.
const COPIES: Function = Function { symbols: Some(3), ..COPY };
/// Known by its type only.
const INLINED: Function = Function { symbols: Some(0), ..COPY };

/// Debian's 6.12 with these two.
fn edited(hurry: Function, lazy: Option<Function>) -> Facts {
    let mut facts = debian("6.12");
    facts.functions.insert("call_rcu_hurry".to_owned(), hurry);
    facts.functions.remove(LAZY);
    facts.functions.extend(lazy.map(|lazy| (LAZY.to_owned(), lazy)));
    facts
}

/// What becomes of the probe, and whether callbacks are told.
fn planned_on(facts: &Facts) -> (Offer, bool) {
    let plan = Plan::of(facts);
    let hurry = plan.probes.iter().find(|probe| probe.program == "callback_queued_hurry").unwrap();
    let is_blind = matches!(hurry.offer, Offer::NotOffered(_)) && hurry.blind == Some(Blind::Callbacks);
    assert_eq!(plan.undecidable.iter().any(|sentence| sentence == CALLBACKS), is_blind);
    assert!(planned(&plan).contains(&("callback_queued", "call_rcu")), "both call it where none is lazy");
    (hurry.offer.clone(), !is_blind)
}

#[test]
fn where_rcu_is_never_lazy_the_probe_of_call_rcu_sees_every_callback() {
    let inner = "it calls call_rcu() here, which is probed".to_owned();
    // Inlined everywhere, copied once (or exported), and copied into three files.
    for hurry in [INLINED, COPY, COPIES] {
        assert_eq!(planned_on(&edited(hurry, Some(ABSENT))), (Offer::NotNeeded(inner.clone()), true));
    }
    let none = Offer::NotNeeded("no such function here".to_owned());
    assert_eq!(planned_on(&edited(ABSENT, Some(ABSENT))), (none, true));
    // A place for a probe shows that it is no inline function, but one with a body of its own.
    assert_eq!(planned_on(&edited(THERE, Some(THERE))), (Offer::Offered, true));
}

#[test]
fn where_rcu_may_be_lazy_a_callback_that_no_probe_sees_is_said_to_be_one() {
    let no_place = || Offer::NotOffered("it has no place for a probe".to_owned());
    assert_eq!(planned_on(&edited(COPY, Some(THERE))), (no_place(), false));
    // The symbols could not be looked at: that proves nothing.
    for unknown in [None, Some(Function::default())] {
        assert_eq!(planned_on(&edited(COPY, unknown)), (no_place(), false));
    }
}
