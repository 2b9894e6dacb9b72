//! From bytes to an event: total, without unsafe, and with an error that names what is wrong.

use core::fmt;

use zerocopy::{FromBytes, Unalign};

use crate::wire::{
    Allocated, Barrier, BarrierKind, BatchFreed, CacheCreated, CacheOnly, CallbackQueued, CallbackRuns,
    DestroyBegin, FreePath, Freed, FreedAtOnce, Function, Grace, Header, Kind, Module, QueueForm, Queued,
    ShutdownBegin, ShutdownEnd, Site,
};

/// A large body that is read where it lies, at any alignment. Were it copied out, the body of every
/// event would be as large as the largest, and to move it would cost more than to read it.
#[derive(Clone, Copy)]
pub struct InPlace<'a, T>(&'a Unalign<T>);

impl<T: Copy> InPlace<'_, T> {
    /// The body.
    #[must_use]
    pub fn get(&self) -> T {
        self.0.get()
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for InPlace<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// The body of an event, checked: numbers that stand for a choice have one of their values.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// See [`Kind::CacheCreated`].
    CacheCreated(InPlace<'a, CacheCreated>),
    /// See [`Kind::DestroyBegin`].
    DestroyBegin(InPlace<'a, DestroyBegin>),
    /// See [`Kind::ShutdownBegin`].
    ShutdownBegin(ShutdownBegin),
    /// See [`Kind::ShutdownEnd`].
    ShutdownEnd(ShutdownEnd),
    /// See [`Kind::CacheReleased`].
    CacheReleased(CacheOnly),
    /// See [`Kind::Queued`].
    Queued(Queued, QueueForm),
    /// See [`Kind::CallbackQueued`].
    CallbackQueued(CallbackQueued),
    /// See [`Kind::CallbackRuns`].
    CallbackRuns(CallbackRuns),
    /// See [`Kind::Function`].
    Function(InPlace<'a, Function>),
    /// See [`Kind::Allocated`].
    Allocated(Allocated),
    /// See [`Kind::FreedAtOnce`].
    FreedAtOnce(FreedAtOnce),
    /// See [`Kind::Freed`].
    Freed(Freed, FreePath),
    /// See [`Kind::BatchFreed`].
    BatchFreed(BatchFreed, FreePath),
    /// See [`Kind::BarrierBegin`].
    BarrierBegin(Barrier, BarrierKind),
    /// See [`Kind::BarrierEnd`].
    BarrierEnd(Barrier, BarrierKind),
    /// See [`Kind::GraceBegin`].
    GraceBegin(Grace),
    /// See [`Kind::GraceEnd`].
    GraceEnd(Grace),
    /// See [`Kind::ModuleLoaded`].
    ModuleLoaded(&'a Module),
    /// See [`Kind::ModuleFreed`].
    ModuleFreed(&'a Module),
    /// See [`Kind::Site`].
    Site(&'a Site),
}

/// Why bytes are no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer bytes than a header has.
    ShortHeader {
        /// Bytes there are.
        bytes: usize,
    },
    /// No event has this kind.
    UnknownKind {
        /// The number found.
        kind: u8,
    },
    /// The body is not as long as its kind says.
    BodyLength {
        /// Kind that the header names.
        kind: Kind,
        /// Bytes after the header.
        bytes: usize,
    },
    /// A field that stands for a choice has none of its values.
    UnknownChoice {
        /// Kind that the header names.
        kind: Kind,
        /// The number found.
        value: u32,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::ShortHeader { bytes } => {
                write!(f, "an event of {bytes} bytes is shorter than its header of {}", size_of::<Header>())
            }
            DecodeError::UnknownKind { kind } => write!(f, "no event has kind {kind}"),
            DecodeError::BodyLength { kind, bytes } => {
                write!(f, "{bytes} bytes are not the body of a {} event", kind.name())
            }
            DecodeError::UnknownChoice { kind, value } => {
                write!(f, "{value} is not a choice that a {} event has", kind.name())
            }
        }
    }
}

impl core::error::Error for DecodeError {}

/// Reads one event: its header, and its body.
///
/// # Errors
/// Whatever keeps the bytes from being one whole event of this version; see [`DecodeError`].
// Moved out of a call, the body would be copied in other pieces than it was written in. The processor
// does that only when all that came before is done, which is a cache miss or two for the model.
#[inline(always)]
pub fn decode(bytes: &[u8]) -> Result<(Header, Body<'_>), DecodeError> {
    let (header, body) =
        Header::read_from_prefix(bytes).map_err(|_| DecodeError::ShortHeader { bytes: bytes.len() })?;
    let kind = Kind::from_number(header.kind).ok_or(DecodeError::UnknownKind { kind: header.kind })?;
    let length = || DecodeError::BodyLength { kind, bytes: body.len() };
    let choice = |value| DecodeError::UnknownChoice { kind, value };
    let body = match kind {
        Kind::CacheCreated => {
            Body::CacheCreated(InPlace(Unalign::ref_from_bytes(body).map_err(|_| length())?))
        }
        Kind::DestroyBegin => {
            Body::DestroyBegin(InPlace(Unalign::ref_from_bytes(body).map_err(|_| length())?))
        }
        Kind::ShutdownBegin => {
            Body::ShutdownBegin(ShutdownBegin::read_from_bytes(body).map_err(|_| length())?)
        }
        Kind::ShutdownEnd => Body::ShutdownEnd(ShutdownEnd::read_from_bytes(body).map_err(|_| length())?),
        Kind::CacheReleased => Body::CacheReleased(CacheOnly::read_from_bytes(body).map_err(|_| length())?),
        Kind::Queued => {
            let queued = Queued::read_from_bytes(body).map_err(|_| length())?;
            Body::Queued(queued, QueueForm::from_number(queued.form).ok_or(choice(queued.form))?)
        }
        Kind::CallbackQueued => {
            Body::CallbackQueued(CallbackQueued::read_from_bytes(body).map_err(|_| length())?)
        }
        Kind::CallbackRuns => Body::CallbackRuns(CallbackRuns::read_from_bytes(body).map_err(|_| length())?),
        Kind::Function => Body::Function(InPlace(Unalign::ref_from_bytes(body).map_err(|_| length())?)),
        Kind::Allocated => Body::Allocated(Allocated::read_from_bytes(body).map_err(|_| length())?),
        Kind::FreedAtOnce => Body::FreedAtOnce(FreedAtOnce::read_from_bytes(body).map_err(|_| length())?),
        Kind::Freed => {
            let freed = Freed::read_from_bytes(body).map_err(|_| length())?;
            Body::Freed(freed, FreePath::from_number(freed.path).ok_or(choice(freed.path))?)
        }
        Kind::BatchFreed => {
            let batch = BatchFreed::read_from_bytes(body).map_err(|_| length())?;
            Body::BatchFreed(batch, FreePath::from_number(batch.path).ok_or(choice(batch.path))?)
        }
        Kind::BarrierBegin | Kind::BarrierEnd => {
            let barrier = Barrier::read_from_bytes(body).map_err(|_| length())?;
            let which = BarrierKind::from_number(barrier.barrier).ok_or(choice(barrier.barrier))?;
            if kind == Kind::BarrierBegin {
                Body::BarrierBegin(barrier, which)
            } else {
                Body::BarrierEnd(barrier, which)
            }
        }
        Kind::GraceBegin => Body::GraceBegin(Grace::read_from_bytes(body).map_err(|_| length())?),
        Kind::GraceEnd => Body::GraceEnd(Grace::read_from_bytes(body).map_err(|_| length())?),
        // Names and sites are read where they lie; both are arrays of bytes and need no alignment
        // beyond a site's own four, which the ring and a trace give.
        Kind::ModuleLoaded => Body::ModuleLoaded(Module::ref_from_bytes(body).map_err(|_| length())?),
        Kind::ModuleFreed => Body::ModuleFreed(Module::ref_from_bytes(body).map_err(|_| length())?),
        Kind::Site => Body::Site(Site::ref_from_bytes(body).map_err(|_| length())?),
    };
    Ok((header, body))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use zerocopy::{FromZeros, IntoBytes};

    use super::*;

    fn bytes_of(kind: u8, body: &[u8]) -> Vec<u8> {
        let header = Header { time_ns: 7, sequence: 3, task: 412, cpu: 1, kind, reserved: 0 };
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn a_whole_event_is_read_back() {
        let queued = Queued { object: 0xffff_8880_0000_1000, cache: 0xffff_8880_0000_2000, site: 9, form: 1 };
        let bytes = bytes_of(Kind::Queued as u8, queued.as_bytes());
        let (header, body) = decode(&bytes).unwrap();
        assert_eq!((header.time_ns, header.sequence, header.task, header.cpu), (7, 3, 412, 1));
        let Body::Queued(read, form) = body else { panic!("read as {body:?}") };
        assert_eq!((read.object, read.cache, read.site), (queued.object, queued.cache, 9));
        assert_eq!(form, QueueForm::Headless);
    }

    #[test]
    fn a_large_body_is_read_where_it_lies_at_any_alignment() {
        let mut created = CacheCreated::new_zeroed();
        (created.cache, created.site, created.name[0]) = (0xffff_8880_0000_2000, 9, b'a');
        let bytes = bytes_of(Kind::CacheCreated as u8, created.as_bytes());
        for offset in 0..8 {
            let mut moved = std::vec![0_u8; offset];
            moved.extend_from_slice(&bytes);
            let (_, body) = decode(moved.get(offset..).unwrap()).unwrap();
            let Body::CacheCreated(read) = body else { panic!("read as {body:?}") };
            assert_eq!(read.get().as_bytes(), created.as_bytes());
        }
    }

    #[test]
    fn a_grace_period_is_read_back_at_both_ends() {
        for (kind, expedited) in [(Kind::GraceBegin, 0), (Kind::GraceEnd, 1)] {
            let grace = Grace { gp_seq: 4_237, expedited, reserved: 0 };
            let bytes = bytes_of(kind as u8, grace.as_bytes());
            let read = match (kind, decode(&bytes).unwrap().1) {
                (Kind::GraceBegin, Body::GraceBegin(read)) | (Kind::GraceEnd, Body::GraceEnd(read)) => read,
                (_, body) => panic!("read as {body:?}"),
            };
            assert_eq!((read.gp_seq, read.expedited), (4_237, expedited));
        }
    }

    #[test]
    fn every_truncation_of_every_kind_is_refused() {
        for kind in Kind::ALL {
            let whole = [0_u8; size_of::<Site>()];
            for length in 0..whole.len() {
                let bytes = bytes_of(kind as u8, whole.get(..length).unwrap());
                match decode(&bytes) {
                    Ok(_) | Err(DecodeError::UnknownChoice { .. }) => assert_eq!(length, body_bytes(kind)),
                    Err(error) => assert_eq!(error, DecodeError::BodyLength { kind, bytes: length }),
                }
            }
        }
        for length in 0..size_of::<Header>() {
            let bytes = bytes_of(1, &[]);
            let error = decode(bytes.get(..length).unwrap()).unwrap_err();
            assert_eq!(error, DecodeError::ShortHeader { bytes: length });
        }
    }

    fn body_bytes(kind: Kind) -> usize {
        match kind {
            Kind::CacheCreated => size_of::<CacheCreated>(),
            Kind::DestroyBegin => size_of::<DestroyBegin>(),
            Kind::ShutdownBegin => size_of::<ShutdownBegin>(),
            Kind::CacheReleased => size_of::<CacheOnly>(),
            Kind::ShutdownEnd => size_of::<ShutdownEnd>(),
            Kind::CallbackRuns => size_of::<CallbackRuns>(),
            Kind::Function => size_of::<Function>(),
            Kind::Allocated => size_of::<Allocated>(),
            Kind::FreedAtOnce => size_of::<FreedAtOnce>(),
            Kind::Queued => size_of::<Queued>(),
            Kind::CallbackQueued => size_of::<CallbackQueued>(),
            Kind::Freed => size_of::<Freed>(),
            Kind::BatchFreed => size_of::<BatchFreed>(),
            Kind::BarrierBegin | Kind::BarrierEnd => size_of::<Barrier>(),
            Kind::GraceBegin | Kind::GraceEnd => size_of::<Grace>(),
            Kind::ModuleLoaded | Kind::ModuleFreed => size_of::<Module>(),
            Kind::Site => size_of::<Site>(),
        }
    }

    #[test]
    fn numbers_that_stand_for_nothing_are_refused() {
        let error = decode(&bytes_of(0, &[])).unwrap_err();
        assert_eq!(error, DecodeError::UnknownKind { kind: 0 });
        let barrier =
            Barrier { cache: 0, barrier: 4, rcu_works_flushed: 0, site: 0, reserved: 0, comm: [0; _] };
        let error = decode(&bytes_of(Kind::BarrierEnd as u8, barrier.as_bytes())).unwrap_err();
        assert_eq!(error, DecodeError::UnknownChoice { kind: Kind::BarrierEnd, value: 4 });
    }
}
