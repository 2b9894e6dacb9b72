//! Text: the findings on one screen, with at most 40 lines of at most 100 columns, without colour.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use krcu_report::words::wrapped;

use crate::kernel::catalog::{MAKER, Word};
use crate::kernel::facts::{Facts, Privileges, Source};
use crate::kernel::plan::{Offer, Plan, Probe};

/// Columns of a line.
const COLUMNS: usize = 100;
/// How many sentences of a list are shown. The rest is only counted.
const SENTENCES: usize = 3;
/// Where the second column of the upper part begins.
const INDENT: usize = 12;

/// The screen.
#[must_use]
pub fn page(facts: &Facts, plan: &Plan) -> String {
    let mut page = String::new();
    let release = facts.release.as_deref().unwrap_or("of unknown release");
    let cpus = facts.possible_cpus.map_or_else(|| "CPUs unknown".to_owned(), |cpus| format!("{cpus} CPUs"));
    let _ = writeln!(page, "krcu doctor: Linux {release}, {}, {cpus}", facts.arch);
    if let Some(first) = plan.refusals.first() {
        wrap(&mut page, "", &format!("Not ready: {first}"));
    }
    page.push('\n');
    item(&mut page, "kernel", &kernel(facts));
    item(&mut page, "privileges", &privileges(facts.privileges));
    page.push('\n');
    for row in rows(&plan.probes) {
        let _ = writeln!(page, "{}", clip(row.trim_end()));
    }
    page.push('\n');
    sentences(&mut page, "undecidable", &plan.undecidable, "nothing: every verdict can be reached");
    match plan.refusals.split_first() {
        None => page.push_str("\nReady: krcu check -- COMMAND\n"),
        Some((_, [])) => {}
        Some((_, rest)) => {
            page.push('\n');
            for refusal in rest.iter().take(SENTENCES) {
                wrap(&mut page, "", &format!("and then: {refusal}"));
            }
            if rest.len() > SENTENCES {
                let _ = writeln!(page, "and {} more: --format json lists them", rest.len() - SENTENCES);
            }
        }
    }
    page
}

fn kernel(facts: &Facts) -> String {
    let source = |source: &Source| match source {
        Source::Read => "read".to_owned(),
        Source::Missing => "MISSING".to_owned(),
        Source::NotMounted => "NOT MOUNTED".to_owned(),
        Source::Hidden => "HIDDEN".to_owned(),
        Source::Unreadable(why) => format!("UNREADABLE ({why})"),
    };
    let switch = |state: Option<bool>| match state {
        Some(true) => "on",
        Some(false) => "OFF",
        None => "not known",
    };
    format!(
        "type information {} · symbols {} · JIT {} · function tracing {} · lockdown {}",
        source(&facts.btf),
        source(&facts.kallsyms),
        switch(facts.jit),
        switch(facts.ftrace),
        facts.lockdown.as_deref().unwrap_or("not known"),
    )
}

fn privileges(privileges: Option<Privileges>) -> String {
    let Some(has) = privileges else { return "not known".to_owned() };
    let word = |had: bool| if had { "yes" } else { "NO" };
    format!(
        "CAP_BPF {} (load) · CAP_PERFMON {} (attach and read) · CAP_SYSLOG {} (addresses); once it is attached \
         none · CAP_SYS_ADMIN {} (for `probes.statistics` alone)",
        word(has.bpf || has.sys_admin),
        word(has.perfmon || has.sys_admin),
        word(has.syslog),
        if has.sys_admin { "yes" } else { "no" },
    )
}

