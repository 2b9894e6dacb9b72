//! Charts: the pictures of a report, each drawn once for a wide page and once for a narrow one.

use maud::Markup;

use super::svg::{Picture, Scale};
use crate::show::units;

/// Colours that tell caches apart; those beyond share the last.
pub(super) const COLOURS: usize = 6;

/// How large a chart is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Units of the picture, which are pixels of a page that wide.
    pub(super) width: f64,
    /// For a narrow page: less text.
    pub(super) is_narrow: bool,
}

/// For a page of a desk.
pub(super) const WIDE: Size = Size { width: 960.0, is_narrow: false };
/// For a page of a hand.
pub(super) const NARROW: Size = Size { width: 360.0, is_narrow: true };

/// How many deferred frees of one cache were outstanding, part by part.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The cache.
    pub(super) name: String,
    /// Which of the [`COLOURS`].
    pub(super) colour: usize,
    /// Whether these are callbacks of `call_rcu()` and not objects of `kfree_rcu()`: the line is broken.
    pub(super) is_callbacks: bool,
    /// The part of the span, and the count from its end on.
    pub(super) points: Vec<(i64, i64)>,
}

/// Something that happened in a span.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// When it began and ended.
    pub(super) from_ns: i64,
    /// The same as the beginning for a moment.
    pub(super) until_ns: i64,
    /// Whether it is a fault; of a grace period, whether it is an expedited one.
    pub(super) is_flagged: bool,
    /// What stands beside it in the picture.
    pub(super) label: String,
    /// In words.
    pub(super) told: String,
}

/// What the first chart shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Outstanding {
    /// Of the whole trace.
    pub(super) span_ns: (i64, i64),
    /// Into how many parts it is cut.
    pub(super) parts: i64,
    /// By cache.
    pub(super) lines: Vec<Line>,
    /// Destroys.
    pub(super) destroys: Vec<Mark>,
    /// Barriers.
    pub(super) barriers: Vec<Mark>,
    /// Grace periods.
    pub(super) graces: Vec<Mark>,
}

/// A bar of a chart whose bars lie.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    /// What it is.
    pub(super) name: String,
    /// How long it is.
    pub(super) value_ns: u64,
    /// What comes after it, drawn lighter.
    pub(super) after_ns: u64,
    /// What stands behind it.
    pub(super) note: String,
    /// How it looks.
    pub(super) look: Look,
}

/// How a bar looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A value.
    Plain,
    /// A fault.
    Fault,
    /// A simulated value that says little: it is grey.
    Doubted,
    /// A measured value among simulated ones: a line goes down from it.
    Measured,
    /// A value of the other of two traces.
    Other,
}

/// A column of a chart of classes, by colour.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// The class: from two to the power of a quarter of it nanoseconds on.
    pub(super) class: i32,
    /// How many of each colour.
    pub(super) counts: [u64; COLOURS],
}

#[expect(clippy::cast_precision_loss, reason = "places in a picture")]
fn float(number: i64) -> f64 {
    number as f64
}

