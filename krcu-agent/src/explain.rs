//! `krcu explain`: reads a kernel log, and says what its reports of remaining objects and of hung tasks prove, what they
//! do not prove, and which `krcu check` would tell.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use krcu_report::words::{count, objects, shown, wrapped};

mod hung;
mod log;

use hung::Hung;
use log::Found;

/// Reads a kernel log with "Objects remaining", "Slab cache still has objects" or "blocked for more than 120 seconds" in
/// it, says what that proves and what not, and prints the command that would tell the cause. Needs no privileges.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The kernel log, as dmesg or journalctl prints it, or quoted in a mail; `-` is standard input
    #[arg(value_name = "FILE")]
    pub log: PathBuf,
}

/// Columns of a line, except for a command's.
const COLUMNS: usize = 100;
/// Where the words of the evidence begin.
const HEAD: usize = 18;

/// Runs `explain`. Returns the exit status: 1 if the log has no such report.
///
/// # Errors
/// When the log cannot be read.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let mut bytes = Vec::new();
    if options.log == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        bytes = fs::read(&options.log).with_context(|| format!("cannot read {}", options.log.display()))?;
    }
    let log = String::from_utf8_lossy(&bytes);
    let mut pages: Vec<String> = log::read(&log).iter().map(page).collect();
    let has_stall = hung::has_stall(&log);
    pages.extend(hung::read(&log).iter().map(|hung| page_of_hung(hung, has_stall)));
    let text = if pages.is_empty() { NOTHING.to_owned() } else { pages.join("\n") };
    io::stdout().lock().write_all(text.as_bytes()).context("cannot write the explanation")?;
    Ok(u8::from(pages.is_empty()))
}

const NOTHING: &str = "This log has no report that krcu knows: no line says \"Objects remaining\", \"Slab cache still has \
objects\" or \"blocked for more than\".\nIf a module's removal hangs or fails, watch it: sudo krcu check -- rmmod \
MODULE\n";

/// Adds a line of evidence, wrapped.
fn say(page: &mut String, head: &str, words: &str) {
    let heads = [format!("  {head:<width$}", width = HEAD - 2), " ".repeat(HEAD)];
    let lines = wrapped([&heads[0], &heads[1]], &shown(words), COLUMNS);
    let _ = writeln!(page, "{}", lines.join("\n"));
}

/// What is to be said of one cache.
fn page(found: &Found) -> String {
    let times = if found.times > 1 { format!(", {} times", found.times) } else { String::new() };
    let mut page = format!("{}  could not be destroyed{times}\n", shown(&found.cache));
    say(&mut page, "destroyed by", &destroyed_by(found));
    say(&mut page, "it proves", &proved(found));
    if let Some((function, number)) = found.allocated.first() {
        say(&mut page, "allocated in", &format!("{function}(), {} of them, as the log says", count(*number)));
    }
    say(
        &mut page,
        "it leaves open",
        "whether these objects are leaked, or were handed to kfree_rcu() or call_rcu() and not freed yet; and who \
         queued them. The kernel prints the same report for both",
    );
    say(
        &mut page,
        "to find out",
        "boot afresh, since the cache that could not be destroyed stays and may be in the way. Then watch the \
         module from its loading on, and use it in between as it was used here:",
    );
    let module =
        found.module.as_deref().map_or_else(|| "MODULE".to_owned(), |module| shown(module).into_owned());
    let _ = writeln!(
        page,
        "{:HEAD$}sudo krcu check --alloc-stacks -- sh -c 'modprobe {module} && USE-IT; rmmod {module}'",
        ""
    );
    say(&mut page, "", "PENDING: deferred frees were outstanding, and it says who queued them");
    say(&mut page, "", "LEAKED: nobody had queued them, and it says where they were allocated");
    page
}

