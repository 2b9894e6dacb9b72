//! Report: explores every world with every judge, and tells what was found: for a terminal, and for `docs/approaches.md`.

use std::{collections::BTreeMap, fmt::Write as _};

use krcu_model::rules::Rule;

use crate::approach::{self, row_name};

use super::{
    explore::{Found, Listener, Outcome, explore},
    promise::Sound,
    rows::{self, Heard},
    setup::Setup,
    worlds,
    wrong::Wrong,
};

/// A world, what a judge is told of it, and what was found.
struct Row {
    setup: Setup,
    listener: Listener,
    outcome: Outcome,
}

/// A wrong judge, and how it was refuted.
struct Refuted {
    wrong: Wrong,
    by: Option<(String, Found)>,
}

/// Everything that was found.
pub struct Chapter {
    rows: Vec<Row>,
    refuted: Vec<Refuted>,
    heard: Vec<Heard>,
}

/// Where a judge is held: each world with each of its plans and losses.
fn listeners(wrong: Wrong) -> Vec<(Setup, Listener)> {
    let mut all = Vec::new();
    for setup in worlds::all() {
        for (plan, loss) in worlds::watches(&setup) {
            all.push((setup.clone(), Listener { plan, loss, wrong }));
        }
    }
    all
}

/// Explores everything on some threads: the worlds and the wrong judges that have this text in their names; all worlds, if
/// none has.
#[must_use]
pub fn run(threads: usize, only: &str, done: impl Fn(&str) + Sync) -> Chapter {
    let is_wanted = |name: &str| name.contains(only);
    let mut all = listeners(Wrong::Nothing);
    if all.iter().any(|(setup, _)| is_wanted(setup.name)) {
        all.retain(|(setup, _)| is_wanted(setup.name));
    }
    let outcomes = crate::check::table::in_parallel(threads, all.len(), |job| {
        let (setup, listener) = &all[job];
        let outcome = explore(setup, *listener);
        done(&format!("{}: {} states", named(setup, *listener), outcome.states));
        outcome
    });
    let rows = all.into_iter().zip(outcomes);
    let rows = rows.map(|((setup, listener), outcome)| Row {
        setup,
        listener,
        outcome: outcome.unwrap_or_default(),
    });
    let rows: Vec<Row> = rows.collect();
    let wrongs: Vec<Wrong> = wrongs().into_iter().filter(|wrong| is_wanted(wrong.words())).collect();
    let refuted = crate::check::table::in_parallel(threads, wrongs.len(), |job| {
        let by = refute(wrongs[job], &rows);
        let mark = if by.is_some() { "refuted" } else { "NOT REFUTED" };
        done(&format!("a judge without a rule, or wrong: {}: {mark}", wrongs[job].words()));
        Refuted { wrong: wrongs[job], by }
    });
    let refuted = refuted.into_iter().flatten().collect();
    let approaches: Vec<_> = approach::all().into_iter().chain(approach::mended()).collect();
    let heard = crate::check::table::in_parallel(threads, approaches.len(), |job| {
        let approach = approaches[job].as_ref();
        let heard = is_wanted(&row_name(approach)).then(|| rows::listen(approach))?;
        done(&format!("{}: {} states", heard.name, heard.states));
        Some(heard)
    });
    Chapter { rows, refuted, heard: heard.into_iter().flatten().flatten().collect() }
}

/// The wrong judges: each rule taken away, and those made by hand.
fn wrongs() -> Vec<Wrong> {
    let rules = Rule::ALL.iter().map(|rule| Wrong::Without(*rule));
    rules.chain(Wrong::ALL.map(|(wrong, _)| wrong)).collect()
}

/// The first world in which a wrong judge breaks a promise that the right one keeps, the smallest worlds first. A judge that is
/// made by hand has to break the promise that it is made for.
fn refute(wrong: Wrong, rows: &[Row]) -> Option<(String, Found)> {
    let made_for = Wrong::ALL.iter().find(|(made, _)| *made == wrong).map(|(_, promise)| *promise);
    let mut order: Vec<&Row> = rows.iter().collect();
    order.sort_by_key(|row| row.outcome.states);
    order.into_iter().find_map(|row| {
        let listener = Listener { wrong, ..row.listener };
        let outcome = explore(&row.setup, listener);
        let is_new = |found: &Found| {
            row.outcome.breaks(found.promise).is_none() && made_for.is_none_or(|made| made == found.promise)
        };
        let found = outcome.found.into_iter().filter(is_new).min_by_key(|found| found.path.len())?;
        Some((named(&row.setup, listener), found))
    })
}

