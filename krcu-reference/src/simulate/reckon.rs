//! Reckon: computes the rows from the notes.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    InputUse, Workload,
    account::{Account, Accounts},
    row::{Row, Splat, Sum},
};
use crate::{
    approach::{Approach, row_name},
    machine::ObjectIndex,
};
use krcu_model::event::Time;

impl Accounts {
    /// The rows, and their sum.
    pub(super) fn rows(
        self,
        workload: &Workload,
        approach: &dyn Approach,
        inputs: Vec<InputUse>,
    ) -> (Vec<Row>, Sum) {
        let inputs: Arc<[InputUse]> = inputs.into();
        let name = row_name(approach);
        let mut sum = Sum { approach: name.clone(), ..Sum::default() };
        let rows = self.exits.iter().zip(&self.accounts).map(|(exit, account)| {
            let spec = &workload.caches[usize::from(exit.cache.0)];
            let mut row = Row {
                approach: name.clone(),
                cache: exit.cache,
                name: spec.name.clone(),
                destroyed_at_ns: account.entered.map(|at| at.0),
                is_alias: account.is_alias,
                is_unsafe: false,
                caller_wait_ns: account.entered.and_then(|entered| Some(account.left?.since(entered))),
                look_after_ns: account.entered.and_then(|entered| Some(account.looked?.since(entered))),
                linger_ns: None,
                waited_for_own: account.own,
                waited_for_other: account.other,
                grace_periods_forced: account.forced,
                retained_bytes_ns: 0,
                kept_bytes: 0,
                splat: Splat::None,
                splat_after_ns: None,
                api_changes: approach.api_changes(),
                inputs: Arc::clone(&inputs),
            };
            if let (Some(entered), false) = (account.entered, account.is_alias) {
                self.end_of_cache(&mut row, account, entered);
                self.memory(&mut row, workload, entered);
            }
            row
        });
        let rows: Vec<Row> = rows.collect();
        rows.iter().for_each(|row| sum.add(row));
        (rows, sum)
    }

    /// How the cache of a row ended.
    fn end_of_cache(&self, row: &mut Row, account: &Account, entered: Time) {
        let ending = self.endings[usize::from(row.cache.0)];
        let given_back = ending.slabs_freed.zip(ending.released).map(|(slabs, cache)| slabs.max(cache));
        row.is_unsafe = ending.is_unsafe;
        row.linger_ns = given_back.zip(account.returned).map(|(back, returned)| back.since(returned));
        row.splat_after_ns = ending.reported.map(|at| at.since(entered));
        row.splat = match ending.reported {
            None => Splat::None,
            Some(_) if ending.is_false => Splat::False,
            Some(_) => Splat::TrueLeak,
        };
    }

    /// The memory of the cache of a row.
    fn memory(&self, row: &mut Row, workload: &Workload, entered: Time) {
        let place = usize::from(row.cache.0);
        let (ending, spec) = (self.endings[place], &workload.caches[place]);
        let freed_at = |object: &ObjectIndex| self.freed_at[object.0 as usize];
        let slab_of = |nth: usize| nth as u64 / u64::from(spec.slab_objects.max(1));
        let back = ending.slabs_freed.or(ending.given_up);
        let stays = |object: &ObjectIndex| match back {
            None => true,
            Some(back) => ending.slabs_freed.is_none() && freed_at(object).is_none_or(|freed| freed > back),
        };
        let objects = self.objects_of[place].iter().enumerate();
        let kept: BTreeSet<u64> =
            objects.clone().filter(|(_, object)| stays(object)).map(|(nth, _)| slab_of(nth)).collect();
        row.kept_bytes = kept.len() as u64 * u64::from(spec.slab_objects) * u64::from(spec.object_bytes);
        let Some(back) = back else { return };
        for (_, object) in objects.filter(|(nth, _)| !kept.contains(&slab_of(*nth))) {
            let held_ns = freed_at(object).map_or(0, |freed| back.since(freed.max(entered)));
            row.retained_bytes_ns += u128::from(held_ns) * u128::from(spec.object_bytes);
        }
    }
}
