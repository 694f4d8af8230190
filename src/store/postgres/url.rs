//! Where the server is: a URL as libpq takes it, which holds a password and is never shown.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;

/// A host that does not answer gives way to the next one after so long.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// A peer that went away without a word is noticed after so long.
const PEER_GONE_AFTER: Duration = Duration::from_secs(8);

/// What may stand after the `?`.
const PARAMETERS: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// A checked URL. Shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    pub(super) config: Config,
    /// The file with the certificates to trust instead of the system's.
    pub(super) root: Option<PathBuf>,
}

impl std::fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("postgres://…")
    }
}

impl PostgresUrl {
    /// Whether the URL itself holds a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }
}

impl FromStr for PostgresUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut kept, mut root) = (Vec::new(), None);
        for (number, parameter) in query.split('&').filter(|parameter| !parameter.is_empty()).enumerate() {
            match parameter.split_once('=') {
                Some(("sslrootcert", path)) => root = Some(decoded(path)?),
                // The certificate and its name are always checked, so this is what `require` does here.
                Some(("sslmode", "verify-full")) => kept.push("sslmode=require"),
                Some(("sslmode", mode)) if !["disable", "prefer", "require"].contains(&mode) => return Err(
                    "sslmode is disable, prefer, require or verify-full; where TLS is used, the certificate and its name are always checked".to_owned(),
                ),
                Some((name, _)) if PARAMETERS.contains(&name) => kept.push(parameter),
                // Not even its name is shown: it may be the second half of a password that holds a `?`.
                _ => return Err(format!("parameter {} after the `?` is unknown; {FORM}", number + 1)),
            }
        }
        let mut config: Config = joined(place, &kept).parse().map_err(|_| format!("the URL cannot be read; {FORM}"))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(format!("the URL names no host; {FORM}"));
        }
        fill_in(&mut config, &kept);
        Ok(Self { config, root })
    }
}

const FORM: &str =
    "write postgres://user:password@host:5432/database, with @ : / ? # % in the password as %40 %3A %2F %3F %23 %25";

fn decoded(path: &str) -> Result<PathBuf, String> {
    let path =
        percent_decode_str(path).decode_utf8().map_err(|_| "sslrootcert is not the path of a file".to_owned())?;
    Ok(PathBuf::from(path.as_ref()))
}

fn joined(place: &str, parameters: &[&str]) -> String {
    if parameters.is_empty() { place.to_owned() } else { format!("{place}?{}", parameters.join("&")) }
}

/// What the URL leaves open.
fn fill_in(config: &mut Config, given: &[&str]) {
    let is_given = |name: &str| given.iter().any(|parameter| parameter.split_once('=').is_some_and(|it| it.0 == name));
    if !is_given("target_session_attrs") {
        // After a failover the same list of hosts leads to the new primary.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if !is_given("connect_timeout") {
        config.connect_timeout(CONNECT_WITHIN);
    }
    if !is_given("tcp_user_timeout") {
        config.tcp_user_timeout(PEER_GONE_AFTER);
    }
    if !is_given("keepalives_idle") {
        config.keepalives_idle(PEER_GONE_AFTER);
    }
    if !is_given("application_name") {
        config.application_name("sever");
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::*;

    fn parsed(text: &str) -> Result<PostgresUrl, String> {
        text.parse()
    }

    #[test]
    fn urls_as_people_write_them_are_read() {
        for text in [
            "postgres://sever:s3cret@db.example.com/sever",
            "postgresql://sever@a.example.com:5432,b.example.com:5433/sever?sslmode=require",
            "postgres://sever:p%40ss%3Fword@localhost/sever?options=-c%20search_path%3Dsever",
            "postgres:///sever?host=/run/postgresql",
        ] {
            let url = parsed(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite, "{text}");
            assert_eq!(url.config.get_connect_timeout(), Some(&CONNECT_WITHIN), "{text}");
        }
    }

    #[test]
    fn what_the_url_says_is_kept() {
        let url = parsed("postgres://u@h/d?target_session_attrs=any&connect_timeout=9&application_name=x&sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem").expect("a URL");
        assert_eq!(url.config.get_target_session_attrs(), TargetSessionAttrs::Any);
        assert_eq!(url.config.get_connect_timeout(), Some(&Duration::from_secs(9)));
        assert_eq!(url.config.get_application_name(), Some("x"));
        assert_eq!(url.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(url.root, Some(PathBuf::from("/etc/ca.pem")));
    }

    #[test]
    fn a_bad_url_is_refused_without_showing_any_of_it() {
        for text in [
            "postgres://sever:canary@h/d?sslmode=verify-ca",
            "postgres://sever:pw?canary=x@h/d",
            "postgres://sever:pw?canary@h/d",
            "postgres://sever:canary@h:port/d",
            "postgres://sever:canary@/d",
            "postgres://sever:canary%zz@h/d?connect_timeout=canary",
            "postgres://sever:canary@h/d?sslcert=canary",
        ] {
            let error = parsed(text).err().unwrap_or_else(|| panic!("{text} was taken"));
            assert!(!error.contains("canary"), "{text}: {error}");
        }
        let url = parsed("postgres://sever:canary@h/d").expect("a URL");
        assert!(!format!("{url:?}").contains("canary"));
    }
}