fn named(setup: &Setup, listener: Listener) -> String {
    let Listener { plan, loss, .. } = listener;
    format!("{}; {}; {}", setup.name, plan.words(), loss.words())
}

impl Chapter {
    /// What is not as it should be, one line each.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let broken = self.rows.iter().flat_map(|row| {
            row.outcome.found.iter().map(|found| {
                let Found { promise, said, deserved, path, .. } = found;
                let path = path.join("\n      ");
                let world = named(&row.setup, row.listener);
                format!("{world}: {} is broken: {said}; deserved: {deserved}\n      {path}", promise.name())
            })
        });
        let survivors = self.refuted.iter().filter(|refuted| refuted.by.is_none());
        let survivors = survivors.map(|refuted| format!("not refuted: {}", refuted.wrong.words()));
        let heard = self.heard.iter().flat_map(|heard| {
            let wrong = rows::ASKED.into_iter().filter(|promise| heard.is_wrong(*promise));
            wrong.map(|promise| {
                let (path, said) = heard.broken.get(&promise).cloned().unwrap_or_default();
                let path = path.join("\n      ");
                format!("{}: {} is not as expected: {said}\n      {path}", heard.name, promise.name())
            })
        });
        let silent = self.heard.iter().filter(|heard| heard.courses == 0);
        let silent = silent.map(|heard| format!("{}: nothing is judged", heard.name));
        broken.chain(survivors).chain(heard).chain(silent).collect()
    }

    /// How much was explored.
    #[must_use]
    pub fn totals(&self) -> String {
        let states: usize = self.rows.iter().map(|row| row.outcome.states).sum();
        let histories: usize = self.rows.iter().map(|row| row.outcome.histories).sum();
        let refuted = self.refuted.iter().filter(|refuted| refuted.by.is_some()).count();
        let states_of_rows: usize = self.heard.iter().map(|heard| heard.states).sum();
        format!(
            "the judge: {} watches of worlds, {states} states, {histories} judged courses of events; {refuted} of {} wrong \
             judges refuted; {} approaches, {states_of_rows} states",
            self.rows.len(),
            self.refuted.len(),
            self.heard.len()
        )
    }

    /// The chapter of the documentation.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("{HEADING}{INTRODUCTION}");
        text.push_str("\n| promise | what it says |\n| --- | --- |\n");
        for promise in Sound::ALL {
            let _ = writeln!(text, "| `{}` | {} |", promise.name(), promise.says());
        }
        self.worlds(&mut text);
        self.of_rows(&mut text);
        self.wrong_judges(&mut text);
        text
    }

    fn worlds(&self, text: &mut String) {
        text.push_str("\n### The judge's worlds\n\n| world | told | lost |");
        for promise in Sound::ALL {
            let _ = write!(text, " {} |", promise.name().replace('_', " "));
        }
        text.push_str(" states | judged courses | left open |\n| --- | --- | --- |");
        text.push_str(&" --- |".repeat(Sound::ALL.len()));
        text.push_str(" ---: | ---: | --- |\n");
        for Row { setup, listener, outcome } in &self.rows {
            let Listener { plan, loss, .. } = listener;
            let _ = write!(text, "| {} | {} | {} |", setup.name, plan.words(), loss.words());
            for promise in Sound::ALL {
                let is_asked = match promise {
                    Sound::InsightAgrees => listener.is_whole(setup),
                    Sound::OpenIsNotLazy => listener.is_whole(setup) && !setup.hides,
                    _ => true,
                };
                let mark = match outcome.breaks(promise) {
                    Some(_) => "**fails**",
                    None if is_asked => "holds",
                    None => "–",
                };
                let _ = write!(text, " {mark} |");
            }
            let _ = writeln!(
                text,
                " {} | {} | {} |",
                outcome.states,
                outcome.histories,
                shares(&outcome.open, outcome.histories)
            );
        }
        let _ = writeln!(text, "\n{}.", self.totals());
    }

    /// The machines of the approaches.
    fn of_rows(&self, text: &mut String) {
        text.push_str(OF_ROWS);
        text.push_str("\n| approach |");
        for promise in rows::ASKED {
            let _ = write!(text, " {} |", promise.name().replace('_', " "));
        }
        text.push_str(" states | judged courses | what it says |\n| --- |");
        text.push_str(&" --- |".repeat(rows::ASKED.len()));
        text.push_str(" ---: | ---: | --- |\n");
        for heard in &self.heard {
            let marks = rows::ASKED.map(|promise| match heard.broken.contains_key(&promise) {
                _ if heard.is_wrong(promise) => "**WRONG**",
                true => "**fails**",
                false => "holds",
            });
            let says = shares(&heard.says, heard.courses);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {says} |",
                heard.name,
                marks.join(" | "),
                heard.states,
                heard.courses
            );
        }
        for (heard, (promise, why)) in
            self.heard.iter().flat_map(|heard| heard.expected.iter().map(move |expected| (heard, expected)))
        {
            let said = heard.broken.get(promise).map(|(_, said)| said.as_str()).unwrap_or_default();
            let _ = write!(text, "\n- {}: `{}` fails: {why}. It says: {said}.", heard.name, promise.name());
        }
        text.push('\n');
    }

    fn wrong_judges(&self, text: &mut String) {
        text.push_str(
            "\n### Wrong judges\n\nA rule of the judge is taken away, or the judge is made wrong by hand. Each must break a \
             promise.\n\n| judge | breaks | in steps | world |\n| --- | --- | ---: | --- |\n",
        );
        for Refuted { wrong, by } in &self.refuted {
            let what = match wrong {
                Wrong::Without(rule) => format!("without: {}", rule.words()),
                _ => wrong.words().to_owned(),
            };
            let _ = match by {
                Some((world, found)) => {
                    writeln!(text, "| {what} | `{}` | {} | {world} |", found.promise.name(), found.path.len())
                }
                None => writeln!(text, "| {what} | NOT REFUTED | | |"),
            };
        }
        text.push_str("\nTheir paths:\n");
        for Refuted { wrong, by } in &self.refuted {
            let Some((world, found)) = by else { continue };
            let Found { said, deserved, path, .. } = found;
            let _ = write!(text, "\n<details><summary>{}: {world}</summary>\n\n", wrong.words());
            for (number, step) in (1..).zip(path) {
                let _ = writeln!(text, "{number}. {step}");
            }
            let _ = write!(text, "\nIt says: {said}. Deserved: {deserved}.\n\n</details>\n");
        }
    }
}

