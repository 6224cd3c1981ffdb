//! Where on the web somebody is told. The address may be a secret; what was expected never holds it.

use std::net::IpAddr;

use super::{Expected, host};
use crate::config::WebAddress;

/// The longest address.
const MAX: usize = 2048;

/// `https://host/path`; `http://` for this machine alone, since everybody on the way could read the address else.
pub(in crate::config) fn web_address(text: &str) -> Result<WebAddress, Expected> {
    let expected = || Expected::from("an address such as \"https://hooks.example.com/path\"; http:// is for this machine alone");
    let (tls, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        _ => return Err(expected()),
    };
    let fits = |b: u8| b.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&b);
    if text.len() > MAX || !rest.bytes().all(fits) {
        return Err(expected());
    }
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (name, port) = match authority.rsplit_once(':') {
        // A colon in brackets is the address's own.
        Some((name, port)) if !port.contains(']') => {
            let port = Some(port).filter(|port| port.bytes().all(|b| b.is_ascii_digit())).and_then(|port| port.parse().ok());
            (name, port.filter(|port| *port > 0).ok_or_else(expected)?)
        }
        _ => (authority, if tls { 443 } else { 80 }),
    };
    let bare_ipv6 = name.contains(':') && !name.starts_with('[');
    let host = host(name.to_owned()).map_err(|_| expected())?;
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if bare_ipv6 || !(tls || is_here) {
        return Err(expected());
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok(WebAddress { tls, host, port, target: format!("{slash}{target}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        for (text, tls, host, port, target) in [
            ("https://hooks.example.com/a/b?c=d", true, "hooks.example.com", 443, "/a/b?c=d"),
            ("HTTPS://example.com", true, "example.com", 443, "/"),
            ("https://example.com:8443?x", true, "example.com", 8443, "/?x"),
            ("https://[2001:db8::1]:1/x", true, "2001:db8::1", 1, "/x"),
            ("http://127.0.0.1:3001/push", false, "127.0.0.1", 3001, "/push"),
            ("http://localhost/", false, "localhost", 80, "/"),
            ("http://[::1]/", false, "::1", 80, "/"),
        ] {
            let found = web_address(text).unwrap();
            assert_eq!((found.tls, found.host.as_str(), found.port, found.target.as_str()), (tls, host, port, target), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        let long = format!("https://example.com/{}", "a".repeat(MAX));
        for text in [
            "",
            "example.com/hunter2",
            "ftp://example.com/hunter2",
            "http://example.com/hunter2",
            "http://192.0.2.1/hunter2",
            "https://user:hunter2@example.com/",
            "https:///hunter2",
            "https://example.com:/hunter2",
            "https://example.com:0/hunter2",
            "https://example.com:99999/hunter2",
            "https://2001:db8::1/hunter2",
            "https://example.com/hunter2\r\nX: y",
            "https://example.com/hun ter2",
            "https://example.com/#hunter2",
            "https://ex\u{e4}mple.com/hunter2",
            &long,
        ] {
            let Err(Expected(words)) = web_address(text) else { panic!("{text}") };
            assert!(!words.contains("hunter2"), "{words}");
        }
        let shown = format!("{:?}", web_address("https://example.com/hunter2").unwrap());
        assert_eq!(shown, "WebAddress");
    }
}