/// The places that are probed: those of one word together, in the order of a life, and in one row those that are probed in one
/// way and of which the same is said. When nothing of a word is offered, for one reason, a row has their number, lest a kernel
/// without anything fills the screen with that.
fn rows(probes: &[Probe]) -> Vec<String> {
    let mut rows = Vec::new();
    for word in [Word::Module, Word::Cache, Word::Queue, Word::Grace, Word::Free, Word::Barrier] {
        let is_spare = |probe: &Probe| probe.target == MAKER && !probe.is_planned();
        let of_word = probes.iter().rev().filter(|probe| probe.word == word);
        // Where one function sees every creation, the place of that one says so.
        let of_word: Vec<&Probe> = of_word.filter(|probe| !is_spare(probe)).collect();
        let mut groups: Vec<Group<'_>> = Vec::new();
        let mut seen = BTreeSet::new();
        for probe in of_word.iter().filter(|probe| seen.insert(probe.target)) {
            let here = || of_word.iter().filter(|other| other.target == probe.target);
            // Once each: what is attached twice is attached in one way.
            let how: BTreeSet<&str> = here().map(|probe| probe.attach.name()).collect();
            let how: Vec<&str> = how.into_iter().collect();
            let worst = here().max_by_key(|probe| badness(&probe.offer)).unwrap_or(probe);
            let needed = if probe.required { " (needed)" } else { "" };
            let said = format!("{}{needed}", said(&worst.offer));
            let is_missing = matches!(worst.offer, Offer::NotOffered(_));
            let group = Group { how: how.join("+"), said, is_missing, places: Vec::new() };
            let place =
                groups.iter().position(|known| (&known.how, &known.said) == (&group.how, &group.said));
            let place = place.unwrap_or(groups.len());
            if place == groups.len() {
                groups.push(group);
            }
            groups[place].places.push(probe.target);
        }
        let reasons: BTreeSet<&str> =
            groups.iter().map(|group| group.said.trim_end_matches(" (needed)")).collect();
        let places: usize = groups.iter().map(|group| group.places.len()).sum();
        if let (true, Some(reason)) =
            (reasons.len() == 1 && groups.iter().all(|group| group.is_missing), reasons.first())
            && places > 1
        {
            rows.push(format!("{:<7}  {reason}: {places} places", word.name()));
            continue;
        }
        for group in groups {
            let text = format!("{}: {}", group.said, group.places.join(", "));
            let heads = [format!("{:<7}  {:<12}  ", word.name(), group.how), " ".repeat(25)];
            rows.extend(wrapped([&heads[0], &heads[1]], &text, COLUMNS));
        }
    }
    rows
}

/// Places that are probed in one way, and of which the same is said.
struct Group<'a> {
    how: String,
    said: String,
    is_missing: bool,
    places: Vec<&'a str>,
}

fn badness(offer: &Offer) -> u8 {
    match offer {
        // Several programs may be for one place: what one needs is there, whatever another does without.
        Offer::NotNeeded(_) => 0,
        Offer::Offered => 1,
        Offer::CouldNotLook(_) => 2,
        Offer::NotOffered(_) => 3,
    }
}

fn said(offer: &Offer) -> String {
    match offer {
        Offer::Offered => "offered".to_owned(),
        Offer::NotNeeded(why) => format!("not needed: {why}"),
        Offer::CouldNotLook(why) => format!("could not look: {why}"),
        Offer::NotOffered(why) => format!("NOT OFFERED: {why}"),
    }
}

fn sentences(page: &mut String, head: &str, all: &[String], none: &str) {
    if all.is_empty() {
        return item(page, head, none);
    }
    for (number, sentence) in all.iter().take(SENTENCES).enumerate() {
        item(page, if number == 0 { head } else { "" }, sentence);
    }
    if all.len() > SENTENCES {
        item(page, "", &format!("and {} more: --format json lists them", all.len() - SENTENCES));
    }
}

fn item(page: &mut String, head: &str, text: &str) {
    wrap(page, &format!("{head:<INDENT$}"), text);
}

/// Writes words into lines; the second and later ones are indented as far as the first one's head.
fn wrap(page: &mut String, head: &str, text: &str) {
    let indent = " ".repeat(head.chars().count().max(2));
    let _ = writeln!(page, "{}", wrapped([head, &indent], text, COLUMNS).join("\n"));
}

