//! Moves in words, for a person who reads a path.

use super::{Life, Machine, Move, ObjectIndex, Reclaimer, TaskIndex, op::Op, parts::Duty};
use krcu_model::event::Cpu;

impl Machine {
    /// What a move would do here, in one line.
    #[must_use]
    pub fn words(&self, chosen: Move) -> String {
        match chosen {
            Move::Task(task, cpu) => {
                let name = self.setup.tasks[usize::from(task.0)].name;
                match self.next_op(task) {
                    Some(op) => format!("{name}: {}", self.op_words(task, op, cpu)),
                    None => name.to_owned(),
                }
            }
            Move::GraceBegin => "a grace period begins".to_owned(),
            Move::GraceEnd => "the grace period ends".to_owned(),
            Move::Monitor(cpu) => {
                format!("CPU {}: kfree_rcu_monitor() takes off what is ready and queues the rest", cpu.0)
            }
            Move::Work(cpu, slot) => {
                format!("kworker: kfree_rcu_work() takes batch {slot} of CPU {} off its lists", cpu.0)
            }
            Move::Free(freer) => {
                let who = match freer {
                    Reclaimer::Monitor(cpu) => format!("the monitor of CPU {}", cpu.0),
                    Reclaimer::Work(cpu, slot) => format!("the worker of batch {slot} of CPU {}", cpu.0),
                    Reclaimer::Shrinker => "the shrinker".to_owned(),
                };
                format!("{who} frees the next objects that it took off")
            }
            Move::Callback(cpu) => {
                let duty = self.cpu(cpu).callbacks.front().map(|callback| match &callback.duty {
                    Duty::Module(object) => {
                        format!("the module's callback frees {}", self.object_words(*object))
                    }
                    Duty::Work(of, slot) => format!("batch {slot} of CPU {} goes to its worker", of.0),
                    Duty::Sheaf(_, objects) | Duty::Page(objects) => {
                        let names: Vec<String> =
                            objects.iter().map(|object| self.object_words(*object)).collect();
                        format!("{} freed", names.join(", "))
                    }
                    Duty::Barrier => "rcu_barrier()'s own".to_owned(),
                    Duty::Slabs(cache) => format!("the slabs of {} go back", self.module_name(*cache)),
                    Duty::Release(cache) => {
                        format!("the release of {} counts down", self.module_name(*cache))
                    }
                });
                format!("CPU {} invokes a callback: {}", cpu.0, duty.unwrap_or_default())
            }
            Move::FillPages(cpu) => format!("CPU {}: the page cache is filled", cpu.0),
            Move::Shrink(cpu) => {
                format!("the shrinker calls kfree_rcu_monitor() of CPU {} directly", cpu.0)
            }
            Move::PressureEnds => "memory is plentiful again".to_owned(),
            Move::PressureBegins => "memory is short".to_owned(),
            Move::SheafAges(cpu, cache) => {
                format!("CPU {}: a sheaf of {} is old and is flushed", cpu.0, self.module_name(cache))
            }
            Move::Online(cpu) => format!("CPU {} comes back", cpu.0),
            Move::Offline(cpu) => format!("CPU {} goes offline, its callbacks move", cpu.0),
            Move::Dead(cpu) => format!("slub_cpu_dead() of CPU {}: its sheaves are flushed", cpu.0),
            Move::LingerCheck(cache) => {
                format!("{} has lingered until its last object was free", self.module_name(cache))
            }
            Move::LingerTimeout(cache) => {
                format!("21 s are over: what is left in {} is reported", self.module_name(cache))
            }
            Move::ReleaseWork(cache) => {
                format!("the work item for type-safe caches begins to wait for {}", self.module_name(cache))
            }
        }
    }

    fn object_words(&self, object: ObjectIndex) -> String {
        format!("o{}", self.object_address(object).0)
    }

