//! Servers that are not who they should be, and handshakes that go wrong. Nothing may be told to them.

use towline::remote::Class;

use super::{
    guest::Guest,
    scene::{Scene, scene},
};

/// A ServerHello of TLS 1.0 or 1.1 (the second version byte), in its record.
const fn server_hello(minor: u8) -> [u8; 47] {
    let mut hello = [7; 47];
    // Record: handshake, version, 42 bytes. Message: ServerHello, 38 bytes, version; 32 random ones; no session, AES128-SHA, no compression.
    let head = [0x16, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
    let mut at = 0;
    while at < head.len() {
        hello[at] = head[at];
        at += 1;
    }
    hello[43] = 0;
    hello[44] = 0;
    hello[45] = 0x2f;
    hello[46] = 0;
    hello
}
const TLS_1_0: [u8; 47] = server_hello(1);
const TLS_1_1: [u8; 47] = server_hello(2);
/// A fatal alert: protocol_version.
const NO_SUCH_VERSION: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];

pub(super) fn scenes() -> Vec<Scene> {
    let honest = |name| scene(name, |mut guest| async move { guest.go_on().await });
    vec![
        honest("certificate_expired")
            .presents(|all| &all.expired)
            .fails(Class::Tls, &["not trusted", "has expired"])
            .and_binary(76),
        honest("certificate_not_yet_valid")
            .presents(|all| &all.not_yet_valid)
            .fails(Class::Tls, &["not trusted", "not valid yet"]),
        honest("certificate_of_another_host")
            .presents(|all| &all.wrong_host)
            .fails(Class::Tls, &["not trusted", "ftp.example.net"]),
        honest("certificate_of_an_unknown_issuer")
            .presents(|all| &all.unknown_issuer)
            .fails(Class::Tls, &["not trusted", "issuer is unknown"])
            .and_binary(76),
        honest("pin_changed").pinned_to(|all| &all.other).fails(Class::Tls, &["not the pinned one"]).and_binary(76),
        honest("certificate_without_its_key").presents(|all| &all.wrong_key).fails(Class::Tls, &["does not hold the key"]),
        honest("certificate_without_its_key_but_pinned")
            .presents(|all| &all.wrong_key)
            .pinned_to(|all| &all.good)
            .fails(Class::Tls, &["does not hold the key"]),
        handshake("tls_1_0_only", &TLS_1_0).fails(Class::Tls, &["no TLS version"]).and_binary(76),
        handshake("tls_1_1_only", &TLS_1_1).fails(Class::Tls, &["no TLS version"]),
        handshake("older_tls_by_alert", NO_SUCH_VERSION).fails(Class::Tls, &["no TLS version"]),
        handshake("silence_in_the_handshake", b"")
            .impatient()
            .fails(Class::Transient, &["in time: TLS handshake"])
            .and_binary(69),
        scene("handshake_drips", |mut guest| async move {
            hello(&mut guest).await?;
            // The head of a record of 16 KiB, and then its body.
            guest.send([0x16, 3, 3, 0x40, 0]).await?;
            guest.drip(&[2]).await
        })
        .impatient()
        .fails(Class::Transient, &["in time: TLS handshake"]),
        scene("endless_handshake", |mut guest| async move {
            hello(&mut guest).await?;
            guest.flood(&[0x16, 3, 3, 0, 4, 0, 0, 0, 0]).await
        })
        .fails(Class::Tls, &["TLS"]),
        scene("closed_in_the_handshake", |mut guest| async move { hello(&mut guest).await })
            .fails(Class::Transient, &["during the TLS handshake"]),
    ]
}

/// Agrees to TLS and waits for the client's part.
async fn hello(guest: &mut Guest) -> Option<()> {
    guest.until("AUTH").await?;
    guest.say("234 go on").await?;
    guest.first_byte().await
}

/// Answers the client's part of the handshake with these bytes, then is silent.
fn handshake(name: &'static str, bytes: &'static [u8]) -> Scene {
    scene(name, move |mut guest| async move {
        hello(&mut guest).await?;
        guest.send(bytes).await?;
        guest.silence().await
    })
}
