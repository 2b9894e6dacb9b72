//! Log: the reports of remaining objects in a kernel log. Pure: text in, findings out.
//!
//! Kernels word them differently. Before 6.15 the line names the cache twice ("Objects remaining in NAME on
//! __kmem_cache_shutdown()"), later ones do not; the slab's numbers come before its objects or after them. So only the
//! parts that all of them have are looked for, wherever they stand in a line: a line may begin with a time, with the
//! name of a host, or with the marks of a quoted mail.

/// What a log says of one cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Its name.
    pub(super) cache: String,
    /// Objects on the slabs that are listed.
    pub(super) listed: u64,
    /// How many destroys of it failed.
    pub(super) times: u64,
    /// The task that destroyed it.
    pub(super) comm: Option<String>,
    /// What called `kmem_cache_destroy()`.
    pub(super) caller: Option<String>,
    /// The module that was unloaded, or that has the caller.
    pub(super) module: Option<String>,
    /// The kernel's release.
    pub(super) release: Option<String>,
    /// Where the listed objects were allocated, and how many there; only where the kernel keeps that.
    pub(super) allocated: Vec<(String, u64)>,
}

const REMAINING: &str = "): Objects remaining";
const DESTROY: &str = "kmem_cache_destroy ";
const STILL: &str = ": Slab cache still has objects";

/// All caches whose destroy failed, in the order of the log.
pub(super) fn read(text: &str) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    // The cache whose report goes on, and whether the line that ends a destroy's report came already.
    let mut current: Option<(usize, bool)> = None;
    for line in text.lines() {
        if let Some(cache) = between(line, "BUG ", " (").filter(|_| line.contains(REMAINING)) {
            let place = place_of(&mut all, cache);
            if current != Some((place, false)) {
                all[place].times += 1;
            }
            current = Some((place, false));
        } else if let Some(cache) = between(line, DESTROY, STILL) {
            let place = place_of(&mut all, cache);
            if current != Some((place, false)) {
                all[place].times += 1;
            }
            current = Some((place, true));
            let caller = line.split_once("when called from ").map(|(_, caller)| caller.trim());
            if let Some(caller) = caller.filter(|caller| !caller.is_empty()) {
                all[place].caller.get_or_insert_with(|| caller.to_owned());
                note_module(&mut all[place], bracketed(caller));
            }
        } else if let Some((place, _)) = current {
            note(&mut all[place], line);
        }
    }
    for found in &mut all {
        found.allocated.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    }
    all
}

fn place_of(all: &mut Vec<Found>, cache: &str) -> usize {
    if let Some(place) = all.iter().position(|found| found.cache == cache) {
        return place;
    }
    all.push(Found { cache: cache.to_owned(), ..Found::default() });
    all.len() - 1
}

/// What a line in a report adds.
fn note(found: &mut Found, line: &str) {
    if let Some(used) = between(line, " used=", " ").filter(|_| line.contains("Slab 0x")) {
        found.listed += used.parse::<u64>().unwrap_or(0);
    } else if let Some(function) = between(line, "Allocated in ", "+") {
        match found.allocated.iter_mut().find(|(known, _)| known == function) {
            Some((_, number)) => *number += 1,
            None => found.allocated.push((function.to_owned(), 1)),
        }
    } else if let Some(comm) = between(line, "Comm: ", " ") {
        found.comm.get_or_insert_with(|| comm.to_owned());
        let release = line.split_once(" #").and_then(|(before, _)| before.split_whitespace().last());
        if let Some(release) =
            release.filter(|release| release.starts_with(|first: char| first.is_ascii_digit()))
        {
            found.release.get_or_insert_with(|| release.to_owned());
        }
    } else if let Some((_, modules)) = line.split_once("Modules linked in: ") {
        // A module that is being removed has a minus sign among its marks.
        let is_going = |word: &&str| word.split_once('(').is_some_and(|(_, marks)| marks.contains('-'));
        let going = modules.split_whitespace().find(is_going);
        note_module(found, going.and_then(|word| word.split('(').next()));
    } else if line.contains("+0x") && !line.contains(" ? ") {
        note_module(found, bracketed(line.trim_end()));
    }
}

fn note_module(found: &mut Found, module: Option<&str>) {
    if let (None, Some(module)) = (&found.module, module) {
        found.module = Some(module.to_owned());
    }
}

/// The module at the end of a frame, as in `my_exit+0x1/0x2 [my_module]`.
fn bracketed(frame: &str) -> Option<&str> {
    let (_, module) = frame.strip_suffix(']')?.rsplit_once(" [")?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    (!module.is_empty() && module.chars().all(is_plain)).then_some(module)
}

