//! Small workspaces that break one rule each.

use std::path::Path;

use super::{Metadata, Rules, complaints, is_yanked, place};

const CRATES_IO: &str = "registry+https://example.org/index";

fn rules(skip: &str, deny: &str) -> Rules {
    toml::from_str(&format!(
        "[licenses]\nallow = ['MIT']\n[bans]\nskip = [{skip}]\ndeny = [{deny}]\n[sources]\n\
         allow-registry = ['https://example.org/index']\n"
    ))
    .unwrap()
}

/// Packages as `(name, version, licence, source)`, of which the first uses all others.
fn workspace(packages: &[(&str, &str, &str, Option<&str>)]) -> Metadata {
    let id = |name: &str, version: &str| format!("{name}@{version}");
    let all: Vec<_> = packages
        .iter()
        .map(|(name, version, license, source)| {
            serde_json::json!({ "id": id(name, version), "name": name, "version": version, "license": license, "source": source })
        })
        .collect();
    let used: Vec<String> = packages.iter().skip(1).map(|(name, version, ..)| id(name, version)).collect();
    let nodes: Vec<_> = packages
        .iter()
        .enumerate()
        .map(|(place, (name, version, ..))| {
            let used = if place == 0 { used.as_slice() } else { &[] };
            serde_json::json!({ "id": id(name, version), "dependencies": used })
        })
        .collect();
    serde_json::from_value(serde_json::json!({ "packages": all, "resolve": { "nodes": nodes } })).unwrap()
}

const OURS: (&str, &str, &str, Option<&str>) = ("ours", "0.1.0", "MIT", None);

#[test]
fn each_rule_is_held() {
    let plain = rules("", "");
    let one = |package| complaints(&plain, &workspace(&[OURS, package]));
    assert!(one(("a", "1.0.0", "MIT", Some(CRATES_IO))).is_empty());
    let licence = one(("a", "1.0.0", "GPL-3.0", Some(CRATES_IO)));
    assert_eq!(licence, ["a 1.0.0: the licence `GPL-3.0` is not among those that are allowed"]);
    let git = one(("a", "1.0.0", "MIT", Some("git+https://example.org/a")));
    assert_eq!(git, ["a 1.0.0 comes from git+https://example.org/a"]);
    let registry = one(("a", "1.0.0", "MIT", Some("registry+https://example.com/index")));
    assert_eq!(registry, ["a 1.0.0 comes from registry+https://example.com/index"]);
}

#[test]
fn two_versions_need_a_reason_and_a_reason_needs_two_versions() {
    let two =
        workspace(&[OURS, ("a", "1.0.0", "MIT", Some(CRATES_IO)), ("a", "2.0.0", "MIT", Some(CRATES_IO))]);
    assert_eq!(complaints(&rules("", ""), &two), ["a is there in several versions: 1.0.0, 2.0.0"]);
    assert!(complaints(&rules("{ crate = 'a@1.0.0' }", ""), &two).is_empty());
    let stale = complaints(&rules("{ crate = 'a@1.0.0' }, { crate = 'b@1.0.0' }", ""), &two);
    assert_eq!(stale, ["b 1.0.0 is skipped, and is no duplicate"]);
}

#[test]
fn a_crate_that_is_denied_is_for_its_wrappers_only() {
    let client = workspace(&[OURS, ("client", "1.0.0", "MIT", Some(CRATES_IO))]);
    let denied = |deny: &str| complaints(&rules("", deny), &client);
    assert_eq!(denied("{ crate = 'client' }"), ["ours uses client"]);
    assert_eq!(denied("{ crate = 'client', wrappers = ['theirs'] }"), ["ours uses client"]);
    assert!(denied("{ crate = 'client', wrappers = ['ours'] }").is_empty());
}

#[test]
fn the_index_says_what_was_yanked() {
    let bytes = [
        &b"\x03\x02\x00\x00\x00etag"[..],
        b"1.0.0",
        br#"{"vers":"1.0.0","yanked":true}"#,
        b"1.0.1",
        br#"{"vers":"1.0.1","yanked":false}"#,
    ];
    let bytes = bytes.join(&0);
    assert_eq!(is_yanked(&bytes, "1.0.0"), Some(true));
    assert_eq!(is_yanked(&bytes, "1.0.1"), Some(false));
    assert_eq!(is_yanked(&bytes, "1.0.2"), None);
    for (name, file) in [("a", "1/a"), ("ab", "2/ab"), ("abc", "3/a/abc"), ("Serde", "se/rd/serde")] {
        assert_eq!(place(name).as_deref(), Some(Path::new(file)));
    }
}
