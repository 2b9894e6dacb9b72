//! Nobody: what is shown before anything has come, so that the first minute goes well.

use ratatui::{layout::Rect, text::Line};

use super::{Canvas, text::clip};
use crate::{
    connection::{Link, Why},
    state::{App, Freshness},
};

/// What is said, and what to type.
type Advice = &'static [(&'static str, &'static str)];

const START: Advice = &[
    ("Start one, as a service where krcu is installed:", ""),
    ("", "sudo systemctl start krcu"),
    ("or in another terminal:", ""),
    ("", "sudo krcu agent"),
];
const JOIN: Advice =
    &[("The socket is its group's. Join it, and log in anew:", ""), ("", "sudo usermod -aG krcu $USER")];
const OTHER_VERSION: Advice =
    &[("The agent and this program are not of one version:", ""), ("", "krcu --version; krcu-tui --version")];
const FULL: Advice = &[
    ("Close a program that watches it, or allow it more: socket.clients, in", ""),
    ("", "/etc/krcu/agent.toml"),
    ("which it reads when it starts.", ""),
];
const FROZEN: Advice = &[
    ("It is stopped where ps says T, or has more to do than it can:", ""),
    ("", "ps -o pid,stat,pcpu,args -C krcu"),
    ("A stopped one goes on with:", ""),
    ("", "sudo kill -CONT PID"),
];
const REPLAY: Advice = &[
    ("", ""),
    ("Or look at a run that is over:", ""),
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
        say("the trace is read".to_owned(), theme.quiet());
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
            (why.to_string(), advice, "It is tried again every two seconds. q quits.")
        }
        (_, Freshness::Frozen(_)) => {
            let words = "the agent is there and says nothing".to_owned();
            (words, FROZEN, "The connection is kept: whatever it says is shown at once. q quits.")
        }
        (link, _) => {
            let words = match link {
                Link::Connected => "its first report is waited for",
                Link::Reached => "an agent is there, and its first word is waited for",
                _ => "an agent is looked for",
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
