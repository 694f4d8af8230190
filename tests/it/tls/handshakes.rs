//! Who gets a connection, and how many of them.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{OPERATOR, Scene, url};

#[tokio::test]
async fn both_listeners_speak_https_and_nothing_in_the_clear() {
    let scene = Scene::start().await;
    let client = scene.client(None);
    let (status, body) = scene.deliver(&client, &[]).await.expect("an answer");
    assert_eq!(status, 202, "{body}");
    let admin = scene.at.admin.expect("an operator API");
    let status = client.get(url(admin, "/v1/status")).bearer_auth(OPERATOR).send().await.expect("an answer");
    assert_eq!(status.status(), 200);
    for listener in [scene.at.alerts, admin] {
        let answer = in_the_clear(listener, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));
    }
}

/// What comes back to these bytes before the connection ends.
async fn in_the_clear(at: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).await.expect("connected");
    stream.write_all(bytes).await.expect("written");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the connection is ended");
    answer
}

/// A ClientHello that knows no version above this one (RFC 5246 section 7.4.1.2), and lacks nothing else: ECDHE-ECDSA with
/// AES-128-GCM.
fn hello(version: u8) -> Vec<u8> {
    let mut body = vec![3, version];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x09, 1, 0]);
    // supported_groups: secp256r1; ec_point_formats: uncompressed; signature_algorithms: ecdsa_secp256r1_sha256;
    // extended_master_secret.
    let extensions = [0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3, 0, 23, 0, 0];
    body.extend([0, extensions.len() as u8]);
    body.extend(extensions);
    let mut record = vec![22, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8];
    record.extend(body);
    record
}

#[tokio::test]
async fn tls_below_1_2_is_refused() {
    let scene = Scene::start().await;
    let mut stream = TcpStream::connect(scene.at.alerts).await.expect("connected");
    stream.write_all(&hello(3)).await.expect("written");
    assert_eq!(stream.read_u8().await.expect("an answer"), 22, "1.2 is spoken: a handshake record");
    for version in [1, 2] {
        let answer = in_the_clear(scene.at.alerts, &hello(version)).await;
        // An alert, fatal, protocol_version (RFC 5246 section 7.2).
        assert_eq!((answer.first(), answer.get(5..7)), (Some(&21), Some(&[2, 70][..])), "3.{version}: {answer:?}");
    }
}

#[tokio::test]
async fn a_flood_of_slow_handshakes_keeps_out_nobody_else_and_ends_in_time() {
    let scene = Scene::limited(", max_connections: 8, header_timeout: 2s").await;
    let mut slow = Vec::new();
    for _ in 0..12 {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.2:0".parse().expect("an address")).expect("another address of this machine");
        let mut stream = socket.connect(scene.at.alerts).await.expect("connected");
        // The beginning of a record of 200 bytes that never comes.
        let _ = stream.write_all(&[22, 3, 1, 0, 200, 1]).await;
        slow.push(stream);
    }
    let (status, body) = scene.deliver(&scene.client(None), &[]).await.expect("an answer");
    assert_eq!(status, 202, "{body}");
    for mut stream in slow {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await;
        let _ = ended.expect("a handshake does not last for ever");
    }
    let metrics = scene.app.app.metrics.render();
    let slow = "sever_tls_handshakes_total{listener=\"listen\",result=\"too_slow\"} 2";
    assert!(metrics.contains(slow), "a quarter of the connections for one peer: {metrics}");
}
