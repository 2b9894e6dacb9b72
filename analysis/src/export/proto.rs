//! Proto: the messages of a trace for Perfetto, as far as this program fills them.
//!
//! Names, numbers and kinds of fields are those of `protos/perfetto/trace/trace_packet.proto`, `clock_snapshot.proto` and `track_event.proto`,
//! `track_descriptor.proto` and `debug_annotation.proto` in `track_event/` beside it. Every field is optional there, so a 0 that is
//! given is written.

use prost::{Enumeration, Message};

/// The file. Files one after the other are one file, so each packet can be written as a file of its own.
#[derive(Message)]
pub(super) struct Trace {
    #[prost(message, repeated, tag = "1")]
    pub(super) packet: Vec<TracePacket>,
}

/// A track, or an event on one.
#[derive(Message)]
pub(super) struct TracePacket {
    #[prost(message, optional, tag = "6")]
    pub(super) clock_snapshot: Option<ClockSnapshot>,
    #[prost(uint64, optional, tag = "8")]
    pub(super) timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "10")]
    pub(super) trusted_packet_sequence_id: Option<u32>,
    #[prost(message, optional, tag = "11")]
    pub(super) track_event: Option<TrackEvent>,
    /// The clock of `timestamp`; absent for the trace's primary one.
    #[prost(uint32, optional, tag = "58")]
    pub(super) timestamp_clock_id: Option<u32>,
    #[prost(message, optional, tag = "60")]
    pub(super) track_descriptor: Option<TrackDescriptor>,
}

/// `BUILTIN_CLOCK_MONOTONIC`.
pub(super) const MONOTONIC: u32 = 3;

/// What clocks said at one moment. Of those of a trace, krcu knows one.
#[derive(Message)]
pub(super) struct ClockSnapshot {
    #[prost(message, repeated, tag = "1")]
    pub(super) clocks: Vec<Clock>,
    /// The clock that the viewer's time line has.
    #[prost(uint32, optional, tag = "2")]
    pub(super) primary_trace_clock: Option<u32>,
}

/// What a clock said.
#[derive(Message)]
pub(super) struct Clock {
    #[prost(uint32, optional, tag = "1")]
    pub(super) clock_id: Option<u32>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) timestamp: Option<u64>,
}

/// The beginning or the end of a slice, or a counter's value.
#[derive(Message)]
pub(super) struct TrackEvent {
    #[prost(message, repeated, tag = "4")]
    pub(super) debug_annotations: Vec<DebugAnnotation>,
    #[prost(enumeration = "Type", optional, tag = "9")]
    pub(super) r#type: Option<i32>,
    #[prost(uint64, optional, tag = "11")]
    pub(super) track_uuid: Option<u64>,
    #[prost(string, repeated, tag = "22")]
    pub(super) categories: Vec<String>,
    #[prost(string, optional, tag = "23")]
    pub(super) name: Option<String>,
    #[prost(int64, optional, tag = "30")]
    pub(super) counter_value: Option<i64>,
    /// Slices with the same number are joined by arrows, in the order of their times.
    #[prost(fixed64, repeated, packed = "false", tag = "47")]
    pub(super) flow_ids: Vec<u64>,
}

/// `TrackEvent.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum Type {
    Unspecified = 0,
    SliceBegin = 1,
    SliceEnd = 2,
    Counter = 4,
}

/// A name with a value, of a slice.
#[derive(Message)]
pub(super) struct DebugAnnotation {
    #[prost(uint64, optional, tag = "3")]
    pub(super) uint_value: Option<u64>,
    #[prost(string, optional, tag = "6")]
    pub(super) string_value: Option<String>,
    #[prost(string, optional, tag = "10")]
    pub(super) name: Option<String>,
}

impl DebugAnnotation {
    /// A number.
    pub(super) fn number(name: &str, value: u64) -> DebugAnnotation {
        DebugAnnotation { name: Some(name.to_owned()), uint_value: Some(value), string_value: None }
    }

    /// Text.
    pub(super) fn text(name: &str, value: &str) -> DebugAnnotation {
        DebugAnnotation {
            name: Some(name.to_owned()),
            uint_value: None,
            string_value: Some(value.to_owned()),
        }
    }
}

/// A track.
#[derive(Message)]
pub(super) struct TrackDescriptor {
    #[prost(uint64, optional, tag = "1")]
    pub(super) uuid: Option<u64>,
    #[prost(string, optional, tag = "2")]
    pub(super) name: Option<String>,
    #[prost(uint64, optional, tag = "5")]
    pub(super) parent_uuid: Option<u64>,
    #[prost(message, optional, tag = "8")]
    pub(super) counter: Option<CounterDescriptor>,
}

/// That a track is a counter; nothing more is told of it.
#[derive(Message)]
pub(super) struct CounterDescriptor {}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the encoding's own documentation: a key is the field's number times 8, plus 2 where a length follows; 150 is `96 01`; an int64
    /// below 0 takes ten bytes.
    #[test]
    fn bytes_are_those_of_the_documentation() {
        let event = TrackEvent {
            debug_annotations: vec![DebugAnnotation::number("x", 0)],
            r#type: Some(Type::SliceBegin.into()),
            track_uuid: Some(150),
            categories: vec!["testing".to_owned()],
            counter_value: Some(-2),
            ..TrackEvent::default()
        };
        assert_eq!(
            event.encode_to_vec(),
            [
                &b"\x22\x05\x18\x00\x52\x01x\x48\x01\x58\x96\x01\xb2\x01\x07testing\xf0\x01"[..],
                b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
            ]
            .concat()
        );
        let counter = Some(CounterDescriptor {});
        let track = TrackDescriptor { uuid: Some(1), counter, ..TrackDescriptor::default() };
        let packet =
            TracePacket { timestamp: Some(0), track_descriptor: Some(track), ..TracePacket::default() };
        let trace = Trace { packet: vec![packet] };
        assert_eq!(trace.encode_to_vec(), *b"\x0a\x09\x40\x00\xe2\x03\x04\x08\x01\x42\x00");
    }
}
