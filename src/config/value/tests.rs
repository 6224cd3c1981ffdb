use std::path::Path;

use proptest::prelude::*;

use super::*;

fn origin() -> Origin {
    Origin::new(Path::new("/etc/towline/towline.toml"), Some(Path::new("/home/ann")))
}

#[test]
fn places() {
    for (text, host, port) in [("proxy:1080", "proxy", 1080), ("[::1]:3128", "::1", 3128), ("192.0.2.1:1", "192.0.2.1", 1)] {
        assert_eq!(place(text), Ok((host.to_owned(), port)));
    }
    for bad in ["proxy", "proxy:", "proxy:0", "proxy:65536", "proxy:+1", "::1:80", ":80", "http://proxy:80", "me:pw@proxy:80"] {
        assert!(place(bad).is_err(), "{bad}");
    }
}

#[test]
fn port_ranges() {
    assert_eq!(ports("50000-50100"), Ok(50_000..=50_100));
    assert_eq!(ports("1024 - 65535"), Ok(1024..=65_535));
    assert_eq!(ports("50000"), Ok(50_000..=50_000));
    for bad in ["", "-", "1-2", "50100-50000", "50000-65536", "50000-", "+50000", "any", "0"] {
        assert!(ports(bad).is_err(), "{bad}");
    }
}

#[test]
fn addresses() {
    assert!(address("203.0.113.7").is_ok() && address("2001:db8::1").is_ok());
    for bad in ["0.0.0.0", "::", "224.0.0.1", "host", "[::1]", "203.0.113.7:50000"] {
        assert!(address(bad).is_err(), "{bad}");
    }
}

