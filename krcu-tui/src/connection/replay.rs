//! Replay: a thread that drives a [`Player`] by the clock; another thread answers what-ifs.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use krcu_report::Detail;

use super::{Command, Inbox, Link, Notice, Player, ReplayStatus, Source, Tape, Why};
use crate::what_if::Simulator;

/// The time between two reports while it plays.
const TICK: Duration = Duration::from_millis(100);
/// The most time that counts between two reports. If events take longer to replay than they took, or the
/// program was stopped, the replay does not try to catch up.
const MOST: Duration = Duration::from_millis(500);

enum Wish {
    Detail(Detail),
    Command(Command),
}

/// A replay. When it is dropped, its thread ends as soon as it asks for the next request. Nobody waits for
/// the thread, because a seek may take long.
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
        // A whole trace may be read before its first event is shown, so the screen says at once that this is
        // a replay.
        inbox
            .put(Notice::Replay(ReplayStatus { name: tape.label().name.clone(), ..ReplayStatus::default() }));
        drive(&tape, &wished, &inbox);
    });
    if let Err(error) = thread {
        failed.put(Notice::Link(Link::Lost(Why::Other(format!("cannot start a thread: {error}")))));
    }
    Box::new(Deck { wishes })
}

/// Runs until no more requests can come.
fn drive(tape: &Tape, wished: &Receiver<Wish>, inbox: &Inbox) {
    let mut player = Player::new(tape);
    let mut detail = Detail::Overview;
    let (mut answered, mut simulator) = (None, Simulator::default());
    let mut before = Instant::now();
    let mut is_new = true;
    loop {
        if is_new {
            inbox.put(Notice::Replay(player.status()));
            inbox.put(Notice::Report(Box::new(player.report(detail.bounds()))));
        }
        // A key that is held down sends requests faster than they can be done: all requests that have come by
        // now are done together.
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
            // The time of a seek does not count as time that has passed.
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
            let tell = move |answer| inbox.put(Notice::Answer(Box::new(answer)));
            if simulator.ask(question, tell).is_ok() {
                answered = Some(destroy);
            }
        }
    }
}

impl Deck {
    fn wish(&self, wish: Wish) {
        // If the thread has ended, it has said why.
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
