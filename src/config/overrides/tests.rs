//! What variables change, and what is said of those that cannot.

use std::{fs, time::Duration};

use super::{super::load, *};
use crate::config::{Config, ConfigError, Delete, Mode, PasswordSource};

const FILE: &str = "[remote.web-1]\nhost = \"h\"\nuser = \"u\"\npassword = { file = \"/p\" }\ntls.ca = \"/etc/ca.pem\"\n\n\
                    [[mirror]]\nname = \"site\"\nsource = \"/s\"\nremote = \"web-1\"\npath = \"/p\"\n";
const DROP_IN: &str = "[[mirror]]\nname = \"more\"\nsource = \"/m\"\nremote = \"web-1\"\npath = \"/m\"\n";

fn loaded(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("t.toml");
    fs::write(&file, FILE).expect("written");
    fs::create_dir(dir.path().join("conf.d")).expect("made");
    fs::write(dir.path().join("conf.d/more.toml"), DROP_IN).expect("written");
    let all = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load::load_with(&file, None, None, &super::variables(all))
}

fn complaint(variables: &[(&str, &str)]) -> String {
    loaded(variables).expect_err("a complaint").to_string()
}

#[test]
fn variables_lie_over_files() {
    let plain = loaded(&[("TOWLINE_CONFIG", "x"), ("HOME", "/h")]).expect("right");
    let mut expected = plain.clone();
    let remote = expected.remotes.get_mut("web-1").expect("the remote");
    remote.host = "ftp.example.com".into();
    (remote.port, remote.mode, remote.user) = (2121, Mode::Implicit, "4711".into());
    remote.password = PasswordSource::Env("SECRET".into());
    remote.tls.min = crate::config::TlsVersion::V1_3;
    remote.timeouts.stall = Duration::from_secs(60);
    expected.mirrors[0].quiet = Duration::from_secs(1);
    expected.mirrors[0].ignore = vec!["*.tmp".into(), ".git/".into()];
    expected.mirrors[0].delete_budget.percent = 5;
    expected.mirrors[1].delete = Delete::Keep;
    let changed = loaded(&[
        ("TOWLINE__REMOTE__WEB_1__HOST", "ftp.example.com"),
        ("TOWLINE__REMOTE__WEB_1__PORT", "2121"),
        ("TOWLINE__REMOTE__WEB_1__MODE", "implicit"),
        ("TOWLINE__REMOTE__WEB_1__USER", "\"4711\""),
        ("TOWLINE__REMOTE__WEB_1__PASSWORD", "{ env = \"SECRET\" }"),
        ("TOWLINE__REMOTE__WEB_1__TLS__MIN", "'1.3'"),
        ("TOWLINE__REMOTE__WEB_1__TIMEOUTS__STALL", "1m"),
        ("TOWLINE__MIRROR__SITE__QUIET", "1s"),
        ("TOWLINE__MIRROR__SITE__IGNORE", "[\"*.tmp\", \".git/\"]"),
        ("TOWLINE__MIRROR__SITE__DELETE_BUDGET__PERCENT", "5"),
        ("TOWLINE__MIRROR__MORE__DELETE", "keep"),
    ]);
    assert_eq!(changed.expect("right"), expected);
}

#[test]
fn what_is_wrong_names_the_variable() {
    for (name, value, said) in [
        ("TOWLINE__REMOTE__WEB_1__PORT", "0", "$TOWLINE__REMOTE__WEB_1__PORT: port: expected a number from 1 to 65535"),
        ("TOWLINE__REMOTE__WEB_1__PORT", "x", "$TOWLINE__REMOTE__WEB_1__PORT: found a string, expected a whole number"),
        ("TOWLINE__REMOTE__WEB_1__HOTS", "x", "$TOWLINE__REMOTE__WEB_1__HOTS: unknown key `hots`; did you mean `host`?"),
        (
            "TOWLINE__REMOTE__WEB_1__TLS__TRUST",
            "pin",
            "$TOWLINE__REMOTE__WEB_1__TLS__TRUST: trust: \"pin\" needs at least one pin",
        ),
        ("TOWLINE__REMOTE__WEB_1__TLS__PIN", "[1", "$TOWLINE__REMOTE__WEB_1__TLS__PIN: not valid TOML: "),
        (
            "TOWLINE__REMOTE__WEB_1__HOST",
            "\"h\"\nport = 1",
            "$TOWLINE__REMOTE__WEB_1__HOST: not valid TOML: one value is expected",
        ),
        (
            "TOWLINE__MIRROR__SITE__REMOTE",
            "wbe",
            "$TOWLINE__MIRROR__SITE__REMOTE: there is no remote of this name; there are `web-1`",
        ),
        ("TOWLINE__MIRROR__MORE__PATH", "/p/x", "$TOWLINE__MIRROR__MORE__PATH: overlaps with the directory of mirror `site`"),
        (
            "TOWLINE__REMOTE__WEB__HOST",
            "x",
            "$TOWLINE__REMOTE__WEB__HOST: expected TOWLINE__REMOTE__NAME__KEY or TOWLINE__MIRROR__NAME__KEY",
        ),
        ("TOWLINE__FOO", "x", "there is `TOWLINE__REMOTE__WEB_1__`, `TOWLINE__MIRROR__SITE__`, `TOWLINE__MIRROR__MORE__`"),
        ("TOWLINE__REMOTE__WEB_1__", "x", "$TOWLINE__REMOTE__WEB_1__: expected TOWLINE__REMOTE"),
    ] {
        let complaint = complaint(&[(name, value)]);
        assert!(complaint.contains(said), "{complaint}");
    }
    // Of two only the wrong one; and what is wrong in a file keeps its place.
    let two = complaint(&[("TOWLINE__REMOTE__WEB_1__HOST", "h"), ("TOWLINE__REMOTE__WEB_1__PORT", "0")]);
    assert_eq!(two, "$TOWLINE__REMOTE__WEB_1__PORT: port: expected a number from 1 to 65535");
    let secret = complaint(&[("TOWLINE__REMOTE__WEB_1__PASSWORD", "hunter2")]);
    assert!(secret.contains("does not belong in this file") && !secret.contains("hunter2"), "{secret}");
}

#[test]
fn names_that_look_alike_are_not_guessed() {
    let tables = |names: [&str; 2]| names.map(|name| (0, Table::Remote(name.to_owned())));
    let variable = |name: &str| Variable { name: name.to_owned(), value: "x".into() };
    let said = one(&variable("TOWLINE__REMOTE__A_B__HOST"), &tables(["a-b", "a_b"]));
    assert_eq!(said.err().as_deref(), Some("it could stand for any of `a-b`, `a_b`"));
    assert!(one(&variable("TOWLINE__REMOTE__A__B__HOST"), &tables(["a", "a__b"])).is_err());
    assert_eq!(
        one(&variable("TOWLINE__REMOTE__A__HOST"), &tables(["a", "a__b"])).map(|(_, table, ..)| table),
        Ok(Table::Remote("a".into()))
    );
}
