//! Identity: numbers and texts by which the same thing is the same in the traces of many hosts.

use krcu_model::state::stack::Frame;
use krcu_report::FlatVerdict;
use krcu_ship::layout::number;

/// What stands for something that is not known.
const UNKNOWN: &str = "-";

/// The number of a site: of its functions and modules, without offsets; 0 for no stack.
#[must_use]
pub fn site_key(frames: &[Frame]) -> i64 {
    if frames.is_empty() {
        return 0;
    }
    let parts = frames.iter().flat_map(|frame| [function_of(frame), frame.module.as_deref().unwrap_or("")]);
    number(&parts.collect::<Vec<_>>())
}

/// The signature of a verdict.
#[must_use]
pub(super) fn signature(verdict: &FlatVerdict) -> String {
    let top = |stack: Option<&Vec<String>>| {
        let frame = stack.and_then(|stack| stack.first()).map(|text| Frame::parse(text));
        frame.as_ref().map_or(UNKNOWN, function_of).to_owned()
    };
    let site = verdict.leak_sites.first().or_else(|| verdict.sites.first());
    format!(
        "{} {}.{} {} {}",
        verdict.verdict.word(),
        verdict.module.as_deref().unwrap_or(UNKNOWN),
        general(&verdict.cache),
        top(Some(&verdict.destroyed_by.stack)),
        top(site.map(|site| &site.stack)),
    )
}

/// The function as its source names it: compilers append `.isra.0`, `.constprop.1` and the like, not in every build.
fn function_of(frame: &Frame) -> &str {
    let function = frame.function();
    match function.split_once('.') {
        Some((name, _)) if !name.is_empty() => name,
        _ => function,
    }
}

/// A cache's name with `*` for each number that follows a separator, since such a number counts instances: `bio-264` and
/// `bio-120` are one name. A name without anything left, and that of no cache, is `-`.
fn general(name: &str) -> String {
    let mut general = String::new();
    let mut rest = name;
    while let Some(place) = rest.find(['-', ':', '(']) {
        let (before, after) = rest.split_at(place + 1);
        general.push_str(before);
        let digits = after.trim_start_matches(|c: char| c.is_ascii_digit());
        if digits.len() < after.len() {
            general.push('*');
        }
        rest = digits;
    }
    general.push_str(rest);
    if general.is_empty() { UNKNOWN.to_owned() } else { general }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(frames: &[&str]) -> i64 {
        site_key(&frames.iter().map(|text| Frame::parse(text)).collect::<Vec<_>>())
    }

    #[test]
    fn a_site_is_the_same_where_only_offsets_differ() {
        let one = key(&["my_queue+0x4a/0x60 [mine]", "do_init_module+0x5a"]);
        assert_eq!(one, key(&["my_queue.isra.0+0x52/0x70 [mine]", "do_init_module+0x61"]));
        assert_ne!(one, key(&["my_queue+0x4a/0x60 [other]", "do_init_module+0x5a"]));
        assert_ne!(one, key(&["do_init_module+0x5a", "my_queue+0x4a/0x60 [mine]"]));
        assert_eq!(key(&[]), 0);
    }

    #[test]
    fn numbers_of_instances_are_no_part_of_a_name() {
        for (name, expected) in [
            ("bio-264", "bio-*"),
            ("kmalloc-rnd-07-32", "kmalloc-rnd-*-*"),
            ("dm_bufio(253:0)", "dm_bufio(*:*)"),
            ("ext4_inode_cache", "ext4_inode_cache"),
            ("", "-"),
        ] {
            assert_eq!(general(name), expected);
        }
    }
}
