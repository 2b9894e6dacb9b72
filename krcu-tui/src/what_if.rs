//! What if: simulates what each approach would have cost a destroy, from the agent's question.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

pub use krcu_reference::simulate::{Answer, AnswerRow};
use krcu_report::Question;

/// How long the simulation of all approaches may take.
const MOST_TIME: Duration = Duration::from_secs(10);
/// Simulates in a thread. Only the newest question is answered: the next question ends the simulation before
/// it, and so does dropping this.
#[derive(Debug, Default)]
pub struct Simulator {
    is_over: Arc<AtomicBool>,
}

impl Simulator {
    /// Answers a question, unless another one comes before that.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn ask(&mut self, question: Question, tell: impl FnOnce(Answer) + Send + 'static) -> io::Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        self.is_over = Arc::default();
        let is_over = Arc::clone(&self.is_over);
        let simulate = move || {
            let begin = Instant::now();
            let is_cancelled = || is_over.load(Ordering::Relaxed);
            let answer = Answer::of(&question, &|| is_cancelled() || begin.elapsed() > MOST_TIME);
            if !is_cancelled() {
                tell(answer);
            }
        };
        thread::Builder::new().name("what-if".to_owned()).spawn(simulate).map(|_| ())
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
