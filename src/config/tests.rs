//! The configuration as a user meets it: what is accepted, and word for word what is said of what is not.

mod bandwidth;
mod connecting;
mod reference;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::model::Rate;

const EXAMPLE: &str = include_str!("../../config/towline.example.toml");

/// Three lines that make a remote right; what a test is about comes behind them.
const REMOTE: &str = "[remote.web]\nhost = \"h\"\nuser = \"u\"\npassword = { env = \"P\" }\n";
const MIRROR: &str = "[[mirror]]\nname = \"m\"\nsource = \"/s\"\nremote = \"web\"\npath = \"/p\"\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, &Origin::new(Path::new("/etc/towline/t.toml"), Some(Path::new("/home/ann"))))
}

/// What is said of `text`, without the file's name.
fn complaint(text: &str) -> String {
    let error = parse(text).expect_err(text);
    error.to_string().replace("/etc/towline/t.toml:", "")
}

#[test]
fn all_of_it() {
    let config = parse(
        r#"
        [remote.web]
        host = "[2001:db8::1]"
        port = 2121
        mode = "implicit"
        data = "active"
        active = { ports = "50000-50100", address = "203.0.113.7" }
        user = "deploy"
        password = { command = ["pass", "show", "web"] }
        connections = 3
        bandwidth = "2MiB"
        tls = { ca = "ca.pem", pin = ["sha256/BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="], trust = "pin", server_name = "x", min = "1.3", client_cert = "me.pem", client_key = "~/me.key", client_key_password = { env = "K" } }
        timeouts.connect = "1m"

        [[mirror]]
        name = "site"
        source = "~/site"
        remote = "web"
        path = "/htdocs/"
        ignore = ["*.tmp"]
        append = ["*.log"]
        quiet = "1s"
        full_scan = "1 day"
        delete = "keep"
        trash = { days = 7, size = "500 MB", versions = "never" }
        delete_budget.files = 7
        drift = "keep-both"
        publish = "together"
        scan = "normal"
        verify = { every = "never", read_back = "1MB" }
        symlinks = "follow"
        permissions = { files = "0640" }
        "#,
    )
    .unwrap();
    let remote = Remote {
        name: "web".into(),
        host: "2001:db8::1".into(),
        port: 2121,
        mode: Mode::Implicit,
        data: DataMode::Active { ports: Some(50_000..=50_100), address: Some([203, 0, 113, 7].into()) },
        proxy: None,
        user: "deploy".into(),
        password: PasswordSource::Command(vec!["pass".into(), "show".into(), "web".into()]),
        connections: 3,
        bandwidth: Timetable { limit: Rate::new(2 << 20), hours: Vec::new() },
        tls: Tls {
            ca: Some("/etc/towline/ca.pem".into()),
            pins: vec![[7; 32]],
            trust: Trust::Pin,
            server_name: Some("x".into()),
            min: TlsVersion::V1_3,
            client: Some(ClientCertificate {
                cert: "/etc/towline/me.pem".into(),
                key: "/home/ann/me.key".into(),
                key_password: Some(PasswordSource::Env("K".into())),
            }),
        },
        timeouts: Timeouts { connect: Duration::from_secs(60), ..Timeouts::default() },
    };
    let mirror = Mirror {
        name: "site".into(),
        source: "/home/ann/site".into(),
        remote: "web".into(),
        path: "/htdocs".into(),
        ignore: vec!["*.tmp".into()],
        append: vec!["*.log".into()],
        quiet: Duration::from_secs(1),
        full_scan: Duration::from_secs(86_400),
        delete: Delete::Keep,
        trash: Trash { days: 7, size: 500_000_000, versions: Versions::Never },
        delete_budget: DeleteBudget { files: 7, percent: 25 },
        drift: Drift::KeepBoth,
        publish: Publish::Together,
        scan: Scan::Normal,
        verify: Verify { every: None, read_back: 1_000_000 },
        symlinks: Symlinks::Follow,
        permissions: Permissions::Fixed { files: Some(0o640), directories: None },
    };
    assert_eq!(config, Config { remotes: [("web".to_owned(), remote)].into(), mirrors: vec![mirror], notify: Notify::default() });
}

