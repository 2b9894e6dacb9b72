//! Lookout: a walk with one fault on must find it within a stated number of steps. Otherwise a walk that finds
//! nothing would prove little.

use super::{
    kernel::{Kernel, Known},
    run::{Walk, Walked},
};
use crate::machine::fault::Fault;
use krcu_model::promise::Promise;

/// The fault that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// A fault that is known of the kernel.
    Known(Known),
    /// A fault of the machine that no kernel has.
    Fault(Fault),
}

/// A walk that must end at a broken promise.
#[derive(Clone, Copy, Debug)]
pub struct Lookout {
    /// The kernel.
    pub kernel: Kernel,
    /// The fault that is on. All other known faults are off.
    pub sought: Sought,
}

impl Lookout {
    /// Each known fault of each kernel; then each fault of the machine, on one kernel that shows it.
    #[must_use]
    pub fn all() -> Vec<Lookout> {
        let known = |kernel: Kernel| kernel.known().iter().map(move |known| (kernel, Sought::Known(*known)));
        let faults = Fault::ALL.into_iter().filter_map(|fault| Some((shows(fault)?, Sought::Fault(fault))));
        let all = Kernel::ALL.into_iter().flat_map(known).chain(faults);
        all.map(|(kernel, sought)| Lookout { kernel, sought }).collect()
    }

    /// The fault in words.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self.sought {
            Sought::Known(known) => known.words(),
            Sought::Fault(fault) => fault.words(),
        }
    }

    /// The promises that the fault breaks.
    #[must_use]
    pub fn breaks(&self) -> Vec<Promise> {
        match self.sought {
            Sought::Known(known) => known.breaks().to_vec(),
            // The first sign of a barrier that returns too early may be a destroy that finds objects.
            Sought::Fault(fault) if fault.breaks() == Promise::BarrierCovers => {
                Known::ShrinkerWindow.breaks().to_vec()
            }
            Sought::Fault(fault) => vec![fault.breaks()],
        }
    }

    /// Walks until the fault is found, or to the end.
    #[must_use]
    pub fn run(&self, seed: u64, steps: u64, report: &dyn Fn(&str)) -> Walked {
        let kernel = self.kernel;
        match self.sought {
            Sought::Known(known) => Walk { kernel, on: &[known], fault: None, seed, steps }.run(report),
            Sought::Fault(fault) => Walk { kernel, on: &[], fault: Some(fault), seed, steps }.run(report),
        }
    }
}

/// A kernel that shows a fault of the machine; none if the fault is in an approach that no kernel has, or if a walk
/// meets it too rarely.
fn shows(fault: Fault) -> Option<Kernel> {
    match fault {
        Fault::LingerEndsEarly | Fault::CountNotKept | Fault::TypeSafeSlabsAtOnce => None,
        Fault::ReleaseWithoutBarrier => Some(Kernel::Before612),
        Fault::SheavesStay | Fault::SheafWithoutGrace => Some(Kernel::In7),
        _ => Some(Kernel::In612),
    }
}
