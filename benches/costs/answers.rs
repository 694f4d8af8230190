//! A provider that answers at once and costs next to nothing: Okta's two calls, in bytes that are ready.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// More than a request takes.
const REQUEST: usize = 8 << 10;

/// Answers from a thread of its own, until the process ends.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || answer_all(connection));
        }
    });
    address
}

fn answer_all(mut connection: TcpStream) {
    let _ = connection.set_nodelay(true);
    let (mut request, mut length) = ([0; REQUEST], 0);
    while let Ok(read @ 1..) = connection.read(&mut request[length..]) {
        length += read;
        // Neither call has a body.
        if request[..length].ends_with(b"\r\n\r\n") {
            if answer(&mut connection, &request[..length]).is_err() {
                return;
            }
            length = 0;
        }
    }
}

fn answer(connection: &mut TcpStream, request: &[u8]) -> std::io::Result<()> {
    if request.starts_with(b"DELETE ") {
        return connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
    }
    let id = request.strip_prefix(b"GET /api/v1/users/".as_slice()).and_then(|rest| rest.get(..20));
    let id = id.and_then(|id| std::str::from_utf8(id).ok()).expect("a read of one of our people");
    // The number in the id is the one in the address: see `person.rs`.
    let mail = &id[id.len() - 7..];
    let (mut body, mut head) = ([0; 512], [0; 128]);
    let length = put(
        &mut body,
        format_args!(
            r#"{{"id":"{id}","status":"ACTIVE","created":"2024-02-01T09:30:00.000Z","lastLogin":"2026-11-20T07:12:45.000Z","profile":{{"firstName":"Pat","lastName":"Example","login":"person-{mail}@example.com","email":"person-{mail}@example.com","secondEmail":null}}}}"#
        ),
    );
    let heading = put(
        &mut head,
        format_args!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"),
    );
    let mut whole = [0; 640];
    whole[..heading].copy_from_slice(&head[..heading]);
    whole[heading..heading + length].copy_from_slice(&body[..length]);
    connection.write_all(&whole[..heading + length])
}

/// Writes text into a buffer, without an allocation; how long it is.
fn put(buffer: &mut [u8], text: std::fmt::Arguments<'_>) -> usize {
    let room = buffer.len();
    let mut rest = &mut *buffer;
    rest.write_fmt(text).expect("there is room");
    room - rest.len()
}
