//! Press: what an action changes, and what it asks of the source of reports.

use krcu_report::{CachePhase, VerdictRow};

use super::{App, Column, List, Screen, Scrolled};
use crate::{
    connection::Command,
    keys::{self, Action, Key},
};

impl App {
    /// Takes a key. Returns a command for the replay, if there is one.
    pub fn press(&mut self, key: Key) -> Option<Command> {
        if self.is_typing && self.type_filter(key) {
            return None;
        }
        let action = keys::action(key, self.screen, self.replay.is_some());
        if self.help && !matches!(action, Some(Action::Quit | Action::Redraw | Action::Stop)) {
            // Any key closes the help, except the keys that scroll it.
            match scrolled(key) {
                Some(by) => self.scroll_help(by),
                None => self.help = false,
            }
            return None;
        }
        self.act(action?)
    }

    /// Takes a key of the filter that is typed. Returns whether it was one.
    fn type_filter(&mut self, key: Key) -> bool {
        match key {
            Key::Char(letter) => self.filter().push(letter),
            Key::Backspace => {
                self.filter().pop();
            }
            Key::Enter => self.keep_filter(),
            Key::Escape => {
                self.is_typing = false;
                self.filter().clear();
            }
            Key::Control('u') => self.filter().clear(),
            _ => return false,
        }
        self.find();
        true
    }

    /// Carries out an action. Returns a command for the replay, if there is one.
    pub fn act(&mut self, action: Action) -> Option<Command> {
        if self.screen == Screen::Verdicts {
            self.is_verdict_gone = false;
        }
        match action {
            Action::Quit => self.quit = true,
            Action::Show(screen) => self.show(screen),
            Action::NextScreen => self.show(neighbour(self.screen, 1)),
            Action::PreviousScreen => self.show(neighbour(self.screen, Screen::ALL.len() - 1)),
            Action::Help => {
                self.keep_filter();
                (self.help, self.help_top) = (!self.help, 0);
            }
            Action::Redraw => self.redraw = true,
            Action::Stop => self.stop = true,
            Action::Move(by) if self.help => self.scroll_help(by.into()),
            Action::Move(by) => self.go(i64::from(by)),
            Action::Page(by) => {
                let rows = self.rows();
                if self.is_scrolled() {
                    let page = i64::try_from(self.verdicts.page.max(2) - 1).unwrap_or(1);
                    self.go(i64::from(by) * page);
                } else if let Some(list) = self.list() {
                    list.turn(by, rows);
                    self.choose();
                }
            }
            Action::First if self.is_scrolled() => self.evidence_top = 0,
            Action::First => {
                self.go(i64::MIN / 2);
                self.follow_first();
            }
            Action::Last => self.go(i64::MAX / 2),
            Action::Open => self.open(),
            Action::Back => self.back(),
            Action::NextFault => self.next_fault(),
            Action::Filter => self.is_typing = true,
            Action::Sort => {
                self.sifts.of_mut(self.screen).next(self.screen);
                self.find();
            }
            Action::Reverse => {
                let order = &mut self.sifts.of_mut(self.screen).order;
                order.is_reversed = !order.is_reversed;
                self.find();
            }
            Action::Span => self.histories.span = self.histories.span.next(),
            Action::WhatIf => self.show(Screen::WhatIf),
            Action::Play => return Some(Command::Play),
            Action::Step => return Some(Command::Step),
            Action::NextDestroy => return Some(Command::NextDestroy),
            Action::Speed(by) => return Some(Command::Speed(by)),
            Action::Seek(hundredths) => return Some(Command::Skip(hundredths * 10)),
            Action::Begin => return Some(Command::Seek(0)),
            Action::End => return Some(Command::Seek(1000)),
        }
        None
    }

    fn show(&mut self, screen: Screen) {
        self.keep_filter();
        self.help = false;
        if screen == Screen::WhatIf {
            self.ask();
        }
        self.screen = screen;
    }

    /// A click on a row selects it, or opens it if it is selected already.
    pub fn point(&mut self, row: usize) {
        let rows = self.rows();
        let Some(list) = self.list() else { return };
        if row >= rows {
            return;
        }
        if list.marked() == Some(row) {
            self.open();
        } else {
            list.selected = row;
            self.choose();
        }
    }

    /// Takes over how far the drawing scrolled, so that the next key moves from what the screen shows.
    pub fn drawn(&mut self, scrolled: Scrolled) {
        if let (Some(list), Some(drawn)) = (self.list(), scrolled.list) {
            *list = drawn;
        }
        self.evidence_top = scrolled.evidence_top.unwrap_or(self.evidence_top);
        self.help_top = scrolled.help_top.unwrap_or(self.help_top);
    }

    /// A click on a heading.
    pub fn sort_by(&mut self, column: Column) {
        self.sifts.of_mut(self.screen).order.by(column);
        self.find();
    }

    fn is_scrolled(&self) -> bool {
        self.screen == Screen::Verdicts && self.evidence
    }

