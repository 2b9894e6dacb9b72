//! Promise: what a judge promises, and whether what it says of a destroy or of an unload keeps that.

use krcu_model::{Verdict, VerdictKind, verdict::Ordering};

use super::truth::{Held, Look, Outstanding, Unloaded, Words};

/// A promise of the judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sound {
    /// No `clean` and no `waited` where anything is outstanding or unordered.
    CleanIsClean,
    /// No flag, and no `unordered`, where the teardown ordered everything and nothing leaked.
    FlagIsEarned,
    /// The numbers of a verdict are those of the machine, or are said to be inexact.
    CountsAreTrue,
    /// A machine that keeps its promises is not accused.
    KernelNotAccused,
    /// What is left open is open: another history with the same events deserves another word.
    OpenIsNotLazy,
    /// A judge that sees the inside too says the same wherever the live one decides.
    InsightAgrees,
}

impl Sound {
    /// All of them, in the order of the table.
    pub const ALL: [Sound; 6] = [
        Sound::CleanIsClean,
        Sound::FlagIsEarned,
        Sound::CountsAreTrue,
        Sound::KernelNotAccused,
        Sound::OpenIsNotLazy,
        Sound::InsightAgrees,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Sound::CleanIsClean => "clean_is_clean",
            Sound::FlagIsEarned => "flag_is_earned",
            Sound::CountsAreTrue => "counts_are_true",
            Sound::KernelNotAccused => "kernel_not_accused",
            Sound::OpenIsNotLazy => "open_is_not_lazy",
            Sound::InsightAgrees => "insight_agrees",
        }
    }

    /// What it says.
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            Sound::CleanIsClean => "no `clean` and no `waited` where anything was outstanding or unordered",
            Sound::FlagIsEarned => {
                "no flag and no `unordered` where the teardown itself ordered everything and nothing leaked"
            }
            Sound::CountsAreTrue => {
                "counts are those of the machine, or the verdict says that they are inexact"
            }
            Sound::KernelNotAccused => "no accusation of a machine that keeps its promises",
            Sound::OpenIsNotLazy => {
                "`inconclusive`, and `clean` of unknown order, only where two histories with the same visible \
                 events deserve different words"
            }
            Sound::InsightAgrees => {
                "a judge that also sees the inside says the same word wherever the live one decides"
            }
        }
    }
}

/// Whether a verdict leaves open what the truth is.
#[must_use]
pub fn is_open(verdict: &Verdict) -> bool {
    let kind = verdict.kind();
    let is_unordered_perhaps = kind == VerdictKind::Clean && verdict.decision.ordering == Ordering::Unknown;
    kind == VerdictKind::Inconclusive || is_unordered_perhaps
}

/// The word that the judge says, and its reasons.
#[must_use]
pub fn reason(verdict: &Verdict) -> String {
    let mut text = verdict.kind().word().to_owned();
    if is_open(verdict) && verdict.kind() == VerdictKind::Clean {
        text.push_str(" of unknown order");
    }
    let reasons: Vec<&str> = verdict.decision.reasons.iter().map(|reason| reason.word()).collect();
    if !reasons.is_empty() {
        text = format!("{text} ({})", reasons.join(", "));
    }
    text
}

/// What the judge says, in words.
#[must_use]
pub fn words(verdict: &Verdict) -> String {
    let left = verdict.decision.left;
    let callbacks = left.callbacks.map_or("?".to_owned(), |callbacks| callbacks.to_string());
    let leaked = left.leaked.map_or("?".to_owned(), |leaked| leaked.to_string());
    format!(
        "{}; {} by kfree_rcu(), {callbacks} by call_rcu(), {} by others, {leaked} leaked, {} undecided",
        reason(verdict),
        left.frees,
        left.others,
        left.undecided
    )
}