fn unsigned(number: u64) -> f64 {
    float(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Where a chart with two axes has its plot.
struct Plot {
    size: Size,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Plot {
    fn new(size: Size, height: f64, top: f64, below: f64) -> Plot {
        Plot { size, left: 52.0, right: size.width - 12.0, top, bottom: height - below }
    }

    fn x(&self, values: (f64, f64)) -> Scale {
        Scale::new(values, (self.left, self.right))
    }

    /// Counts from 0 to this one.
    fn y(&self, most: f64) -> Scale {
        Scale::new((0.0, most.max(1.0) * 1.05), (self.bottom, self.top))
    }

    /// The axis of counts, and what is counted.
    fn counts(&self, picture: &mut Picture, y: &Scale, name: &str) {
        for tick in y.ticks(4.0).into_iter().filter(|tick| tick.fract().abs() < f64::EPSILON) {
            picture.line("grid", (self.left, y.at(tick)), (self.right, y.at(tick)));
            picture.text("tick", "end", (self.left - 6.0, y.at(tick) + 4.0), &rounded(tick));
        }
        picture.text("axis", "start", (2.0, 12.0), name);
    }

    /// The other axis, below whatever lies this far under the plot, and what it is.
    fn values(&self, picture: &mut Picture, x: &Scale, under: f64, name: &str, word: impl Fn(f64) -> String) {
        let line = self.bottom + under;
        for tick in x.ticks(if self.size.is_narrow { 3.0 } else { 8.0 }) {
            picture.line("grid", (x.at(tick), line), (x.at(tick), line + 4.0));
            let anchor = anchor(x.at(tick), self.size);
            picture.text("tick", anchor, (x.at(tick), line + 18.0), &word(tick));
        }
        picture.text("axis", "end", (self.right, line + 34.0), name);
    }
}

/// Rows of labels above the plot.
const LANES: usize = 4;
/// Height of such a row.
const LANE: f64 = 14.0;
/// Height of the row of grace periods, with its name.
const GRACES: f64 = 22.0;

/// Outstanding objects over time, with destroys, barriers and grace periods.
#[must_use]
pub(super) fn outstanding(shown: &Outstanding, size: Size) -> Markup {
    let (from, until) = shown.span_ns;
    let labels = labels(shown, size);
    let lanes = labels.iter().map(|(_, lane, _)| lane + 1).max().unwrap_or(0);
    let top = 34.0 + LANE * float(i64::try_from(lanes).unwrap_or(0));
    let strip = if shown.graces.is_empty() { 0.0 } else { GRACES };
    let height = top + strip + if size.is_narrow { 240.0 } else { 320.0 };
    let plot = Plot::new(size, height, top, 46.0 + strip);
    let mut picture = Picture::new(size.width, height, "Outstanding deferred frees over time, by cache");
    let most = shown.lines.iter().flat_map(|line| &line.points).map(|(_, count)| *count).max().unwrap_or(0);
    let (x, y) = (plot.x((float(from), float(until))), plot.y(float(most)));
    for barrier in &shown.barriers {
        let (begin, end) = (x.at(float(barrier.from_ns)), x.at(float(barrier.until_ns)));
        let area = ((end - begin).max(1.0), plot.bottom - plot.top);
        picture.rect("band", (begin, plot.top), area, &barrier.told);
    }
    plot.counts(&mut picture, &y, "deferred frees that wait");
    for line in &shown.lines {
        counts(&mut picture, line, shown, (&x, &y));
    }
    for (place, grace) in shown.graces.iter().enumerate() {
        let (begin, end) = (x.at(float(grace.from_ns)), x.at(float(grace.until_ns)));
        let class = match (grace.is_flagged, place % 2) {
            (true, _) => "grace fast",
            (false, 0) => "grace",
            (false, _) => "grace odd",
        };
        picture.rect(class, (begin, plot.bottom + 4.0), ((end - begin).max(0.5), 10.0), &grace.told);
    }
    if strip > 0.0 {
        picture.text("tick", "end", (plot.left - 6.0, plot.bottom + 13.0), "GPs");
    }
    let name = "time since the probes were attached";
    plot.values(&mut picture, &x, strip, name, |tick| time(tick, until - from));
    for destroy in &shown.destroys {
        let at = x.at(float(destroy.from_ns));
        let class = if destroy.is_flagged { "destroy bad" } else { "destroy" };
        picture.line(class, (at, plot.top - 4.0), (at, plot.bottom));
        picture.dot(class, (at, plot.top - 6.0), 4.0, &destroy.told);
    }
    for (place, lane, begin) in &labels {
        let destroy = &shown.destroys[*place];
        let class = if destroy.is_flagged { "label bad" } else { "label" };
        let line = plot.top - 16.0 - LANE * float(i64::try_from(*lane).unwrap_or(0));
        let at = x.at(float(destroy.from_ns));
        picture.line("lead", (at, line + 2.0), (at, plot.top - 10.0));
        picture.text(class, "start", (*begin, line), &destroy.label);
    }
    picture.finish()
}

/// One line of counts, with the area below it.
fn counts(picture: &mut Picture, line: &Line, shown: &Outstanding, (x, y): (&Scale, &Scale)) {
    let (from, until) = shown.span_ns;
    let end_of =
        |part: i64| float(from) + (float(part) + 1.0) * float(until - from) / float(shown.parts.max(1));
    let mut points = vec![(x.at(float(from)), y.at(0.0))];
    let mut last = 0;
    for (part, count) in &line.points {
        let at = x.at(end_of(*part));
        points.push((at, y.at(float(last))));
        points.push((at, y.at(float(*count))));
        last = *count;
    }
    points.push((x.at(float(until)), y.at(float(last))));
    if line.is_callbacks {
        return picture.path(&format!("stroke broken c{}", line.colour), &points, false);
    }
    let mut area = points.clone();
    area.push((x.at(float(until)), y.at(0.0)));
    picture.path(&format!("area c{}", line.colour), &area, true);
    picture.path(&format!("stroke c{}", line.colour), &points, false);
}

/// Destroys whose labels have room: the place of each among the destroys, its row above the plot, and where it begins. Faults
/// are labelled first.
fn labels(shown: &Outstanding, size: Size) -> Vec<(usize, usize, f64)> {
    let (from, until) = shown.span_ns;
    let plot = Plot::new(size, 0.0, 0.0, 0.0);
    let x = plot.x((float(from), float(until)));
    let mut order: Vec<usize> = (0..shown.destroys.len()).collect();
    order.sort_by_key(|place| !shown.destroys[*place].is_flagged);
    let mut taken: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut labels = Vec::new();
    for place in order {
        let destroy = &shown.destroys[place];
        let width = 6.6 * unsigned(destroy.label.chars().count() as u64);
        let begin = (x.at(float(destroy.from_ns)) - width / 2.0).min(size.width - width - 4.0).max(2.0);
        let is_free = |lane: &Vec<(f64, f64)>| {
            lane.iter().all(|(from, until)| begin + width + 8.0 < *from || *until + 8.0 < begin)
        };
        let lane = taken.iter().position(is_free).unwrap_or(taken.len());
        if lane >= LANES {
            continue;
        }
        if lane == taken.len() {
            taken.push(Vec::new());
        }
        taken[lane].push((begin, begin + width));
        labels.push((place, lane, begin));
    }
    labels
}

/// How long something took, in classes, and the names of the two axes.
#[must_use]
pub(super) fn distribution(classes: &[Class], (counted, taken): (&str, &str), size: Size) -> Markup {
    let height = if size.is_narrow { 250.0 } else { 290.0 };
    let plot = Plot::new(size, height, 26.0, 46.0);
    let mut picture = Picture::new(size.width, height, &format!("{counted} by {taken}"));
    let first = classes.iter().map(|class| class.class).min().unwrap_or(0);
    let last = classes.iter().map(|class| class.class).max().unwrap_or(0) + 1;
    // A few classes alone would be wide beams.
    let room = (16 - (last - first)).max(2) / 2;
    let most: u64 = classes.iter().map(|class| class.counts.iter().sum()).max().unwrap_or(0);
    let x = plot.x((f64::from(first - room), f64::from(last + room)));
    let y = plot.y(unsigned(most));
    plot.counts(&mut picture, &y, counted);
    for class in classes {
        let (begin, end) = (x.at(f64::from(class.class)), x.at(f64::from(class.class) + 1.0));
        let (from, until) = (bound(f64::from(class.class)), bound(f64::from(class.class) + 1.0));
        let mut below = 0u64;
        for (colour, count) in class.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (bottom, top) = (y.at(unsigned(below)), y.at(unsigned(below + count)));
            let told = format!("{} of {from} to {until}", units::count(*count));
            picture.rect(
                &format!("bar c{colour}"),
                (begin + 0.5, top),
                (end - begin - 1.0, bottom - top),
                &told,
            );
            below += count;
        }
    }
    plot.values(&mut picture, &x, 0.0, taken, bound);
    picture.finish()
}

/// What the bars of a chart are about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis<'a> {
    /// What the chart shows.
    pub(super) title: &'a str,
    /// What the lengths are.
    pub(super) name: &'a str,
    /// Where the axis ends, if not at the longest bar. A longer one is cut, and has a gap.
    pub(super) until_ns: Option<u64>,
}

/// Bars that lie, each with its name above on a narrow page and before it on a wide one. Their lengths can be compared: the
/// axis begins at 0 and is linear.
#[must_use]
pub(super) fn bars(bars: &[Bar], axis: Axis<'_>, size: Size) -> Markup {
    let (row, left, behind) = if size.is_narrow { (34.0, 4.0, 168.0) } else { (20.0, 330.0, 210.0) };
    let top = 4.0;
    let end = top + row * unsigned(bars.len() as u64) + 4.0;
    let mut picture = Picture::new(size.width, end + 40.0, axis.title);
    let longest = bars.iter().map(Bar::whole_ns).max().unwrap_or(0);
    let most = axis.until_ns.map_or(longest, |until| longest.min(until)).max(1);
    let x = Scale::new((0.0, unsigned(most)), (left, size.width - behind));
    let span_ns = i64::try_from(most).unwrap_or(i64::MAX);
    for tick in x.ticks(if size.is_narrow { 2.0 } else { 5.0 }) {
        picture.line("grid", (x.at(tick), top), (x.at(tick), end));
        let anchor = if size.is_narrow && tick == 0.0 { "start" } else { "middle" };
        picture.text("tick", anchor, (x.at(tick), end + 14.0), &time(tick, span_ns));
    }
    picture.text("axis", "start", (left, end + 32.0), axis.name);
    for (place, bar) in bars.iter().enumerate() {
        let line = top + row * unsigned(place as u64);
        one_bar(&mut picture, bar, &x, (line, left, end), size);
        if bar.whole_ns() > most {
            let (at, under) = (size.width - behind - 14.0, line + if size.is_narrow { 14.0 } else { 2.0 });
            picture.rect("gap", (at, under - 1.0), (5.0, 18.0), "");
        }
    }
    picture.finish()
}

impl Bar {
    fn whole_ns(&self) -> u64 {
        self.value_ns.saturating_add(self.after_ns)
    }
}

/// Where the axis of these bars ends, so that one of twenty seconds leaves something of those of milliseconds: at twice the
/// measured one or the median, whichever is more.
#[must_use]
pub(super) fn reach_ns(bars: &[Bar]) -> Option<u64> {
    let mut known: Vec<u64> = bars.iter().map(Bar::whole_ns).filter(|ns| *ns > 0).collect();
    known.sort_unstable();
    let measured = bars.iter().filter(|bar| bar.look == Look::Measured).map(|bar| bar.value_ns).max();
    let most = known.get(known.len() / 2).copied().max(measured)?;
    Some(most.saturating_mul(2))
}

/// One of them, from this line on.
fn one_bar(picture: &mut Picture, bar: &Bar, x: &Scale, (line, left, bottom): (f64, f64, f64), size: Size) {
    let under = if size.is_narrow { line + 14.0 } else { line + 2.0 };
    let (thick, end) = (if size.is_narrow { 16.0 } else { 15.0 }, x.at(unsigned(bar.value_ns)));
    let (class, note) = match bar.look {
        Look::Plain => ("bar c0", "note"),
        Look::Other => ("bar c1", "note"),
        Look::Fault => ("bar bad", "note bad"),
        Look::Doubted => ("bar doubted", "note doubted"),
        Look::Measured => ("bar measured", "note"),
    };
    let all = x.at(unsigned(bar.whole_ns()));
    if bar.after_ns > 0 {
        let told = format!("{} lingers {}", bar.name, units::span(bar.after_ns));
        picture.rect("bar after", (end, under), (all - end, thick), &told);
    }
    let told = format!("{}: {}", bar.name, bar.note);
    // What took no time has no bar, and what took a little can be seen.
    let least = if bar.value_ns > 0 { 1.5 } else { 0.0 };
    picture.rect(class, (left, under), ((end - left).max(least), thick), &told);
    if size.is_narrow {
        picture.text("name", "start", (left, line + 10.0), &bar.name);
    } else {
        picture.text("name", "end", (left - 8.0, line + 14.0), &bar.name);
    }
    if bar.look == Look::Measured {
        picture.line("measured", (end, under), (end, bottom));
    }
    let reach = if bar.after_ns > 0 { all } else { end.max(left + 1.5) };
    picture.text(note, "start", (reach + 6.0, under + thick - 3.0), &bar.note);
}

/// Where a text at this place begins or ends, so that it stays on the picture.
fn anchor(place: f64, size: Size) -> &'static str {
    if place > size.width - 34.0 { "end" } else { "middle" }
}

