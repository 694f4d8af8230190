//! What a broker sends, made safe before lapin parses it.
//!
//! Whoever may publish to a queue chooses the properties of its messages, and RabbitMQ passes them on as they are. Two things
//! there must not reach lapin (4.12.3): tables nested some thousand deep, which overflow the stack of its parser and
//! end the process, and names that are not UTF-8, which end the connection, again with every redelivery. Nor may a body
//! be collected that is larger than its source takes. Such a message passes as an empty one whose content type says
//! why, and is refused like any other that nobody signed.
//!
//! Layouts are those of AMQP 0.9.1, sections 4.2.3 (frames), 4.2.6 (content) and of RabbitMQ's errata (field types).

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The content type of a message whose properties cannot be read.
pub(super) const UNREADABLE: &str = "application/x-sever-unreadable";

/// The content type of a message whose body is larger than its source takes.
pub(super) const TOO_LARGE: &str = "application/x-sever-too-large";

/// Tables and arrays may stand in each other so deep. `x-death`, the deepest that brokers write, has three levels.
const DEEPEST: usize = 16;

/// The largest frame believed. Brokers offer 128 KiB, and nobody asks for more.
const LARGEST_FRAME: usize = 1 << 20;

const HEAD: usize = 7;
const FRAME_METHOD: u8 = 1;
const FRAME_HEADER: u8 = 2;
const FRAME_BODY: u8 = 3;
const FRAME_END: u8 = 0xCE;

/// Class 60, method 60: `basic.deliver`.
const DELIVER: [u8; 4] = [0, 60, 0, 60];

/// Class and weight of a content header.
const BASIC_CONTENT: [u8; 4] = [0, 60, 0, 0];

/// The stream is not AMQP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker does not speak AMQP 0.9.1")]
pub struct Strange;

/// Takes bytes as they come and gives whole frames.
#[derive(Debug)]
pub struct Strainer {
    max_body: u64,
    input: BytesMut,
    output: BytesMut,
    /// Channels whose current body is dropped, with how much of it is still to come.
    dropped: Vec<(u16, u64)>,
    /// A broker that speaks another version says so in plain text and hangs up.
    is_refusal: bool,
    began: bool,
}

impl Strainer {
    /// Bodies up to `max_body` bytes pass.
    #[must_use]
    pub fn new(max_body: u64) -> Self {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Self { max_body, input, output, dropped: Vec::new(), is_refusal: false, began: false }
    }

    /// What came in goes here.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// What may go on.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Moves every frame that is whole from the input to the output.
    pub fn strain(&mut self) -> Result<(), Strange> {
        if !self.began && !self.input.is_empty() {
            self.began = true;
            self.is_refusal = self.input[0] == b'A';
        }
        if self.is_refusal {
            self.output.unsplit(self.input.split());
            return Ok(());
        }
        while let Some(frame) = self.next_frame()? {
            self.pass(frame);
        }
        Ok(())
    }

    fn next_frame(&mut self) -> Result<Option<Bytes>, Strange> {
        if self.input.len() < HEAD {
            return Ok(None);
        }
        let size = u32::from_be_bytes([self.input[3], self.input[4], self.input[5], self.input[6]]) as usize;
        if size > LARGEST_FRAME {
            return Err(Strange);
        }
        let whole = HEAD + size + 1;
        if self.input.len() < whole {
            self.input.reserve(whole - self.input.len());
            return Ok(None);
        }
        let frame = self.input.split_to(whole).freeze();
        if frame[whole - 1] == FRAME_END { Ok(Some(frame)) } else { Err(Strange) }
    }

    fn pass(&mut self, frame: Bytes) {
        let (kind, channel) = (frame[0], u16::from_be_bytes([frame[1], frame[2]]));
        let payload = &frame[HEAD..frame.len() - 1];
        match kind {
            FRAME_METHOD if payload.starts_with(&DELIVER) => match anonymous(payload) {
                Some(payload) => self.put(FRAME_METHOD, channel, &payload),
                None => self.output.extend_from_slice(&frame),
            },
            FRAME_HEADER => match self.stand_in(payload) {
                Some((reason, size)) => {
                    self.drop_body(channel, size);
                    self.put(FRAME_HEADER, channel, &empty_content(reason));
                }
                None => self.output.extend_from_slice(&frame),
            },
            FRAME_BODY if self.is_dropped(channel, payload.len() as u64) => {}
            _ => self.output.extend_from_slice(&frame),
        }
    }

    /// Why this content may not pass, and how large it is.
    fn stand_in(&self, payload: &[u8]) -> Option<(&'static str, u64)> {
        // Shorter than lapin can read: it will say so.
        let size = u64::from_be_bytes(payload.get(4..12)?.try_into().ok()?);
        if size > self.max_body {
            return Some((TOO_LARGE, size));
        }
        let readable = Reader(payload.get(12..)?).properties();
        readable.is_none().then_some((UNREADABLE, size))
    }

