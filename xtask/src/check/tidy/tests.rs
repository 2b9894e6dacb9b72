//! A deliberate offence against each rule, found by that rule and by no other.

use std::collections::BTreeSet;

use super::exceptions::{Exception, left};
use super::source::Source;
use super::{Complaint, Tree, absent, complaints};

/// An offence: the rule that has to find it, on which line of the first file, and the files.
type Offence = (&'static str, usize, &'static [(&'static str, &'static str)]);

const OFFENCES: &[Offence] = &[
    (
        "arrow between crates",
        2,
        &[("krcu-model/Cargo.toml", "[dev-dependencies]\nkrcu-trace.workspace = true\n")],
    ),
    ("arrow between crates", 1, &[("krcu-new/Cargo.toml", "[package]\n")]),
    (
        "arrow between folders",
        2,
        &[
            ("krcu-tui/src/state/mod.rs", "//! State.\nuse crate::Screen;\n"),
            ("krcu-tui/src/lib.rs", "//! Root.\npub use view::{Screen as Screen};\n"),
            ("krcu-tui/src/view/mod.rs", "//! View.\npub struct Screen;\n"),
        ],
    ),
    (
        "circle of files",
        1,
        &[
            ("krcu-trace/src/a.rs", "//! One.\nuse crate::b::B;\n"),
            ("krcu-trace/src/b.rs", "//! Two.\nfn b() { crate::c::c() }\n"),
            ("krcu-trace/src/c.rs", "//! Three.\nuse super::{a::A};\n"),
        ],
    ),
    ("absent", 2, &[("krcu-model/src/step.rs", "//! Step.\nuse std::{fmt, time::{Duration, Instant}};\n")]),
    (
        "absent",
        3,
        &[("krcu-model/src/step.rs", "//! Step.\nuse std::time;\nfn f() { time::Instant::now(); }\n")],
    ),
    ("absent", 2, &[("krcu-model/src/step.rs", "//! Step.\nuse std::time::*;\n")]),
    ("absent", 3, &[("krcu-model/src/step.rs", "//! Step.\nfn f() {\n    std::fs::read(\"a\");\n}\n")]),
    ("absent", 2, &[("krcu-reference/src/lib.rs", "//! Root.\nfn f() { unsafe { g() } }\n")]),
    ("absent", 2, &[("krcu-agent/src/pipeline.rs", "//! Way.\nuse aya::Ebpf;\n")]),
    ("absent", 2, &[("krcu-report/src/lib.rs", "//! Root.\nuse krcu_reference::Machine as Kernel;\n")]),
    ("absent", 2, &[("krcu-model/src/state.rs", "//! State.\ntype T = HashMap<u8, u8>;\n")]),
    ("width", 2, &[("xtask/src/run.rs", WIDE)]),
    ("width of comments", 2, &[("xtask/src/run.rs", WIDE_COMMENT)]),
    ("duty", 1, &[("xtask/src/run.rs", "use std::fmt;\n")]),
    ("duty", 1, &[("xtask/src/run.rs", "//!\n//! \n")]),
    (
        "a fact said twice",
        2,
        &[
            ("krcu-agent/src/losses.rs", "//! Losses.\nconst A: &str = \"freed_single\";\n"),
            ("krcu-agent/src/kernel/catalog.rs", "//! Probes.\nconst A: &str = \"freed_single\";\n"),
            (
                "krcu-ebpf/src/probes/free.rs",
                "//! Frees.\n#[fentry]\npub fn freed_single() {}\nfn other() {}\n",
            ),
        ],
    ),
    (
        "a fact said twice",
        2,
        &[
            ("krcu-trace/src/decode.rs", "//! Rows.\nconst A: &str = \"time_ns\";\n"),
            ("krcu-trace/src/schema.rs", "//! Schema.\nconst A: &str = \"time_ns\";\n"),
        ],
    ),
    (
        "a fact said twice",
        2,
        &[
            ("krcu-model/src/event.rs", "//! Event.\nconst A: &str = \"queueing\";\n"),
            ("krcu-trace/src/names.rs", "//! Names.\nconst A: &str = \"queueing\";\n"),
        ],
    ),
    (
        "one word for one thing",
        2,
        &[
            ("krcu-model/src/ledger.rs", "//! Ledger.\npub struct Ledger;\n"),
            ("krcu-agent/src/losses.rs", "//! Losses.\nenum Ledger {}\n"),
        ],
    ),
    (
        "one word for one thing",
        1,
        &[("krcu-tui/src/words.rs", "//! Words.\n"), ("krcu-report/src/words/mod.rs", "//! Words.\n")],
    ),
    (
        "variable",
        2,
        &[(
            "krcu-tui/tests/screens.rs",
            concat!("//! Screens.\nconst A: &str = \"KRCU", "_WRITE_SCREENS\";\n"),
        )],
    ),
];

const WIDE: &str = "//! Runs.\nfn f() { one(111111111, 222222222, 333333333, 444444444, 555555555, 666666666, 777777777, 888888888, 999999999); }\n";
const WIDE_COMMENT: &str = "//! Runs.\n// 1111111111 2222222222 3333333333 4444444444 5555555555 6666666666 7777777777 8888888888 9999999999 1111111111 2222222222 3333333333\n";

fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree { architecture: absent::document(), ..Tree::default() };
    for (path, text) in files {
        match path.strip_suffix("/Cargo.toml") {
            Some(own) => tree.manifests.push((own.to_owned(), (*text).to_owned())),
            None => tree.sources.push(Source::new(path, text)),
        }
    }
    tree
}