/// What stands between two marks; empty text is none.
fn between<'a>(line: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(begin)?;
    let (inside, _) = rest.split_once(end)?;
    Some(inside.trim()).filter(|inside| !inside.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Debian's 6.1 prints, of a module whose exit ends with the destroy.
    const DEBIAN_6_1: &str = "\
[  290.039347] BUG krcu_pending (Tainted: G           OE     ): Objects remaining in krcu_pending on __kmem_cache_shutdown()
[  290.041064] Slab 0x00000000142d46be objects=30 used=27 fp=0x0000000035718acf flags=0xfffffc0000200(slab|node=0|zone=1|lastcpupid=0x1fffff)
[  290.041064] CPU: 1 PID: 8001 Comm: rmmod Tainted: G           OE      6.1.0-56-cloud-amd64 #1  Debian 6.1.192-2
[  290.041064]  ? __kmem_cache_shutdown.cold+0x34/0xe9 [not_this]
[  290.041064]  kmem_cache_destroy+0x51/0x150
[  290.041064]  __do_sys_delete_module+0x1b9/0x330
[  290.041064] Object 0x0000000084507293 @offset=0
[  290.065661] ------------[ cut here ]------------
[  290.065776] kmem_cache_destroy krcu_pending: Slab cache still has objects when called from __do_sys_delete_module+0x1b9/0x330
[  290.066115] WARNING: CPU: 1 PID: 8001 at mm/slab_common.c:493 kmem_cache_destroy+0x141/0x150
[  290.066519] Modules linked in: other(OE) krcu_pending(OE-) virtio_console [last unloaded: x(OE)]
";

    #[test]
    fn the_form_of_6_1_names_its_module_by_the_mark_of_its_removal() {
        let [found] = read(DEBIAN_6_1).try_into().unwrap();
        assert_eq!(
            found,
            Found {
                cache: "krcu_pending".to_owned(),
                listed: 27,
                times: 1,
                comm: Some("rmmod".to_owned()),
                caller: Some("__do_sys_delete_module+0x1b9/0x330".to_owned()),
                module: Some("krcu_pending".to_owned()),
                release: Some("6.1.0-56-cloud-amd64".to_owned()),
                allocated: Vec::new(),
            }
        );
    }

    #[test]
    fn the_form_of_6_18_and_later_has_a_report_for_each_slab_and_is_read_as_a_mail_quotes_it() {
        let slab = "\
> kernel: BUG krcu_shrink (Tainted: G    B      OE      ): Objects remaining on __kmem_cache_shutdown()
> kernel: Object 0x00000000ad1f0808 @offset=128
> kernel: Slab 0x0000000080321538 objects=32 used=16 fp=0x00000000b72cd26a flags=0xfffffc0000200(workingset|node=0)
> kernel: CPU: 1 UID: 0 PID: 172 Comm: rmmod Tainted: G    B      OE       6.18.15+deb13-cloud-amd64 #1 PREEMPT(full)
> kernel:  kmem_cache_destroy+0x50/0x160
> kernel:  krcu_shrink_exit+0x22f/0xcf0 [krcu_shrink]
";
        let end = "> kmem_cache_destroy krcu_shrink: Slab cache still has objects when called from krcu_shrink_exit+0x22f/0xcf0 [krcu_shrink]\n";
        let text = [slab, slab, end].concat();
        let [found] = read(&text).try_into().unwrap();
        assert_eq!((found.listed, found.times), (32, 1));
        assert_eq!(found.caller.as_deref(), Some("krcu_shrink_exit+0x22f/0xcf0 [krcu_shrink]"));
        assert_eq!(found.module.as_deref(), Some("krcu_shrink"));
        assert_eq!(found.release.as_deref(), Some("6.18.15+deb13-cloud-amd64"));
        let [again] = read(&text.repeat(2)).try_into().unwrap();
        assert_eq!((again.listed, again.times), (64, 2), "a second destroy of the same cache");
    }

    #[test]
    fn the_last_line_alone_is_enough_and_where_objects_were_allocated_is_counted() {
        let text = "kmem_cache_destroy a b: Slab cache still has objects\nAllocated in f+0x1/0x2 age=1 cpu=0 pid=1\n\
            Allocated in g+0x1/0x2 age=1 cpu=0 pid=1\nAllocated in g+0x1/0x2 age=1 cpu=0 pid=1\n";
        let [found] = read(text).try_into().unwrap();
        assert_eq!((found.cache.as_str(), found.caller, found.times), ("a b", None, 1));
        assert_eq!(found.allocated, [("g".to_owned(), 2), ("f".to_owned(), 1)]);
        assert_eq!(read("BUG: unable to handle page fault\nnothing (of): the sort\n"), []);
    }
}
