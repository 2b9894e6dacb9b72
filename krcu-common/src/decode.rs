//! Decode: makes an event from bytes. It works on any bytes, uses no unsafe code, and its error says what is
//! wrong.

use core::fmt;

use zerocopy::{FromBytes, Immutable, KnownLayout, Unalign};

use crate::{
    Kind, kinds,
    wire::{self, Choice, Header},
};

/// A large body that is read in place, at any alignment. A copy would make the body of every event as large
/// as the largest one, and moving it would cost more than reading it.
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

/// A body with a number that stands for a choice, together with that choice.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<T: Choosing>(pub T, pub T::Choice);

/// A body with a number that stands for a choice.
pub trait Choosing: Copy {
    /// The type of the choice.
    type Choice: Choice;

    /// The number.
    fn number(&self) -> u32;
}

macro_rules! choosing {
    ($($body:ident . $field:ident $choice:ident;)*) => {
        $(impl Choosing for wire::$body {
            type Choice = wire::$choice;

            #[inline(always)]
            fn number(&self) -> u32 {
                self.$field
            }
        })*
    };
}

choosing! {
    Queued.form QueueForm;
    CallbackQueued.flavour Flavour;
    Freed.path FreePath;
    BatchFreed.path FreePath;
    Barrier.barrier BarrierKind;
}

/// A body, read from all the bytes after a header.
trait FromBody<'a>: Sized {
    #[cfg(test)]
    const BYTES: usize;

    fn from_body(kind: Kind, bytes: &'a [u8]) -> Result<Self, DecodeError>;
}

const fn wrong_length(kind: Kind, bytes: &[u8]) -> DecodeError {
    DecodeError::BodyLength { kind, bytes: bytes.len() }
}

impl<T: FromBytes> FromBody<'_> for T {
    #[cfg(test)]
    const BYTES: usize = size_of::<T>();

    #[inline(always)]
    fn from_body(kind: Kind, bytes: &[u8]) -> Result<T, DecodeError> {
        T::read_from_bytes(bytes).map_err(|_| wrong_length(kind, bytes))
    }
}

impl<'a, T: FromBytes + KnownLayout + Immutable> FromBody<'a> for InPlace<'a, T> {
    #[cfg(test)]
    const BYTES: usize = size_of::<T>();

    #[inline(always)]
    fn from_body(kind: Kind, bytes: &'a [u8]) -> Result<InPlace<'a, T>, DecodeError> {
        Unalign::ref_from_bytes(bytes).map(InPlace).map_err(|_| wrong_length(kind, bytes))
    }
}

impl<T: FromBytes + Choosing> FromBody<'_> for Chosen<T> {
    #[cfg(test)]
    const BYTES: usize = size_of::<T>();

    #[inline(always)]
    fn from_body(kind: Kind, bytes: &[u8]) -> Result<Chosen<T>, DecodeError> {
        let body = T::from_body(kind, bytes)?;
        let value = body.number();
        let choice = T::Choice::from_number(value).ok_or(DecodeError::UnknownChoice { kind, value })?;
        Ok(Chosen(body, choice))
    }
}

macro_rules! bodies {
    ($($kind:ident {
        $number:literal, $word:literal, $concern:ident, [$($body:ty)?], $meaning:literal, $source:literal
    })*) => {
        /// The body of an event, after the check that each number for a choice has one of its values.
        #[derive(Clone, Copy, Debug)]
        pub enum Body<'a> {
            $($(#[doc = concat!("See [`Kind::", stringify!($kind), "`].")] $kind($body),)?)*
        }

        impl<'a> Body<'a> {
            /// Reads the body of the kind with this number.
            #[inline(always)]
            fn read(number: u8, bytes: &'a [u8]) -> Result<Body<'a>, DecodeError> {
                Ok(match number {
                    $($($number => Body::$kind(<$body>::from_body(Kind::$kind, bytes)?),)?)*
                    kind => return Err(DecodeError::UnknownKind { kind }),
                })
            }

            /// Bytes of a kind's body.
            #[cfg(test)]
            fn bytes(kind: Kind) -> Option<usize> {
                match kind { $($(Kind::$kind => Some(<$body as FromBody<'a>>::BYTES),)?)* _ => None }
            }
        }
    };
}

kinds!(bodies);

/// Why bytes are not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer bytes than a header has.
    ShortHeader {
        /// The number of bytes.
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
    /// A field for a choice has a number without a meaning.
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
                write!(f, "{bytes} bytes are not the body of a {} event", kind.word())
            }
            DecodeError::UnknownChoice { kind, value } => {
                write!(f, "{value} is not a choice that a {} event has", kind.word())
            }
        }
    }
}

impl core::error::Error for DecodeError {}

/// Reads one event: its header, and its body.
///
/// # Errors
/// When the bytes are not exactly one event of this version; see [`DecodeError`].
// Inlined, because a call would copy the body in other pieces than those of the write. The processor does
// such a copy only when everything before it is done, and that costs the model a cache miss or two.
#[inline(always)]
pub fn decode(bytes: &[u8]) -> Result<(Header, Body<'_>), DecodeError> {
    let (header, body) =
        Header::read_from_prefix(bytes).map_err(|_| DecodeError::ShortHeader { bytes: bytes.len() })?;
    let body = Body::read(header.kind, body)?;
    Ok((header, body))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use zerocopy::{FromZeros, IntoBytes};

    use super::*;
    use crate::{
        QueueForm,
        wire::{Barrier, CacheCreated, Grace, Queued, Site},
    };

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
        let Body::Queued(Chosen(read, form)) = body else { panic!("read as {body:?}") };
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
        for kind in Kind::PROBED {
            let whole = [0_u8; size_of::<Site>()];
            for length in 0..whole.len() {
                let bytes = bytes_of(kind as u8, whole.get(..length).unwrap());
                match decode(&bytes) {
                    Ok(_) | Err(DecodeError::UnknownChoice { .. }) => {
                        assert_eq!(Some(length), Body::bytes(kind));
                    }
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

    #[test]
    fn numbers_that_stand_for_nothing_are_refused() {
        for kind in [0, Kind::Gap as u8] {
            assert_eq!(decode(&bytes_of(kind, &[])).unwrap_err(), DecodeError::UnknownKind { kind });
        }
        let barrier =
            Barrier { of: 0, barrier: 11, rcu_works_flushed: 0, site: 0, reserved: 0, comm: [0; _] };
        let error = decode(&bytes_of(Kind::BarrierEnd as u8, barrier.as_bytes())).unwrap_err();
        assert_eq!(error, DecodeError::UnknownChoice { kind: Kind::BarrierEnd, value: 11 });
    }
}
