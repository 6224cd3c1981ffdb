//! Whatever is drafted, it loads as just that, and what was there stays as it was.

use std::fs;

use proptest::prelude::*;

use super::*;

fn draft() -> Draft {
    Draft {
        remote: "web".into(),
        host: "ftp.example.com".into(),
        port: 21,
        mode: Mode::Explicit,
        user: "deploy".into(),
        password: PasswordSource::File("/etc/t/web.pass".into()),
        ca: None,
        pin: None,
        trust: Trust::Chain,
        mirror: "site".into(),
        source: "/srv/site".into(),
        path: "/htdocs".into(),
    }
}

#[test]
fn what_is_written() {
    let text = draft().tables(Path::new("/etc/t")).expect("text");
    assert_eq!(
        text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(),
        [
            "[remote.web]",
            "host = \"ftp.example.com\"",
            "user = \"deploy\"",
            "password = { file = \"web.pass\" } # its only line; nobody else may read it",
            "",
            "[[mirror]]",
            "name = \"site\"",
            "source = \"/srv/site\"",
            "remote = \"web\"",
            "path = \"/htdocs\"",
        ]
    );
    let pinned = Draft { pin: Some([7; 32]), trust: Trust::Pin, port: 990, mode: Mode::Implicit, ..draft() };
    let text = pinned.tables(Path::new("/elsewhere")).expect("text");
    assert!(text.contains("mode = \"implicit\"\n") && !text.contains("port ="), "{text}");
    assert!(text.contains("\n[remote.web.tls]\n") && text.contains("=\"]\ntrust = \"pin\"\n"), "{text}");
    assert!(text.contains("{ file = \"/etc/t/web.pass\" }"), "{text}");
}

#[test]
fn a_file_is_begun_or_added_to() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("towline.toml");
    draft().write(&file).expect("written");
    let first = fs::read_to_string(&file).expect("text");
    assert!(first.starts_with("# What Towline mirrors."), "{first}");

    // The name is taken, or the directory on the server.
    let said = draft().write(&file).expect_err("taken").to_string();
    assert!(said.contains("would not load any more") && said.contains("duplicate key"), "{said}");
    let second = Draft { remote: "other".into(), mirror: "more".into(), path: "/htdocs/below".into(), ..draft() };
    let said = second.write(&file).expect_err("overlaps").to_string();
    assert!(said.contains("overlaps with the directory of mirror `site`"), "{said}");
    assert_eq!(fs::read_to_string(&file).expect("text"), first);

    Draft { path: "/more".into(), ..second.clone() }.write(&file).expect("added");
    let both = fs::read_to_string(&file).expect("text");
    assert!(both.starts_with(&first) && both.contains("\n\n[remote.other]\n"), "{both}");
    let config = Config::load(&file).expect("a configuration");
    assert_eq!((config.remotes.len(), config.mirrors.len()), (2, 2));

    // What is wrong already is not made worse.
    fs::write(&file, "[remot").expect("written");
    assert!(second.write(&file).is_err());
    assert_eq!(fs::read_to_string(&file).expect("text"), "[remot");
}

#[test]
fn line_breaks_are_kept() {
    assert_eq!(behind("", "b\n"), "b\n");
    assert_eq!(behind("a", "b\n"), "a\n\nb\n");
    assert_eq!(behind("a\n", "b\n"), "a\n\nb\n");
    assert_eq!(behind("a\r\n", "b\nc\n"), "a\r\n\r\nb\r\nc\r\n");
}

#[test]
fn a_password_file_is_private_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("web.pass");
    write_password(&file, &SecretString::from("hunter2")).expect("written");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o7777, 0o600);
    let read = PasswordSource::File(file.clone()).read().expect("a password");
    assert_eq!(read.expose_secret(), "hunter2");
    assert!(write_password(&file, &SecretString::from("other")).is_err());
    assert_eq!(fs::read_to_string(&file).expect("text"), "hunter2\n");
}

proptest! {
    /// What is drafted is what is read.
    #[test]
    fn it_loads_as_it_was_meant(
        remote in "[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,20}",
        user in "[^\r\n\0]{1,40}",
        source in "/[^\0/.]{1,40}",
        path in "/[^\r\n\0/.]{1,40}",
        file in "[^\0/.]{1,20}",
        port in 1u16..,
        implicit in any::<bool>(),
        pin in any::<Option<[u8; 32]>>(),
        alone in any::<bool>(),
    ) {
        let trust = if alone && pin.is_some() { Trust::Pin } else { Trust::Chain };
        let mode = if implicit { Mode::Implicit } else { Mode::Explicit };
        // `~` at its beginning stands for something else.
        let password = PasswordSource::File(Path::new("/etc/t").join(&file));
        let ca = Some(PathBuf::from("/etc/t/ca.pem"));
        let source = PathBuf::from(source);
        let draft = Draft { remote, port, mode, user, password, ca, pin, trust, source, path, ..draft() };
        let text = draft.tables(Path::new("/etc/t")).expect("text");
        let origin = crate::config::Origin::new(Path::new("/etc/t/t.toml"), None);
        let config = Config::parse(&text, &origin).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        let (read, mirror) = (&config.remotes[&draft.remote], &config.mirrors[0]);
        prop_assert_eq!((&read.host, read.port, read.mode, &read.user), (&draft.host, draft.port, draft.mode, &draft.user));
        prop_assert_eq!((&read.password, &read.tls.ca), (&draft.password, &draft.ca));
        prop_assert_eq!((read.tls.pins.first().copied(), read.tls.trust), (draft.pin, draft.trust));
        prop_assert_eq!((&mirror.name, &mirror.source, &mirror.path), (&draft.mirror, &draft.source, &draft.path));
    }
}
