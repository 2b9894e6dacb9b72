//! Reads events from text. It guesses nothing: a field that is unknown, missing or given twice is an error
//! with its line.

use krcu_common::{BarrierKind, Flavour, FreePath, Kind, QueueForm};

use super::{
    Script,
    fields::{HEADING, Word},
};
use crate::event::{
    CacheAddress, CacheFacts, Cpu, Domain, Event, FunctionAddress, Gap, Leftover, ObjectAddress, ReadFields,
    Scope, Site, Task, Time, Watch, What,
};

/// Why a text is not a script.
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
    let deferring =
        fields.take("deferring").map_or_else(Vec::new, |names| names.split(',').map(str::to_owned).collect());
    fields.finish()?;
    Ok(Watch { attached, possible_cpus, blind, deferring })
}

fn event(line: &str) -> Result<Event, String> {
    let mut words = line.splitn(4, ' ').filter(|word| !word.is_empty());
    let shape = || "an event is `TIME TASK@CPU WHAT FIELDS`".to_owned();
    let time = number(words.next().ok_or_else(shape)?)?;
    let (task, cpu) = words.next().and_then(|place| place.split_once('@')).ok_or_else(shape)?;
    let verb = words.next().ok_or_else(shape)?;
    let mut fields = Fields::of(words.next().unwrap_or_default())?;
    let kind = Kind::of_word(verb).ok_or_else(|| format!("there is no event `{verb}`"))?;
    let what = What::read(kind, &mut fields)?;
    fields.finish()?;
    Ok(Event { time: Time(time), task: Task(number(task)?), cpu: Cpu(number(cpu)?), what })
}

/// A number, decimal or with `0x`, that fits into this type.
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

/// The fields of a line that have not been read yet.
struct Fields {
    left: Vec<(String, String)>,
    /// The name of the line's cache, once it has been read.
    cache_name: String,
}

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
        Ok(Fields { left: fields, cache_name: String::new() })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let place = self.left.iter().position(|(known, _)| known == name)?;
        Some(self.left.remove(place).1)
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

    fn scope(&mut self) -> Result<Scope, String> {
        let mut scopes: Vec<Scope> = self.cache_if_any()?.map(Scope::Cache).into_iter().collect();
        for (scope, word) in Scope::WORDS {
            // A scope of everything has no field, and that of a cache is the address of the cache.
            if !matches!(scope, Scope::Everything | Scope::Cache(_)) {
                scopes.extend(self.flag(word)?.then_some(*scope));
            }
        }
        match scopes.as_slice() {
            [] => Ok(Scope::Everything),
            [scope] => Ok(*scope),
            _ => Err("a loss is of one thing, or of everything".to_owned()),
        }
    }

    fn finish(self) -> Result<(), String> {
        match self.left.first() {
            Some((name, _)) => Err(format!("there is no field `{name}` here")),
            None => Ok(()),
        }
    }
}

/// Reads fields that have the same name in a script as in an event.
macro_rules! named {
    ($($field:ident $holds:ty = $how:ident;)*) => {
        $(fn $field(&mut self) -> Result<$holds, String> {
            self.$how(stringify!($field))
        })*
    };
}

impl ReadFields for Fields {
    type Error = String;

    named! {
        counted bool = flag;
        symbol String = need;
        path FreePath = word;
        barrier BarrierKind = word;
        expedited bool = flag;
        name String = need;
    }

    fn cache(&mut self) -> Result<CacheAddress, String> {
        self.number("cache").map(CacheAddress)
    }

    fn cache_if_any(&mut self) -> Result<Option<CacheAddress>, String> {
        self.take("cache").map(|text| number(&text).map(CacheAddress)).transpose()
    }

    fn object(&mut self) -> Result<ObjectAddress, String> {
        self.number("object").map(ObjectAddress)
    }

    fn object_if_any(&mut self) -> Result<Option<ObjectAddress>, String> {
        self.take("object").map(|text| number(&text).map(ObjectAddress)).transpose()
    }

    fn site(&mut self) -> Result<Site, String> {
        self.number_or("site", 0).map(Site)
    }

    fn site_of_frames(&mut self) -> Result<Site, String> {
        self.number("site").map(Site)
    }

    fn function(&mut self) -> Result<FunctionAddress, String> {
        self.number_or("function", 0).map(FunctionAddress)
    }

    fn facts(&mut self) -> Result<CacheFacts, String> {
        self.cache_name = self.need("name")?;
        Ok(CacheFacts {
            name: self.cache_name.clone(),
            object_size: self.number_or("object_size", 0)?,
            refcount: self.number_or("refcount", 0)?,
        })
    }

    fn asked_name(&mut self) -> Result<String, String> {
        Ok(self.take("asked_name").unwrap_or_else(|| self.cache_name.clone()))
    }

    fn comm_if_any(&mut self) -> Result<String, String> {
        self.comm()
    }

    fn comm(&mut self) -> Result<String, String> {
        Ok(self.take("comm").unwrap_or_default())
    }

    fn rcu_works_flushed(&mut self) -> Result<u32, String> {
        self.number_or("rcu_works_flushed", 0)
    }

    fn empty(&mut self) -> Result<Option<bool>, String> {
        self.take("empty").map(|text| word(&text)).transpose()
    }

    fn left(&mut self) -> Result<Option<Leftover>, String> {
        let Some(objects) = self.take("objects") else { return Ok(None) };
        let objects = number(&objects)?;
        Ok(Some(Leftover { objects, listed: self.number_or("listed", objects)? }))
    }

    fn form(&mut self) -> Result<QueueForm, String> {
        match (self.flag("headless")?, self.flag("nolock")?) {
            (false, false) => Ok(QueueForm::Head),
            (true, false) => Ok(QueueForm::Headless),
            (false, true) => Ok(QueueForm::Nolock),
            (true, true) => Err("a call is `headless` or `nolock`, not both".to_owned()),
        }
    }

    fn text(&mut self) -> Result<Option<String>, String> {
        Ok(self.take("text"))
    }

    fn domain(&mut self) -> Result<Domain, String> {
        let flavour = self.take("flavour").map_or(Ok(Flavour::Rcu), |text| word(&text))?;
        Ok(Domain { flavour, address: self.number_or("domain", 0)? })
    }

    fn of(&mut self) -> Result<u64, String> {
        self.number_or("of", 0)
    }

    fn frames(&mut self) -> Result<Vec<String>, String> {
        Ok(std::iter::from_fn(|| self.take("frame")).collect())
    }

    fn gap(&mut self) -> Result<Gap, String> {
        let programs = |names: String| names.split(',').map(str::to_owned).collect();
        Ok(Gap {
            reason: self.word("reason")?,
            events: self.number("events")?,
            from: Time(self.number("from")?),
            until: Time(self.number("until")?),
            scope: self.scope()?,
            programs: self.take("programs").map_or_else(Vec::new, programs),
        })
    }
}

/// The text between the quotes, and the text after them.
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
