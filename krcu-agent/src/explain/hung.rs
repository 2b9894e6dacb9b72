//! Hung: the tasks that a kernel log shows waiting in RCU. Pure: text in, findings out.
//!
//! Two reports have the same form: that of the hung-task watchdog ("blocked for more than 120 seconds"), and the one of
//! blocked tasks that a person asks for by SysRq-W. Below each stands the stack of the task.

/// A task that the log shows waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hung {
    /// Its name.
    pub(super) comm: String,
    /// Its number.
    pub(super) pid: u32,
    /// The longest time that the log tells, in seconds; 0 in the report that a person asked for.
    pub(super) seconds: u64,
    /// How often the log reports it.
    pub(super) times: u64,
    /// Its stack, the innermost function first: each function, and its module.
    pub(super) frames: Vec<(String, Option<String>)>,
    /// The kernel's release.
    pub(super) release: Option<String>,
}

/// A wait that krcu knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// The function of the kernel that waits.
    pub(super) function: &'static str,
    /// What it waits for.
    pub(super) what: &'static str,
    /// Whether krcu counts what it waits for.
    pub(super) is_counted: bool,
}

const EVERY_CACHE: &str = "the deferred frees of kfree_rcu(), of this cache and of every other: the batches of every CPU, \
                           each after a grace period";
const CALLBACKS: &str = "the callbacks of call_rcu() that were queued before, of the whole kernel";
const GRACE: &str = "a grace period: some CPU or some task is in a reader, or keeps a CPU, for long";

/// The waits, in the order in which a stack is asked for them: a barrier for `kfree_rcu()` waits for works, and a
/// barrier for callbacks may stand above a grace period.
const WAITS: [Wait; 15] = [
    wait("kvfree_rcu_barrier_on_cache", EVERY_CACHE, true),
    wait("flush_rcu_sheaves_on_cache", EVERY_CACHE, true),
    wait("kvfree_rcu_barrier", EVERY_CACHE, true),
    wait("flush_all_rcu_sheaves", EVERY_CACHE, true),
    wait("flush_rcu_work", "a work of queue_rcu_work(), which begins after a grace period", true),
    wait("rcu_barrier_tasks", "the callbacks of call_rcu_tasks() that were queued before", true),
    wait("rcu_barrier", CALLBACKS, true),
    wait("srcu_barrier", "the callbacks of call_srcu() that were queued before, of this domain", true),
    wait("__synchronize_srcu", "a grace period of SRCU: some task is in a reader of this domain", false),
    wait("synchronize_rcu_tasks", "a grace period of Tasks RCU: some task has not left its CPU", false),
    wait("synchronize_rcu_expedited", GRACE, false),
    wait("synchronize_rcu", GRACE, false),
    wait("__wait_rcu_gp", GRACE, false),
    wait("__flush_workqueue", "the works of a queue, which may themselves wait for RCU", false),
    wait("__flush_work", "a work, which may itself wait for RCU", false),
];

const fn wait(function: &'static str, what: &'static str, is_counted: bool) -> Wait {
    Wait { function, what, is_counted }
}

impl Hung {
    /// What it waits in, as its stack says; `None` if that is nothing that krcu knows.
    pub(super) fn wait(&self) -> Option<Wait> {
        let wait = WAITS.into_iter().find(|wait| self.is_in(wait.function))?;
        // Since 6.18 the compiler may put the barrier into the destroy; of it, the flush of its works is left.
        if wait.function == "flush_rcu_work" && self.is_in("kmem_cache_destroy") {
            return Some(Wait { what: EVERY_CACHE, ..wait });
        }
        Some(wait)
    }

    /// Whether the stack has this function.
    pub(super) fn is_in(&self, function: &str) -> bool {
        self.frames.iter().any(|(name, _)| name == function)
    }

    /// The innermost frame of a module.
    pub(super) fn of_module(&self) -> Option<(&str, &str)> {
        self.frames.iter().find_map(|(function, module)| Some((function.as_str(), module.as_deref()?)))
    }
}