    // tidy: long, since it is one sentence for each op.
    fn op_words(&self, task: TaskIndex, op: Op, at: Cpu) -> String {
        let cpu = at.0;
        let object = |object| self.object_words(object);
        let cache = |cache| self.module_name(cache);
        match op {
            Op::Queue(queued) => {
                let short = if self.pressure { ", memory is short" } else { "" };
                format!("kfree_rcu({}) on CPU {cpu}{short}", object(queued))
            }
            Op::QueueHeadless(queued) if self.task(task).waiting.is_some() => {
                format!("kfree_rcu_mightsleep({}) has waited, frees and returns", object(queued))
            }
            Op::QueueHeadless(queued) => format!("kfree_rcu_mightsleep({}) on CPU {cpu}", object(queued)),
            Op::CallRcu(queued) => format!("call_rcu({}) on CPU {cpu}", object(queued)),
            Op::Free(freed) => format!("kmem_cache_free({})", object(freed)),
            Op::ReadLock(held) if self.life(held) == Life::Allocated => {
                format!("rcu_read_lock(), finds {}", object(held))
            }
            Op::ReadLock(_) => "rcu_read_lock(), finds nothing".to_owned(),
            Op::ReadUnlock => "rcu_read_unlock()".to_owned(),
            Op::Join(_) => "knows that nobody else uses the cache".to_owned(),
            Op::Unload(of) => format!("the exit of {} returns, its text is gone", cache(of)),
            Op::Enter(call) => format!("enters {}", call.words()),
            Op::Leave(call) => format!("leaves {}", call.words()),
            Op::Snap(_) => "takes its snapshot of the sequence".to_owned(),
            Op::Take(lock) if self.can_ride(task, lock) => {
                "finds that a whole operation has passed meanwhile, and returns".to_owned()
            }
            Op::Take(_) | Op::TakeAlways(_) => "takes the barrier's mutex".to_owned(),
            Op::Entrain => {
                let has = !self.cpu(at).callbacks.is_empty();
                format!(
                    "rcu_barrier() {} CPU {cpu}",
                    if has { "puts its callback behind those of" } else { "finds no callback on" }
                )
            }
            Op::CountFromZero => "counts its callbacks from zero".to_owned(),
            Op::AwaitCallbacks => "rcu_barrier()'s callbacks have run, it returns".to_owned(),
            Op::Finish(_) => "gives the mutex back".to_owned(),
            Op::Offload | Op::Hurry => {
                let has = self.cpu(at).krc.has_queued();
                format!("kvfree_rcu_queue_batch() of CPU {cpu}{}", if has { "" } else { ": nothing there" })
            }
            Op::Drain => match self.task(task).flush {
                None => format!("cancels the monitor of CPU {cpu} and looks at its batches"),
                Some(_) => format!("the batches of CPU {cpu} are flushed"),
            },
            Op::FlushWorks => format!("flush_rcu_work() of CPU {cpu}'s batches"),
            Op::AwaitMonitors => "no monitor is freeing".to_owned(),
            Op::AwaitShrinker => "the shrinker is not freeing".to_owned(),
            Op::Rearm => "arms the monitor of each CPU that has something queued".to_owned(),
            Op::PassPagesToCallRcu { .. } => format!("passes the pages of CPU {cpu} to call_rcu()"),
            Op::SynchronizeSrcu => "synchronize_srcu()".to_owned(),
            Op::CpusReadLock => "cpus_read_lock()".to_owned(),
            Op::CpusReadUnlock => "cpus_read_unlock()".to_owned(),
            Op::FlushSheaves(_) => {
                let offline = self.cpu(at).offline;
                format!(
                    "flush_rcu_sheaf() {}",
                    if offline {
                        format!("leaves out CPU {cpu}, which is not online")
                    } else {
                        format!("on CPU {cpu}")
                    }
                )
            }
            Op::Note(of) => format!("takes note of what is queued of {}", cache(of)),
            Op::AwaitNoted => "all that it waits for is free".to_owned(),
            Op::SkipUnlessQueued(of, _) => format!("looks whether anything of {} is queued", cache(of)),
            Op::DestroyEnter(of) => format!("kmem_cache_destroy({})", cache(of)),
            Op::DropReference(of) => format!("drops its reference to {} and looks at its slabs", cache(of)),
            Op::ShutdownFlush(of) => format!("__kmem_cache_shutdown({}) flushes every CPU", cache(of)),
            Op::Look(of, _) => format!("__kmem_cache_shutdown({}) looks at its slabs", cache(of)),
            Op::Release(of) | Op::ReleaseLater(of) => format!("{} is released", cache(of)),
            Op::DestructionAwaited(_) => "kmem_cache_destroy_barrier() returns".to_owned(),
            Op::AwaitLingering => "waits for every cache that was passed to a lingering destroy".to_owned(),
            Op::AwaitDestroyed(of) => format!("waits for the destruction of {}", cache(of)),
        }
    }
}

impl super::op::Call {
    /// The function.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            super::op::Call::RcuBarrier => "rcu_barrier()",
            super::op::Call::KfreeRcuBarrier => "kfree_rcu_barrier()",
            super::op::Call::FreeBarrier(_) => "the barrier of this cache",
        }
    }
}