#[test]
fn every_password_source() {
    for (written, is) in [
        (r#"{ file = "web.pass" }"#, PasswordSource::File("/etc/towline/web.pass".into())),
        (r#"{ file = "~/web.pass" }"#, PasswordSource::File("/home/ann/web.pass".into())),
        (r#"{ command = ["./p", "x"] }"#, PasswordSource::Command(vec!["/etc/towline/p".into(), "x".into()])),
        (r#"{ env = "P" }"#, PasswordSource::Env("P".into())),
        (r#"{ credential = "web" }"#, PasswordSource::Credential("web".into())),
        (r#"{ keyring = "web" }"#, PasswordSource::Keyring("web".into())),
    ] {
        let config = parse(&format!("[remote.web]\nhost = \"h\"\nuser = \"u\"\npassword = {written}")).unwrap();
        assert_eq!(config.remotes["web"].password, is);
    }
}

#[test]
fn what_is_said_of_a_wrong_remote() {
    const PASSWORD: &str = "{ file = \"...\" }, { command = [...] }, { env = \"...\" }, { credential = \"...\" } or { keyring = \"...\" }; the password itself does not belong in this file";
    let host = "[remote.web]\nhost = \"h\"\nuser = \"u\"\n";
    for (text, said) in [
        ("x", "1:2: not valid TOML: key with no value, expected `=`"),
        ("a = 1\na = 2", "2:1: not valid TOML: duplicate key"),
        ("[remote.web]\n[remote.web]", "2:9: not valid TOML: duplicate key"),
        ("[remot.web]", "1:2: unknown key `remot`; did you mean `remote`?"),
        ("zzzz = 1", "1:1: unknown key; expected one of `remote`, `mirror`, `defaults`, `notify`"),
        ("remote = 5", "1:10: found a whole number, expected a table"),
        ("remote.web = [1]", "1:14: found a list, expected a table"),
        (
            "[remote.\"a b\"]",
            "1:9: the name of a remote: expected 1 to 64 letters, digits, `.`, `_` or `-`, not starting with `.`",
        ),
        ("[remote.web]", "1:9: `host` is missing\n1:9: `user` is missing\n1:9: `password` is missing"),
        (&format!("{REMOTE}port = 0"), "5:8: port: expected a number from 1 to 65535"),
        (&format!("{REMOTE}port = \"21\""), "5:8: found a string, expected a whole number"),
        (&format!("{REMOTE}port = 21.5"), "5:8: found a number with a fraction, expected a whole number"),
        (&format!("{REMOTE}port = 99999999999999999999999999"), "5:8: found a number far out of range, expected a whole number"),
        (&format!("{REMOTE}connections = 33"), "5:15: connections: expected a number from 1 to 32"),
        (
            &format!("{REMOTE}passphrase = 1"),
            "5:1: unknown key; expected one of `host`, `port`, `mode`, `data`, `active`, `proxy`, `user`, `password`, `connections`, `bandwidth`, `tls`, `timeouts`",
        ),
        (
            &format!("{REMOTE}tls.zzzzzzzz = \"me.pem\""),
            "5:5: unknown key; expected one of `ca`, `pin`, `trust`, `server_name`, `min`, `client_cert`, `client_key`, `client_key_password`",
        ),
        (&format!("{REMOTE}tls.client_cert = \"\""), "5:19: client_cert: expected a path"),
        (&format!("{REMOTE}tls.client_key = \"me.key\""), "5:18: client_key: expected `client_cert` beside it"),
        (
            &format!("{REMOTE}tls.client_key_password = {{ env = \"K\" }}"),
            "5:27: client_key_password: expected `client_cert` beside it",
        ),
        (
            &format!("{REMOTE}tls.client_cert = \"me.pem\"\ntls.client_key_password = {{ }}"),
            "6:27: client_key_password: expected exactly one of `file`, `command`, `env`, `credential`, `keyring`",
        ),
        (
            &format!("{REMOTE}tls.client_cert = \"me.pem\"\ntls.client_key_password = \"x\""),
            &format!("6:27: found a string, expected {PASSWORD}"),
        ),
        (&format!("{REMOTE}tls.trust = \"none\""), "5:13: trust: expected \"chain\" or \"pin\""),
        (&format!("{REMOTE}tls.trust = \"pin\""), "5:13: trust: \"pin\" needs at least one pin"),
        (
            &format!("{REMOTE}tls = {{ pin = [\"sha256/x\"] }}"),
            "5:16: pin: expected \"sha256/\" and the 44 characters of the public key's SHA-256 in base64",
        ),
        (&format!("{REMOTE}tls.pin = \"sha256/x\""), "5:11: found a string, expected a list"),
        (&format!("{REMOTE}tls.min = \"1.1\""), "5:11: min: expected \"1.2\" or \"1.3\""),
        (&format!("{REMOTE}tls.min = 1.2"), "5:11: found a number with a fraction, expected a string"),
        (
            &format!("{REMOTE}timeouts.reply = \"0s\"\ntimeouts.stall = \"11m\""),
            "5:18: reply: expected a duration from 1s to 10m, such as \"30s\"\n\
             6:18: stall: expected a duration from 1s to 10m, such as \"30s\"",
        ),
        (&format!("{host}password = \"x\""), &format!("4:12: found a string, expected {PASSWORD}")),
        (&format!("{host}password = [\"pass\"]"), &format!("4:12: found a list, expected {PASSWORD}")),
        (&format!("{host}password = 12345"), &format!("4:12: found a whole number, expected {PASSWORD}")),
        (
            &format!("{host}password = 1979-05-27"),
            "4:12: unknown key; expected one of `file`, `command`, `env`, `credential`, `keyring`",
        ),
        (
            &format!("{host}password = {{ keychain = \"web\" }}"),
            "4:14: unknown key; expected one of `file`, `command`, `env`, `credential`, `keyring`",
        ),
        (
            &format!("{host}password = {{ }}"),
            "4:12: password: expected exactly one of `file`, `command`, `env`, `credential`, `keyring`",
        ),
        (
            &format!("{host}password = {{ file = \"a\", env = \"A\" }}"),
            "4:12: password: expected exactly one of `file`, `command`, `env`, `credential`, `keyring`",
        ),
        (
            &format!("{host}password = {{ command = [] }}"),
            "4:24: command: expected a program and its arguments, such as [\"pass\", \"show\", \"web\"]",
        ),
    ] {
        assert_eq!(complaint(text), said, "{text}");
    }
}

#[test]
fn what_is_said_of_a_wrong_mirror() {
    let both = |line: &str| format!("{REMOTE}{MIRROR}{line}");
    let second = |remote: &str, name: &str, path: &str| {
        both(&format!("[[mirror]]\nname = \"{name}\"\nsource = \"/t\"\nremote = \"{remote}\"\npath = \"{path}\"\n"))
    };
    let overlap = "14:8: overlaps with the directory of mirror `m`, at 9:8";
    for (text, said) in [
        (
            "[mirror]\nname = \"m\"",
            "1:1: found a table or a date, expected a list; a mirror is written `[[mirror]]`, with two brackets",
        ),
        ("mirror = [[]]", "1:11: found a list, expected a table"),
        ("[[mirror]]", "1:1: `name` is missing\n1:1: `source` is missing\n1:1: `remote` is missing\n1:1: `path` is missing"),
        (&both("delet = 1"), "10:1: unknown key `delet`; did you mean `delete`?"),
        (&both("delete = \"bin\""), "10:10: delete: expected \"trash\", \"remove\" or \"keep\""),
        (&both("trash = { days = 0 }"), "10:18: days: expected a number from 1 to 3650"),
        (&both("trash = { versions = \"renamed\" }"), "10:22: versions: expected \"copied\", \"always\" or \"never\""),
        (&both("trash = { size = \"1 zebibyte\" }"), "10:18: size: expected a size, as in 500MiB or 10GB"),
        (&both("trash = { size = \"9999999TiB\" }"), "10:18: size: expected a size, as in 500MiB or 10GB"),
        (&both("delete_budget = { percent = 101 }"), "10:29: percent: expected a number from 0 to 100"),
        (&both("delete_budget = [50, 25]"), "10:17: found a list, expected a table"),
        (&both("delete_budget.file = 1"), "10:15: unknown key `file`; did you mean `files`?"),
        (&both("quiet = \"-1s\""), "10:9: quiet: expected a duration from 10ms to 1h, such as \"200ms\""),
        (&both("full_scan = \"5s\""), "10:13: full_scan: expected a duration from 10s to 30d, such as \"1h\""),
        (&both("ignore = [\"ok\", \"[z-a]\"]"), "10:17: ignore: expected a line in gitignore syntax"),
        (&second("wbe", "n", "/q"), "13:10: there is no remote `wbe`; did you mean `web`?"),
        (&second("hunter2", "n", "/q"), "13:10: there is no remote of this name; there are `web`"),
        (MIRROR, "4:10: there is no remote of this name, nor any other"),
        (&second("web", "m", "/q"), "11:8: mirror `m` exists already, at 6:8"),
        (&second("web", "n", "/p"), overlap),
        (&second("web", "n", "/p/below"), overlap),
        (&second("web", "n", "/"), overlap),
        (
            &second("web", "n", "/a/../b"),
            "14:8: path: expected an absolute path on the server such as \"/htdocs\", without `.`, `..`, doubled slashes, line breaks or NUL",
        ),
    ] {
        assert_eq!(complaint(text), said, "{text}");
    }
    assert!(parse(&second("web", "n", "/pp")).is_ok());
}

#[test]
fn a_column_counts_characters() {
    assert_eq!(complaint("# ü\nremote = { \"äöü\" = 5 }"), "2:20: found a whole number, expected a table");
}

#[test]
fn another_name_of_the_same_account_overlaps_too() {
    let again = REMOTE.replace("web", "alias").replace("\"h\"", "\"H\"");
    let second = MIRROR.replace("\"m\"", "\"n\"").replace("\"web\"", "\"alias\"");
    assert_eq!(
        complaint(&format!("{REMOTE}{again}{MIRROR}{second}")),
        "18:8: overlaps with the directory of mirror `m`, at 13:8"
    );
    let other = again.replace("\"u\"", "\"v\"");
    assert!(parse(&format!("{REMOTE}{other}{MIRROR}{second}")).is_ok());
}

#[test]
fn a_wrong_remote_does_not_make_its_mirrors_wrong() {
    assert_eq!(complaint(&format!("{REMOTE}port = 0\n{MIRROR}")), "5:8: port: expected a number from 1 to 65535");
}

#[test]
fn many_faults_are_counted() {
    let text: String = (0..25).map(|n| format!("[remote.r{n}]\nhost = \"h\"\nuser = \"u\"\n")).collect();
    let said = complaint(&text);
    assert_eq!(said.lines().count(), 21);
    assert!(said.ends_with("\nand 5 more"), "{said}");
}

#[test]
fn a_password_in_the_file_gets_advice() {
    let error = parse("[remote.web]\nhost = \"h\"\nuser = \"u\"\npassword = \"hunter2\"").unwrap_err();
    assert!(error.to_string().contains("does not belong in this file"), "{error}");
    assert!(error.to_string().contains("{ file = \"...\" }"), "{error}");
    let error = parse("[remote.web]\nhost = \"h\"\nuser = \"u\"").unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("credential")));
}

/// Nothing that may be a secret comes out again, wherever it was put by mistake.
#[test]
fn a_canary_is_never_repeated() {
    const CANARY: &str = "hunter2";
    let remote = |line: &str| format!("{REMOTE}{line}");
    let mirror = |line: &str| format!("{REMOTE}{MIRROR}{line}");
    let bare = |line: &str| format!("[remote.web]\nhost = \"h\"\nuser = \"u\"\n{line}");
    let mut texts = vec![
        "hunter2".to_owned(),
        "= hunter2".to_owned(),
        "hunter2 = \"x\"".to_owned(),
        "\"hunter2`, expected `x\" = 1".to_owned(),
        "[hunter2]".to_owned(),
        "[remote.\"hunter2 \"]".to_owned(),
        "[remote.web\nhunter2".to_owned(),
        "remote = \"hunter2\"".to_owned(),
        "mirror = \"hunter2\"".to_owned(),
        "mirror = [\"hunter2\"]".to_owned(),
        "remote = \"hunter2, expected `hunter2\"".to_owned(),
        "remote.web = \"hunter2\"".to_owned(),
        bare("user = \"hunter2\""),
        bare("password = \"hunter2\""),
        bare("password = hunter2"),
        bare("password = \"hunter2"),
        bare("password = 'hunter2\n"),
        bare("password = \"\"\"hunter2"),
        bare("password = \"\\hunter2\""),
        bare("password = \"hunter2\" hunter2"),
        bare("password = [\"hunter2\"]"),
        bare("password = { hunter2 = \"hunter2\" }"),
        bare("password = { \"hunter2\" }"),
        bare("password = { file = [\"hunter2\"] }"),
        bare("password = { file = \"~hunter2\" }"),
        bare("password = { command = \"hunter2\" }"),
        bare("password = { command = [\"~hunter2/x\", \"hunter2\"] }"),
        bare("password = { command = [\"\", \"hunter2\"] }"),
        bare("password = { env = \"hunter2!\" }"),
        bare("password = { credential = \"hunter2/\" }"),
        bare("password = { file = \"a\", env = \"hunter2\" }"),
        bare("password.value = \"hunter2\""),
        bare("pasword = \"hunter2\""),
        bare("\"password hunter2\" = 1"),
        bare("passwort = { hunter2 = 1 }"),
        mirror("remote.x = \"hunter2\""),
        mirror("[[mirror]]\nname = \"n\"\nsource = \"/\"\nremote = \"hunter2\"\npath = \"/n\""),
    ];
    for key in [
        "port",
        "connections",
        "bandwidth",
        "bandwidth.limit",
        "bandwidth.at",
        "bandwidth.at.days",
        "tls",
        "timeouts",
        "tls.ca",
        "tls.pin",
        "tls.trust",
        "tls.server_name",
        "tls.min",
        "tls.client_cert",
        "tls.client_key",
        "tls.client_key_password",
        "timeouts.reply",
        "mode",
        "data",
        "active",
        "proxy",
        "proxy.socks5",
        "proxy.password",
        "prot",
        "verify",
    ] {
        texts.extend([remote(&format!("{key} = \"~hunter2 \"")), remote(&format!("{key} = [\"hunter2\"]"))]);
    }
    for key in ["days", "from", "to", "limit"] {
        let hours = "bandwidth.at = [{ days = \"mon\", from = \"8:00\", to = \"9:00\", limit = \"1MiB\" }]";
        texts.push(remote(&hours.replace(&format!("{key} = \""), &format!("{key} = \"hunter2"))));
    }
    for key in ["ignore", "append", "quiet", "full_scan", "delete", "delete_budget", "delete_budget.files"] {
        texts.extend([mirror(&format!("{key} = \"hunter2\"")), mirror(&format!("{key} = [[\"hunter2\"]]"))]);
    }
    texts.extend(["host", "user"].map(|key| REMOTE.replace(&format!("{key} = \""), &format!("{key} = \"hunter2\\n"))));
    texts.extend(
        ["name", "source", "path"].map(|key| mirror("").replace(&format!("{key} = \""), &format!("{key} = \"~hunter2 \\n"))),
    );
    for text in texts {
        let error = parse(&text).expect_err(&text);
        assert!(!error.to_string().contains(CANARY), "{error}\n--- of ---\n{text}");
        assert!(!format!("{error:?}").contains(CANARY), "{error:?}\n--- of ---\n{text}");
    }
}

#[test]
fn nothing_shows_the_arguments_of_a_command() {
    let text = "[remote.web]\nhost = \"h\"\nuser = \"u\"\npassword = { command = [\"echo\", \"hunter2\"] }";
    let config = parse(text).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let config = parse(&format!("{text}\n[notify]\nping = [\"curl\", \"hunter2\"]")).unwrap();
    assert_eq!(config.notify.ping, Some(Ping::Program(Program(vec!["curl".to_owned(), "hunter2".to_owned()]))));
    assert!(!format!("{config:?}").contains("hunter2"));
    let web = "webhook = \"https://h.example/hunter2\"\nping = \"https://h.example/?hunter2\"";
    let config = parse(&format!("{text}\n[notify]\n{web}")).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn who_is_told_of_states() {
    let notify = parse("[notify]\ncommand = [\"./tell\", \"me\"]\nafter = \"10s\"\nping_every = \"1h\"").unwrap().notify;
    let command = Some(Program(vec!["/etc/towline/tell".to_owned(), "me".to_owned()]));
    let (after, ping_every) = (Duration::from_secs(10), Duration::from_secs(3600));
    assert_eq!(notify, Notify { command, after, ping_every, ..Notify::default() });
    let notify = parse("[notify]\nwebhook = \"https://h.example/x\"\nping = \"http://127.0.0.1:3001/up\"").unwrap().notify;
    assert_eq!(notify.webhook.unwrap().target, "/x");
    assert!(matches!(notify.ping, Some(Ping::Web(WebAddress { tls: false, port: 3001, .. }))));
    for wrong in [
        "command = []",
        "ping = [\"\"]",
        "after = \"0s\"",
        "ping_every = \"2d\"",
        "webhook = \"http://h.example/\"",
        "webhook = [\"curl\"]",
        "ping = \"curl\"",
        "ping = 5",
        "mail = \"x\"",
    ] {
        parse(&format!("[notify]\n{wrong}")).unwrap_err();
    }
}

/// The example with every key in force but `active`, which goes together with neither `data` nor `proxy` as they are there.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix('#').filter(|key| !key.starts_with("active = ")) {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => key.to_owned(),
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_shows_the_defaults() {
    let plain = parse(EXAMPLE).unwrap();
    let mut full = parse(&uncommented()).unwrap();

    // These have no default; the example says so, and shows something.
    let proxy = full.remotes.get_mut("web").unwrap().proxy.take().unwrap();
    assert_eq!((proxy.kind, proxy.host.as_str(), proxy.port), (ProxyKind::Socks5, "proxy.example.com", 1080));
    assert_eq!(proxy.user, Some(("me".to_owned(), PasswordSource::File("/etc/towline/proxy.pass".into()))));
    let tls = &mut full.remotes.get_mut("web").unwrap().tls;
    assert_eq!(tls.ca.take(), Some("/etc/towline/ca.pem".into()));
    assert_eq!(std::mem::take(&mut tls.pins), [[0; 32]]);
    assert_eq!(tls.server_name.take().as_deref(), Some("ftp.example.com"));
    let client = tls.client.take().unwrap();
    assert_eq!((client.cert, client.key), ("/etc/towline/me.pem".into(), "/etc/towline/me.key".into()));
    assert_eq!(client.key_password, Some(PasswordSource::File("/etc/towline/me.pass".into())));
    assert_eq!(std::mem::take(&mut full.mirrors[0].ignore), ["*.tmp", ".git/"]);
    assert_eq!(std::mem::take(&mut full.mirrors[0].append), ["*.log"]);
    assert_eq!(full.notify.command.take(), Some(Program(vec!["notify-send".to_owned(), "Towline".to_owned()])));
    assert!(full.notify.webhook.take().is_some_and(|address| address.host == "hooks.example.com"));
    assert!(matches!(full.notify.ping.take(), Some(Ping::Web(address)) if address.host == "ping.example.com"));

    assert_eq!(full, plain);
    assert_eq!(plain.remotes["web"].port, Remote::DEFAULT_PORT);
    assert_eq!(plain.remotes["web"].timeouts, Timeouts::default());
    assert_eq!(plain.remotes["web"].tls, Tls::default());
    assert_eq!(plain.mirrors[0].delete_budget, DeleteBudget::default());
    assert_eq!(plain.mirrors[0].trash, Trash::default());
}

/// The keys of a table are asked from the code: it lists them where it meets one that it does not know.
#[test]
fn the_example_shows_every_key() {
    let keys = |prefix: &str| -> BTreeSet<String> {
        let said = complaint(&format!("{prefix}zzzzzzzz = 1"));
        let (_, list) = said.split_once("expected one of ").unwrap_or_else(|| panic!("{said}"));
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let full = uncommented().replace("#active = ", "active = ").parse::<toml::Table>().unwrap();
    let shown = |table: &toml::Value| table.as_table().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let (remote, mirror) = (&full["remote"]["web"], &full["mirror"][0]);

    assert_eq!(full.keys().cloned().collect::<BTreeSet<_>>(), keys(""));
    assert_eq!(shown(&full["defaults"]), keys("[defaults]\n"));
    assert_eq!(shown(remote), keys("[remote.web]\n"));
    assert_eq!(shown(&remote["tls"]), keys("[remote.web.tls]\n"));
    assert_eq!(shown(&remote["active"]), keys("[remote.web.active]\n"));
    assert_eq!(
        shown(&remote["proxy"]).into_iter().chain(["http".to_owned()]).collect::<BTreeSet<_>>(),
        keys("[remote.web.proxy]\n")
    );
    assert_eq!(shown(&remote["timeouts"]), keys("[remote.web.timeouts]\n"));
    for key in keys("[remote.web]\n[remote.web.bandwidth]\n").iter().chain(&keys("[remote.web]\n[[remote.web.bandwidth.at]]\n")) {
        assert!(EXAMPLE.contains(&format!(" {key} = ")), "{key}");
    }
    assert_eq!(shown(&full["notify"]), keys("[notify]\n"));
    assert_eq!(shown(mirror), keys("[[mirror]]\n"));
    assert_eq!(shown(&mirror["trash"]), keys("[[mirror]]\n[mirror.trash]\n"));
    assert_eq!(shown(&mirror["delete_budget"]), keys("[[mirror]]\n[mirror.delete_budget]\n"));
    for source in keys("[remote.web.password]\n") {
        assert!(EXAMPLE.contains(&format!("{{ {source} = ")), "{source}");
    }
}

/// Text that is nearly a configuration.
fn tomlish() -> impl Strategy<Value = String> {
    const WORDS: [&str; 45] = [
        "[remote.web]\n",
        "[[mirror]]\n",
        "[remote.web.tls]\n",
        "remote",
        "mirror",
        "host",
        "port",
        "user",
        "password",
        "connections",
        "tls",
        "timeouts",
        "file",
        "command",
        "env",
        "pin",
        "trust",
        "name",
        "source",
        "path",
        "ignore",
        "quiet",
        "trash",
        "delete_budget",
        "files",
        "=",
        " = ",
        "\n",
        ".",
        ",",
        "{ ",
        " }",
        "[",
        "]",
        "\"x\"",
        "\"/x\"",
        "\"1s\"",
        "\"web\"",
        "5",
        "-1",
        "1.5",
        "true",
        "1979-05-27",
        "\"\"\"",
        "#",
    ];
    let word = prop_oneof![8 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn parse_never_panics(text in tomlish()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_change_of_the_example_panics(at in 0..uncommented().len(), with in any::<char>()) {
        let mut text = uncommented();
        if text.is_char_boundary(at) {
            text.remove(at);
            text.insert(at, with);
        }
        if let Err(error) = parse(&text) {
            let shown = error.to_string();
            prop_assert!(shown.starts_with("/etc/towline/t.toml:"), "{}", shown);
        }
    }
}