fn clip(line: &str) -> String {
    if line.chars().count() <= COLUMNS {
        return line.to_owned();
    }
    line.chars().take(COLUMNS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::facts::Function;
    use crate::kernel::plan::tests::debian;

    fn fits(page: &str) {
        assert!(page.lines().count() <= 40, "{} lines:\n{page}", page.lines().count());
        for line in page.lines() {
            assert!(line.chars().count() <= COLUMNS, "too long: {line}");
        }
    }

    #[test]
    fn a_kernel_that_offers_everything_is_ready_on_one_screen() {
        for series in ["6.12", "6.18", "7.3"] {
            let facts = debian(series);
            let page = page(&facts, &Plan::of(&facts));
            fits(&page);
            assert!(page.contains("\nundecidable nothing: every verdict can be reached\n"), "{page}");
            assert!(page.ends_with("\nReady: krcu check -- COMMAND\n"), "{page}");
            assert!(!page.contains("NOT OFFERED"), "{page}");
        }
    }

    #[test]
    fn a_kernel_without_anything_says_what_to_do_on_one_screen() {
        let mut facts = debian("7.3");
        facts.btf = Source::Missing;
        facts.kallsyms = Source::Hidden;
        facts.jit = Some(false);
        facts.privileges = Some(Privileges::from_bits(0));
        facts.layout = crate::kernel::layout::Layout::default();
        facts.functions.values_mut().for_each(|function| *function = Function::default());
        facts.tracepoints.values_mut().for_each(|tracepoint| *tracepoint = None);
        let page = page(&facts, &Plan::of(&facts));
        fits(&page);
        let barriers = "barrier  NOT OFFERED: no type information: 9 places\n";
        assert!(page.contains(barriers), "{page}");
        assert!(page.contains("type information MISSING · symbols HIDDEN · JIT OFF"), "{page}");
        assert!(page.contains("\nNot ready: krcu needs root"), "{page}");
    }

    #[test]
    fn each_capability_is_told_with_what_it_is_for() {
        let told = |bits: u64| privileges(Some(Privileges::from_bits(bits)));
        let [admin, syslog, perfmon, bpf] = [21, 34, 38, 39].map(|bit| 1_u64 << bit);
        let without = told(bpf | perfmon | syslog);
        for part in
            ["CAP_BPF yes (load", "CAP_PERFMON yes (attach", "CAP_SYSLOG yes (addresses)", "CAP_SYS_ADMIN no"]
        {
            assert!(without.contains(part), "{without}");
        }
        let all_but_addresses = told(admin);
        assert!(all_but_addresses.contains("CAP_BPF yes") && all_but_addresses.contains("CAP_SYSLOG NO"));
        assert!(told(bpf | syslog).contains("CAP_PERFMON NO (attach"));
    }

    #[test]
    fn a_place_that_one_program_needs_is_offered_whatever_others_want_there() {
        for (series, expected) in [("6.1", "fentry+fexit  offered"), ("6.18", "fentry+fexit  not needed")] {
            let facts = debian(series);
            let page = page(&facts, &Plan::of(&facts));
            // The row that names it, which may be wrapped.
            let before = page.split("kmem_cache_free_bulk").next().unwrap();
            let row = before.lines().rfind(|line| line.starts_with("free ")).unwrap();
            assert_eq!(row.split(": ").next(), Some(format!("free     {expected}").as_str()), "{series}");
            assert_eq!(page.matches("kmem_cache_free_bulk").count(), 1, "{series}");
        }
    }

    #[test]
    fn one_line_stands_for_all_programs_of_a_place() {
        let mut facts = debian("6.12");
        facts.functions.insert(
            "rcu_barrier".to_owned(),
            Function { btf: Some(true), symbols: Some(1), traceable: Some(false) },
        );
        let page = page(&facts, &Plan::of(&facts));
        let line = page.lines().find(|line| line.ends_with(": rcu_barrier")).unwrap();
        assert_eq!(line, "barrier  fentry+fexit  NOT OFFERED: it has no place for a probe: rcu_barrier");
        assert_eq!(page.matches(" rcu_barrier\n").count(), 1);
    }
}
