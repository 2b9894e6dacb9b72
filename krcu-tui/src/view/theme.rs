//! Theme: the few styles. A mark or a word says everything that a colour says: nobody needs to tell red from
//! green, and nothing is missing without colour. The colours are the terminal's own, so that they suit its
//! background.

use krcu_model::VerdictKind;
use krcu_report::FlatVerdict;
use ratatui::style::{Color, Modifier, Style};

/// The styles, and the characters that may be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    has_colour: bool,
    is_unicode: bool,
}

impl Theme {
    /// With or without colour, with or without characters beyond ASCII.
    #[must_use]
    pub fn new(has_colour: bool, is_unicode: bool) -> Theme {
        Theme { has_colour, is_unicode }
    }

    pub(crate) fn is_ascii(self) -> bool {
        !self.is_unicode
    }

    fn colour(self, colour: Color) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new() }
    }

    pub(crate) fn plain(self) -> Style {
        Style::new()
    }

    pub(crate) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Unimportant.
    pub(crate) fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(crate) fn title(self) -> Style {
        self.colour(Color::Blue).add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    pub(crate) fn heading(self) -> Style {
        self.colour(Color::Blue).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(crate) fn good(self) -> Style {
        self.colour(Color::Cyan)
    }

    /// A fault or a loss.
    pub(crate) fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// A fault on another kernel, or at another time.
    pub(crate) fn doubtful(self) -> Style {
        self.colour(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// Unknown or undecided.
    pub(crate) fn unknown(self) -> Style {
        self.colour(Color::Magenta).add_modifier(Modifier::BOLD)
    }

    /// Something that must be seen at once.
    pub(crate) fn alarm(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    /// The mark, the word and the style of a verdict.
    pub(crate) fn verdict(self, verdict: &FlatVerdict) -> (char, String, Style) {
        let kind = verdict.verdict;
        let (mark, style) = match kind {
            _ if verdict.flagged => ('!', self.bad()),
            VerdictKind::Inconclusive => ('?', self.unknown()),
            _ if verdict.flagged_strictly => ('~', self.doubtful()),
            _ => (self.mark('·', '.'), self.plain()),
        };
        let is_loud = verdict.flagged || kind == VerdictKind::Unordered;
        let word = if is_loud { kind.word().to_uppercase() } else { kind.word().to_owned() };
        (mark, word, style)
    }

    /// The first character if more than ASCII may be drawn, otherwise the second.
    pub(crate) fn mark(self, unicode: char, ascii: char) -> char {
        if self.is_unicode { unicode } else { ascii }
    }

    pub(crate) fn rule(self, columns: u16) -> String {
        self.mark('─', '-').to_string().repeat(columns.into())
    }

    /// A sparkline of this width for the newest samples; the largest is as high as a line.
    pub(crate) fn spark(self, samples: impl DoubleEndedIterator<Item = f64>, columns: usize) -> String {
        const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        const ASCII: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];
        let bars = if self.is_unicode { BARS } else { ASCII };
        let mut newest: Vec<f64> = samples.rev().take(columns).collect();
        newest.reverse();
        let largest = newest.iter().copied().fold(0.0, f64::max);
        let bar = |sample: &f64| {
            if *sample <= 0.0 || largest <= 0.0 {
                return ' ';
            }
            // Seven steps above the lowest, which every sample has.
            let step = (1_u8..8).filter(|step| sample / largest > f64::from(*step) / 8.0).count();
            bars[step.min(7)]
        };
        let drawn: String = newest.iter().map(bar).collect();
        format!("{drawn:>columns$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spark_is_as_high_as_its_largest_and_keeps_the_newest() {
        let theme = Theme::new(true, true);
        assert_eq!(theme.spark([0.0, 1.0, 4.0, 8.0].into_iter(), 6), "   ▁▄█");
        assert_eq!(theme.spark([8.0, 1.0, 2.0].into_iter(), 2), "▄█");
        assert_eq!(theme.spark([0.0, 0.0].into_iter(), 3), "   ");
        assert_eq!(theme.spark(std::iter::empty(), 2), "  ");
        assert_eq!(Theme::new(false, false).spark([1.0, 8.0].into_iter(), 2), "_#");
    }

    #[test]
    fn without_colour_no_style_has_one() {
        let theme = Theme::new(false, true);
        for style in
            [theme.title(), theme.heading(), theme.good(), theme.bad(), theme.doubtful(), theme.alarm()]
        {
            assert_eq!((style.fg, style.bg), (None, None));
        }
        assert_ne!(theme.bad(), theme.plain());
        assert_ne!(theme.alarm(), theme.bad());
    }
}
