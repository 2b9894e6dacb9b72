//! The check of the judge: states that can be listed by hand, and a wrong judge.

use krcu_model::rules::Rule;
use krcu_reference::approach::{self, row_name};
use krcu_reference::sound::{
    explore::{Listener, Outcome, explore},
    promise::Sound,
    rows,
    setup::{Actor, How, Op, PLAIN, Setup, Then, Wait},
    watch::{Loss, Plan},
    worlds,
    wrong::Wrong,
};

fn listen(setup: &Setup, wrong: Wrong) -> Outcome {
    explore(setup, Listener { plan: Plan::Full, loss: Loss::Nothing, wrong })
}

fn world(ops: &'static [(Actor, Op)]) -> Setup {
    Setup { name: "by hand", ops, ..PLAIN }
}

#[test]
fn states_that_can_be_listed_by_hand_are_counted() {
    // The object is leaked: 1 allocated, 2 the destroy has begun, 3 it has looked, which is judged.
    let leak = listen(&world(&[(Actor::Exit, Op::Destroy)]), Wrong::Nothing);
    assert_eq!((leak.states, leak.histories, leak.found.len()), (3, 1, 0));
    // The object is leaked or queued. Queued, its free begins and returns; the destroy begins and looks. Every move is seen,
    // so a state is a course: of i moves of the free and j of the destroy there are (i + j)! / (i! j!), the sum for 0 to 2 of
    // each is 19. The judge is held where j is 2: 1 + 3 + 6, and the leak's one.
    const QUEUED: &[(Actor, Op)] =
        &[(Actor::Exit, Op::Defer(How::KfreeRcu, Then::Frees, 0)), (Actor::Exit, Op::Destroy)];
    let queued = listen(&world(QUEUED), Wrong::Nothing);
    assert_eq!((queued.states, queued.histories, queued.found.len()), (3 + 19, 1 + 10, 0));
}

#[test]
fn a_judge_that_takes_anybodys_barrier_is_refuted_where_the_right_one_holds() {
    let worlds = worlds::all();
    let world = worlds.iter().find(|world| world.name == "a bystander's rcu_barrier()").unwrap();
    assert_eq!(listen(world, Wrong::Nothing).found.len(), 0);
    let wrong = listen(world, Wrong::AnybodysBarrierCounts);
    let found = wrong.breaks(Sound::CleanIsClean).unwrap();
    // call_rcu(), the callback runs and returns, the barrier begins and returns, the destroy begins and looks: no path is
    // shorter, since the barrier of the other is needed.
    assert_eq!((found.path.len(), found.deserved.as_str()), (7, "unordered"));
}

#[test]
fn a_judge_that_waits_for_the_text_to_be_freed_does_not_see_what_the_exit_left() {
    let worlds = worlds::all();
    let world = worlds.iter().find(|world| world.name == "callbacks while the module goes").unwrap();
    assert_eq!(listen(world, Wrong::Nothing).found.len(), 0);
    let wrong = listen(world, Wrong::Without(Rule::ExitIsJudged));
    let found = wrong.breaks(Sound::FlagIsEarned).unwrap();
    // call_rcu(); the destroy: it begins, begins to look, looks, is over, and has counted; the exit returns; the callback begins,
    // frees and returns; the text is freed.
    assert_eq!((found.path.len(), found.deserved.as_str()), (1 + 5 + 1 + 3 + 1, "pending"));
}

#[test]
fn in_a_world_that_hides_the_past_a_wrong_judge_must_decide_what_the_right_one_decides() {
    // The callback was queued before the attach, and ran after the only barrier had returned: it is ordered by nothing. A judge
    // without that rule leaves it open.
    const OLDER: &[(Actor, Op)] =
        &[(Actor::Exit, Op::Defer(How::CallRcu, Then::Frees, 0)), (Actor::Exit, Op::Destroy)];
    let world = Setup { attaches: true, ..world(OLDER) };
    assert_eq!(listen(&world, Wrong::Nothing).found.len(), 0);
    let wrong = listen(&world, Wrong::Without(Rule::OlderCallback));
    let lazy = wrong.breaks(Sound::OpenIsNotLazy).unwrap();
    // call_rcu(), the attach, the callback begins and has freed, the destroy begins and looks.
    assert_eq!((lazy.path.len(), lazy.deserved.as_str()), (5, "unordered"));
}

