//! Changes texts that others wrote, and judges what comes of them: `fuzz_texts script|ask|line SECONDS [SEED]`. A script of
//! events goes through the judge and the report; the lines of the socket are those of a client and those of an agent.
#![expect(clippy::unwrap_used, reason = "what fails here is to be seen")]

#[path = "../../fuzz/guided.rs"]
mod guided;

use std::process::ExitCode;

use krcu_model::{State, script};
use krcu_report::{Ask, Bounds, Hello, Line, Outside, Reporter, Version, verdicts};

const SCRIPT: &str = r#"krcu-script 1
watch attached=5 possible_cpus=2 blind=frees
6 1@0 cache_created cache=0x1000 name="mine" object_size=64 refcount=1 asked_name="mine" site=3
7 1@0 site site=3 frame="f+0x1/0x2 [mod]" frame="g"
8 1@1 queued object=0x20 cache=0x1000 site=3
9 1@1 callback_queued object=0x21 cache=0x1000 function=0x7 text="mod" flavour=srcu domain=0x8 site=6
10 1@0 gap reason=ring_full events=18446744073709551615 from=1 until=2 cache=0x1000
11 1@0 gap reason=probe_missed events=18446744073709551615 from=1 until=2 queueing=yes
12 1@0 barrier_begin barrier=rcu rcu_works_flushed=1
13 1@0 barrier_end barrier=rcu
14 1@0 callback_runs object=0x21 cache=0x1000
15 1@0 freed object=0x20 cache=0x1000 path=bulk
16 1@0 batch_freed path=bulk
17 1@0 allocated object=0x20 cache=0x1000 site=9
18 1@0 destroy_begin cache=0x1000 name="mine" refcount=1 comm="rmmod" site=3
19 1@0 shutdown_begin cache=0x1000 rcu_works_flushed=4
20 1@0 shutdown_end empty=no objects=18446744073709551615 listed=2
21 1@0 grace_begin expedited=yes
22 1@0 module_going name="mod"
23 1@0 module_freed name="mod"
"#;

fn main() -> ExitCode {
    let target = std::env::args().nth(1).unwrap_or_default();
    match target.as_str() {
        "script" => guided::main("script", vec![SCRIPT.into()], judge),
        "ask" => {
            let ask = r#"{"kind":"hello","schema":1,"detail":"all"}"#;
            guided::main("ask", vec![ask.into()], |bytes| {
                if let (Ok(_), Ok(ask)) =
                    (serde_json::from_slice::<Version>(bytes), serde_json::from_slice::<Ask>(bytes))
                {
                    drop(serde_json::to_string(&ask).unwrap());
                }
            })
        }
        "line" => {
            let script = script::read(SCRIPT).unwrap();
            let (mut state, mut reporter) = (State::new(script.watch), Reporter::default());
            for event in script.events {
                reporter.see(&event, &state);
                state.step(event);
            }
            let report = reporter.report(&state, state.now(), Outside::default(), Bounds::ALL);
            let lines = [Line::Hello(Hello::default()), Line::Report(Box::new(report))];
            let seeds = lines.map(|line| serde_json::to_vec(&line).unwrap()).to_vec();
            guided::main("line", seeds, |bytes| {
                if let (Ok(_), Ok(line)) =
                    (serde_json::from_slice::<Version>(bytes), serde_json::from_slice::<Line>(bytes))
                {
                    drop(serde_json::to_string(&line).unwrap());
                }
            })
        }
        _ => {
            eprintln!("fuzz_texts script|ask|line SECONDS [SEED]");
            ExitCode::FAILURE
        }
    }
}

/// Replays a script as a terminal does: the judge, and reports of it.
fn judge(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(script) = script::read(text) else { return };
    let (mut state, mut reporter) = (State::new(script.watch), Reporter::default());
    for (place, event) in script.events.into_iter().enumerate() {
        reporter.see(&event, &state);
        state.step(event);
        if place % 8 == 7 {
            drop(reporter.report(&state, state.now(), Outside::default(), Bounds::ALL));
            reporter.forget(&mut state);
        }
    }
    let rows = verdicts(&state);
    drop(serde_json::to_string(&rows).unwrap());
    drop(reporter.report(&state, state.now(), Outside::default(), Bounds::ALL));
}
