//! Proto: as much of protobuf as a trace for Perfetto takes, written by hand: five messages of few fields.
//!
//! Numbers of fields are those of `protos/perfetto/trace/{trace_packet,track_event/track_event,track_event/track_descriptor}.proto`.

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A number.
    pub(super) fn number(mut self, field: u32, value: u64) -> Message {
        self.varint(u64::from(field) << 3);
        self.varint(value);
        self
    }

    /// A number that may be below 0, as `int64` has it.
    pub(super) fn signed(self, field: u32, value: i64) -> Message {
        self.number(field, value.cast_unsigned())
    }

    /// Text.
    pub(super) fn text(self, field: u32, text: &str) -> Message {
        self.bytes(field, text.as_bytes())
    }

    /// A message within.
    pub(super) fn message(self, field: u32, message: &Message) -> Message {
        self.bytes(field, &message.0)
    }

    /// What is written so far.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes(mut self, field: u32, bytes: &[u8]) -> Message {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let [low, ..] = (value & 0x7f).to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.0.push(low);
                return;
            }
            self.0.push(low | 0x80);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the encoding's own documentation: field 1 = 150 is `08 96 01`, field 2 = "testing" begins `12 07`.
    #[test]
    fn bytes_are_those_of_the_documentation() {
        assert_eq!(Message::default().number(1, 150).as_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").as_bytes(), *b"\x12\x07testing");
        let inner = Message::default().number(1, 150);
        assert_eq!(Message::default().message(3, &inner).as_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(
            Message::default().signed(1, -2).as_bytes().len(),
            11,
            "ten bytes, as an int64 below 0 has"
        );
    }
}