    fn drop_body(&mut self, channel: u16, size: u64) {
        self.dropped.retain(|(known, _)| *known != channel);
        if size > 0 {
            self.dropped.push((channel, size));
        }
    }

    fn is_dropped(&mut self, channel: u16, size: u64) -> bool {
        let Some(position) = self.dropped.iter().position(|(known, _)| *known == channel) else { return false };
        let left = self.dropped[position].1.saturating_sub(size);
        if left == 0 {
            self.dropped.swap_remove(position);
        } else {
            self.dropped[position].1 = left;
        }
        true
    }

    fn put(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        self.output.put_u8(kind);
        self.output.put_u16(channel);
        self.output.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
        self.output.put_slice(payload);
        self.output.put_u8(FRAME_END);
    }
}

/// The same delivery without exchange and routing key, where they could not be read; we need neither.
fn anonymous(payload: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader(&payload[DELIVER.len()..]);
    reader.short_string()?;
    reader.skip(8 + 1)?;
    let kept = payload.len() - reader.0.len();
    if reader.short_string().and_then(|()| reader.short_string()).is_some() {
        return None;
    }
    Some([&payload[..kept], &[0, 0]].concat())
}

/// A content header of nothing, with a content type alone.
fn empty_content(reason: &str) -> Vec<u8> {
    let mut payload = BASIC_CONTENT.to_vec();
    payload.extend_from_slice(&0_u64.to_be_bytes());
    payload.extend_from_slice(&0x8000_u16.to_be_bytes());
    payload.push(u8::try_from(reason.len()).unwrap_or(0));
    payload.extend_from_slice(reason.as_bytes());
    payload
}

