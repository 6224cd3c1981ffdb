//! Mode, data connections and proxies; and what is said to those who look for a way without encryption.

use super::*;

fn remote(lines: &str) -> Remote {
    parse(&format!("{REMOTE}{lines}")).unwrap().remotes.remove("web").unwrap()
}

#[test]
fn the_port_follows_the_mode() {
    for (lines, mode, port) in [
        ("", Mode::Explicit, 21),
        ("mode = \"explicit\"", Mode::Explicit, 21),
        ("mode = \"implicit\"", Mode::Implicit, 990),
        ("mode = \"implicit\"\nport = 21", Mode::Implicit, 21),
    ] {
        let remote = remote(lines);
        assert_eq!((remote.mode, remote.port), (mode, port), "{lines}");
    }
}

#[test]
fn data_connections() {
    let any = DataMode::Active { ports: None, address: None };
    for (lines, data) in [
        ("", DataMode::Passive),
        ("data = \"epsv\"", DataMode::Epsv),
        ("data = \"pasv\"", DataMode::Pasv),
        ("data = \"active\"", any.clone()),
        ("data = \"active\"\nactive = {}", any),
        ("data = \"active\"\nactive.ports = \"50000\"", DataMode::Active { ports: Some(50_000..=50_000), address: None }),
    ] {
        assert_eq!(remote(lines).data, data, "{lines}");
    }
}

#[test]
fn proxies() {
    let proxy = remote("proxy = { http = \"[2001:db8::1]:3128\" }").proxy.unwrap();
    assert_eq!((proxy.kind, proxy.host.as_str(), proxy.port, proxy.user), (ProxyKind::Http, "2001:db8::1", 3128, None));
    let proxy = remote("proxy = { socks5 = \"p:1\", user = \"a:b\", password = { env = \"P\" } }").proxy.unwrap();
    assert_eq!(proxy.user, Some(("a:b".to_owned(), PasswordSource::Env("P".to_owned()))));
}

#[test]
fn what_is_said_of_wrong_ones() {
    let proxy = "a table such as { socks5 = \"proxy.example.com:1080\" } or { http = \"proxy.example.com:3128\" }";
    let place = "a host name or an address (IPv6 in brackets), a colon and a port";
    for (lines, said) in [
        ("data = \"port\"", "5:8: data: expected \"passive\", \"epsv\", \"pasv\" or \"active\""),
        ("active = { ports = \"50000\" }", "5:10: active: is for data = \"active\" alone"),
        ("data = \"active\"\nactive.ports = \"1-9\"", "6:16: ports: expected ports from 1024 to 65535, such as \"50000-50100\""),
        (
            "data = \"active\"\nactive.address = \"0.0.0.0\"",
            "6:18: address: expected the address at which the server gets through to this machine",
        ),
        ("data = \"active\"\nproxy = { http = \"p:1\" }", "6:9: proxy: cannot go together with data = \"active\""),
        ("proxy = \"p:1080\"", &format!("5:9: found a string, expected {proxy}")),
        ("proxy = {}", "5:9: proxy: expected exactly one of `socks5`, `http`"),
        ("proxy = { socks5 = \"p:1\", http = \"p:1\" }", "5:9: proxy: expected exactly one of `socks5`, `http`"),
        ("proxy = { http = \"http://p:1\" }", &format!("5:18: http: expected {place}")),
        ("proxy = { http = \"p:1\", user = \"u\" }", "5:9: proxy: `user` and `password` go together"),
        ("proxy = { http = \"p:1\", password = { env = \"P\" } }", "5:9: proxy: `user` and `password` go together"),
        (
            "proxy = { http = \"p:1\", user = \"a:b\", password = { env = \"P\" } }",
            "5:32: user: expected a name without a colon, which HTTP cannot carry (RFC 7617)",
        ),
    ] {
        assert_eq!(complaint(&format!("{REMOTE}{lines}")), said, "{lines}");
    }
}

/// Whoever looks for a way without encryption is told why there is none, and what to do.
#[test]
fn there_is_no_way_without_encryption() {
    for mode in ["plain", "clear", "ftp", "none", "auto"] {
        let said = complaint(&format!("{REMOTE}mode = \"{mode}\""));
        assert!(said.starts_with("5:8: mode: expected \"explicit\" or \"implicit\"; "), "{said}");
        assert!(said.contains("since"), "{said}");
    }
    for key in ["verify", "insecure", "no_check_certificate", "ssl_verify"] {
        for (table, at) in [("", 1), ("tls.", 5)] {
            let said = complaint(&format!("{REMOTE}{table}{key} = false"));
            assert!(said.starts_with(&format!("5:{at}: there is no key that turns encryption or verification off")), "{said}");
            assert!(said.contains("`tls.pin` or `tls.ca`"), "{said}");
        }
    }
    for key in ["prot", "protect"] {
        let said = complaint(&format!("{REMOTE}{key} = \"C\""));
        assert!(said.contains("always encrypted (PROT P)"), "{said}");
    }
    let said = complaint(&format!("{REMOTE}tls = false"));
    assert_eq!(said, "5:7: found true or false, expected a table such as { min = \"1.3\" }; TLS cannot be turned off");
}
