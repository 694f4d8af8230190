//! The config of every measurement.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use crate::person::SECRET;

/// Of a source from which nothing authentic comes.
const OTHER_SECRET: &str = "whsec_b3RoZXIgc291cmNlLCBvdGhlciBzZWNyZXQsIDMyYnk=";

/// A proxy, which tells whom it speaks for.
pub(crate) const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

/// What the sandbox takes.
pub(crate) const TOKEN: &str = "00testTokenThatTheSandboxTakes0123456789";

/// Accounts that no rule may touch.
const PROTECTED: usize = 100;

pub(crate) fn store_of(folder: &Path) -> PathBuf {
    folder.join("sever.db")
}

/// With a store in the folder.
pub(crate) fn write_config(folder: &Path, okta: &str, concurrency: usize) -> PathBuf {
    write_config_on(folder, &format!("sqlite://{}", store_of(folder).display()), okta, concurrency)
}

/// Three rules of which one matches, budgets that have room for everyone, and accounts that are protected.
pub(crate) fn write_config_on(folder: &Path, store: &str, okta: &str, concurrency: usize) -> PathBuf {
    let mut text = format!(
        r#"
listen: {{address: 127.0.0.1:0, trusted_proxies: [{PROXY}/32]}}
store: "{store}"
sources:
  edr:
    verify: {{scheme: standard-webhooks, secrets: [{{value: "{SECRET}"}}]}}
  other:
    verify: {{scheme: standard-webhooks, secrets: [{{value: "{OTHER_SECRET}"}}]}}
providers:
  okta:
    kind: okta
    url: {okta}
    credentials: {{api_token: {{value: {TOKEN}}}}}
    limits: {{concurrency: {concurrency}}}
rules:
  - name: stolen session
    when: alert.severity >= high && alert.kind == "session_stolen"
    revoke: [{{provider: okta}}]
  - name: impossible travel
    when: alert.severity >= medium && alert.kind in ["impossible_travel", "new_country"]
    revoke: [{{provider: okta}}]
  - name: known bad address
    when: alert.attributes.?ip.orValue("").startsWith("198.51.100.") && alert.kind != "test"
    revoke: [{{provider: okta}}]
guardrails:
  budgets:
    - {{users: 1000000, per: 10m}}
    - {{source: edr, users: 1000000, per: 10m}}
    - {{provider: okta, users: 1000000, per: 10m, reserve: {{severity: critical, users: 1000}}}}
  protected:
"#
    );
    for number in 0..PROTECTED {
        writeln!(text, "    - {{email: \"breakglass-{number:03}-*@example.com\"}}").expect("written");
    }
    let file = folder.join("sever.yaml");
    std::fs::write(&file, text).expect("the config is written");
    file
}
