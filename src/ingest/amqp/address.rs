//! A broker's address. The URL is read by lapin's own parser, whose silent defaults are refused here.

use std::net::IpAddr;
use std::str::FromStr;

use lapin::uri::{AMQPScheme, AMQPUri};

/// Seconds. A link that broke without a word is noticed after two of them; RabbitMQ advises 5 to 20.
const DEFAULT_HEARTBEAT: u16 = 10;

/// Beyond it a dead link would go unnoticed for ten minutes.
const LONGEST_HEARTBEAT: u16 = 300;

const SHAPE: &str = "write amqps://user:password@host:5671/vhost, with special characters percent-encoded";

/// Where a broker is and who we are there.
#[derive(Clone)]
pub struct Address(AMQPUri);

/// Shows neither user nor password.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({self})")
    }
}

/// Host and port.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (host, port) = (self.host(), self.port());
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl FromStr for Address {
    type Err = String;

    /// No error shows any part of the text.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut uri: AMQPUri = text.parse().map_err(|_| format!("is not the URL of a broker; {SHAPE}"))?;
        // An address in brackets, or none at all, would become `localhost`.
        uri.authority.host = host(text).ok_or_else(|| format!("names no host; {SHAPE}"))?;
        if uri.vhost.is_empty() {
            let message = "the slash at its end names a virtual host without a name; leave it out for the default one";
            return Err(message.to_owned());
        }
        let heartbeat = uri.query.heartbeat.get_or_insert(DEFAULT_HEARTBEAT);
        if !(1..=LONGEST_HEARTBEAT).contains(heartbeat) {
            return Err("heartbeat must be from 1 to 300 seconds; 10 suits most networks".to_owned());
        }
        Ok(Self(uri))
    }
}

/// The host as it is written, an IPv6 address without its brackets.
fn host(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let host = match place.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => place.split(':').next()?,
    };
    (!host.is_empty()).then(|| host.to_owned())
}

impl Address {
    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.authority.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.authority.port
    }

    /// The virtual host.
    #[must_use]
    pub fn vhost(&self) -> &str {
        &self.0.vhost
    }

    /// User and password.
    #[must_use]
    pub fn credentials(&self) -> (&str, &str) {
        (&self.0.authority.userinfo.username, &self.0.authority.userinfo.password)
    }

    /// Whether TLS is spoken there.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme == AMQPScheme::AMQPS
    }

    /// Whether it is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host() == "localhost" || self.host().parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    pub(super) fn uri(&self) -> &AMQPUri {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for (url, host, port, vhost) in [
            ("amqp://127.0.0.1", "127.0.0.1", 5672, "/"),
            ("amqps://broker.example.com", "broker.example.com", 5671, "/"),
            ("amqp://me:p%40ss@broker:5673/soc", "broker", 5673, "soc"),
            ("amqp://me:pass@[::1]:5673/%2f", "::1", 5673, "/"),
            ("amqps://[2001:db8::1]", "2001:db8::1", 5671, "/"),
        ] {
            let address: Address = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((address.host(), address.port(), address.vhost()), (host, port, vhost), "{url}");
            assert_eq!(address.uri().query.heartbeat, Some(10), "{url}");
        }
        let address: Address = "amqp://me:p%40ss@[::1]:5673/soc?heartbeat=3".parse().expect("an address");
        assert_eq!(address.credentials(), ("me", "p@ss"));
        assert_eq!(address.uri().query.heartbeat, Some(3));
        assert_eq!(format!("{address} {address:?}"), "[::1]:5673 Address([::1]:5673)");
    }

    #[test]
    fn what_would_silently_mean_something_else_is_refused_without_showing_it() {
        for url in [
            "",
            "broker:5672",
            "http://me:s3cret@broker",
            "amqp:///soc",
            "amqp://me:s3cret@/soc",
            "amqp://me:s3cret@broker/",
            "amqp://me:s3cret@broker:port",
            "amqp://me:s3cret@broker?heartbeat=0",
            "amqp://me:s3cret@broker?heartbeat=301",
            "amqp://me:s3cret@broker?heartbeat=soon",
            "amqp://me:s3cret@broker?auth_mechanism=magic",
            "amqp://me:s3cret@[::1/soc",
        ] {
            let error = url.parse::<Address>().expect_err(url);
            assert!(!error.contains("s3cret") && !error.contains("me:"), "{url}: {error}");
        }
    }
}
