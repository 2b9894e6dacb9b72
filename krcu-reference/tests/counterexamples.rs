//! Each path that the checker or a walk has written still breaks the promise in its name.

use std::{collections::BTreeSet, fs, path::Path};

use krcu_model::{promise::Promise, script};

#[test]
fn each_counterexample_breaks_its_promise_and_no_promise_without_its_last_events() {
    let folders = ["tests/counterexamples", "tests/walks"]
        .map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    let mut promises = BTreeSet::new();
    for entry in folders.into_iter().flat_map(|folder| fs::read_dir(folder).unwrap()) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // ROW.PROMISE.script
        let promise = name.trim_end_matches(".script").rsplit('.').next().unwrap();
        let promise = Promise::ALL.into_iter().find(|known| known.name() == promise).expect(&name);
        promises.insert(promise);
        let mut script = script::read(&fs::read_to_string(&path).unwrap()).expect(&name);
        let is_broken = |script: &script::Script| {
            script.replay().violations().iter().any(|found| found.promise == promise)
        };
        assert!(is_broken(&script), "{name}");
        // The path is a shortest one: its last step breaks the promise. A step shows a few events at most.
        let last = script.events.len().saturating_sub(6);
        script.events.truncate(last);
        assert!(!is_broken(&script), "{name}: broken before its end");
    }
    // Some approach breaks each of the promises that a path can break.
    let expected = [
        Promise::MemoryOutlivesObjects,
        Promise::GracePeriodKept,
        Promise::BarrierCovers,
        Promise::CallbacksBeforeUnload,
        Promise::LeakIsReported,
        Promise::NoFalseSplat,
        Promise::DestroyCompletes,
        Promise::DeferredFreeComes,
    ];
    assert_eq!(promises, BTreeSet::from(expected));
}
