//! How long a provider asks us to wait, read from its headers by its own clock and kept within our bounds.
//!
//! Our clock has no part in it: where it is wrong, every wait would be. Garbage is no hint.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::http::Answer;

/// A shorter wait would only earn the same answer: Okta's estimate for its concurrency limit may lie in the past.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Okta's windows last a minute; a wait beyond this is a mistake or malice, and jobs must go on.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// September 2001. No wait lasts 31 years, and no server's clock stands that early.
const FIRST_EPOCH_SECOND: i64 = 1_000_000_000;

/// The bounds of a wait that a provider asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    longest: Duration,
}

impl Bounds {
    /// From one second to `retry.longest` or 15 minutes, whichever is longer.
    #[must_use]
    pub(super) fn new(retry_longest: Duration) -> Self {
        Self { longest: retry_longest.max(LONGEST_WAIT) }
    }

    fn seconds(self, seconds: i64) -> Duration {
        // A negative wait is over: the floor.
        self.within(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// The same wait, or the bound that is nearest.
    #[must_use]
    pub(super) fn within(self, wait: Duration) -> Duration {
        wait.clamp(SHORTEST_WAIT, self.longest)
    }
}

/// The wait in `Retry-After` (RFC 9110 section 10.2.3: seconds, or a date that is compared with the answer's own).
#[must_use]
pub(super) fn retry_after(answer: &Answer, bounds: Bounds) -> Option<Duration> {
    let text = answer.header("retry-after")?.trim();
    let seconds = match text.parse::<i64>() {
        Ok(seconds) => seconds,
        Err(_) => http_date(text)?.saturating_sub(date(answer)?),
    };
    Some(bounds.seconds(seconds))
}

/// The wait until the epoch second in `name`, by the answer's own `Date`, and one second more because both are
/// truncated. Where the header occurs several times, the smallest counts, as in Okta's own SDK.
#[must_use]
pub(super) fn until_reset(answer: &Answer, name: &str, bounds: Bounds) -> Option<Duration> {
    let reset = numbers(answer, name).min()?;
    Some(bounds.seconds(reset.saturating_sub(date(answer)?).saturating_add(1)))
}

/// The wait in a header that some servers fill with the seconds left and some with the epoch second of the end, compared
/// with the answer's own `Date`. Where it occurs several times, each is a limit of its own, and the longest counts.
#[must_use]
pub(super) fn until_reset_or_for(answer: &Answer, name: &str, bounds: Bounds) -> Option<Duration> {
    let now = date(answer);
    let seconds = |number: i64| match number {
        // As in `until_reset`, both are truncated.
        FIRST_EPOCH_SECOND.. => Some(number.saturating_sub(now?).saturating_add(1)),
        _ => Some(number),
    };
    numbers(answer, name).filter_map(seconds).max().map(|seconds| bounds.seconds(seconds))
}

/// Every number that the headers of this name hold.
pub(super) fn numbers(answer: &Answer, name: &str) -> impl Iterator<Item = i64> {
    let texts = answer.headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).filter_map(|text| text.trim().parse().ok())
}

/// The answer's own `Date`, in epoch seconds.
#[must_use]
pub(super) fn date(answer: &Answer) -> Option<i64> {
    http_date(answer.header("date")?)
}

/// When the answer was given, by the provider's own clock.
#[must_use]
pub(super) fn time(answer: &Answer) -> Option<Timestamp> {
    Timestamp::from_second(date(answer)?).ok()
}

/// The wait in `name`, in seconds from now. Where the header occurs several times, the largest counts.
#[must_use]
pub(super) fn from_now(answer: &Answer, name: &str, bounds: Bounds) -> Option<Duration> {
    numbers(answer, name).max().map(|seconds| bounds.seconds(seconds))
}

fn http_date(text: &str) -> Option<i64> {
    // The dates of HTTP are those of RFC 2822 in GMT. A wrong weekday does not make the time a different one.
    let parser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    parser.parse_timestamp(text.trim()).ok().map(|time| time.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT"; // 784111777

    fn answer(headers: &[(&'static str, &str)]) -> Answer {
        let mut map = http::HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header value"));
        }
        Answer {
            status: http::StatusCode::TOO_MANY_REQUESTS,
            headers: map,
            body: bytes::Bytes::new(),
            scrub: Default::default(),
        }
    }

    #[test]
    fn the_wait_is_the_reset_by_the_servers_own_clock_within_bounds() {
        let bounds = Bounds::new(Duration::from_secs(300));
        let table: [(&[&str], Option<u64>); 12] = [
            (&["784111807"], Some(31)),
            (&["784111777"], Some(1)),
            (&["784111000"], Some(1)),
            (&["784111807", "784111787"], Some(11)),
            (&["784111807, 784111787"], Some(11)),
            (&["784111807", "soon"], Some(31)),
            (&["1000000000000000000"], Some(900)),
            (&["9223372036854775807"], Some(900)),
            (&["-9223372036854775808"], Some(1)),
            (&["1e18"], None),
            (&[""], None),
            (&[], None),
        ];
        for (resets, seconds) in table {
            let mut headers = vec![("date", DATE)];
            headers.extend(resets.iter().map(|reset| ("x-rate-limit-reset", *reset)));
            let wait = until_reset(&answer(&headers), "x-rate-limit-reset", bounds);
            assert_eq!(wait, seconds.map(Duration::from_secs), "{resets:?}");
        }
        for date in [None, Some("yesterday")] {
            let mut headers = vec![("x-rate-limit-reset", "784111807")];
            headers.extend(date.map(|date| ("date", date)));
            assert_eq!(until_reset(&answer(&headers), "x-rate-limit-reset", bounds), None);
        }
    }

    #[test]
    fn a_reset_may_be_a_time_or_the_seconds_to_it() {
        let date = "Thu, 15 Jan 2026 08:00:00 GMT"; // 1768464000
        let bounds = Bounds::new(Duration::from_secs(300));
        let table: [(&[&str], Option<u64>); 12] = [
            (&["7"], Some(7)),
            (&["0"], Some(1)),
            (&["-3"], Some(1)),
            (&["1768464030"], Some(31)),
            (&["1768463000"], Some(1)),
            (&["7", "12"], Some(12)),
            (&["1768464030", "5"], Some(31)),
            (&["999999999"], Some(900)),
            (&["9223372036854775807"], Some(900)),
            (&["soon"], None),
            (&["1.5"], None),
            (&[], None),
        ];
        for (resets, seconds) in table {
            let mut headers = vec![("date", date)];
            headers.extend(resets.iter().map(|reset| ("x-ratelimit-reset", *reset)));
            let wait = until_reset_or_for(&answer(&headers), "x-ratelimit-reset", bounds);
            assert_eq!(wait, seconds.map(Duration::from_secs), "{resets:?}");
        }
        let dateless = answer(&[("x-ratelimit-reset", "1768464030")]);
        assert_eq!(until_reset_or_for(&dateless, "x-ratelimit-reset", bounds), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let bounds = Bounds::new(Duration::from_secs(3600));
        let table = [
            ("30", Some(30)),
            ("0", Some(1)),
            ("-5", Some(1)),
            ("7200", Some(3600)),
            ("99999999999999999999", None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:40:07 GMT", Some(1)),
            ("later", None),
        ];
        for (text, seconds) in table {
            let wait = retry_after(&answer(&[("date", DATE), ("retry-after", text)]), bounds);
            assert_eq!(wait, seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&answer(&[("retry-after", DATE)]), bounds), None);
    }

    #[test]
    fn the_time_of_an_answer_is_its_own() {
        let time_of = |headers| time(&answer(headers)).map(|time| time.to_string());
        assert_eq!(time_of(&[("date", DATE)]).as_deref(), Some("1994-11-06T08:49:37Z"));
        assert_eq!(time_of(&[("date", "yesterday")]), None);
        assert_eq!(time_of(&[]), None);
    }

    #[test]
    fn seconds_from_now_need_no_clock() {
        let bounds = Bounds::new(Duration::from_secs(300));
        let table: [(&[&str], Option<u64>); 9] = [
            (&["30"], Some(30)),
            (&["0"], Some(1)),
            (&["-1"], Some(1)),
            (&["5", "40"], Some(40)),
            (&["5, 40"], Some(40)),
            (&["1784111807"], Some(900)),
            (&["soon", "7"], Some(7)),
            (&["1.5"], None),
            (&[], None),
        ];
        for (waits, seconds) in table {
            let headers: Vec<_> = waits.iter().map(|wait| ("x-rate-limit-retry", *wait)).collect();
            let wait = from_now(&answer(&headers), "x-rate-limit-retry", bounds);
            assert_eq!(wait, seconds.map(Duration::from_secs), "{waits:?}");
        }
    }
}