/// The share of courses that were left open, by the reasons.
fn shares(open: &BTreeMap<String, usize>, histories: usize) -> String {
    let share = |(why, count): (&String, &usize)| {
        let percent = 100 * count / histories.max(1);
        format!("{why}: {count} ({percent} %)")
    };
    let shares: Vec<String> = open.iter().map(share).collect();
    if shares.is_empty() { "nothing".to_owned() } else { shares.join("; ") }
}

/// The heading of the chapter.
pub const HEADING: &str = "\n## The judge\n";

const INTRODUCTION: &str = "
The rows above ask whether a kernel is right. This chapter asks whether the judge is. It listens to small kernels in which one
module goes. Each of them knows the truth about its objects: which are free, what a callback has done with its object, for whom a
task has waited. The judge gets what probes show of that, and nothing else. Every order of the steps is taken, and no two
histories are put together unless the kernel's state and everything that the judge was told are the same. In each state in which
a destroy or an unload is over, the verdict is held against the truth.

What is taken for granted: a barrier covers what was queued before its call, whichever task queued it; a callback that queues
itself again is one callback; what a callback hands on to a timer or to a thread is no deferred free; what is freed while the
slabs are counted may hide as many objects that leaked; where the destroy itself waits, a callback that was queued before the
attach is one of `call_rcu()`. The last is not always true: after a late attach on 7.x, `waited` may be said of a callback of
`call_srcu()`, for which that destroy does not wait.

Where the judge is not told of everything, a world may hold fewer histories than are possible. There `inconclusive` is not asked
to be earned; but a wrong judge must decide what the right one decides there. The numbers of states, of judged courses and of
those that are left open are exact: if one changes, the judge or a world has changed.
";

const OF_ROWS: &str = "
### The judge in the rows

A live judge also listens to the machine of each row: two CPUs, and one module with two objects, which exits by the row's own
path. In one world both frees are deferred, in another one memory is short as well, and in a third one an object is leaked. The
judge gets what probes would show of that machine. What the machine has left when the destroy looks is held against the verdict. A
teardown has ordered everything if it calls a barrier and the row keeps `memory_outlives_objects`. Not asked here: whether the
judge is lazy, and what another module does meanwhile; the small kernels are for that. Where a destroy lingers, it is judged when
the cache is given back.
";