/// What is to be said of a task that hangs.
fn page_of_hung(hung: &Hung, has_stall: bool) -> String {
    let long = match hung.seconds {
        0 => "was blocked".to_owned(),
        seconds => format!("was blocked for more than {} seconds", count(seconds)),
    };
    let times = if hung.times > 1 { format!(", reported {} times", hung.times) } else { String::new() };
    let mut page = format!("{}[{}]  {long}{times}\n", shown(&hung.comm), hung.pid);
    let caller = hung.of_module().map(|(function, module)| format!("{function}() [{module}]"));
    let release = hung.release.as_ref().map_or_else(String::new, |release| format!(", on Linux {release}"));
    say(
        &mut page,
        "called by",
        &format!("{}{release}", caller.as_deref().unwrap_or("no module, as its stack says")),
    );
    let Some(wait) = hung.wait() else {
        let innermost = hung.frames.first().map_or("a function that the log does not name", |(name, _)| name);
        say(
            &mut page,
            "waits in",
            &format!("{innermost}. Its stack has no wait for RCU, so krcu has nothing to say of it"),
        );
        return page;
    };
    let destroy = if hung.is_in("kmem_cache_destroy") { ", in kmem_cache_destroy()" } else { "" };
    say(&mut page, "waits in", &format!("{}(){destroy}", wait.function));
    say(&mut page, "waits for", wait.what);
    if has_stall {
        say(
            &mut page,
            "look first",
            "at the RCU stall in the same log: no grace period ends while it lasts, so every such wait hangs",
        );
    }
    say(&mut page, "it proves", "where the task waited when the kernel looked; not that it waits for ever");
    let open = if wait.is_counted {
        "how many deferred frees or callbacks it waits for, who queued them, and whether a grace period is late or a \
         function that frees does not return"
    } else {
        "which reader, or which work, keeps it"
    };
    say(&mut page, "it leaves open", open);
    say(&mut page, "to find out", "boot afresh, and watch the module from its loading on:");
    let module =
        hung.of_module().map_or_else(|| "MODULE".to_owned(), |(_, module)| shown(module).into_owned());
    let _ = writeln!(
        page,
        "{:HEAD$}sudo krcu check -o hang.krcu -- sh -c 'modprobe {module} && USE-IT; rmmod {module}'",
        ""
    );
    say(
        &mut page,
        "",
        "If it hangs again, end krcu by SIGKILL. Then `krcu replay hang.krcu` says what was outstanding.",
    );
    page
}

fn destroyed_by(found: &Found) -> String {
    let comm = found.comm.as_deref().unwrap_or("a task that the log does not name");
    let caller = match &found.caller {
        Some(caller) if caller.contains("sys_delete_module") => {
            " as the last act of a module's exit".to_owned()
        }
        Some(caller) => format!(" in {caller}"),
        None => String::new(),
    };
    let is_named = |module: &&String| caller.contains(&format!("[{module}]"));
    let module = found.module.as_ref().filter(|module| !is_named(module));
    let module = module.map_or_else(String::new, |module| format!(", module {module}"));
    let release = found.release.as_ref().map_or_else(String::new, |release| format!(", on Linux {release}"));
    format!("{comm}{caller}{module}{release}")
}

fn proved(found: &Found) -> String {
    let objects = match found.listed {
        0 => "objects of this cache".to_owned(),
        listed => format!("at least {} of this cache", objects(listed, "object")),
    };
    let full = if found.listed > 0 { " The report does not list those on full slabs." } else { "" };
    format!(
        "{objects} had not been freed when kmem_cache_destroy() looked. The cache and its memory stay until the \
         next boot. If the objects are freed later, that runs after their module is gone.{full}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_what_is_proved_what_is_open_and_the_command() {
        let found = Found {
            cache: "my_cache".to_owned(),
            listed: 27,
            times: 1,
            comm: Some("rmmod".to_owned()),
            caller: Some("my_exit+0x22f/0xcf0 [my_module]".to_owned()),
            module: Some("my_module".to_owned()),
            release: Some("6.1.0-56-cloud-amd64".to_owned()),
            allocated: Vec::new(),
        };
        let page = page(&found);
        for words in [
            "my_cache  could not be destroyed\n",
            "  destroyed by    rmmod in my_exit+0x22f/0xcf0 [my_module], on Linux 6.1.0-56-cloud-amd64\n",
            "  it proves       at least 27 objects of this cache had not been freed",
            "  it leaves open",
            "sudo krcu check --alloc-stacks -- sh -c 'modprobe my_module && USE-IT; rmmod my_module'\n",
        ] {
            assert!(page.contains(words), "{words}\n{page}");
        }
        let mut words = page.lines().filter(|line| !line.contains("sudo krcu check"));
        assert!(words.all(|line| line.chars().count() <= COLUMNS), "{page}");
    }

    #[test]
    fn a_page_of_a_hung_task_has_its_wait_and_a_command_that_names_its_module() {
        let frame = |function: &str, module: Option<&str>| (function.to_owned(), module.map(str::to_owned));
        let mut hung = Hung {
            comm: "rmmod".to_owned(),
            pid: 412,
            seconds: 241,
            times: 2,
            frames: vec![
                frame("kvfree_rcu_barrier", None),
                frame("kmem_cache_destroy", None),
                frame("my_exit", Some("my_module")),
            ],
            release: Some("6.12.117".to_owned()),
        };
        let page = page_of_hung(&hung, true);
        for words in [
            "rmmod[412]  was blocked for more than 241 seconds, reported 2 times\n",
            "  called by       my_exit() [my_module], on Linux 6.12.117\n",
            "  waits in        kvfree_rcu_barrier(), in kmem_cache_destroy()\n",
            "  look first      at the RCU stall in the same log",
            "sudo krcu check -o hang.krcu -- sh -c 'modprobe my_module && USE-IT; rmmod my_module'\n",
        ] {
            assert!(page.contains(words), "{words}\n{page}");
        }
        hung.frames.clear();
        let page = page_of_hung(&hung, false);
        assert!(page.contains("Its stack has no wait for RCU") && !page.contains("sudo"), "{page}");
    }
}
