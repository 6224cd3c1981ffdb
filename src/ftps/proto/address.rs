//! Addresses of data connections. Of the replies to EPSV (RFC 2428 §3) and PASV (RFC 959 §4.1.2) a port is taken and nothing
//! else: the address in a PASV reply is ignored, since a server could name a third host. Private and wrong addresses, as
//! servers behind NAT give them, do no harm therefore. And what PORT and EPRT are given.

use std::net::{SocketAddr, SocketAddrV4};

use super::Reply;

/// The reply names no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reply names no data port")]
pub struct NoPort;

/// The port of `229 Entering Extended Passive Mode (|||6446|)`.
///
/// # Errors
/// When there is none.
pub fn epsv_port(reply: &Reply) -> Result<u16, NoPort> {
    reply.lines.iter().rev().find_map(|line| epsv_line(line)).ok_or(NoPort)
}

fn epsv_line(line: &[u8]) -> Option<u16> {
    let open = line.iter().position(|b| *b == b'(')?;
    let inner = &line[open + 1..];
    let inner = &inner[..inner.iter().position(|b| *b == b')')?];
    let delimiter = *inner.first().filter(|b| b.is_ascii_graphic() && !b.is_ascii_digit())?;
    // Network protocol and address are between the first three delimiters; RFC 2428 has them empty.
    let parts: Vec<&[u8]> = inner.split(|b| *b == delimiter).collect();
    match parts[..] {
        [b"", _, _, port, b""] => number(port).filter(|port| *port != 0),
        _ => None,
    }
}

/// The port of `227 Entering Passive Mode (h1,h2,h3,h4,p1,p2)`; the parentheses may be missing (RFC 1123 §4.1.2.6).
///
/// # Errors
/// When there is none.
pub fn pasv_port(reply: &Reply) -> Result<u16, NoPort> {
    reply.lines.iter().rev().find_map(|line| pasv_line(line)).ok_or(NoPort)
}

fn pasv_line(line: &[u8]) -> Option<u16> {
    line.split(|b| !b.is_ascii_digit() && *b != b',').find_map(|run| {
        let numbers: Vec<u16> = run.split(|b| *b == b',').map(number).collect::<Option<_>>()?;
        match numbers[..] {
            [a, b, c, d, high, low] if [a, b, c, d, high, low].iter().all(|n| *n < 256) => Some(high * 256 + low),
            _ => None,
        }
        .filter(|port| *port != 0)
    })
}

/// `h1,h2,h3,h4,p1,p2`, for PORT (RFC 959 §4.1.2).
pub fn for_port(at: SocketAddrV4) -> String {
    let [a, b, c, d] = at.ip().octets();
    let [high, low] = at.port().to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

/// `|protocol|address|port|`, for EPRT (RFC 2428 §2).
pub fn for_eprt(at: SocketAddr) -> String {
    let protocol = if at.is_ipv4() { 1 } else { 2 };
    format!("|{protocol}|{}|{}|", at.ip(), at.port())
}

fn number(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(text: impl AsRef<[u8]>) -> Reply {
        Reply { code: 227, lines: vec![text.as_ref().to_vec()] }
    }

    #[test]
    fn ports() {
        for (text, port) in [
            ("Entering Extended Passive Mode (|||6446|)", Ok(6446)),
            ("ok (!!!1!)", Ok(1)),
            ("ok (|1|132.235.1.2|6275|)", Ok(6275)),
            ("ok (|||0|)", Err(NoPort)),
            ("ok (|||65536|)", Err(NoPort)),
            ("ok (|||+5|)", Err(NoPort)),
            ("ok |||6446|", Err(NoPort)),
            ("ok (||6446|)", Err(NoPort)),
        ] {
            assert_eq!(epsv_port(&reply(text)), port, "{text}");
        }
        for (text, port) in [
            ("Entering Passive Mode (127,0,0,1,164,210).", Ok(164 * 256 + 210)),
            ("Entering Passive Mode 10,0,0,1,4,1", Ok(1025)),
            ("=198,51,100,7,255,255", Ok(65535)),
            ("Passive (1,2,3,4,5)", Err(NoPort)),
            ("Passive (1,2,3,4,256,1)", Err(NoPort)),
            ("Passive (1,2,3,4,0,0)", Err(NoPort)),
        ] {
            assert_eq!(pasv_port(&reply(text)), port, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_port_comes_through(port in 1u16..) {
            prop_assert_eq!(epsv_port(&reply(format!("x (|||{port}|)"))), Ok(port));
            prop_assert_eq!(pasv_port(&reply(format!("x (9,9,9,9,{},{})", port >> 8, port & 255))), Ok(port));
        }

        #[test]
        fn what_is_sent_is_what_the_other_side_reads(ip in any::<[u8; 4]>(), port in 1u16..) {
            let at = SocketAddrV4::new(ip.into(), port);
            prop_assert_eq!(pasv_port(&reply(for_port(at))), Ok(port));
            prop_assert!(for_port(at).starts_with(&at.ip().to_string().replace('.', ",")));
            prop_assert_eq!(for_eprt(at.into()), format!("|1|{}|{}|", at.ip(), port));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), close in "[(|,0-9)]{0,30}") {
            let _ = (epsv_port(&reply(&bytes)), pasv_port(&reply(&bytes)));
            let _ = (epsv_port(&reply(&close)), pasv_port(&reply(&close)));
        }
    }
}
