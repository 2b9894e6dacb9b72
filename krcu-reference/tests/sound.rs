//! The check of the judge: states that can be listed by hand, and a wrong judge.

use krcu_reference::sound::{
    explore::{Listener, Outcome, explore},
    promise::Sound,
    setup::{Actor, How, Inner, Op, Setup, Then},
    watch::{Loss, Plan},
    worlds,
    wrong::Wrong,
};

fn listen(setup: &Setup, wrong: Wrong) -> Outcome {
    explore(setup, Listener { plan: Plan::Full, loss: Loss::Nothing, wrong }, false)
}

fn world(ops: &'static [(Actor, Op)]) -> Setup {
    Setup {
        name: "by hand",
        inner: Inner::Nothing,
        objects: &[true],
        ops,
        most: usize::MAX,
        users: 1,
        watches: &[],
        attaches: false,
        has_graces: false,
        is_fine: false,
        miscounts: false,
    }
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
