//! What an HMAC covers, written as text: `{timestamp}.{body}`.
//!
//! A template is taken only if the signed bytes can be cut in one way. Otherwise who holds one signed delivery could
//! move bytes from the body into the id, say, and the signature would still be right.

use crate::verify::TimestampFormat;
use crate::verify::headers::is_id_byte;
use crate::verify::keys::SignedBytes;

/// A checked template.
#[derive(Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
    fixed_width: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Id,
    Timestamp,
    Body,
}

impl Template {
    /// Only the body.
    pub(super) fn body() -> Self {
        Self { pieces: vec![Piece::Body], fixed_width: false }
    }

    /// Reads a template whose times are in `format`. An error says what is wrong and how to mend it.
    pub(super) fn parse(text: &str, format: TimestampFormat) -> Result<Self, String> {
        let pieces = pieces(text)?;
        let count = |piece| pieces.iter().filter(|other| **other == piece).count();
        if count(Piece::Body) != 1 {
            return Err("must hold {body} exactly once".to_owned());
        }
        if count(Piece::Id) > 1 || count(Piece::Timestamp) > 1 {
            return Err("may hold {id} and {timestamp} only once".to_owned());
        }
        let fixed_width = check_borders(&pieces, format)?;
        Ok(Self { pieces, fixed_width })
    }

    /// Whether the id is signed.
    pub(super) fn has_id(&self) -> bool {
        self.pieces.contains(&Piece::Id)
    }

    /// Whether the time is signed.
    pub(super) fn has_timestamp(&self) -> bool {
        self.pieces.contains(&Piece::Timestamp)
    }

    /// Whether nothing but its width says where a Unix time ends, so that only the usual width is taken.
    pub(super) fn fixed_width(&self) -> bool {
        self.fixed_width
    }

    /// The bytes that are signed. Seven parts are enough: three placeholders, with literals between and around.
    pub(super) fn fill<'a>(&'a self, id: &'a str, time: &'a str, body: &'a [u8]) -> SignedBytes<'a> {
        let mut bytes = SignedBytes::default();
        for (part, piece) in bytes.0.iter_mut().zip(&self.pieces) {
            *part = match piece {
                Piece::Literal(text) => text.as_bytes(),
                Piece::Id => id.as_bytes(),
                Piece::Timestamp => time.as_bytes(),
                Piece::Body => body,
            };
        }
        bytes
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        push_literal(&mut pieces, &rest[..open])?;
        let (name, tail) = rest[open + 1..].split_once('}').ok_or("has a { without its }")?;
        pieces.push(match name {
            "id" => Piece::Id,
            "timestamp" => Piece::Timestamp,
            "body" => Piece::Body,
            _ => return Err(format!("has {{{name}}}; the placeholders are {{id}}, {{timestamp}} and {{body}}")),
        });
        rest = tail;
    }
    push_literal(&mut pieces, rest)?;
    Ok(pieces)
}

fn push_literal(pieces: &mut Vec<Piece>, text: &str) -> Result<(), String> {
    if text.contains('}') {
        return Err("has a } without its {".to_owned());
    }
    if !text.is_empty() {
        pieces.push(Piece::Literal(text.into()));
    }
    Ok(())
}

/// Checks that every id and time ends where only one reading lets it end: reading towards the body from either end,
/// the byte after it cannot be part of it. `Ok(true)` if a Unix time has no such border and its width must be fixed.
fn check_borders(pieces: &[Piece], format: TimestampFormat) -> Result<bool, String> {
    let body = pieces.iter().position(|piece| *piece == Piece::Body).unwrap_or(pieces.len());
    let mut fixed_width = false;
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(_) | Piece::Body => {}
            Piece::Id if border(pieces, index, body).is_none_or(is_id_byte) => {
                return Err(
                    "must have a separator such as . or : between {id} and what stands on the side of {body}, \
                            because an id may hold letters, digits, _ and -"
                        .to_owned(),
                );
            }
            Piece::Id => {}
            // RFC 3339 times need no border: none begins or ends another.
            Piece::Timestamp => {
                let open = border(pieces, index, body).is_none_or(|byte| byte.is_ascii_digit());
                fixed_width = open && format.width().is_some();
            }
        }
    }
    Ok(fixed_width)
}

/// The literal byte next to a piece, on the side of the body.
fn border(pieces: &[Piece], index: usize, body: usize) -> Option<u8> {
    let before_body = index < body;
    let neighbour = if before_body { index.checked_add(1) } else { index.checked_sub(1) };
    match pieces.get(neighbour?)? {
        Piece::Literal(text) if before_body => text.bytes().next(),
        Piece::Literal(text) => text.bytes().next_back(),
        Piece::Id | Piece::Timestamp | Piece::Body => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_can_be_cut_in_one_way_are_taken() {
        for (text, format, fixed_width) in [
            ("{body}", TimestampFormat::Unix, false),
            ("{timestamp}.{body}", TimestampFormat::Unix, false),
            ("v0:{timestamp}:{body}", TimestampFormat::UnixMs, false),
            ("{id}.{timestamp}.{body}", TimestampFormat::Unix, false),
            ("{body}:{timestamp}:{id}", TimestampFormat::Unix, false),
            ("{id}:{body}:{timestamp}", TimestampFormat::Unix, false),
            ("{timestamp}{id}.{body}", TimestampFormat::Rfc3339, false),
            ("{timestamp}{body}", TimestampFormat::Rfc3339, false),
            ("{body}{timestamp}", TimestampFormat::Rfc3339, false),
            ("{timestamp}{body}", TimestampFormat::Unix, true),
            ("{body}0{timestamp}", TimestampFormat::UnixMs, true),
        ] {
            let template = Template::parse(text, format).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
            assert_eq!(template.fixed_width(), fixed_width, "{text}");
        }
    }

    #[test]
    fn ambiguous_and_broken_templates_are_refused() {
        for text in [
            "",
            "{timestamp}",
            "{body}{body}",
            "{id}.{id}.{body}",
            "{id}{timestamp}.{body}",
            "{body}.{timestamp}{id}",
            "{id}{body}",
            "{body}{id}",
            "{id}-{body}",
            "{id}x.{body}",
            "{body}._{id}",
            "{nonce}.{body}",
            "{body",
            "body}",
            "{{body}}",
        ] {
            assert!(Template::parse(text, TimestampFormat::Unix).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn the_widest_template_fits() {
        let text = "a{id}.{timestamp}.{body}z";
        let template = Template::parse(text, TimestampFormat::Unix).expect("it can be cut in one way");
        assert_eq!(template.fill("i", "1", b"{}").0.concat(), b"ai.1.{}z");
    }
}