/// The promise that a word breaks, where these are deserved.
fn of_word(verdict: &Verdict, deserves: Words, is_whole: bool) -> Option<Sound> {
    let kind = verdict.kind();
    if kind == VerdictKind::Inconclusive {
        return None;
    }
    if kind == VerdictKind::Clean && is_open(verdict) {
        let empty = Words::of(&[VerdictKind::Clean, VerdictKind::Waited, VerdictKind::Unordered]);
        return (deserves.and(empty) == Words::default()).then_some(Sound::CleanIsClean);
    }
    // A judge that is not told of everything may know no more than that something is wrong.
    let faults = [VerdictKind::Pending, VerdictKind::Leaked, VerdictKind::Unordered];
    let is_known_to_be_wrong = !is_whole && faults.iter().any(|fault| deserves.has(*fault));
    if deserves.has(kind) || faults.contains(&kind) && is_known_to_be_wrong {
        return None;
    }
    Some(match kind {
        VerdictKind::LateFree
        | VerdictKind::BarrierEarly
        | VerdictKind::FreedEarly
        | VerdictKind::DoubleFree
        | VerdictKind::ModelDisagrees => Sound::KernelNotAccused,
        VerdictKind::Clean | VerdictKind::Waited | VerdictKind::Alias | VerdictKind::Repeated => {
            Sound::CleanIsClean
        }
        _ => Sound::FlagIsEarned,
    })
}

/// The promise that a verdict about a destroy breaks, if any. `is_whole` says that the judge was told of everything.
pub(super) fn of_destroy(verdict: &Verdict, look: &Look, is_whole: bool) -> Option<Sound> {
    of_word(verdict, look.deserves(), is_whole)
        .or_else(|| (!are_counts_true(verdict, look, is_whole)).then_some(Sound::CountsAreTrue))
}

/// The same of an unload.
pub(super) fn of_unload(verdict: &Verdict, unloaded: &Unloaded, is_whole: bool) -> Option<Sound> {
    of_word(verdict, unloaded.deserves.unwrap_or_default(), is_whole).or_else(|| {
        let left = verdict.decision.left;
        let said = left.callbacks.map(|callbacks| callbacks + left.others);
        let is_true = said.is_none_or(|said| said == u64::from(unloaded.open));
        (is_whole && !is_true && verdict.kind() == VerdictKind::Pending).then_some(Sound::CountsAreTrue)
    })
}

fn are_counts_true(verdict: &Verdict, look: &Look, is_whole: bool) -> bool {
    let (Some(counted), left) = (look.counted, verdict.decision.left) else { return true };
    // Between what it is at the begin of the look, at its end, and when the slabs are counted.
    let (at_count, moments) =
        (counted.outstanding, [look.outstanding, look.outstanding_then, counted.outstanding]);
    let within = |said: u64, of: fn(&Outstanding) -> Held| {
        let surely = moments.iter().map(|moment| of(moment).waits).min().unwrap_or(0);
        let most = moments.iter().map(|moment| of(moment).waits + of(moment).in_call).max().unwrap_or(0);
        (u64::from(surely)..=u64::from(most)).contains(&said)
    };
    let kind = verdict.kind();
    if is_whole && kind == VerdictKind::Pending {
        let is_true = within(left.frees, |outstanding| outstanding.frees)
            && left.callbacks.is_none_or(|said| within(said, |outstanding| outstanding.callbacks))
            && within(left.others, |outstanding| outstanding.others);
        if !is_true {
            return false;
        }
    }
    if look.has_failed && !matches!(kind, VerdictKind::Alias | VerdictKind::Repeated) {
        let leaked = left.leaked.unwrap_or(0);
        // What is deferred while the slabs are counted is nobody's for a look that is over.
        let known = at_count.frees.held + at_count.callbacks.held + at_count.others.held;
        let known = known.min(look.outstanding_then.total());
        // Where nothing is left of what the look found, one object stands for it.
        let left_over = counted.left.max(1);
        let most = if is_whole && counted.left > 0 { counted.left.saturating_sub(known) } else { left_over };
        let (real, real_then) = (u64::from(counted.leaked), u64::from(look.leaked.max(counted.leaked)));
        // The event has its place before the slabs are counted: what is freed meanwhile hides as many that leaked.
        let hidden = u64::from(look.held.saturating_sub(counted.left));
        let is_split =
            left.leaked.is_none() || leaked <= real_then && real <= leaked + left.undecided + hidden;
        if !is_split || leaked + left.undecided > u64::from(most) {
            return false;
        }
    }
    if is_whole && kind == VerdictKind::Waited {
        let (waited, met) = (verdict.decision.waited, look.at_begin);
        let is_true =
            |said: u64, met: Held| (u64::from(met.held)..=u64::from(met.waits + met.in_call)).contains(&said);
        return is_true(waited.own_frees, met.frees)
            && (!waited.for_callbacks || is_true(waited.own_callbacks, met.callbacks));
    }
    true
}
