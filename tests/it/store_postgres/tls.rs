//! TLS to the server, and what is never said about the way there.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use sever::clock::SystemClock;
use sever::store::{PostgresStore, PostgresUrl};
use sever::telemetry::Metrics;

use crate::support::postgres::{connect, run};
use crate::support::postgres_server::OwnServer;

fn open(url: &str) -> Result<PostgresStore, String> {
    let url: PostgresUrl = url.parse().expect("a URL");
    let opened = run(PostgresStore::open(&url, Arc::new(SystemClock::new()), Arc::new(Metrics::new())));
    opened.map_err(|error| format!("{error:#} {error:?}"))
}

fn authority(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    (Issuer::new(params, key), certificate)
}

#[test]
fn the_servers_certificate_and_its_name_are_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).expect("written");
        path.display().to_string()
    };
    let (issuer, ours) = authority("ours");
    let (_, stranger) = authority("stranger");
    let (ours, stranger) = (file("ours.pem", &ours), file("stranger.pem", &stranger));
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate").pem();
    let files = [("server.crt", certificate.as_str()), ("server.key", &key.serialize_pem())];
    let server = OwnServer::start_with("ssl = on", "hostnossl all all all reject", &files);

    let url = |host: &str, mode: &str, root: &str| {
        format!("{}?sslmode={mode}&sslrootcert={root}", server.url("postgres", host))
    };
    for mode in ["require", "prefer", "verify-full"] {
        drop(open(&url("localhost", mode, &ours)).unwrap_or_else(|error| panic!("{mode}: {error}")));
        for (host, root) in [("localhost", &stranger), ("127.0.0.1", &ours)] {
            let refusal =
                open(&url(host, mode, root)).err().unwrap_or_else(|| panic!("{mode} {host} {root} was taken"));
            assert!(refusal.contains("certificate"), "{mode} {host} {root}: {refusal}");
        }
    }
    // Without a file the system's authorities count, and none of them signed it.
    assert!(open(&format!("{}?sslmode=require", server.url("postgres", "localhost"))).is_err());
    let refusal = open(&url("localhost", "require", "/nowhere.pem")).err().expect("a refusal");
    assert!(refusal.contains("/nowhere.pem") && refusal.contains("mend the path"), "{refusal}");
}

#[test]
fn where_tls_is_required_no_plain_connection_is_made() {
    let server = OwnServer::start();
    drop(open(&server.url("postgres", "127.0.0.1")).expect("a store"));
    assert!(open(&format!("{}?sslmode=require", server.url("postgres", "127.0.0.1"))).is_err());
}

#[test]
fn no_error_shows_the_password() {
    let server = OwnServer::start_with("", "host all locked all scram-sha-256", &[]);
    run(async {
        let client = connect(&server.url("postgres", "127.0.0.1")).await;
        let sql = "CREATE ROLE locked LOGIN PASSWORD 'right'; CREATE ROLE poor LOGIN PASSWORD 'canary'; REVOKE CREATE ON SCHEMA public FROM PUBLIC";
        client.batch_execute(sql).await.expect("roles");
    });
    let nobody = format!("postgres://locked:canary@127.0.0.1:{}/postgres", server.port());
    let nowhere = "postgres://locked:canary@127.0.0.1:1/postgres".to_owned();
    let no_database = format!("postgres://postgres:canary@127.0.0.1:{}/nothing", server.port());
    let not_allowed = format!("postgres://poor:canary@127.0.0.1:{}/postgres", server.port());
    for url in [nobody, nowhere, no_database, not_allowed] {
        let refusal = open(&url).err().unwrap_or_else(|| panic!("{url} was taken"));
        assert!(!refusal.contains("canary"), "{refusal}");
        assert!(refusal.contains("mend") || refusal.contains("grant"), "no mend: {refusal}");
    }
}
