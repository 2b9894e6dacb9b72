//! Compared: two traces side by side, as one HTML file.

use maud::{Markup, html};

use super::{
    charts::{self, Axis, Bar, Look},
    document,
    page::figure,
};

/// One of the two traces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Its name.
    pub name: String,
    /// Its kernel, as far as it is told.
    pub kernel: String,
    /// Its events, as a person reads the number.
    pub events: String,
}

/// What one trace says of something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// In words: a verdict, a time.
    pub told: String,
    /// How long it took; 0 for something that is not there.
    pub wait_ns: u64,
    /// Whether it is a fault.
    pub is_flagged: bool,
}

/// What both traces say of the same thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// The thing.
    pub name: String,
    /// The one, and the other.
    pub values: [Value; 2],
}

impl Pair {
    /// Whether they say the same, but for how long it took.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.values[0].told == self.values[1].told
    }
}

/// Pairs that a picture shows at the most.
const MOST: usize = 60;

/// The page: caches, and barriers by their causes.
#[must_use]
pub(crate) fn html(sides: &[Side; 2], caches: &[Pair], barriers: &[Pair]) -> String {
    let [one, other] = sides;
    let changed: Vec<&Pair> = caches.iter().filter(|pair| !pair.is_same()).collect();
    let body = html! {
        h1 { (one.name) " → " (other.name) }
        dl.facts {
            @for (word, side) in [("one", one), ("other", other)] {
                div { dt { (word) } dd { (side.name) ", " (side.kernel) ", " (side.events) " events" } }
            }
        }
        h2 { "What has changed" }
        @if changed.is_empty() { p { "Each cache ends in both traces in the same way." } }
        @for pair in &changed { (change(pair)) }
        (pictures("Destroys", "how long the longest destroy of a cache waited", caches))
        (pictures("Barriers by cause", "the sum of the waits", barriers))
    };
    document(&format!("{} and {}", one.name, other.name), "", &body)
}

fn change(pair: &Pair) -> Markup {
    let [one, other] = &pair.values;
    html! {
        div.verdict.bad[other.is_flagged].open[one.is_flagged && !other.is_flagged] {
            h3 { (pair.name) ": " (one.told) " → " b { (other.told) } }
        }
    }
}

fn pictures(heading: &str, axis: &str, pairs: &[Pair]) -> Markup {
    let waits = |pair: &&Pair| pair.values.iter().any(|value| value.wait_ns > 0);
    let shown: Vec<&Pair> = pairs.iter().filter(waits).take(MOST).collect();
    let key = [("the one".to_owned(), 0), ("the other".to_owned(), 1)];
    html! {
        h2 { (heading) }
        @if shown.is_empty() {
            p { "Nothing waited in either trace." }
        } @else {
            @let bars: Vec<Bar> = shown.iter().flat_map(|pair| bars(pair)).collect();
            @let axis = Axis { title: heading, name: axis, until_ns: None };
            (figure(|size| charts::bars(&bars, axis, size), &key, &html! {
                "Two bars for each, the one above the other; red: a fault."
                @if pairs.iter().filter(waits).count() > MOST { " Only the first " (MOST) " are shown." }
            }))
        }
    }
}

fn bars(pair: &Pair) -> [Bar; 2] {
    let bar = |name: &str, value: &Value, look| Bar {
        name: name.to_owned(),
        value_ns: value.wait_ns,
        after_ns: 0,
        note: value.told.clone(),
        look: if value.is_flagged { Look::Fault } else { look },
    };
    let [one, other] = &pair.values;
    [bar(&pair.name, one, Look::Plain), bar("", other, Look::Other)]
}
