//! The spellings of time that products use.

use jiff::Timestamp;

/// Epoch numbers are told apart by their size: as seconds, the first of each range would be past the year 5000.
const FIRST_MILLISECOND: u64 = 100_000_000_000;
const FIRST_MICROSECOND: u64 = 100_000_000_000_000;
const FIRST_NANOSECOND: u64 = 100_000_000_000_000_000;

/// Digits of a second that a timestamp has.
const FRACTION_DIGITS: usize = 9;

/// Strict RFC 3339. The time library also takes spellings of ISO 8601 and RFC 9557 that other readers would not.
pub(super) fn rfc3339(text: &str) -> Option<Timestamp> {
    if is_rfc3339(text.as_bytes()) { text.parse().ok() } else { None }
}

fn is_rfc3339(text: &[u8]) -> bool {
    let Some((clock, rest)) = text.split_at_checked("2026-11-21T22:14:07".len()) else { return false };
    let clock_fits = clock.iter().zip(b"0000-00-00T00:00:00").all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't'),
        _ => byte == shape,
    });
    let digits = rest.strip_prefix(b".").map(|rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let offset = rest.get(digits.map_or(0, |digits| digits + 1)..).unwrap_or_default();
    let offset_fits = match offset {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()),
        _ => false,
    };
    clock_fits && offset_fits && digits.is_none_or(|digits| (1..=FRACTION_DIGITS).contains(&digits))
}

/// RFC 3339 also with a blank for the `T` (RFC 3339 section 5.6 allows it) and an offset without colon (Wazuh writes
/// `+0000`); or the number of seconds since 1970, perhaps with a fraction, or of milli-, micro- or nanoseconds.
pub(super) fn any_spelling(text: &str) -> Option<Timestamp> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') { epoch(text) } else { rfc3339(&usual(text)?) }
}

/// With the `T` and the colon, if that is all that is missing.
fn usual(text: &str) -> Option<String> {
    // Longer than the longest spelling there is.
    if !text.is_ascii() || text.len() > 40 {
        return None;
    }
    let mut text = text.to_owned();
    if text.as_bytes().get(10) == Some(&b' ') {
        text.replace_range(10..11, "T");
    }
    let bytes = text.as_bytes();
    let has_bare_offset = bytes.len() > 5
        && matches!(bytes[bytes.len() - 5], b'+' | b'-')
        && bytes[bytes.len() - 4..].iter().all(u8::is_ascii_digit);
    if has_bare_offset {
        text.insert(text.len() - 2, ':');
    }
    Some(text)
}

/// A number of seconds since 1970, or of one of their parts.
fn epoch(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let whole: u64 = whole.parse().ok()?;
    let unit_digits = match whole {
        FIRST_NANOSECOND.. => 0,
        FIRST_MICROSECOND.. => 3,
        FIRST_MILLISECOND.. => 6,
        _ => FRACTION_DIGITS,
    };
    if fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let padded: String = fraction.chars().chain(std::iter::repeat('0')).take(unit_digits).collect();
    let fraction: i128 = if padded.is_empty() { 0 } else { padded.parse().ok()? };
    Timestamp::from_nanosecond(i128::from(whole) * 10_i128.pow(u32::try_from(unit_digits).ok()?) + fraction).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_products_are_read() {
        for (text, expected) in [
            ("2026-09-21T14:13:20Z", "2026-09-21T14:13:20Z"),
            ("2026-09-21T16:13:20.5+02:00", "2026-09-21T14:13:20.5Z"),
            ("2026-09-21T14:13:04.589+0000", "2026-09-21T14:13:04.589Z"),
            ("2026-09-21T16:13:09.101+0200", "2026-09-21T14:13:09.101Z"),
            ("2026-09-21T14:13:06.5416527Z", "2026-09-21T14:13:06.5416527Z"),
            ("2026-09-21T14:13:04.589793001Z", "2026-09-21T14:13:04.589793001Z"),
            ("2026-09-21 14:13:20+00:00", "2026-09-21T14:13:20Z"),
            ("1790000000", "2026-09-21T14:13:20Z"),
            ("1790000000.25", "2026-09-21T14:13:20.25Z"),
            ("1790000000123", "2026-09-21T14:13:20.123Z"),
            ("1790000000123456", "2026-09-21T14:13:20.123456Z"),
            ("1790000000123456789", "2026-09-21T14:13:20.123456789Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("0", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(any_spelling(text).map(|time| time.to_string()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_may_mean_two_times_is_none() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "1.2.3",
            "-1",
            "yesterday",
            "2026-09-21",
            "2026-09-21T14:13:20",
            "2026-13-21T14:13:20Z",
            "2026-09-21T14:13:20Z[UTC]",
            "2026-09-21T14:13:20 +0000",
            "99999999999999999999999",
            "1e9",
            "٣",
            "2026-09-21T14:13:20.1234567890Z",
            "Mon, 21 Sep 2026 14:13:20 GMT",
        ] {
            assert_eq!(any_spelling(text), None, "{text}");
        }
    }
}
