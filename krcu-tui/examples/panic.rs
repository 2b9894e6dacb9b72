//! Takes the terminal and panics when a key is pressed: in the thread that draws, or with `another` in another one. It is
//! for `tests/terminal.rs`, which looks at what the terminal is given back as.

use std::{env, thread, time::Duration};

use crossterm::event;
use krcu_tui::terminal::Taken;

fn main() -> anyhow::Result<()> {
    let mut taken = Taken::take(true)?;
    taken.terminal.draw(|frame| frame.render_widget("waiting", frame.area()))?;
    event::read()?;
    if env::args().nth(1).as_deref() == Some("another") {
        thread::spawn(panics);
    } else {
        panics();
    }
    // As the program's own loop does.
    while !taken.ending.is_told() {
        event::poll(Duration::from_millis(50))?;
    }
    Ok(())
}

#[expect(clippy::panic, reason = "it is what this is for")]
fn panics() {
    panic!("it was asked for");
}
