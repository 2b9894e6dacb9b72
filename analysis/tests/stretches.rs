//! Stretches: a what-if of a trace in parts says of each destroy what that of the whole says.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::{fs, path::Path};

use krcu_analysis::{
    ask::Needs,
    load,
    whatif::{self, Question},
};

/// Of each destroy under each approach: what does not depend on which sample was drawn for what.
fn rows(path: &Path, together: u64) -> Option<(usize, Vec<String>)> {
    let asked = load::load(path, Needs::SMALL, Some(together)).unwrap().asked.unwrap().ok()?;
    let answer = whatif::ask(&asked, &Question { approach: None, seed: 1 }).unwrap();
    let mut rows: Vec<String> = answer
        .rows
        .iter()
        .map(|row| {
            format!(
                "{} {} {}: own {}, unsafe {}, splat {}",
                row.approach, row.destroy, row.cache, row.waited_for_own, row.is_unsafe, row.splat
            )
        })
        .collect();
    rows.sort();
    Some((asked.stretches().0, rows))
}

#[test]
fn parts_say_what_the_whole_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces");
    let mut divided = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "script") {
            continue;
        }
        let Some((1, whole)) = rows(&path, 1 << 20) else { continue };
        let (stretches, parts) = rows(&path, 100).unwrap();
        divided += usize::from(stretches > 1);
        let differing: Vec<_> = whole.iter().zip(&parts).filter(|(whole, part)| whole != part).collect();
        println!("{} {stretches} {} of {}", path.display(), differing.len(), whole.len());
        for (whole, part) in differing.iter().take(6) {
            println!("   {whole}\n   {part}");
        }
    }
    assert!(divided > 10);
}