/// The rules that are broken, each with the place.
fn found(files: &[(&str, &str)]) -> BTreeSet<(&'static str, String, usize)> {
    let complaints = complaints(&tree(files)).into_iter();
    complaints.map(|complaint| (complaint.rule, complaint.path, complaint.line)).collect()
}

#[test]
fn each_offence_is_found_by_its_rule_alone() {
    for (rule, line, files) in OFFENCES {
        let all = found(files);
        assert!(all.iter().all(|(found, _, _)| found == rule), "{rule}: {all:?}");
        assert!(all.contains(&(*rule, files[0].0.to_owned(), *line)), "{rule}: {all:?}");
    }
}

#[test]
fn what_is_allowed_is_no_offence() {
    let allowed: &[(&str, &str)] = &[
        (
            "krcu-trace/Cargo.toml",
            "[package]\nname = \"krcu-trace\"\n[dependencies]\nkrcu-model.workspace = true\n",
        ),
        // What is allowed in one place is not in another: threads, aya, and tests may use what they like.
        ("krcu-reference/src/check/world.rs", "//! World.\nuse std::thread;\n"),
        ("krcu-agent/src/probe/mod.rs", "//! Probes.\nuse aya::Ebpf;\n"),
        (
            "krcu-model/src/step.rs",
            "//! Step: `unsafe` and \"HashMap\" are said.\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n",
        ),
        ("krcu-model/tests/traces.rs", "//! Traces.\nuse std::fs;\n"),
        // A module uses its parts, and these what it has for all of them.
        ("krcu-tui/src/view/mod.rs", "//! Views.\nuse a::A;\npub struct View;\nfn f() { b::b() }\n"),
        ("krcu-tui/src/view/a.rs", "//! One.\nuse super::View;\npub struct A;\n"),
        ("krcu-tui/src/view/b.rs", "//! Two.\nuse super::{View, a::A};\n"),
        // A name in a place that is no home of it.
        ("analysis/src/facts/frees.rs", "//! Frees.\nconst A: &str = \"time_ns\";\n"),
        ("krcu-trace/src/schema.rs", "//! Schema.\nconst A: &str = \"time_ns\";\n"),
        ("krcu-model/src/ledger.rs", "//! Ledger.\npub struct Ledger;\n"),
    ];
    assert_eq!(found(allowed), BTreeSet::new());
}

#[test]
fn a_file_and_a_function_have_so_many_lines_and_no_more() {
    let file = |lines: usize| format!("//! Long.\n{}", "const A: u8 = 1;\n".repeat(lines - 1));
    assert_eq!(found(&[("xtask/src/run.rs", &file(500))]), BTreeSet::new());
    let long = BTreeSet::from([("long file", "xtask/src/run.rs".to_owned(), 1)]);
    assert_eq!(found(&[("xtask/src/run.rs", &file(501))]), long);
    assert_eq!(found(&[("xtask/tests/run.rs", &file(501))]), BTreeSet::new());
    let function = |above: &str, lines: usize| {
        format!(
            "//! Long.\n{above}\nfn f(\n    a: [u8; 2],\n) -> u8 {{\n{}}}\n",
            "    a();\n".repeat(lines - 4)
        )
    };
    assert_eq!(found(&[("xtask/src/run.rs", &function("", 70))]), BTreeSet::new());
    let long = BTreeSet::from([("long function", "xtask/src/run.rs".to_owned(), 3)]);
    assert_eq!(found(&[("xtask/src/run.rs", &function("", 71))]), long);
    let reason = "// tidy: long, since it is a table.\n#[inline]";
    assert_eq!(found(&[("xtask/src/run.rs", &function(reason, 71))]), BTreeSet::new());
}

#[test]
fn the_document_has_to_promise_what_is_held() {
    let mut tree = tree(&[]);
    tree.architecture = tree.architecture.replace("threads", "yarns");
    let complaints = complaints(&tree);
    assert!(!complaints.is_empty());
    assert!(complaints.iter().all(|complaint| complaint.rule == "absent, as documented"), "{complaints:?}");
    let mut tree = self::tree(&[("xtask/src/run.rs", "//! Runs.\n")]);
    tree.architecture += "`xtask/src/run.rs`, `xtask/src`, `run.rs`\n`xtask/src/ran.rs`";
    let complaints = self::complaints(&tree);
    let lines: Vec<_> = complaints.iter().map(|complaint| (complaint.rule, complaint.line)).collect();
    assert_eq!(lines, [("a source that the map names", tree.architecture.lines().count())]);
}

#[test]
fn an_exception_lets_its_offence_pass_and_is_one_itself_when_nothing_needs_it() {
    let complaint = |path: &str| Complaint {
        path: path.to_owned(),
        line: 7,
        rule: "long file",
        what: "501 lines".to_owned(),
    };
    let exception = |path| Exception { rule: "long file", path, has: "", because: "it is split" };
    let both = vec![complaint("a/src/lib.rs"), complaint("b/src/lib.rs")];
    assert_eq!(left(both.clone(), &[exception("a/")]), [complaint("b/src/lib.rs")]);
    assert_eq!(left(both, &[exception("a/"), exception("b/")]), []);
    let idle = left(Vec::new(), &[exception("a/")]);
    assert_eq!(idle.len(), 1);
    assert!(idle[0].rule == "exception" && idle[0].what.contains("take the exception away"), "{idle:?}");
}