    fn go(&mut self, by: i64) {
        if self.is_scrolled() {
            let top = i64::try_from(self.evidence_top).unwrap_or(i64::MAX).saturating_add(by).max(0);
            self.evidence_top = usize::try_from(top).unwrap_or(usize::MAX);
            return;
        }
        let rows = self.rows();
        if let Some(list) = self.list() {
            list.go(by, rows);
            self.choose();
        }
    }

    fn list(&mut self) -> Option<&mut List> {
        match self.screen {
            Screen::Overview => None,
            Screen::Caches => Some(&mut self.caches),
            Screen::Barriers => Some(&mut self.barriers),
            Screen::Verdicts => Some(&mut self.verdicts),
            Screen::WhatIf => Some(&mut self.what_if),
            Screen::Probes => Some(&mut self.probes),
        }
    }

    fn rows(&self) -> usize {
        self.shown_rows().0
    }

    fn open(&mut self) {
        match self.screen {
            Screen::Verdicts => {
                self.evidence = !self.evidence && self.selected_verdict().is_some();
                self.evidence_top = 0;
                if self.evidence {
                    self.choose_verdict();
                }
            }
            Screen::Caches => {
                let destroy = self.selected_cache().filter(|row| row.phase >= CachePhase::Failed);
                let Some(destroy) = destroy.and_then(|row| row.destroy) else { return };
                if self.unfiltered(|row| row.destroy == Some(destroy)) {
                    let rows = self.verdict_rows();
                    let place = rows.iter().position(|row| row.destroy == Some(destroy)).unwrap_or(0);
                    self.verdicts.selected = place;
                    self.choose_verdict();
                    self.evidence = true;
                    self.evidence_top = 0;
                    self.show(Screen::Verdicts);
                } else if self.has_all_verdicts() {
                    self.is_verdict_gone = true;
                    self.show(Screen::Verdicts);
                }
            }
            _ => {}
        }
    }

    /// Selects the next fault below the selected verdict, or the first one of all. Without a fault, nothing changes.
    fn next_fault(&mut self) {
        if !self.unfiltered(|row| row.verdict.flagged) {
            return;
        }
        let from = if self.screen == Screen::Verdicts { self.verdicts.selected + 1 } else { 0 };
        let rows = self.verdict_rows();
        let is_fault = |place: &usize| rows.get(*place).is_some_and(|row| row.verdict.flagged);
        let mut places = (from..rows.len()).chain(0..from);
        let Some(place) = places.find(is_fault) else { return };
        self.show(Screen::Verdicts);
        let rows = self.rows();
        self.verdicts.put(Some(place), rows);
        self.evidence_top = 0;
        self.choose_verdict();
    }

    /// Takes the filter off the verdicts if it hides every one of these. Gives whether there is one.
    fn unfiltered(&mut self, wanted: impl Fn(&VerdictRow) -> bool) -> bool {
        if self.verdict_rows().into_iter().any(&wanted) {
            return true;
        }
        let is_there = self.verdicts().iter().any(wanted);
        if is_there {
            self.sifts.of_mut(Screen::Verdicts).filter.clear();
            self.find();
        }
        is_there
    }

    /// The filter of the list on the screen.
    fn filter(&mut self) -> &mut String {
        &mut self.sifts.of_mut(self.screen).filter
    }

    fn back(&mut self) {
        match self.screen {
            Screen::Verdicts if self.evidence => self.evidence = false,
            _ if !self.sift().filter.is_empty() => {
                self.filter().clear();
                self.find();
            }
            Screen::WhatIf => self.show(Screen::Verdicts),
            _ => self.show(Screen::Overview),
        }
    }

    /// Asks for the what-if of the selected destroy; the destroy stays selected.
    pub(super) fn ask(&mut self) {
        let destroy = self.selected_destroy();
        if self.asked != destroy {
            self.asked = destroy;
            self.forget_approach();
            self.what_if = List { page: self.what_if.page, ..List::default() };
        }
        if destroy.is_some() {
            self.is_verdict_gone = false;
        }
        if !self.has_chosen_verdict() {
            self.choose_verdict();
        }
    }

    fn scroll_help(&mut self, by: i64) {
        let top = i64::try_from(self.help_top).unwrap_or(i64::MAX).saturating_add(by).max(0);
        self.help_top = usize::try_from(top).unwrap_or(usize::MAX);
    }
}

/// How far a key scrolls a text that is not a list.
fn scrolled(key: Key) -> Option<i64> {
    match key {
        Key::Up => Some(-1),
        Key::Down => Some(1),
        Key::PageUp => Some(-10),
        Key::PageDown => Some(10),
        _ => None,
    }
}

fn neighbour(screen: Screen, by: usize) -> Screen {
    let place = Screen::ALL.iter().position(|known| *known == screen).unwrap_or(0);
    Screen::ALL[(place + by) % Screen::ALL.len()]
}
