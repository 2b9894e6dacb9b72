//! Order: what the sequence numbers say of what was not delivered.
//!
//! All probes write into one ring, and a ring hands out its room under a lock: the order of its
//! records is an order of the events that every CPU agrees with. So the order needs no making; what
//! is left to do is to find the holes. Each CPU numbers its events from 0, a loss uses a number up,
//! and a number that never comes is an event that was lost. An interrupt may write its event between
//! another's number and its place in the ring, so a number may come a few places late, and a hole is
//! a loss only when [`WINDOW`] later events of its CPU have come, or nothing more can come.

use crate::event::{Gap, LossReason, Scope, Time};

/// How many later events of the same CPU a late one may let pass: more than contexts can nest.
pub const WINDOW: u64 = 64;

/// A run of numbers that have not come.
#[derive(Clone, Copy, Debug)]
struct Hole {
    first: u64,
    end: u64,
    from: Time,
    until: Time,
}

#[derive(Clone, Debug, Default)]
struct Sequence {
    next: u64,
    last: Time,
    holes: Vec<Hole>,
}

/// The numbers of every CPU so far.
#[derive(Clone, Debug)]
pub struct Order {
    start: Time,
    cpus: Vec<Sequence>,
}

/// A number came twice: the records are not one CPU's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// The CPU.
    pub cpu: u16,
    /// The number.
    pub sequence: u64,
}

impl core::fmt::Display for Repeated {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "event {} of CPU {} came twice: the events are not of one run", self.sequence, self.cpu)
    }
}

impl core::error::Error for Repeated {}

impl Order {
    /// For probes that were attached at `start`, when every CPU's numbers began.
    #[must_use]
    pub fn new(start: Time) -> Order {
        Order { start, cpus: Vec::new() }
    }

    /// Takes note of one event; gives the loss that it proves, if any.
    ///
    /// # Errors
    /// [`Repeated`] when this number of this CPU has come before.
    pub fn accept(&mut self, cpu: u16, sequence: u64, time: Time) -> Result<Option<Gap>, Repeated> {
        let start = self.start;
        let seen = self.cpu(cpu);
        if sequence == seen.next {
            seen.next = sequence.saturating_add(1);
        } else if sequence > seen.next {
            let from = seen.last.max(start);
            seen.holes.push(Hole { first: seen.next, end: sequence, from, until: time });
            seen.next = sequence.saturating_add(1);
        } else {
            seen.fill(sequence).ok_or(Repeated { cpu, sequence })?;
        }
        seen.last = seen.last.max(time);
        if seen.holes.is_empty() { Ok(None) } else { Ok(seen.expired(WINDOW)) }
    }

    /// The stream has ended, and the kernel's own numbers stand where `next` says: gives what is lost.
    #[must_use]
    pub fn finish(mut self, next: &[u64], end: Time) -> Vec<Gap> {
        for (cpu, next) in next.iter().enumerate() {
            let Ok(cpu) = u16::try_from(cpu) else { break };
            let start = self.start;
            let seen = self.cpu(cpu);
            if *next > seen.next {
                let from = seen.last.max(start);
                seen.holes.push(Hole { first: seen.next, end: *next, from, until: end });
            }
        }
        self.cpus.iter().flat_map(|seen| seen.holes.iter().map(Hole::gap)).collect()
    }

    fn cpu(&mut self, cpu: u16) -> &mut Sequence {
        let place = usize::from(cpu);
        if self.cpus.len() <= place {
            self.cpus.resize_with(place + 1, Sequence::default);
        }
        &mut self.cpus[place]
    }
}

impl Sequence {
    /// Takes a late number out of its hole.
    fn fill(&mut self, sequence: u64) -> Option<()> {
        let place = self.holes.iter().position(|hole| hole.first <= sequence && sequence < hole.end)?;
        let hole = self.holes.swap_remove(place);
        let before = Hole { end: sequence, ..hole };
        let after = Hole { first: sequence + 1, ..hole };
        self.holes.extend([before, after].into_iter().filter(|part| part.first < part.end));
        Some(())
    }

    /// Takes the oldest hole that lies further back than `window`.
    fn expired(&mut self, window: u64) -> Option<Gap> {
        let next = self.next;
        let place = self.holes.iter().position(|hole| hole.end.saturating_add(window) < next)?;
        Some(self.holes.swap_remove(place).gap())
    }
}

impl Hole {
    fn gap(&self) -> Gap {
        Gap {
            reason: LossReason::RingFull,
            events: self.end - self.first,
            from: self.from,
            until: self.until,
            scope: Scope::Everything,
            programs: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(events: u64, from: u64, until: u64) -> Gap {
        Gap {
            reason: LossReason::RingFull,
            events,
            from: Time(from),
            until: Time(until),
            scope: Scope::Everything,
            programs: Vec::new(),
        }
    }

    #[test]
    fn a_late_number_is_no_loss() {
        let mut order = Order::new(Time(5));
        // An interrupt's event (1) comes before the one that it interrupted (0).
        for (sequence, time) in [(1, 11), (0, 10), (2, 12)] {
            assert_eq!(order.accept(0, sequence, Time(time)), Ok(None));
        }
        assert_eq!(order.finish(&[3], Time(20)), []);
    }

    #[test]
    fn a_hole_is_a_loss_once_the_window_has_passed() {
        let mut order = Order::new(Time(5));
        assert_eq!(order.accept(1, 0, Time(10)), Ok(None));
        // 1, 2 and 3 never come.
        for later in 0..WINDOW {
            assert_eq!(order.accept(1, 4 + later, Time(20 + later)), Ok(None));
        }
        assert_eq!(order.accept(1, 4 + WINDOW, Time(100)), Ok(Some(gap(3, 10, 20))));
        assert_eq!(order.finish(&[0, 5 + WINDOW], Time(200)), []);
    }

    #[test]
    fn the_end_shows_what_was_lost_at_the_end_and_on_a_silent_cpu() {
        let mut order = Order::new(Time(5));
        assert_eq!(order.accept(0, 0, Time(10)), Ok(None));
        assert_eq!(order.accept(0, 2, Time(12)), Ok(None));
        assert_eq!(order.finish(&[4, 7], Time(50)), [gap(1, 10, 12), gap(1, 12, 50), gap(7, 5, 50)]);
    }

    #[test]
    fn a_number_that_comes_twice_is_refused() {
        let mut order = Order::new(Time(0));
        assert_eq!(order.accept(0, 0, Time(1)), Ok(None));
        assert_eq!(order.accept(0, 0, Time(2)), Err(Repeated { cpu: 0, sequence: 0 }));
        assert_eq!(order.accept(0, 3, Time(3)), Ok(None));
        assert_eq!(order.accept(0, 2, Time(3)), Ok(None));
        assert_eq!(order.accept(0, 2, Time(3)), Err(Repeated { cpu: 0, sequence: 2 }));
    }
}
