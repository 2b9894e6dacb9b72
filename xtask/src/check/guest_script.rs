//! What a machine is given for its scenarios: a script for each, one that runs them all, and the programs that they call.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cache;
use crate::check::scenarios::{Act, Scenario};
use crate::check::trace_tests;

/// How long one scenario may take on a quiet computer; emulated machines are slow, and one module waits for eight seconds.
const SCENARIO_SECONDS: u64 = 90;
/// The same for a scenario that has a machine of its own.
const ALONE_SECONDS: u64 = 300;
/// A busy computer may take so many times as long. The clock of a machine goes on while the machine waits for a processor,
/// and these limits end nothing but what hangs.
const BUSY: u64 = 5;
/// Programs of the test machine, by where they are put.
const PROGRAMS: [(&str, &str); 2] =
    [("/bin/play", include_str!("../guest/play.sh")), ("/bin/unload", include_str!("../guest/unload.sh"))];

/// Writes what the machine runs for a scenario: `NAME.sh`, and `NAME.watched` for krcu to watch.
///
/// # Errors
///
/// When a file cannot be written.
pub(crate) fn write_scripts(scripts: &Path, scenario: &Scenario) -> Result<()> {
    let name = scenario.name;
    let text = match scenario.act {
        Act::Shell(text) | Act::Replayed(text) => text.to_owned(),
        Act::Watched { before, options, text } => {
            cache::write_file(&scripts.join(format!("{name}.watched")), text.as_bytes())?;
            let before =
                if before.is_empty() { String::new() } else { format!("{{ {before}\n}} >&2 || exit 99\n") };
            format!(
                "{before}krcu check --format json --events /out/{name}.events {options} -- sh /scenarios/{name}.watched"
            )
        }
    };
    // Who leaves its events is held against their replay.
    let text = if scenario.act.leaves_events() { text } else { trace_tests::with_traces(name, &text) };
    cache::write_file(&scripts.join(format!("{name}.sh")), text.as_bytes())
}

/// Writes our own programs for the machine; returns where they are here, and where they are put there.
///
/// # Errors
///
/// When a file cannot be written.
pub(crate) fn programs(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    cache::create_folder(folder)?;
    PROGRAMS
        .iter()
        .map(|(place, text)| {
            let path = folder.join(place.trim_start_matches("/bin/"));
            cache::write_file(&path, text.as_bytes())?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("making {} executable", path.display()))?;
            Ok((path, (*place).to_owned()))
        })
        .collect()
}

/// How long a scenario may take.
pub(crate) fn seconds(scenario: &Scenario) -> u64 {
    BUSY * if scenario.alone { ALONE_SECONDS } else { SCENARIO_SECONDS }
}

/// Starts the krcu that watches all scenarios. It reads commands from one pipe and answers on another, which ends when krcu
/// ends. The shell holds both ends of the first pipe, so that writing to a krcu that has ended does no harm.
const WATCH: &str = "mkfifo /tmp/ask /tmp/told
exec 3<>/tmp/ask 4<>/tmp/told
krcu check --each /tmp/ask --format json --report /out --events /out --output /out >/tmp/told 2>/out/WATCH.stderr 3<&- 4<&- &
watch=$!
exec 5</tmp/told 4<&-
";
/// Ends the commands, so that krcu detaches.
const END_WATCH: &str = "exec 3<&-\nwait $watch\necho $? >/out/WATCH.status\n";
/// How long krcu may take beyond what a command may: it settles for fifteen seconds at the most.
const SETTLE_SECONDS: u64 = 60 * BUSY;

/// The files of the krcu that watches all of these: how it ended, and what it said.
pub(crate) fn watch_name(scenarios: &[&Scenario]) -> String {
    format!("{}.watch", scenarios.first().map_or("", |scenario| scenario.name))
}

/// The script that the machine runs: each scenario, with files of its own and the part of the kernel's log that is its own. In a
/// machine that is so many times slower, each may take so many times as long.
pub(crate) fn guest_script(scenarios: &[&Scenario], is_watched: bool, slower: u64) -> String {
    let watch = watch_name(scenarios);
    let mut script = String::from("mkdir -p /out\n");
    if is_watched {
        script.push_str(&WATCH.replace("WATCH", &watch));
    }
    for scenario in scenarios {
        let name = scenario.name;
        let seconds = seconds(scenario) * slower;
        let limit = seconds + SETTLE_SECONDS * slower;
        let run = match scenario.act {
            Act::Watched { options, .. } if is_watched => format!(
                "echo '{name} {options} -- timeout {seconds} sh /scenarios/{name}.watched >/out/{name}.said 2>/out/{name}.stderr' >&3\n\
                 told=; status=; read -t {limit} -r told status <&5 || kill -9 $watch\n\
                 [ \"$told\" = {name} ] && echo $status >/out/{name}.status\n\
                 mv /out/{name}.json /out/{name}.report && cat /out/{name}.said /out/{name}.report >/out/{name}.json\n"
            ),
            _ => format!(
                "timeout {seconds} sh /scenarios/{name}.sh >/out/{name}.json 2>/out/{name}.stderr\n\
                 echo $? >/out/{name}.status\n"
            ),
        };
        script.push_str(&format!(
            "echo 'krcu-scenario {name}' >/dev/kmsg\ndmesg -c >/dev/null\n\
             {run}dmesg -c >/out/{name}.log\n\
             [ -d /sys/module/krcu_play ] && rmmod krcu_play\n"
        ));
    }
    if is_watched {
        script.push_str(&END_WATCH.replace("WATCH", &watch));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::guest_script;
    use crate::check::scenarios::agent;

    #[test]
    fn each_scenario_leaves_its_own_files() {
        let scenarios: Vec<_> = agent::SCENARIOS.iter().collect();
        for is_watched in [false, true] {
            let script = guest_script(&scenarios, is_watched, 1);
            for scenario in agent::SCENARIOS {
                assert!(script.contains(&format!(" >/out/{}.status\n", scenario.name)));
            }
            assert_eq!(script.contains("--each"), is_watched);
            let slower = guest_script(&scenarios, is_watched, 4);
            assert!(script.contains("timeout 450 ") && slower.contains("timeout 1800 "));
            assert!(!slower.contains("timeout 450 "));
        }
    }
}
