//! Nobody: what is shown before anything has come, so that the first minute goes well.

use ratatui::{layout::Rect, text::Line};

use super::{Canvas, text::clip};
use crate::{
    connection::{Link, Why},
    state::App,
};

pub(crate) fn draw(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App, socket: &str) {
    let theme = *canvas.theme;
    let mut lines = vec![Line::default()];
    let mut say = |words: String, style| lines.push(Line::styled(clip(&words, area.width.into()), style));
    if app.replay.is_some() {
        say("the trace is read".to_owned(), theme.quiet());
        return canvas.lines(area, lines);
    }
    let Link::Lost(why) = &app.link else {
        let words = if app.link == Link::Connected {
            "its first report is waited for"
        } else {
            "an agent is looked for"
        };
        say(format!("{socket}: {words}"), theme.quiet());
        return canvas.lines(area, lines);
    };
    say(format!("{why}"), theme.bold());
    say(format!("  {socket}"), theme.quiet());
    say(String::new(), theme.plain());
    let commands: &[(&str, &str)] = match why {
        Why::NotAllowed => &[
            ("The socket is its group's. Join it, and log in anew:", ""),
            ("", "sudo usermod -aG krcu $USER"),
        ],
        Why::Refused(_) | Why::Schema(_) | Why::Garbage(_) => &[
            ("The agent and this program are not of one version:", ""),
            ("", "krcu --version; krcu-tui --version"),
        ],
        _ => &[
            ("Start one, as a service where krcu is installed:", ""),
            ("", "sudo systemctl start krcu"),
            ("or in another terminal:", ""),
            ("", "sudo krcu agent"),
        ],
    };
    let replay = [
        ("", ""),
        ("Or look at a run that is over:", ""),
        ("", "sudo krcu check -o NAME.krcu -- rmmod my_module"),
        ("", "krcu tui --replay NAME.krcu"),
    ];
    for (words, command) in commands.iter().chain(&replay) {
        match command.is_empty() {
            true => say((*words).to_owned(), theme.plain()),
            false => say(format!("    {command}"), theme.heading()),
        }
    }
    say(String::new(), theme.plain());
    say("It is tried again every two seconds. q quits.".to_owned(), theme.quiet());
    canvas.lines(area, lines);
}