/// Reads what lapin is going to read; `None` where it could not.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The flags, then each property that they announce, and nothing else (section 4.2.6.1; the order is basic's).
    fn properties(mut self) -> Option<()> {
        let flags = self.number(2)?;
        for bit in (0..16).rev().filter(|bit| flags & (1 << bit) != 0) {
            match bit {
                13 => self.table(0)?,
                12 | 11 => self.skip(1)?,
                6 => self.skip(8)?,
                2..=15 => self.short_string()?,
                // More flags would follow, for properties that `basic` does not have.
                _ => return None,
            }
        }
        self.0.is_empty().then_some(())
    }

    fn table(&mut self, depth: usize) -> Option<()> {
        let mut inner = self.nested(depth)?;
        while !inner.0.is_empty() {
            inner.short_string()?;
            inner.value(depth + 1)?;
        }
        Some(())
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        let mut inner = self.nested(depth)?;
        while !inner.0.is_empty() {
            inner.value(depth + 1)?;
        }
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        match self.number(1)? as u8 {
            b'V' => Some(()),
            b't' | b'b' | b'B' => self.skip(1),
            b's' | b'U' | b'u' => self.skip(2),
            b'I' | b'i' | b'f' => self.skip(4),
            b'D' => self.skip(5),
            b'l' | b'L' | b'd' | b'T' => self.skip(8),
            b'S' | b'x' => self.long().map(drop),
            b'A' => self.array(depth),
            b'F' => self.table(depth),
            _ => None,
        }
    }

    fn nested(&mut self, depth: usize) -> Option<Self> {
        if depth < DEEPEST { self.long().map(Self) } else { None }
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number(4)?).ok()?;
        self.take(length)
    }

    fn short_string(&mut self) -> Option<()> {
        let length = self.number(1)? as usize;
        std::str::from_utf8(self.take(length)?).ok().map(drop)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        let read = self.take(bytes)?;
        Some(read.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.take(bytes).map(drop)
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Fills `target` from what may go on; how much that was.
pub(super) fn drain_into(output: &mut BytesMut, target: &mut [u8]) -> usize {
    let length = output.len().min(target.len());
    target[..length].copy_from_slice(&output[..length]);
    output.advance(length);
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
        let mut strainer = Strainer::new(0);
        strainer.put(kind, channel, payload);
        strainer.output.to_vec()
    }

    fn content(size: u64, flags: u16, properties: &[u8]) -> Vec<u8> {
        [&BASIC_CONTENT[..], &size.to_be_bytes(), &flags.to_be_bytes(), properties].concat()
    }

    fn long(bytes: &[u8]) -> Vec<u8> {
        [&u32::try_from(bytes.len()).expect("short").to_be_bytes()[..], bytes].concat()
    }

    /// A table in a table in a table.
    fn nested(depth: usize) -> Vec<u8> {
        (1..depth).fold(long(b""), |inner, _| long(&[&b"\x01aF"[..], &inner].concat()))
    }

    fn strained(max_body: u64, pieces: &[&[u8]]) -> Vec<u8> {
        let mut strainer = Strainer::new(max_body);
        for piece in pieces {
            strainer.input().extend_from_slice(piece);
            strainer.strain().expect("AMQP");
        }
        strainer.output.to_vec()
    }

    fn deliver(exchange: &[u8], routing_key: &[u8]) -> Vec<u8> {
        let short = |text: &[u8]| [&[u8::try_from(text.len()).expect("short")][..], text].concat();
        [&DELIVER[..], &short(b"tag"), &7_u64.to_be_bytes(), &[0], &short(exchange), &short(routing_key)].concat()
    }

    #[test]
    fn honest_messages_pass_unchanged_however_they_are_cut() {
        let table = long(
            &[&b"\x07x-deathA"[..], &long(&[&b"F"[..], &long(b"\x05countl\0\0\0\0\0\0\0\x01")].concat())].concat(),
        );
        let properties = [&b"\x10application/json"[..], &table, &[2], &b"\x05msg_1"[..], &1_u64.to_be_bytes()].concat();
        let stream = [
            frame(FRAME_METHOD, 1, &deliver(b"", b"security.alerts")),
            frame(FRAME_HEADER, 1, &content(5, 0b1011_0000_1100_0000, &properties)),
            frame(FRAME_BODY, 1, b"hello"),
            frame(8, 0, b""),
        ]
        .concat();
        assert_eq!(strained(5, &[&stream]), stream);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(strained(5, &bytes), stream);
    }

    #[test]
    fn what_lapin_could_not_read_passes_as_nothing_with_the_reason() {
        let every = |flags: u16, properties: &[u8]| frame(FRAME_HEADER, 3, &content(5, flags, properties));
        for (what, header) in [
            ("tables too deep", every(0x2000, &nested(DEEPEST + 1))),
            ("tables far too deep", every(0x2000, &nested(20_000))),
            ("a name that is not UTF-8", every(0x2000, &long(b"\x01\xffV"))),
            ("a type that does not exist", every(0x2000, &long(b"\x01aZ"))),
            ("a value that is cut off", every(0x2000, &long(b"\x01aI\0"))),
            ("a table longer than its frame", every(0x2000, &[0, 0, 1, 0])),
            ("a message id that is not UTF-8", every(0x0080, b"\x01\xff")),
            ("properties nobody has", every(0x0001, b"\0\0")),
            ("more than was announced", every(0x0000, b"x")),
        ] {
            let body = [frame(FRAME_BODY, 3, b"hel"), frame(FRAME_BODY, 3, b"lo")].concat();
            let next = frame(FRAME_BODY, 3, b"the next one");
            let expected = [frame(FRAME_HEADER, 3, &empty_content(UNREADABLE)), next.clone()].concat();
            assert_eq!(strained(5, &[&header, &body, &next]), expected, "{what}");
        }
        assert_eq!(strained(5, &[&every(0x2000, &nested(DEEPEST))]).len(), every(0x2000, &nested(DEEPEST)).len());
    }

    #[test]
    fn a_body_over_the_limit_is_never_collected() {
        let header = frame(FRAME_HEADER, 1, &content(1 << 40, 0, b""));
        let piece = frame(FRAME_BODY, 1, &[0; 1000]);
        let other = frame(FRAME_BODY, 2, b"of another channel");
        let expected = [frame(FRAME_HEADER, 1, &empty_content(TOO_LARGE)), other.clone()].concat();
        assert_eq!(strained(1000, &[&header, &piece, &piece, &other, &piece]), expected);
        let fits = frame(FRAME_HEADER, 1, &content(1000, 0, b""));
        assert_eq!(strained(1000, &[&fits, &piece]), [fits, piece].concat());
    }

    #[test]
    fn a_routing_key_that_is_not_text_is_left_out() {
        let odd = frame(FRAME_METHOD, 1, &deliver(b"soc", b"\xff"));
        assert_eq!(strained(9, &[&odd]), frame(FRAME_METHOD, 1, &deliver(b"", b"")));
    }

    #[test]
    fn a_stream_that_is_not_amqp_is_not_collected_either() {
        let mut strainer = Strainer::new(9);
        strainer.input().extend_from_slice(b"HTTP/1.1 400 Bad Request\r\n");
        assert_eq!(strainer.strain(), Err(Strange));
        assert_eq!(strained(9, &[b"AMQP\0\0\x09\x01"]), b"AMQP\0\0\x09\x01");
    }

    proptest::proptest! {
        #[test]
        fn no_stream_brings_it_down(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let header = frame(FRAME_HEADER, 1, &content(1, 0x2000, &bytes));
            strained(9, &[&header]);
            let mut strainer = Strainer::new(9);
            strainer.input().extend_from_slice(&bytes);
            let _ = strainer.strain();
        }
    }
}
