//! Replay: a thread that drives a [`Player`] by the clock, and answers what-ifs on another.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use krcu_report::Detail;

use super::{Command, Inbox, Link, Notice, Player, ReplayStatus, Source, Tape, Why};
use crate::what_if;

/// Between two reports while it plays.
const TICK: Duration = Duration::from_millis(100);
/// Most that has gone by between two: where events take longer than they did, or the program was stopped, the replay
/// does not run after the clock.
const MOST: Duration = Duration::from_millis(500);

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
        inbox
            .put(Notice::Replay(ReplayStatus { name: tape.label().name.clone(), ..ReplayStatus::default() }));
        drive(&tape, &wished, &inbox);
    });
    if let Err(error) = thread {
        failed.put(Notice::Link(Link::Lost(Why::Other(format!("no thread can be had: {error}")))));
    }
    Box::new(Deck { wishes })
}

/// Until nobody wishes anything any more.
fn drive(tape: &Tape, wished: &Receiver<Wish>, inbox: &Inbox) {
    let mut player = Player::new(tape);
    let mut detail = Detail::Overview;
    let mut answered = None;
    let mut before = Instant::now();
    let mut is_new = true;
    loop {
        if is_new {
            inbox.put(Notice::Replay(player.status()));
            inbox.put(Notice::Report(Box::new(player.report(detail.bounds()))));
        }
        // Whoever holds a key down wishes faster than it can be done: all that is wished by now is one way.
        let wait = if player.is_going() { Duration::ZERO } else { TICK };
        let mut wish = match wished.recv_timeout(wait) {
            Ok(wish) => Some(wish),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        is_new = wish.is_some();
        while let Some(wished_now) = wish {
            match wished_now {
                Wish::Command(command) => player.start(command),
                Wish::Detail(wanted) => detail = wanted,
            }
            wish = wished.try_recv().ok();
        }
        if player.is_going() {
            inbox.put(Notice::Replay(player.status()));
            if let Some(past) = player.go_on() {
                inbox.put(Notice::Past(Box::new(past)));
            }
            is_new = !player.is_going();
            // Going elsewhere is no time that has gone by.
            before = Instant::now();
            continue;
        }
        let now = Instant::now();
        let elapsed_ns = u64::try_from((now - before).min(MOST).as_nanos()).unwrap_or(u64::MAX);
        before = now;
        is_new |= player.play(elapsed_ns);
        if let Detail::Destroy(destroy) = detail
            && answered != Some(destroy)
            && let Some(question) = player.question(destroy)
        {
            let inbox = inbox.clone();
            let answer = move || inbox.put(Notice::Answer(Box::new(what_if::answer(&question))));
            if thread::Builder::new().name("what-if".to_owned()).spawn(answer).is_ok() {
                answered = Some(destroy);
            }
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
