//! The time window, and the spellings of time inside signed bytes.
//!
//! Parsing is strict because the text is part of what was signed: two spellings of one time are two messages.

use std::time::Duration;

use jiff::Timestamp;

use super::{Reason, TimestampFormat};

/// No Unix time is longer: 13 digits of milliseconds reach the year 2286.
const MOST_UNIX_DIGITS: usize = 13;

/// How far a signed time may be from ours, limits included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Longer ago it is stale.
    pub(super) back: Duration,
    /// Further ahead it is not yet true.
    pub(super) ahead: Duration,
}

impl Window {
    /// Whether `time` lies in the window around `now`.
    pub(super) fn judge(self, time: Timestamp, now: Timestamp) -> Result<(), Reason> {
        let age = now.duration_since(time);
        match age.is_negative() {
            false if age.unsigned_abs() > self.back => Err(Reason::TimestampStale),
            true if age.unsigned_abs() > self.ahead => Err(Reason::TimestampFuture),
            true | false => Ok(()),
        }
    }
}

impl TimestampFormat {
    /// Reads a time as a sender wrote it.
    ///
    /// A Unix time past the year 9999 (milliseconds where seconds are due) is the last time there is, so that an
    /// authentic delivery with such a time is called stale and not forged.
    pub(super) fn parse(self, text: &str) -> Result<Timestamp, Reason> {
        match self {
            Self::Unix => unix(text).map(|time| Timestamp::from_second(time).unwrap_or(Timestamp::MAX)),
            Self::UnixMs => unix(text).map(|time| Timestamp::from_millisecond(time).unwrap_or(Timestamp::MAX)),
            Self::Rfc3339 if is_rfc3339(text.as_bytes()) => text.parse().map_err(|_| Reason::MalformedTimestamp),
            Self::Rfc3339 => Err(Reason::MalformedTimestamp),
        }
    }

