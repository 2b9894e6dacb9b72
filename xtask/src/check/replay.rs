//! Replays the events that a run left and holds the verdicts against those that the run itself gave.
//!
//! The replay is an example of the model's crate, run as a person with a bug report would run it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::progress::output_of;
use crate::toolchain::build;

/// Every way in which the replay of `events` is not what the run printed; none when it is.
pub(crate) fn disagreements(events: &Path, live: &str) -> Vec<String> {
    let replayed = build::example("replay").and_then(|replay| output_of(Command::new(replay).arg(events)));
    match replayed {
        Ok(replayed) => compare(live, &replayed),
        Err(error) => vec![format!("its events cannot be replayed: {error:#}")],
    }
}

/// The verdicts' lines byte for byte, after the version that only a report has; and the number of events.
fn compare(live: &str, replayed: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (told, again) = (verdicts(live), verdicts(replayed));
    if told.len() != again.len() {
        found.push(format!("{} verdicts were given, and {} by the replay", told.len(), again.len()));
    }
    for (told, again) in told.iter().zip(&again).filter(|(told, again)| told != again) {
        found.push(format!("a verdict is not that of the replay\n    run    {told}\n    replay {again}"));
    }
    let count = |text: &str, kind: &str| {
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["kind"] == kind).find_map(|line| line["events"].as_u64())
    };
    let (taken, again) = (count(live, "summary"), count(replayed, "replay"));
    if taken.is_none() || taken != again {
        found.push(format!("{taken:?} events were taken, and {again:?} by the replay"));
    }
    found
}

fn verdicts(text: &str) -> Vec<&str> {
    const START: &str = "\"kind\":\"verdict\",";
    text.lines().filter_map(|line| line.split_once(START).map(|(_, fields)| fields)).collect()
}

#[cfg(test)]
mod tests {
    use super::compare;

    const LIVE: &str = "{\"schema\":1,\"kind\":\"verdict\",\"verdict\":\"clean\",\"cache\":\"a\"}\n\
                        {\"schema\":1,\"kind\":\"summary\",\"events\":7}\n";
    const REPLAYED: &str = "{\"kind\":\"verdict\",\"verdict\":\"clean\",\"cache\":\"a\"}\n\
                            {\"kind\":\"replay\",\"events\":7}\n";

    #[test]
    fn a_replay_that_says_the_same_agrees() {
        assert_eq!(compare(LIVE, REPLAYED), Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_told() {
        assert_eq!(compare(LIVE, &REPLAYED.replace("clean", "waited")).len(), 1);
        assert_eq!(compare(LIVE, &REPLAYED.replace('7', "6")).len(), 1);
        let twice = LIVE
            .replace("{\"schema\":1,\"kind\":\"verdict\"", "{\"kind\":\"verdict\",\n{\"kind\":\"verdict\"");
        assert_eq!(compare(&twice, REPLAYED).len(), 2);
        assert_eq!(compare("", "").len(), 1, "nothing was taken, and nothing says so");
    }
}
