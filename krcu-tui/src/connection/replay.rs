//! Replay: a thread that drives a [`Player`] by the clock, and answers what-ifs on another.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use krcu_model::report::Detail;

use super::{Inbox, Link, Notice, Player, Replay, Source, Tape, Why};
use crate::state::Command;

/// Between two reports while it plays.
const TICK: Duration = Duration::from_millis(100);

enum Wish {
    Detail(Detail),
    Command(Command),
}

/// A replay. Dropped, its thread ends when it next asks for wishes; nobody waits for it, for a seek may take long.
#[derive(Debug)]
struct Deck {
    wishes: Sender<Wish>,
}

/// Replays a tape.
#[must_use]
pub fn replay(tape: Tape, inbox: &Inbox) -> Box<dyn Source> {
    let (wishes, wished) = mpsc::channel();
    let (inbox, failed) = (inbox.clone(), inbox.clone());
    let thread = thread::Builder::new().name("replay".to_owned()).spawn(move || {
        inbox.put(Notice::Link(Link::Connected));
        inbox.put(Notice::Hello(tape.label().hello.clone()));
        // Before the first event is read a trace may be looked at as a whole: that it is one is said at once.
        inbox.put(Notice::Replay(Replay { name: tape.label().name.clone(), ..Replay::default() }));
        if let Err(error) = drive(&tape, &wished, &inbox) {
            let (name, error) = (tape.label().name.clone(), Some(format!("{error:#}")));
            inbox.put(Notice::Replay(Replay { name, error, ..Replay::default() }));
        }
    });
    if let Err(error) = thread {
        failed.put(Notice::Link(Link::Lost(Why::Other(format!("no thread can be had: {error}")))));
    }
    Box::new(Deck { wishes })
}

/// Until nobody wishes anything any more.
fn drive(tape: &Tape, wished: &Receiver<Wish>, inbox: &Inbox) -> anyhow::Result<()> {
    let mut player = Player::new(tape)?;
    let mut detail = Detail::Overview;
    let mut answered = None;
    let mut before = Instant::now();
    let mut is_new = true;
    loop {
        if is_new {
            inbox.put(Notice::Replay(player.status()));
            inbox.put(Notice::Report(Box::new(player.report(detail.bounds()))));
        }
        let wish = match wished.recv_timeout(TICK) {
            Ok(wish) => Some(wish),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let now = Instant::now();
        let elapsed_ns = u64::try_from((now - before).as_nanos()).unwrap_or(u64::MAX);
        before = now;
        is_new = player.play(elapsed_ns)? || wish.is_some();
        match wish {
            Some(Wish::Command(command)) => {
                for past in player.command(command)? {
                    inbox.put(Notice::Past(Box::new(past)));
                }
                // Going elsewhere is no time that has gone by.
                before = Instant::now();
            }
            Some(Wish::Detail(wanted)) => detail = wanted,
            None => {}
        }
        if let Detail::Destroy(destroy) = detail
            && answered != Some(destroy)
            && let Some(question) = player.question(destroy)
        {
            answered = Some(destroy);
            let inbox = inbox.clone();
            let answer = move || inbox.put(Notice::Answer(Box::new(question.answer())));
            thread::Builder::new().name("what-if".to_owned()).spawn(answer)?;
        }
    }
}

impl Deck {
    fn wish(&self, wish: Wish) {
        // A thread that has ended has said why.
        let _ = self.wishes.send(wish);
    }
}

impl Source for Deck {
    fn want(&mut self, detail: Detail) {
        self.wish(Wish::Detail(detail));
    }

    fn command(&mut self, command: Command) {
        self.wish(Wish::Command(command));
    }
}