/// Whether the log also says that a grace period does not end.
pub(super) fn has_stall(text: &str) -> bool {
    ["detected stalls on", "self-detected stall on", "detected expedited stalls"]
        .into_iter()
        .any(|words| text.contains(words))
}

/// All tasks that the log shows waiting, in its order. A task that is reported again is one.
pub(super) fn read(text: &str) -> Vec<Hung> {
    let mut all: Vec<Hung> = Vec::new();
    // The task whose report goes on, and whether its frames have begun.
    let mut current: Option<(Hung, bool)> = None;
    for line in text.lines() {
        if let Some(begun) = watchdog(line) {
            keep(&mut all, current.replace((begun, false)));
        } else if let Some(begun) = blocked(line) {
            match &mut current {
                // The second line of the watchdog's report.
                Some((hung, false)) if hung.pid == begun.pid => {}
                _ => keep(&mut all, current.replace((begun, false))),
            }
        } else if let Some((hung, has_frames)) = &mut current {
            if let Some(part) = in_stack(line) {
                *has_frames = true;
                if let InStack::Frame(function, module) = part {
                    hung.frames.push((function, module));
                }
            } else if *has_frames {
                keep(&mut all, current.take());
            } else if let Some((before, _)) = line.split_once(" #") {
                let release = before.split_whitespace().last();
                let is_number = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
                hung.release = hung.release.take().or(release.filter(is_number).map(str::to_owned));
            }
        }
    }
    keep(&mut all, current.take());
    all
}

fn keep(all: &mut Vec<Hung>, current: Option<(Hung, bool)>) {
    let Some((hung, _)) = current else { return };
    match all.iter_mut().find(|known| (&known.comm, known.pid) == (&hung.comm, hung.pid)) {
        Some(known) => {
            known.times += 1;
            known.seconds = known.seconds.max(hung.seconds);
            if known.frames.is_empty() {
                known.frames = hung.frames;
            }
        }
        None => all.push(hung),
    }
}

/// `INFO: task COMM:PID blocked for more than N seconds.`
fn watchdog(line: &str) -> Option<Hung> {
    let (_, rest) = line.split_once("INFO: task ")?;
    let (who, rest) = rest.split_once(" blocked for more than ")?;
    let (comm, pid) = who.rsplit_once(':')?;
    let seconds = rest.split_whitespace().next()?.parse().ok()?;
    Some(Hung { comm: comm.to_owned(), pid: pid.parse().ok()?, seconds, times: 1, ..Hung::default() })
}

/// `task:COMM  state:D stack:0  pid:PID …`
fn blocked(line: &str) -> Option<Hung> {
    let (_, rest) = line.split_once("task:")?;
    let (comm, rest) = rest.rsplit_once(" state:D")?;
    let pid = rest.split_once(" pid:")?.1.split_whitespace().next()?.parse().ok()?;
    Some(Hung { comm: comm.trim().to_owned(), pid, times: 1, ..Hung::default() })
}

/// What a line of a stack has.
enum InStack {
    /// A mark, or a frame of which the kernel is not sure: it has a question mark.
    Nothing,
    /// A function, without what the compiler added to its name, and its module.
    Frame(String, Option<String>),
}

