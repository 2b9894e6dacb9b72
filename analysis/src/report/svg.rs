//! SVG: shapes and scales, in the page itself so that a report is one file. Colours are classes that the page's CSS gives.

use maud::{Markup, html};

/// A picture that is being drawn, in a coordinate system of its own that scales with the page.
#[derive(Debug)]
pub(super) struct Picture {
    shapes: Vec<Markup>,
    width: f64,
    height: f64,
    /// What it shows, for who cannot see it.
    title: String,
}

/// A tenth of a pixel is seen by nobody.
fn at(place: f64) -> String {
    format!("{place:.1}")
}

/// What a pointer that rests on a shape is told.
fn tip(tip: &str) -> Markup {
    html! { @if !tip.is_empty() { title { (tip) } } }
}

impl Picture {
    /// An empty one.
    #[must_use]
    pub(super) fn new(width: f64, height: f64, title: &str) -> Picture {
        Picture { shapes: Vec::new(), width, height, title: title.to_owned() }
    }

    /// A line.
    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.shapes.push(html! { line class=(class) x1=(at(x1)) y1=(at(y1)) x2=(at(x2)) y2=(at(y2)) {} });
    }

    /// A rectangle, with what a pointer that rests on it is told.
    pub(super) fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), told: &str) {
        let (width, height) = (at(width.max(0.0)), at(height.max(0.0)));
        self.shapes.push(html! {
            rect class=(class) x=(at(x)) y=(at(y)) width=(width) height=(height) { (tip(told)) }
        });
    }

    /// Lines from point to point.
    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)], is_closed: bool) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let end = if is_closed { "Z" } else { "" };
        self.shapes.push(html! { path class=(class) d={ "M" (points.join("L")) (end) } {} });
    }

    /// A dot, with what a pointer that rests on it is told.
    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, told: &str) {
        self.shapes.push(html! { circle class=(class) cx=(at(x)) cy=(at(y)) r=(at(radius)) { (tip(told)) } });
    }

    /// Text; `anchor` is `start`, `middle` or `end`.
    pub(super) fn text(&mut self, class: &str, anchor: &str, (x, y): (f64, f64), text: &str) {
        self.shapes.push(html! { text class=(class) x=(at(x)) y=(at(y)) text-anchor=(anchor) { (text) } });
    }

    /// The element.
    #[must_use]
    pub(super) fn finish(self) -> Markup {
        let Picture { shapes, width, height, title } = self;
        let view = format!("0 0 {width:.0} {height:.0}");
        html! {
            svg viewBox=(view) role="img" aria-label=(title) preserveAspectRatio="xMidYMid meet" {
                @for shape in &shapes { (shape) }
            }
        }
    }
}

/// Values to places on an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    from: f64,
    until: f64,
    begin: f64,
    end: f64,
}

impl Scale {
    /// Values from `from` to `until` lie between `begin` and `end`.
    #[must_use]
    pub(super) fn new((from, until): (f64, f64), (begin, end): (f64, f64)) -> Scale {
        let until = if until > from { until } else { from + 1.0 };
        Scale { from, until, begin, end }
    }

    /// Where a value lies.
    #[must_use]
    pub(super) fn at(&self, value: f64) -> f64 {
        let part = (value - self.from) / (self.until - self.from);
        self.begin + part.clamp(0.0, 1.0) * (self.end - self.begin)
    }

    /// About so many round values of the axis.
    #[must_use]
    pub(super) fn ticks(&self, about: f64) -> Vec<f64> {
        let rough = (self.until - self.from) / about.max(1.0);
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = step.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power);
        let first = (self.from / step).ceil();
        let last = (self.until / step).floor();
        let mut ticks = Vec::new();
        let mut number = first;
        while number <= last && ticks.len() < 50 {
            ticks.push(number * step);
            number += 1.0;
        }
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(Scale::new((0.0, 777.0), (0.0, 1.0)).ticks(4.0), [0.0, 200.0, 400.0, 600.0]);
        assert_eq!(Scale::new((-0.5, 1.2), (0.0, 1.0)).ticks(4.0), [-0.5, 0.0, 0.5, 1.0]);
    }

    #[test]
    fn names_of_caches_cannot_leave_their_place() {
        let mut picture = Picture::new(1.0, 1.0, "\"><script>");
        picture.text("name", "end", (0.0, 0.0), "<script>\"&");
        let svg = picture.finish().into_string();
        assert!(svg.contains("aria-label=\"&quot;&gt;&lt;script&gt;\""), "{svg}");
        assert!(svg.contains(">&lt;script&gt;&quot;&amp;</text>"), "{svg}");
    }
}
