//! SVG: shapes and scales, written by hand so that a report is one file. Colours are classes that the page's CSS gives.

use std::fmt::Write as _;

/// A picture that is being drawn, in a coordinate system of its own that scales with the page.
#[derive(Debug)]
pub(super) struct Picture {
    body: String,
    width: f64,
    height: f64,
    /// What it shows, for who cannot see it.
    title: String,
}

/// Text that may stand in HTML and SVG.
#[must_use]
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // No control character is allowed there, and none says anything.
            character if character.is_control() => safe.push('\u{fffd}'),
            character => safe.push(character),
        }
    }
    safe
}

impl Picture {
    /// An empty one.
    #[must_use]
    pub(super) fn new(width: f64, height: f64, title: &str) -> Picture {
        Picture { body: String::new(), width, height, title: escape(title) }
    }

    /// A line.
    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let _ = write!(
            self.body,
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        );
    }

    /// A rectangle, with what a pointer that rests on it is told.
    pub(super) fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), tip: &str) {
        let (width, height) = (width.max(0.0), height.max(0.0));
        let _ = write!(
            self.body,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}">"#
        );
        self.tip(tip);
        self.body.push_str("</rect>");
    }

    /// Lines from point to point.
    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)], is_closed: bool) {
        if points.is_empty() {
            return;
        }
        let _ = write!(self.body, r#"<path class="{class}" d=""#);
        for (place, (x, y)) in points.iter().enumerate() {
            let _ = write!(self.body, "{}{x:.1} {y:.1}", if place == 0 { 'M' } else { 'L' });
        }
        self.body.push_str(if is_closed { "Z\"/>" } else { "\"/>" });
    }

    /// A dot, with what a pointer that rests on it is told.
    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, tip: &str) {
        let _ = write!(self.body, r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius:.1}">"#);
        self.tip(tip);
        self.body.push_str("</circle>");
    }

    /// Text; `anchor` is `start`, `middle` or `end`.
    pub(super) fn text(&mut self, class: &str, anchor: &str, (x, y): (f64, f64), text: &str) {
        let _ = write!(
            self.body,
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
            escape(text)
        );
    }

    fn tip(&mut self, tip: &str) {
        if !tip.is_empty() {
            let _ = write!(self.body, "<title>{}</title>", escape(tip));
        }
    }

    /// The element.
    #[must_use]
    pub(super) fn finish(self) -> String {
        let Picture { body, width, height, title } = self;
        format!(
            r#"<svg viewBox="0 0 {width:.0} {height:.0}" role="img" aria-label="{title}" preserveAspectRatio="xMidYMid meet">{body}</svg>"#
        )
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
        assert_eq!(escape("<script>\"'&\u{1}"), "&lt;script&gt;&quot;&#39;&amp;\u{fffd}");
    }
}
