//! Durations, sizes and rates as people write them.

use std::borrow::Cow;
use std::num::NonZeroU32;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

macro_rules! unit {
    ($name:ident, $pattern:literal, $description:literal) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern, "description": $description})
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

/// A length of time: `250ms`, `5m`, `24h`, `90d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration(pub std::time::Duration);

unit!(Duration, r"^[0-9]+(ms|s|m|h|d|w)( ?[0-9]+(ms|s|m|h|d|w))*$", "A length of time: 250ms, 5m, 24h, 90d.");

impl Duration {
    /// So many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }
}

impl std::str::FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let length = humantime::parse_duration(text)
            .map_err(|error| format!("{text:?} is not a length of time ({error}); write 250ms, 5m, 24h or 90d"))?;
        Ok(Self(length))
    }
}

impl std::fmt::Display for Duration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A number of bytes: `512KiB`, `1MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

unit!(ByteSize, r"^[0-9]+ ?(B|KiB|MiB|GiB|KB|MB|GB)?$", "A number of bytes: 512KiB, 1MiB.");

impl ByteSize {
    /// As an index type, at most what this machine can hold.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size: bytesize::ByteSize =
            text.parse().map_err(|error| format!("{text:?} is not a size ({error}); write 512KiB or 1MiB"))?;
        Ok(Self(size.as_u64()))
    }
}

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        bytesize::ByteSize(self.0).fmt(f)
    }
}

/// So many in so long: `600/1m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how long; never zero.
    pub per: Duration,
}

unit!(Rate, r"^[1-9][0-9]*/[0-9]+(ms|s|m|h|d)$", "So many in so long: 600/1m.");

impl Rate {
    /// The time that one takes.
    #[must_use]
    pub fn interval(&self) -> std::time::Duration {
        self.per.0 / self.count.get()
    }
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a rate; write 600/1m for 600 in one minute");
        let (count, per) = text.split_once('/').ok_or_else(wrong)?;
        let rate = Self { count: count.trim().parse().map_err(|_| wrong())?, per: per.trim().parse()? };
        if rate.interval().is_zero() { Err(wrong()) } else { Ok(rate) }
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.count, self.per)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_written() {
        assert_eq!("5m".parse::<Duration>(), Ok(Duration::from_secs(300)));
        assert_eq!("1MiB".parse::<ByteSize>(), Ok(ByteSize(1 << 20)));
        assert_eq!("600/1m".parse::<Rate>().map(|rate| rate.interval()), Ok(std::time::Duration::from_millis(100)));
        for wrong in ["600", "0/1m", "1/0s", "-1/1m", "600/1x"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong} was taken");
        }
    }
}
