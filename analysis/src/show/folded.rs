//! Folded: stacks with their counts, one a line, for programs that draw flame graphs.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Result, bail};
use polars::prelude::DataFrame;

/// What stands between two frames of a stack, the innermost one first.
const ARROW: &str = " ← ";

/// `CACHE;OUTERMOST;…;INNERMOST COUNT`. A function is one frame, wherever in it the call is.
///
/// # Errors
/// When the answer has no stacks.
pub(super) fn stacks(frame: &DataFrame) -> Result<String> {
    let Ok(stack) = frame.column("stack") else { bail!("only `sites` has stacks to be folded") };
    let stack = stack.str()?;
    let (cache, queued) = (frame.column("cache")?.str()?, frame.column("queued")?.u64()?);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for row in 0..frame.height() {
        let frames = stack.get(row).unwrap_or("").rsplit(ARROW).map(function);
        let cache = cache.get(row).filter(|name| !name.is_empty()).unwrap_or("(unnamed)");
        let line: Vec<String> = std::iter::once(plain(cache)).chain(frames).collect();
        *counts.entry(line.join(";")).or_default() += queued.get(row).unwrap_or(0);
    }
    let mut text = String::new();
    for (line, count) in counts {
        let _ = writeln!(text, "{line} {count}");
    }
    Ok(text)
}

/// `function [module]`, of a frame with an offset.
fn function(frame: &str) -> String {
    let (function, rest) = frame.split_once("+0x").unwrap_or((frame, ""));
    let module = rest.split_once(' ').map_or("", |(_, module)| module);
    plain(format!("{function} {module}").trim_end())
}

/// A name that cannot end its frame or its line.
fn plain(name: &str) -> String {
    name.replace(|letter: char| letter == ';' || letter.is_control(), "_")
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    #[test]
    fn a_function_is_one_frame_and_no_name_leaves_its_place() {
        let frame = df!(
            "queued" => [3u64, 4, 5],
            "cache" => [Some("my;cache\n"), Some("my;cache\n"), None],
            "stack" => ["f+0x1 [m] ← g+0x9", "f+0x2 [m] ← g+0x9", "(no stack was taken)"],
        );
        let folded = stacks(&frame.unwrap()).unwrap();
        assert_eq!(folded, "(unnamed);(no stack was taken) 5\nmy_cache_;g;f [m] 7\n");
        let other = df!("cache" => [1u64]).unwrap();
        assert_eq!(stacks(&other).unwrap_err().to_string(), "only `sites` has stacks to be folded");
    }
}