    /// Writes `time` as [`Self::parse`] reads it, in whole seconds or milliseconds.
    pub(super) fn write(self, time: Timestamp) -> String {
        match self {
            Self::Unix => time.as_second().to_string(),
            Self::UnixMs => time.as_millisecond().to_string(),
            Self::Rfc3339 => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }

    /// How many characters a time of our days has, where every one has as many: from 2001 to 2286.
    pub(super) fn width(self) -> Option<usize> {
        match self {
            Self::Unix => Some(10),
            Self::UnixMs => Some(13),
            Self::Rfc3339 => None,
        }
    }
}

/// ASCII digits only: no sign, no blank, no leading zero.
fn unix(text: &str) -> Result<i64, Reason> {
    let digits = (1..=MOST_UNIX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || text.starts_with('0') {
        return Err(Reason::MalformedTimestamp);
    }
    text.parse().map_err(|_| Reason::MalformedTimestamp)
}

/// RFC 3339 section 5.6 with capital letters and at most nine digits of a second. Jiff alone would also take blanks,
/// lower case and annotations in brackets. No such text begins or ends another one, so none needs a separator.
fn is_rfc3339(text: &[u8]) -> bool {
    let Some((time, rest)) = text.split_at_checked("2026-09-21T14:13:20".len()) else { return false };
    let offset = match rest.strip_prefix(b".") {
        Some(tail) => {
            let digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return false;
            }
            &tail[digits..]
        }
        None => rest,
    };
    looks_like(time, b"0000-00-00T00:00:00") && is_offset(offset)
}

fn is_offset(text: &[u8]) -> bool {
    text == b"Z" || looks_like(text, b"+00:00") || looks_like(text, b"-00:00")
}

/// Whether `text` is `pattern` with any digit in the place of each `0`.
fn looks_like(text: &[u8], pattern: &[u8]) -> bool {
    let fits = |(byte, wanted): (&u8, &u8)| if *wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
    text.len() == pattern.len() && text.iter().zip(pattern).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;
    const WINDOW: Window = Window { back: Duration::from_secs(300), ahead: Duration::from_secs(300) };

    fn at(second: i64, nanosecond: i32) -> Timestamp {
        Timestamp::new(second, nanosecond).expect("a time")
    }

    #[test]
    fn the_window_includes_its_limits_on_both_sides() {
        let (stale, future) = (Err(Reason::TimestampStale), Err(Reason::TimestampFuture));
        for (time, verdict) in [
            (at(NOW, 0), Ok(())),
            (at(NOW - 300, 0), Ok(())),
            (at(NOW + 300, 0), Ok(())),
            (at(NOW - 301, 999_999_999), stale),
            (at(NOW + 300, 1), future),
            (at(NOW - 301, 0), stale),
            (at(NOW + 301, 0), future),
            (at(1, 0), stale),
            (Timestamp::MIN, stale),
            (Timestamp::MAX, future),
        ] {
            assert_eq!(WINDOW.judge(time, at(NOW, 0)), verdict, "{time}");
        }
    }

    #[test]
    fn the_two_sides_can_differ() {
        let window = Window { back: Duration::from_secs(3600), ahead: Duration::from_secs(300) };
        for (second, verdict) in [
            (NOW - 3600, Ok(())),
            (NOW + 300, Ok(())),
            (NOW - 3601, Err(Reason::TimestampStale)),
            (NOW + 301, Err(Reason::TimestampFuture)),
        ] {
            assert_eq!(window.judge(at(second, 0), at(NOW, 0)), verdict, "{second}");
        }
    }

    #[test]
    fn milliseconds_for_seconds_are_far_ahead_and_seconds_for_milliseconds_long_ago() {
        let ahead = TimestampFormat::Unix.parse("1790000000000").expect("thirteen digits are a time");
        assert_eq!(WINDOW.judge(ahead, at(NOW, 0)), Err(Reason::TimestampFuture));
        let ago = TimestampFormat::UnixMs.parse("1790000000").expect("ten digits are a time");
        assert_eq!(WINDOW.judge(ago, at(NOW, 0)), Err(Reason::TimestampStale));
    }

    #[test]
    fn only_one_spelling_of_a_unix_time_is_read() {
        assert_eq!(TimestampFormat::Unix.parse("1790000000"), Ok(at(NOW, 0)));
        assert_eq!(TimestampFormat::UnixMs.parse("1790000000250"), Ok(at(NOW, 250_000_000)));
        for wrong in ["", "0", "01790000000", "+1790000000", "-1", " 1790000000", "1790000000 ", "1790000000.0"] {
            assert_eq!(TimestampFormat::Unix.parse(wrong), Err(Reason::MalformedTimestamp), "{wrong:?}");
        }
        for wrong in ["1_790_000_000", "1e9", "١٧٩", "17900000000000"] {
            assert_eq!(TimestampFormat::Unix.parse(wrong), Err(Reason::MalformedTimestamp), "{wrong:?}");
        }
    }

    #[test]
    fn rfc3339_needs_its_t_its_seconds_and_its_offset() {
        for right in ["2026-09-21T14:13:20Z", "2026-09-21T16:13:20+02:00", "2026-09-21T14:13:20.000Z"] {
            assert_eq!(TimestampFormat::Rfc3339.parse(right), Ok(at(NOW, 0)), "{right}");
        }
        for wrong in [
            "",
            "1790000000",
            "2026-09-21T14:13:20",
            "2026-09-21T14:13Z",
            "2026-09-21 14:13:20Z",
            "2026-09-21t14:13:20z",
            "2026-09-21T14:13:20.Z",
            "2026-09-21T14:13:20.0000000000Z",
            "2026-09-21T14:13:20+0200",
            "2026-09-21T14:13:20+02",
            "2026-09-21T14:13:20Z[UTC]",
            "2026-09-21T14:13:20Z ",
            "+002026-09-21T14:13:20Z",
            "2026-13-21T14:13:20Z",
            "2026-09-21T14:13:20+99:00",
        ] {
            assert_eq!(TimestampFormat::Rfc3339.parse(wrong), Err(Reason::MalformedTimestamp), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for format in [TimestampFormat::Unix, TimestampFormat::UnixMs, TimestampFormat::Rfc3339] {
            assert_eq!(format.parse(&format.write(at(NOW, 0))), Ok(at(NOW, 0)), "{format:?}");
        }
    }
}
