//! Text to events. Nothing is guessed: what is unknown, missing or given twice is an error with its line.

use krcu_common::QueueForm;

use super::{
    Script,
    fields::{HEADING, Word},
};
use crate::event::{
    CacheAddress, CacheFacts, Cpu, Event, FunctionAddress, Gap, Leftover, ObjectAddress, Scope, Site, Task,
    Time, Watch, What,
};

/// Why a text is no script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub complaint: String,
}

impl core::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "line {}: {}", self.line, self.complaint)
    }
}

impl core::error::Error for ScriptError {}

/// Reads a script.
///
/// # Errors
/// The first line that is wrong, and why.
pub fn read(text: &str) -> Result<Script, ScriptError> {
    let at = |line, complaint| ScriptError { line, complaint };
    let mut lines = (1..).zip(text.lines());
    if lines.next().is_none_or(|(_, first)| first.trim_end() != HEADING) {
        return Err(at(1, format!("a script begins with the line `{HEADING}`")));
    }
    let mut script = Script::default();
    for (number, line) in lines {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let read = match line.strip_prefix("watch") {
            Some(fields) if script.events.is_empty() => watch(fields).map(|watch| script.watch = watch),
            Some(_) => Err("`watch` comes before the first event".to_owned()),
            None => event(line).map(|event| script.events.push(event)),
        };
        read.map_err(|complaint| at(number, complaint))?;
    }
    Ok(script)
}

fn watch(text: &str) -> Result<Watch, String> {
    let mut fields = Fields::of(text)?;
    let attached = Time(fields.number_or("attached", 0)?);
    let possible_cpus = fields.number_or("possible_cpus", 0)?;
    let blind = match fields.take("blind") {
        Some(words) => words.split(',').map(word).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    fields.finish()?;
    Ok(Watch { attached, possible_cpus, blind })
}

fn event(line: &str) -> Result<Event, String> {
    let mut words = line.splitn(4, ' ').filter(|word| !word.is_empty());
    let shape = || "an event is `TIME TASK@CPU WHAT FIELDS`".to_owned();
    let time = number(words.next().ok_or_else(shape)?)?;
    let (task, cpu) = words.next().and_then(|place| place.split_once('@')).ok_or_else(shape)?;
    let verb = words.next().ok_or_else(shape)?;
    let mut fields = Fields::of(words.next().unwrap_or_default())?;
    let what = what(verb, &mut fields)?;
    fields.finish()?;
    Ok(Event { time: Time(time), task: Task(number(task)?), cpu: Cpu(number(cpu)?), what })
}

fn what(verb: &str, fields: &mut Fields) -> Result<What, String> {
    Ok(match verb {
        "cache_created" => {
            let (cache, facts) = (fields.cache()?, fields.facts()?);
            let asked_name = fields.take("asked_name").unwrap_or_else(|| facts.name.clone());
            What::CacheCreated { cache, facts, asked_name, site: fields.site()? }
        }
        "destroy_begin" => What::DestroyBegin {
            cache: fields.cache()?,
            facts: fields.facts()?,
            site: fields.site()?,
            comm: fields.take("comm").unwrap_or_default(),
            counted: fields.flag("counted")?,
        },
        "shutdown_begin" => What::ShutdownBegin {
            cache: fields.cache()?,
            rcu_works_flushed: fields.number_or("rcu_works_flushed", 0)?,
        },
        "shutdown_end" => {
            let empty = fields.take("empty").map(|text| word(&text)).transpose()?;
            let left = match fields.take("objects") {
                Some(objects) => {
                    let objects = number(&objects)?;
                    Some(Leftover { objects, listed: fields.number_or("listed", objects)? })
                }
                None => None,
            };
            What::ShutdownEnd { empty, left }
        }
        "cache_released" => What::CacheReleased { cache: fields.cache()? },
        "queued" => What::Queued {
            object: fields.object()?,
            cache: fields.cache()?,
            site: fields.site()?,
            form: fields.form()?,
        },
        "callback_queued" => What::CallbackQueued {
            object: fields.object()?,
            cache: fields.cache()?,
            function: fields.function()?,
            text: fields.take("text"),
            site: fields.site()?,
        },
        "callback_runs" => What::CallbackRuns { object: fields.object()?, cache: fields.cache()? },
        "function" => What::Function { function: fields.function()?, symbol: fields.need("symbol")? },
        "freed_at_once" => What::FreedAtOnce { object: fields.object()?, cache: fields.cache()? },
        "freed" => {
            What::Freed { object: fields.object()?, cache: fields.cache()?, path: fields.word("path")? }
        }
        "batch_freed" => What::BatchFreed { path: fields.word("path")? },
        "barrier_begin" => What::BarrierBegin {
            barrier: fields.word("barrier")?,
            rcu_works_flushed: fields.number_or("rcu_works_flushed", 0)?,
            site: fields.site()?,
            comm: fields.take("comm").unwrap_or_default(),
        },
        "barrier_end" => {
            What::BarrierEnd { cache: fields.cache_if_given()?, barrier: fields.word("barrier")? }
        }
        "module_loaded" => What::ModuleLoaded { name: fields.need("name")? },
        "module_freed" => What::ModuleFreed { name: fields.need("name")? },
        "site" => What::Site { site: Site(fields.number("site")?), frames: fields.take_all("frame") },
        "gap" => What::Gap(Gap {
            reason: fields.word("reason")?,
            events: fields.number("events")?,
            from: Time(fields.number("from")?),
            until: Time(fields.number("until")?),
            scope: fields.scope()?,
            programs: fields
                .take("programs")
                .map_or_else(Vec::new, |names| names.split(',').map(str::to_owned).collect()),
        }),
        "grace_begin" => What::GraceBegin { expedited: fields.flag("expedited")? },
        "grace_end" => What::GraceEnd { expedited: fields.flag("expedited")? },
        "allocated" => {
            What::Allocated { object: fields.object()?, cache: fields.cache()?, site: fields.site()? }
        }
        "queue_returned" => What::QueueReturned { object: fields.object()? },
        "callback_ran" => What::CallbackRan { object: fields.object()?, text: fields.take("text") },
        "read_lock" => What::ReadLock {
            object: fields.take("object").map(|text| number(&text).map(ObjectAddress)).transpose()?,
            cache: fields.cache_if_given()?,
        },
        "read_unlock" => What::ReadUnlock,
        "lingers" => What::Lingers { cache: fields.cache()? },
        "reported" => What::Reported { cache: fields.cache()? },
        "destruction_awaited" => What::DestructionAwaited { cache: fields.cache_if_given()? },
        "slabs_freed" => What::SlabsFreed { cache: fields.cache()? },
        "quiet" => What::Quiet,
        _ => return Err(format!("there is no event `{verb}`")),
    })
}

/// A number, decimal or with `0x`, that fits.
fn number<T: TryFrom<i128>>(text: &str) -> Result<T, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16),
        None => text.parse::<i128>(),
    };
    let wrong = || format!("`{text}` is no number that fits here");
    parsed.ok().and_then(|number| T::try_from(number).ok()).ok_or_else(wrong)
}