/// The bound of a class.
fn bound(class: f64) -> String {
    let ns = (class / 4.0).exp2();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what is a time")]
    let ns = ns.clamp(0.0, 9e18) as u64;
    let (number, unit) = match ns {
        0..1_000 => (unsigned(ns), "ns"),
        1_000..1_000_000 => (unsigned(ns) / 1e3, "µs"),
        1_000_000..1_000_000_000 => (unsigned(ns) / 1e6, "ms"),
        _ => (unsigned(ns) / 1e9, "s"),
    };
    if number < 10.0 { format!("{number:.1} {unit}") } else { format!("{number:.0} {unit}") }
}

fn rounded(tick: f64) -> String {
    match tick {
        ..1e4 => format!("{tick:.0}"),
        1e4..1e6 => format!("{:.0}k", tick / 1e3),
        _ => format!("{:.1}M", tick / 1e6),
    }
}

/// A moment on an axis of this span.
fn time(tick: f64, span_ns: i64) -> String {
    match span_ns {
        ..10_000_000 => format!("{:.0} µs", tick / 1e3),
        10_000_000..10_000_000_000 => format!("{:.0} ms", tick / 1e6),
        _ => format!("{:.0} s", tick / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(value_ns: u64, after_ns: u64, look: Look) -> Bar {
        Bar { name: "bar".to_owned(), value_ns, after_ns, note: String::new(), look }
    }

    #[test]
    fn lengths_are_to_scale_and_the_one_that_goes_on_has_a_gap() {
        let bars = [
            bar(35, 0, Look::Measured),
            bar(20, 0, Look::Plain),
            bar(40, 0, Look::Plain),
            bar(0, 20_000, Look::Plain),
        ];
        // The median of 20, 35, 40 and 20,000 is 40.
        assert_eq!(reach_ns(&bars), Some(80));
        let axis = Axis { title: "t", name: "n", until_ns: Some(80) };
        let drawn = self::bars(&bars, axis, WIDE).into_string();
        // 420 units are 80 ns: 35 of them are 183.8, 20 are 105.
        for width in ["width=\"183.8\"", "width=\"105.0\"", "width=\"210.0\"", "width=\"420.0\""] {
            assert!(drawn.contains(width), "{width}: {drawn}");
        }
        assert_eq!(drawn.matches("class=\"gap\"").count(), 1, "{drawn}");
        assert_eq!(reach_ns(&[]), None);
    }

    #[test]
    fn labels_do_not_lie_on_each_other_and_faults_have_theirs() {
        let destroy = |at: i64, is_flagged| Mark {
            from_ns: at,
            until_ns: at,
            is_flagged,
            label: "a_cache_of_some_length".to_owned(),
            told: String::new(),
        };
        let mut destroys: Vec<Mark> = (0..30).map(|place| destroy(500 + place, false)).collect();
        destroys.push(destroy(515, true));
        let shown = Outstanding { span_ns: (0, 1000), parts: 10, destroys, ..Outstanding::default() };
        for size in [WIDE, NARROW] {
            let labels = labels(&shown, size);
            assert_eq!(labels.len(), LANES, "one in each row: they are all at one place");
            assert_eq!(labels[0].0, 30, "the fault");
            let lanes: Vec<usize> = labels.iter().map(|(_, lane, _)| *lane).collect();
            assert_eq!(lanes, [0, 1, 2, 3]);
        }
    }
}
