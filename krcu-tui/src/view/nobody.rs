//! Nobody: the screen before the first report, which helps in the first minute.

use ratatui::{layout::Rect, text::Line};

use super::{Canvas, text::clip};
use crate::{
    connection::{Link, Why},
    state::{App, Freshness},
};

/// Explanations, and commands to type.
type Advice = &'static [(&'static str, &'static str)];

const START: Advice = &[
    ("Start one, as a service where krcu is installed:", ""),
    ("", "sudo systemctl start krcu"),
    ("or in another terminal:", ""),
    ("", "sudo krcu agent"),
];
const JOIN: Advice =
    &[("Join the group that owns the socket, then log in again:", ""), ("", "sudo usermod -aG krcu $USER")];
const OTHER_VERSION: Advice = &[
    ("The agent and this program have different versions:", ""),
    ("", "krcu --version; krcu-tui --version"),
];
const FULL: Advice = &[
    ("Close another client of the agent, or set a higher socket.clients in", ""),
    ("", "/etc/krcu/agent.toml"),
    ("and restart the agent.", ""),
];
const FROZEN: Advice = &[
    ("The agent may be stopped (state T) or overloaded:", ""),
    ("", "ps -o pid,stat,pcpu,args -C krcu"),
    ("A stopped agent continues after:", ""),
    ("", "sudo kill -CONT PID"),
];
const REPLAY: Advice = &[
    ("", ""),
    ("Or replay a finished run:", ""),
    ("", "sudo krcu check -o NAME.krcu -- rmmod my_module"),
    ("", "krcu tui --replay NAME.krcu"),
];

pub(crate) fn draw(
    canvas: &mut Canvas<'_, '_>,
    area: Rect,
    app: &App,
    (freshness, socket): (Freshness, &str),
) {
    let theme = *canvas.theme;
    let mut lines = vec![Line::default()];
    let mut say = |words: String, style| lines.push(Line::styled(clip(&words, area.width.into()), style));
    if app.replay.is_some() {
        say("reading the trace".to_owned(), theme.quiet());
        return canvas.lines(area, lines);
    }
    let (what, advice, next) = match (&app.link, freshness) {
        (Link::Lost(why), _) => {
            let advice = match why {
                Why::NotAllowed => JOIN,
                Why::Refused(_) => FULL,
                Why::Schema(_) | Why::Garbage(_) => OTHER_VERSION,
                _ => START,
            };
            (why.to_string(), advice, "krcu tries again every two seconds. q quits.")
        }
        (_, Freshness::Frozen(_)) => {
            let words = "the agent is connected but silent".to_owned();
            (words, FROZEN, "The connection stays open: the first report is shown at once. q quits.")
        }
        (link, _) => {
            let words = match link {
                Link::Connected => "waiting for the first report",
                Link::Reached => "connected; waiting for the agent's first line",
                _ => "looking for an agent",
            };
            say(format!("{socket}: {words}"), theme.quiet());
            return canvas.lines(area, lines);
        }
    };
    say(what, theme.bold());
    say(format!("  {socket}"), theme.quiet());
    say(String::new(), theme.plain());
    for (words, command) in advice.iter().chain(REPLAY) {
        match command.is_empty() {
            true => say((*words).to_owned(), theme.plain()),
            false => say(format!("    {command}"), theme.heading()),
        }
    }
    say(String::new(), theme.plain());
    say(next.to_owned(), theme.quiet());
    canvas.lines(area, lines);
}