/// Reads a line of a stack: `FUNCTION+0xOFFSET/0xSIZE [MODULE]`.
fn in_stack(line: &str) -> Option<InStack> {
    if line.contains("<TASK>") || line.contains(" ? ") {
        return Some(InStack::Nothing);
    }
    let mut words = line.split_whitespace().skip_while(|word| !word.contains("+0x"));
    let (function, _) = words.next()?.split_once("+0x")?;
    let function = function.split_once('.').map_or(function, |(function, _)| function);
    let module = words.next().and_then(|word| word.strip_prefix('[')?.strip_suffix(']'));
    Some(InStack::Frame(function.to_owned(), module.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The form of 6.12, of a module whose exit waits in the destroy.
    const WATCHDOG: &str = "\
[  246.1] INFO: task rmmod:412 blocked for more than 120 seconds.
[  246.1]       Tainted: G           OE      6.12.117+deb12-cloud-amd64 #1
[  246.1] \"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message.
[  246.1] task:rmmod           state:D stack:0     pid:412   tgid:412   ppid:399    flags:0x00004002
[  246.1] Call Trace:
[  246.1]  <TASK>
[  246.1]  __schedule+0x3fa/0xa40
[  246.1]  ? __pfx_wq_barrier_func+0x10/0x10
[  246.1]  __flush_work+0x2c1/0x390
[  246.1]  flush_rcu_work+0x24/0x40
[  246.1]  kvfree_rcu_barrier+0xd7/0x1a0
[  246.1]  kmem_cache_destroy+0x2e/0x160
[  246.1]  my_exit+0x15/0x20 [my_module]
[  246.1]  __do_sys_delete_module.isra.0+0x1b6/0x2f0
[  246.1]  </TASK>
[  246.2] some_driver: not+0x1 a frame
";

    #[test]
    fn the_watchdog_s_report_has_the_task_its_wait_and_its_module() {
        let [hung] = read(&WATCHDOG.repeat(2).replace("120 seconds", "241 seconds")).try_into().unwrap();
        assert_eq!((hung.comm.as_str(), hung.pid, hung.seconds, hung.times), ("rmmod", 412, 241, 2));
        assert_eq!(hung.release.as_deref(), Some("6.12.117+deb12-cloud-amd64"));
        assert_eq!(hung.frames.len(), 7, "{:?}", hung.frames);
        assert_eq!(hung.wait().map(|wait| wait.function), Some("kvfree_rcu_barrier"));
        assert_eq!(hung.of_module(), Some(("my_exit", "my_module")));
    }

    #[test]
    fn a_barrier_that_is_part_of_the_destroy_is_told_from_a_flush_of_a_module_s_own() {
        let inlined = WATCHDOG.replace("kvfree_rcu_barrier", "kmem_cache_destroy");
        let [hung] = read(&inlined).try_into().unwrap();
        assert_eq!(hung.wait().map(|wait| wait.what), Some(EVERY_CACHE));
        let own = inlined.replace("kmem_cache_destroy", "my_flush");
        let [hung] = read(&own).try_into().unwrap();
        assert!(hung.wait().is_some_and(|wait| wait.what.contains("queue_rcu_work()")));
    }

    #[test]
    fn blocked_tasks_that_a_person_asked_for_are_read_as_a_mail_quotes_them() {
        let blocked = "\
> sysrq: Show Blocked State
> task:a state:D b      state:D stack:0     pid:7     tgid:7     ppid:2      flags:0x00004000
> Call Trace:
>  <TASK>
>  schedule_timeout+0x99/0x110
>  rcu_barrier+0x1f0/0x2d0
>  netdev_run_todo+0x5b/0x550
>  </TASK>
> task:kworker/0:2     state:D stack:0     pid:88    tgid:88    ppid:2      flags:0x00004000
> Call Trace:
>  <TASK>
>  io_schedule+0x46/0x70
>  </TASK>
";
        let [named, other] = read(blocked).try_into().unwrap();
        assert_eq!((named.comm.as_str(), named.pid, named.seconds), ("a state:D b", 7, 0));
        assert_eq!(named.wait().map(|wait| wait.what), Some(CALLBACKS));
        assert_eq!((other.wait(), other.of_module()), (None, None));
        assert!(!has_stall(blocked) && has_stall("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"));
    }

    #[test]
    fn a_log_that_is_cut_off_keeps_what_it_has() {
        for lines in 1..WATCHDOG.lines().count() {
            let cut = WATCHDOG.lines().take(lines).collect::<Vec<_>>().join("\n");
            assert_eq!(read(&cut).len(), 1, "{cut}");
        }
        assert_eq!(read("INFO: task x blocked for more than ages\nINFO: task :1 blocked"), []);
    }
}
