//! What can be done to a client while nothing is encrypted: refusals, injected text, and bytes without end. Nothing may be told here.

use towline::remote::Class;

use super::scene::{Scene, scene};

/// Bytes of a terminal and of a log that must not reach either.
const ESCAPES: &[u8] = b"\x1b[2J\x1b]0;owned\x07\x9b31m\xc2\x9b%s%n{0}\r{why}";

pub(super) fn scenes() -> Vec<Scene> {
    [refusals(), injections(), endless(), nonsense()].into_iter().flatten().collect()
}

/// Answers AUTH, then is silent.
fn auth(name: &'static str, reply: &'static str) -> Scene {
    scene(name, move |mut guest| async move {
        guest.until("AUTH").await?;
        guest.say(reply).await?;
        guest.silence().await
    })
}

/// Greets with these bytes, then is silent.
fn greets(name: &'static str, greeting: &'static [u8]) -> Scene {
    scene(name, move |mut guest| async move {
        guest.send(greeting).await?;
        guest.silence().await
    })
}

fn refusals() -> Vec<Scene> {
    vec![
        auth("auth_refused_500", "500 what?").fails(Class::Tls, &["refused AUTH TLS", "500 what?"]).and_binary(76),
        auth("auth_refused_502", "502 not here").fails(Class::Tls, &["refused AUTH TLS"]),
        auth("auth_refused_534", "534 policy").fails(Class::Tls, &["refused AUTH TLS"]),
        auth("auth_refused_530", "530 log in first").fails(Class::Tls, &["refused AUTH TLS"]),
        auth("auth_answered_421", "421 too many").fails(Class::Busy, &["turned the connection away", "too many"]).and_binary(69),
        // The downgrade of a server that agrees to everything but means to stay in clear.
        auth("auth_answered_200", "200 fine, go on in clear").fails(Class::Tls, &["refused AUTH TLS", "200 fine"]).and_binary(76),
        auth("auth_answered_334", "334 ADAT").fails(Class::Tls, &["refused AUTH TLS"]),
        greets("banner_with_terminal_escapes", b"530 \x1b[2J\x1b]0;owned\x07\x9b31m\xc2\x9b\r\n")
            .fails(Class::Transient, &["did not greet with 220", "\\u{1b}[2J"])
            .and_binary(69),
        scene("refusal_with_terminal_escapes", |mut guest| async move {
            guest.until("AUTH").await?;
            guest.say([b"500-", ESCAPES, b"\r\n500 ", ESCAPES].concat()).await?;
            guest.silence().await
        })
        .fails(Class::Tls, &["refused AUTH TLS", "\\u{1b}", "{why}"])
        .and_binary(76),
    ]
}

fn injections() -> Vec<Scene> {
    vec![
        auth("text_behind_the_234_in_one_segment", "234 go on\r\n230 you are in")
            .fails(Class::Tls, &["unencrypted bytes"])
            .and_binary(76),
        auth("half_a_line_behind_the_234", "234 go on\r\n2").fails(Class::Tls, &["unencrypted bytes"]),
        scene("text_behind_the_234_in_another_segment", |mut guest| async move {
            guest.until("AUTH").await?;
            guest.say("234 go on").await?;
            guest.say("200 pbsz\r\n200 prot\r\n331 password").await?;
            guest.silence().await
        })
        // Which of the two depends on whether they came together.
        .fails(Class::Tls, &["TLS"]),
        scene("plain_text_instead_of_a_handshake", |mut guest| async move {
            guest.until("AUTH").await?;
            guest.say("234 go on").await?;
            // What comes now is a ClientHello.
            guest.first_byte().await?;
            guest.say("220 let us forget about TLS").await?;
            guest.silence().await
        })
        .fails(Class::Tls, &["not TLS"]),
        scene("answers_before_they_are_asked_for", |mut guest| async move {
            guest.send("220 hello\r\n234 go on\r\n200 pbsz\r\n200 prot\r\n331 password\r\n").await?;
            guest.silence().await
        })
        .fails(Class::Transient, &["no command had asked for", "234 go on"]),
    ]
}

fn endless() -> Vec<Scene> {
    vec![
        scene("greeting_without_a_line_end", |mut guest| async move { guest.flood(b"220 hello ").await })
            .fails(Class::Protocol, &["reply line above"])
            .and_binary(76),
        scene("greeting_of_endless_lines", |mut guest| async move {
            guest.say("220-hello").await?;
            guest.flood(b"220-and hello\r\n").await
        })
        .fails(Class::Protocol, &["reply above"])
        .and_binary(76),
        scene("greeting_of_endless_empty_lines", |mut guest| async move {
            guest.say("220-hello").await?;
            guest.flood(b"\r\n").await
        })
        .fails(Class::Protocol, &["reply above"]),
        scene("greeting_of_endless_zeros", |mut guest| async move { guest.flood(b"\0").await })
            .fails(Class::Protocol, &["reply line above"]),
        scene("endless_reply_to_auth", |mut guest| async move {
            guest.until("AUTH").await?;
            guest.say("234-go").await?;
            guest.flood(b" on\r\n").await
        })
        .fails(Class::Protocol, &["reply above"]),
        scene("endless_120", |mut guest| async move { guest.flood(b"120 soon\r\n").await })
            .fails(Class::Protocol, &["did not greet with 220", "120 soon"]),
        scene("reply_line_of_64_kib", |mut guest| async move {
            guest.send([b"220 ", &[b'x'; 64 << 10][..], b"\r\n"].concat()).await?;
            guest.silence().await
        })
        .fails(Class::Protocol, &["reply line above"]),
        greets("silence_instead_of_a_greeting", b"").impatient().fails(Class::Transient, &["in time: greeting"]).and_binary(69),
        scene("greeting_drips", |mut guest| async move { guest.drip(b"220-slow\r\n").await })
            .impatient()
            .fails(Class::Transient, &["in time: end of a reply"])
            .and_binary(69),
        auth("reply_to_auth_never_ends", "234-go").impatient().fails(Class::Transient, &["in time: end of a reply"]),
        scene("silence_after_auth", |mut guest| async move {
            guest.until("AUTH").await?;
            guest.silence().await
        })
        .impatient()
        .fails(Class::Transient, &["in time: reply"]),
        scene("closed_at_once", |_| async { None }).fails(Class::Transient, &["closed the connection without a greeting"]),
    ]
}

fn nonsense() -> Vec<Scene> {
    let no_code = &["three-digit reply code"];
    vec![
        greets("code_999", b"999 hello\r\n").fails(Class::Protocol, no_code),
        greets("code_000", b"000 hello\r\n").fails(Class::Protocol, no_code),
        greets("code_of_letters", b"2xx hello\r\n").fails(Class::Protocol, no_code),
        greets("code_of_other_digits", "２２０ hello\r\n".as_bytes()).fails(Class::Protocol, no_code),
        greets("tls_instead_of_a_greeting", b"\x15\x03\x03\x00\x02\x02\x28\n").fails(Class::Protocol, no_code),
        scene("reply_with_nul", |mut guest| async move {
            guest.until("AUTH").await?;
            guest.say(b"500 no\0thing\0").await?;
            guest.silence().await
        })
        .fails(Class::Tls, &["refused AUTH TLS", "no\\u{0}thing"])
        .and_binary(76),
    ]
}