fn word<T: Word>(text: &str) -> Result<T, String> {
    T::of_word(text).ok_or_else(|| {
        let words: Vec<&str> = T::WORDS.iter().map(|(_, word)| *word).collect();
        format!("`{text}` is none of {}", words.join(", "))
    })
}

/// The fields of a line that have not been asked for.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn of(text: &str) -> Result<Fields, String> {
        let mut fields = Vec::<(String, String)>::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (name, after) =
                rest.split_once('=').ok_or_else(|| format!("`{rest}` is no field NAME=VALUE"))?;
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => unquote(quoted)?,
                None => {
                    let end = after.find(' ').unwrap_or(after.len());
                    (after[..end].to_owned(), &after[end..])
                }
            };
            if name != "frame" && fields.iter().any(|(known, _)| known == name) {
                return Err(format!("`{name}` is given twice"));
            }
            fields.push((name.to_owned(), value));
            rest = after.trim_start();
        }
        Ok(Fields(fields))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(place).1)
    }

    fn take_all(&mut self, name: &str) -> Vec<String> {
        std::iter::from_fn(|| self.take(name)).collect()
    }

    fn need(&mut self, name: &str) -> Result<String, String> {
        self.take(name).ok_or_else(|| format!("the field `{name}` is missing"))
    }

    fn number<T: TryFrom<i128>>(&mut self, name: &str) -> Result<T, String> {
        number(&self.need(name)?)
    }

    fn number_or<T: TryFrom<i128>>(&mut self, name: &str, otherwise: T) -> Result<T, String> {
        self.take(name).map_or(Ok(otherwise), |text| number(&text))
    }

    fn word<T: Word>(&mut self, name: &str) -> Result<T, String> {
        word(&self.need(name)?)
    }

    fn flag(&mut self, name: &str) -> Result<bool, String> {
        self.take(name).map_or(Ok(false), |text| word(&text))
    }

    fn cache(&mut self) -> Result<CacheAddress, String> {
        self.number("cache").map(CacheAddress)
    }

    fn cache_if_given(&mut self) -> Result<Option<CacheAddress>, String> {
        self.take("cache").map(|text| number(&text).map(CacheAddress)).transpose()
    }

    fn object(&mut self) -> Result<ObjectAddress, String> {
        self.number("object").map(ObjectAddress)
    }

    fn function(&mut self) -> Result<FunctionAddress, String> {
        self.number_or("function", 0).map(FunctionAddress)
    }

    fn form(&mut self) -> Result<QueueForm, String> {
        match (self.flag("headless")?, self.flag("nolock")?) {
            (false, false) => Ok(QueueForm::Head),
            (true, false) => Ok(QueueForm::Headless),
            (false, true) => Ok(QueueForm::Nolock),
            (true, true) => Err("a call is `headless` or `nolock`, not both".to_owned()),
        }
    }

    fn scope(&mut self) -> Result<Scope, String> {
        let mut scopes: Vec<Scope> = self.cache_if_given()?.map(Scope::Cache).into_iter().collect();
        for (flag, scope) in [
            ("grace", Scope::Grace),
            ("queueing", Scope::Queueing),
            ("freeing", Scope::Freeing),
            ("barriers", Scope::Barriers),
        ] {
            scopes.extend(self.flag(flag)?.then_some(scope));
        }
        match scopes.as_slice() {
            [] => Ok(Scope::Everything),
            [scope] => Ok(*scope),
            _ => Err("a loss is of a `cache`, of `grace` periods, of `queueing`, `freeing`, or `barriers`"
                .to_owned()),
        }
    }

    fn site(&mut self) -> Result<Site, String> {
        self.number_or("site", 0).map(Site)
    }

    fn facts(&mut self) -> Result<CacheFacts, String> {
        Ok(CacheFacts {
            name: self.need("name")?,
            object_size: self.number_or("object_size", 0)?,
            refcount: self.number_or("refcount", 0)?,
        })
    }

    fn finish(self) -> Result<(), String> {
        match self.0.first() {
            Some((name, _)) => Err(format!("there is no field `{name}` here")),
            None => Ok(()),
        }
    }
}

/// What is between the quotes, and what comes after them.
fn unquote(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Ok((value, &text[place + 1..])),
            '\\' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped)) => value.push(escaped),
                None => break,
            },
            _ => value.push(letter),
        }
    }
    Err("a quote is not closed".to_owned())
}