#[test]
fn names() {
    for good in ["a", "web", "Web-1_x.y", &"n".repeat(64)] {
        assert_eq!(name(good.to_owned()).as_deref(), Ok(good));
    }
    for bad in ["", ".", ".web", "a b", "a/b", "ä", "a\0", &"n".repeat(65)] {
        assert!(name(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn hosts() {
    for (good, is) in [
        ("ftp.example.com", "ftp.example.com"),
        ("ftp.example.com.", "ftp.example.com."),
        ("localhost", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
    ] {
        assert_eq!(host(good.to_owned()).as_deref(), Ok(is));
    }
    let long = format!("{}.com", "a.".repeat(130));
    for bad in
        ["", ".", "a..b", "ftp://a", "a:21", "a/b", "a b", "-a", "a-", "bücher.example", "[192.0.2.1]", "[a]", "a\r\n", &long]
    {
        assert!(host(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn durations() {
    let ok = |text| duration(text, &Bounds::FULL_SCAN).map(|d| d.as_secs());
    assert_eq!(ok("10s"), Ok(10));
    assert_eq!(ok("1h 30m"), Ok(5400));
    assert_eq!(ok("2 days"), Ok(2 * 86_400));
    assert_eq!(ok("30d"), Ok(30 * 86_400));
    assert_eq!(duration("1.5s", &Bounds::TIMEOUT), Ok(Duration::from_millis(1500)));
    assert_eq!(duration("10ms", &Bounds::QUIET), Ok(Duration::from_millis(10)));
    for bad in ["", "10", "9.999s", "31d", "-10s", "10s ago", "1 month", "1y", "PT1H", "soon", "99999999999999999999h", "1h\0"] {
        assert!(ok(bad).is_err(), "{bad}");
    }
}

#[test]
fn local_paths() {
    for (text, is) in [
        ("/srv/site", "/srv/site"),
        ("/srv//site/./", "/srv/site"),
        ("~", "/home/ann"),
        ("~/site/", "/home/ann/site"),
        ("~//etc", "/home/ann/etc"),
        ("web.pass", "/etc/towline/web.pass"),
        ("./~x", "/etc/towline/~x"),
        ("../x", "/etc/towline/../x"),
        (".", "/etc/towline"),
        ("/", "/"),
    ] {
        assert_eq!(local_path(text, &origin()).as_deref(), Ok(Path::new(is)), "{text}");
    }
    for bad in ["", "a\0b", "~ann/site", "~x"] {
        assert!(local_path(bad, &origin()).is_err(), "{bad}");
    }
    let homeless = Origin::new(Path::new("/etc/t.toml"), None);
    assert!(local_path("~/site", &homeless).is_err());
}

#[test]
fn remote_paths() {
    for (text, is) in
        [("/", "/"), ("/htdocs", "/htdocs"), ("/htdocs/", "/htdocs"), ("/a b/ü", "/a b/ü"), ("/..a/b..", "/..a/b..")]
    {
        assert_eq!(remote_path(text.to_owned()).as_deref(), Ok(is));
    }
    let long = format!("/{}", "a".repeat(MAX_PATH));
    for bad in ["", "htdocs", "//", "/a//b", "/a//", "/..", "/a/../b", "/./a", "/a\rb", "/a\nb", "/a\0b", &long] {
        assert!(remote_path(bad.to_owned()).is_err(), "{bad:?}");
    }
}

#[test]
fn pins() {
    let digest = base64::engine::general_purpose::STANDARD.encode([7; 32]);
    assert_eq!(pin(&format!("sha256/{digest}")), Ok([7; 32]));
    for bad in [
        digest.as_str(),
        "sha256/",
        "sha256/AAAA",
        &format!("sha1/{digest}"),
        &format!("sha256//{digest}"),
        &format!("sha256/{digest} "),
    ] {
        assert!(pin(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_rest() {
    for bad in ["", "a\nb", "a\rb", "a\0b", &"u".repeat(256)] {
        assert!(user(bad.to_owned()).is_err(), "{bad:?}");
    }
    assert!(user("ann@example.com".to_owned()).is_ok());
    for good in ["*.tmp", ".git/", "!keep", "# comment", "", "a b\\ ", "**/x"] {
        assert!(pattern(good.to_owned()).is_ok(), "{good}");
    }
    for bad in ["[z-a]", "a\nb", "{a", "a\0"] {
        assert!(pattern(bad.to_owned()).is_err(), "{bad:?}");
    }
    for bad in ["", "1A", "A-B", "A=B", "$A", "Ä"] {
        assert!(variable(bad.to_owned()).is_err(), "{bad}");
    }
    assert!(variable("WEB_PASS2".to_owned()).is_ok());
    for bad in ["", ".", "..", "a/b", "/a", "a\nb"] {
        assert!(credential(bad.to_owned()).is_err(), "{bad}");
    }
    assert!(credential("web.pass".to_owned()).is_ok());
    for bad in ["", "-w", "a b", "a\"b", "a\n", "\u{e9}", &"x".repeat(256)] {
        assert!(in_keyring(bad.to_owned()).is_err(), "{bad}");
    }
    assert!(in_keyring("deploy@ftp.example.com".to_owned()).is_ok());
    assert_eq!(number::<u16>(65_535, 1, 65_535), Ok(65_535));
    for bad in [0, -1, 65_536, i64::MAX, i64::MIN] {
        assert!(number::<u16>(bad, 1, 65_535).is_err(), "{bad}");
    }
    assert!(number::<u8>(256, 0, 1000).is_err());
}

#[test]
fn octals() {
    for (text, bits) in [("0644", 0o644), ("644", 0o644), ("000", 0), ("0000", 0), ("0777", 0o777)] {
        assert_eq!(octal(text, 0), Ok(bits), "{text}");
    }
    assert_eq!(octal("0755", 0o700), Ok(0o755));
    for bad in ["", "0", "44", "0o644", "1644", "4755", "00644", "u+rw", "0648", "-644", "06 4"] {
        assert!(octal(bad, 0).is_err(), "{bad}");
    }
    assert!(octal("0555", 0o700).is_err());
}

#[test]
fn commands() {
    let run = |words: &[&str]| command(words.iter().map(|w| (*w).to_owned()).collect(), &origin());
    assert_eq!(run(&["pass", "show", "~"]), Ok(vec!["pass".into(), "show".into(), "~".into()]));
    assert_eq!(run(&["./secret.sh"]), Ok(vec!["/etc/towline/secret.sh".into()]));
    assert_eq!(run(&["~/bin/x"]), Ok(vec!["/home/ann/bin/x".into()]));
    for bad in [&[][..], &[""], &["a", "b\0"], &["~x/y"]] {
        assert!(run(bad).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn no_value_panics(text in any::<String>(), value in any::<i64>()) {
        let _ = (name(text.clone()), host(text.clone()), user(text.clone()), pin(&text), trust(&text), delete(&text));
        let _ = (duration(&text, &Bounds::QUIET), local_path(&text, &origin()), pattern(text.clone()));
        let _ = (variable(text.clone()), credential(text.clone()), command(vec![text.clone()], &origin()));
        let _ = number::<u8>(value, 0, 100);
        if let Ok(path) = remote_path(text) {
            prop_assert!(path == "/" || RelPath::new(&path[1..]).is_ok());
        }
    }
}
