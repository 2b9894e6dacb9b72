//! Functions: callbacks, by their symbols.

use std::collections::BTreeMap;

use krcu_common::Flavour;

use crate::{
    event::FunctionAddress,
    state::{id::Mark, stack::Frame},
};

/// Number of a function in the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(pub u32);

/// A callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its symbol; the bare address if no symbol is known; `unknown` if there is no address either.
    pub name: String,
    /// The module in whose text it lies; `None` if it belongs to the kernel itself, or if that is not known.
    pub module: Option<String>,
    /// The kind of RCU that it was given to.
    pub flavour: Flavour,
}

/// How many functions are kept of one cache: those of its newest callbacks.
const KEPT: usize = 16;

/// All functions that events have named. The function at an address changes when modules are loaded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Functions {
    all: Vec<Function>,
    here: BTreeMap<FunctionAddress, FunctionId>,
}

impl Functions {
    /// Notes that this function lies at that address from here on.
    pub(crate) fn is_at(&mut self, address: FunctionAddress, symbol: &str) {
        let Frame { symbol, module } = Frame::parse(symbol);
        let name = symbol.strip_suffix("+0x0").unwrap_or(&symbol).to_owned();
        let id = self.number(Function { name, module, flavour: Flavour::Rcu });
        self.here.insert(address, id);
    }

    /// The function at that address as a callback of this kind of RCU, in the text of this module if one is given.
    pub(crate) fn of_flavour(
        &mut self,
        address: FunctionAddress,
        text: Option<&String>,
        flavour: Flavour,
    ) -> FunctionId {
        let id = self.at(address, text);
        if flavour == Flavour::Rcu { id } else { self.number(Function { flavour, ..self.get(id).clone() }) }
    }

    fn at(&mut self, address: FunctionAddress, text: Option<&String>) -> FunctionId {
        let known = self.here.get(&address).copied();
        if let Some(id) = known.filter(|id| text.is_none() || self.get(*id).module.as_ref() == text) {
            return id;
        }
        let name = if address.0 == 0 { "unknown".to_owned() } else { format!("{:#x}", address.0) };
        let id = self.number(Function { name, module: text.cloned(), flavour: Flavour::Rcu });
        self.here.insert(address, id);
        id
    }

    pub(crate) fn get(&self, id: FunctionId) -> &Function {
        static UNKNOWN: Function = Function { name: String::new(), module: None, flavour: Flavour::Rcu };
        self.all.get(id.0 as usize).unwrap_or(&UNKNOWN)
    }

    fn number(&mut self, function: Function) -> FunctionId {
        let place = self.all.iter().position(|known| *known == function).unwrap_or_else(|| {
            self.all.push(function);
            self.all.len() - 1
        });
        FunctionId(u32::try_from(place).unwrap_or(u32::MAX))
    }
}

/// The functions of a cache's newest callbacks, each with the time of its last queueing.
#[derive(Clone, Debug, Default)]
pub struct Recent(Vec<(FunctionId, Mark)>);

impl Recent {
    pub(crate) fn queued(&mut self, function: FunctionId, at: Mark) {
        if let Some(known) = self.0.iter_mut().find(|known| known.0 == function) {
            known.1 = at;
            return;
        }
        if self.0.len() == KEPT
            && let Some(oldest) = (0..KEPT).min_by_key(|place| self.0[*place].1)
        {
            self.0.swap_remove(oldest);
        }
        self.0.push((function, at));
    }

    /// The functions whose callbacks were queued at this position or later, in the order of their last
    /// queueing.
    pub(crate) fn since(&self, position: u64) -> Vec<FunctionId> {
        let mut since: Vec<_> = self.0.iter().filter(|(_, last)| last.position >= position).collect();
        since.sort_unstable_by_key(|(_, last)| *last);
        since.into_iter().map(|(function, _)| *function).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Time;

    #[test]
    fn an_address_is_what_was_last_said_to_lie_there() {
        let mut functions = Functions::default();
        let address = FunctionAddress(0xffff_ffff_c000_0010);
        let bare = functions.at(address, None);
        assert_eq!(functions.get(bare).name, "0xffffffffc0000010");
        functions.is_at(address, "one_free+0x0/0x20 [one]");
        let one = functions.at(address, None);
        functions.is_at(address, "two_free+0x0/0x20 [two]");
        let two = functions.at(address, None);
        let named = |id: FunctionId| (functions.get(id).name.as_str(), functions.get(id).module.as_deref());
        assert_eq!(named(one), ("one_free", Some("one")));
        assert_eq!(named(two), ("two_free", Some("two")));
    }

    #[test]
    fn of_more_functions_than_are_kept_the_newest_are() {
        let mut recent = Recent::default();
        let at = |position| Mark { position, time: Time(0) };
        for number in 0..20 {
            recent.queued(FunctionId(number), at(u64::from(number)));
        }
        recent.queued(FunctionId(4), at(20));
        let kept = recent.since(0);
        assert_eq!(
            (kept.len(), kept.first(), kept.last()),
            (KEPT, Some(&FunctionId(5)), Some(&FunctionId(4)))
        );
        assert_eq!(recent.since(19), [FunctionId(19), FunctionId(4)]);
    }
}
