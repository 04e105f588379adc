//! Clients that break the protocol harm only their own connection; handshakes and probes on the same port.

use cc_tests::{
    Client, Options, Supervisor,
    client::Incoming,
    fifo::Fifo,
    frames::{self, frame},
    http,
};
use serde_json::{Value, json};

/// The other connections, and a task that runs on one of them, do not notice what a bad client does.
fn with_a_witness(supervisor: &Supervisor, bad: impl FnOnce(&mut Client)) {
    let mut witness = supervisor.connect();
    let mut fifo = Fifo::create();
    let command = format!("echo ready; read go < {}; echo unharmed", fifo.path());
    let answer = witness.execute(&json!({ "command": command })).unwrap();
    let events = witness.recv_until_output("ready");
    bad(&mut supervisor.connect());
    fifo.release();
    let transcript = witness.collect_after(answer, events);
    assert!(transcript.stdout().ends_with("unharmed\n"));
}

#[test]
fn a_message_over_the_limit_closes_the_connection_with_1009() {
    let supervisor = Supervisor::start(&Options::new().flag("--max-message-bytes", 10_000));
    with_a_witness(&supervisor, |client| {
        client.send_bytes(&frame(frames::TEXT, &vec![b' '; 10_001])).unwrap();
        assert_eq!(client.recv_close().0, 1009);
    });
    // The header alone says it: not a byte of the rest is waited for.
    with_a_witness(&supervisor, |client| {
        client.send_bytes(&frames::header(frames::TEXT, 1 << 40)).unwrap();
        assert_eq!(client.recv_close().0, 1009);
    });
    // Many small frames of one message.
    with_a_witness(&supervisor, |client| {
        let mut first = frame(frames::TEXT, &[b' '; 4000]);
        first[0] &= 0x7f;
        let mut more = frame(0, &[b' '; 4000]);
        more[0] &= 0x7f;
        for bytes in [&first, &more, &more, &more] {
            // The server may have closed after any of them.
            drop(client.send_bytes(bytes));
        }
        assert_eq!(client.recv_close().0, 1009);
    });
}

#[test]
fn a_binary_message_closes_the_connection_with_1003() {
    let supervisor = Supervisor::start_default();
    with_a_witness(&supervisor, |client| {
        client.send_bytes(&frame(frames::BINARY, b"{}")).unwrap();
        assert_eq!(client.recv_close().0, 1003);
    });
}

#[test]
fn a_text_that_is_no_utf8_closes_the_connection_with_1007() {
    let supervisor = Supervisor::start_default();
    with_a_witness(&supervisor, |client| {
        client.send_bytes(&frame(frames::TEXT, b"{\"a\":\"\xff\xfe\"}")).unwrap();
        assert_eq!(client.recv_close().0, 1007);
    });
}

#[test]
fn frames_that_break_the_protocol_end_their_connection_alone() {
    let supervisor = Supervisor::start_default();
    // A reserved opcode, a reserved bit, an unmasked frame, a fragmented ping, a continuation of nothing.
    let mut fragmented_ping = frame(9, b"x");
    fragmented_ping[0] &= 0x7f;
    let mut reserved_bit = frame(frames::TEXT, b"{}");
    reserved_bit[0] |= 0x40;
    for bytes in
        [frame(3, b"x"), reserved_bit, vec![0x81, 2, b'{', b'}'], fragmented_ping, frame(0, b"x")]
    {
        with_a_witness(&supervisor, |client| {
            client.send_bytes(&bytes).unwrap();
            while let Incoming::Json(_) | Incoming::Closed { .. } = client.recv() {}
        });
    }
}

#[test]
fn a_connection_that_is_cut_in_the_middle_of_a_frame_harms_nobody() {
    let supervisor = Supervisor::start_default();
    with_a_witness(&supervisor, |client| {
        let half = &frame(frames::TEXT, &[b' '; 1000])[..500];
        client.send_bytes(half).unwrap();
    });
}

#[test]
fn what_the_handshake_lacks_is_refused_before_the_upgrade() {
    let supervisor = Supervisor::start_default();
    let address = supervisor.address();
    let connection = "Connection: Upgrade";
    let upgrade = "Upgrade: websocket";
    let version = "Sec-WebSocket-Version: 13";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    for (headers, status) in [
        (vec![connection, upgrade, "Sec-WebSocket-Version: 8", key], 426),
        (vec![connection, upgrade, key], 426),
        (vec![connection, upgrade, version], 400),
        (vec![version, key], 426),
        (vec![connection, upgrade, version, key], 101),
    ] {
        assert_eq!(http::head(address, "/ws/mcp", &headers).status, status, "{headers:?}");
    }
    assert_eq!(http::upgrade(address, "/no/such/path", &[]).status, 404);
}

#[test]
fn the_accept_key_is_that_of_the_standard() {
    let supervisor = Supervisor::start_default();
    // The key of this handshake, and its answer, are the example of RFC 6455.
    let answer = http::upgrade(supervisor.address(), "/ws", &[]);
    assert!(answer.head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{}", answer.head);
}

#[test]
fn probes_get_health_on_the_same_port() {
    let supervisor = Supervisor::start_default();
    for path in ["/livez", "/readyz", "/healthz"] {
        let answer = http::get(supervisor.address(), path, &[]);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap()["status"], "ok", "{path}");
    }
    let client = supervisor.connect();
    let answer = http::get(supervisor.address(), "/health", &[]);
    let health: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["service"], "cc-executor-websocket");
    assert_eq!(health["version"], client.connected()["version"]);
    assert_eq!(health["active_sessions"], 1);
    assert_eq!(health["max_sessions"], 100);
    assert!(health["uptime_seconds"].is_number());
    assert_eq!(http::get(supervisor.address(), "/metrics", &[]).status, 200);
    assert_eq!(http::get(supervisor.address(), "/", &[]).status, 404);
}

#[test]
fn an_empty_message_and_a_close_are_answered_politely() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    assert_eq!(client.ask("")["error"]["code"], -32700);
    client.close();
}
