//! HTTP CONNECT (RFC 9110 §9.3.6) with Basic authentication (RFC 7617): one request, and the head of its answer. No other
//! part of HTTP: behind a 2yz head there is no body, whatever it says.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::{ProxyFailure, place};

/// The most bytes of heads that are read.
const MAX_HEAD: usize = 8 * 1024;
/// The most of a reason phrase that is repeated.
const MAX_REASON: usize = 80;

/// Asks for a connection.
pub(super) async fn connect<S>(
    stream: &mut S,
    host: &str,
    port: u16,
    user: Option<(&str, &SecretString)>,
) -> Result<(), ProxyFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&request(host, port, user)?).await?;
    stream.flush().await?;
    let mut left = MAX_HEAD;
    loop {
        let head = read_head(stream, &mut left).await?;
        match status(&head).ok_or(ProxyFailure::OtherProtocol)? {
            (100..200, _) => {}
            (200..300, _) => return Ok(()),
            // tinyproxy 1.11 says 401 to a wrong account.
            (401 | 407, _) if user.is_some() => return Err(ProxyFailure::AuthRefused),
            (407, _) => return Err(ProxyFailure::AuthNeeded),
            (code, reason) => return Err(ProxyFailure::Refused(format!("{code} {reason}").trim_end().to_owned())),
        }
    }
}

fn request(host: &str, port: u16, user: Option<(&str, &SecretString)>) -> Result<Zeroizing<Vec<u8>>, ProxyFailure> {
    let place = place(host, port);
    let head = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
    let Some((user, password)) = user else { return Ok(Zeroizing::new(format!("{head}\r\n").into_bytes())) };
    if user.contains(':') {
        return Err(ProxyFailure::Unsendable("Basic authentication takes no colon in the user name"));
    }
    let pair = Zeroizing::new([user, ":", password.expose_secret()].concat());
    let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
    Ok(Zeroizing::new([head.as_str(), "Proxy-Authorization: Basic ", encoded.as_str(), "\r\n\r\n"].concat().into_bytes()))
}

/// Reads up to the empty line, byte by byte: what is behind it is the server's.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S, left: &mut usize) -> Result<Vec<u8>, ProxyFailure> {
    let mut head = Vec::new();
    while !(head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n")) {
        *left = left.checked_sub(1).ok_or(ProxyFailure::OtherProtocol)?;
        head.push(stream.read_u8().await?);
        // Whatever else this is, it is not read to its end.
        if !head.starts_with(b"HTTP/") && !b"HTTP/".starts_with(&head) {
            return Err(ProxyFailure::OtherProtocol);
        }
    }
    Ok(head)
}

/// The code and the reason of a status line.
fn status(head: &[u8]) -> Option<(u16, String)> {
    let line = head.split(|b| matches!(b, b'\r' | b'\n')).next()?;
    let line = line.strip_prefix(b"HTTP/1.")?;
    let (code, reason) = line.strip_prefix(b"0 ").or_else(|| line.strip_prefix(b"1 "))?.split_at_checked(3)?;
    if !code.iter().all(u8::is_ascii_digit) || !matches!(reason.first(), None | Some(b' ')) {
        return None;
    }
    let code = std::str::from_utf8(code).ok()?.parse().ok()?;
    let reason = String::from_utf8_lossy(reason);
    // It comes from outside and goes to a terminal.
    Some((code, reason.trim().chars().filter(|c| !c.is_control()).take(MAX_REASON).collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn status_lines() {
        let is = |code, reason: &str| Some((code, reason.to_owned()));
        for (head, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", is(200, "Connection established")),
            ("HTTP/1.0 200\r\nContent-Length: 5\r\n\r\n", is(200, "")),
            ("HTTP/1.1 403 \x1b[31mno\n\n", is(403, "[31mno")),
            ("HTTP/2 200 OK\r\n\r\n", None),
            ("HTTP/1.1 2000 OK\r\n\r\n", None),
            ("HTTP/1.1 20\r\n\r\n", None),
            ("220 ftp\r\n\r\n", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), line in "HTTP/1\\.[01] [0-9 a]{0,9}") {
            let _ = (status(&bytes), status(line.as_bytes()));
        }
    }
}