#[test]
fn a_judge_to_whom_a_callback_frees_one_object_calls_a_second_one_leaked() {
    const OPS: &[(Actor, Op)] =
        &[(Actor::Exit, Op::Defer(How::CallRcu, Then::FreesTwo, 0)), (Actor::Exit, Op::Destroy)];
    let world = Setup { objects: &[true, true], ..world(OPS) };
    // As with kfree_rcu() above: two moves of the callback, two of the destroy, or a leak of both.
    let right = listen(&world, Wrong::Nothing);
    assert_eq!((right.states, right.histories, right.found.len()), (3 + 19, 1 + 10, 0));
    let wrong = listen(&world, Wrong::Without(Rule::SiblingsWait));
    let found = wrong.breaks(Sound::CountsAreTrue).unwrap();
    // call_rcu(), the destroy begins and looks.
    assert_eq!((found.path.len(), found.deserved.as_str()), (3, "pending"));
}

#[test]
fn a_judge_that_knows_no_generations_of_callbacks_asks_for_too_few_barriers() {
    const TWO: &[(Actor, Op)] = &[
        (Actor::Exit, Op::Defer(How::CallRcu, Then::Queues(&[How::CallRcu]), 0)),
        (Actor::Exit, Op::Barrier(Wait::Rcu, true)),
        (Actor::Exit, Op::Barrier(Wait::Rcu, true)),
        (Actor::Exit, Op::Destroy),
    ];
    const THREE: &[(Actor, Op)] = &[
        (Actor::Exit, Op::Defer(How::CallRcu, Then::Queues(&[How::CallRcu, How::CallRcu]), 0)),
        (Actor::Exit, Op::Barrier(Wait::Rcu, true)),
        (Actor::Exit, Op::Barrier(Wait::Rcu, true)),
        (Actor::Exit, Op::Barrier(Wait::Rcu, true)),
        (Actor::Exit, Op::Destroy),
    ];
    // call_rcu(); each callback begins and returns; a barrier too few; the destroy begins and looks.
    for (ops, rule, steps) in
        [(TWO, Rule::ChainsCount, 1 + 4 + 2 + 2), (THREE, Rule::EachGeneration, 1 + 6 + 4 + 2)]
    {
        assert_eq!(listen(&world(ops), Wrong::Nothing).found.len(), 0);
        let wrong = listen(&world(ops), Wrong::Without(rule));
        let found = wrong.breaks(Sound::CleanIsClean).unwrap();
        assert_eq!((found.path.len(), found.deserved.as_str()), (steps, "unordered"), "{rule:?}");
    }
}

#[test]
fn a_live_judge_in_a_row_says_what_is_left() {
    let approaches = approach::all();
    let row = |name: &str| {
        let approach = approaches.iter().find(|approach| row_name(approach.as_ref()) == name).unwrap();
        rows::listen(approach.as_ref())
    };
    let before = row("upstream (before 6.12)");
    assert!(before.broken.is_empty());
    // One or two objects wait, one waits beside a leak, none waits: then nothing was ordered, or one leaked.
    let words: Vec<&str> = before.says.keys().map(String::as_str).collect();
    assert_eq!(words, ["leaked", "pending", "unordered"]);
    let since = row("upstream (6.12)");
    assert!(since.broken.is_empty());
    // It waits, or all was free before; a leak is one.
    let words: Vec<&str> = since.says.keys().map(String::as_str).collect();
    assert_eq!(words, ["clean", "leaked", "waited"]);
}
