//! What defaults are worth, and where.

use std::{fs, path::PathBuf, time::Duration};

use super::{
    super::{Config, ConfigError, Delete, PasswordSource, load},
    MOST, Origin,
};

const REMOTE: &str =
    "[remote.a]\nhost = \"a\"\nuser = \"u\"\n[remote.b]\nhost = \"b\"\nuser = \"v\"\nconnections = 2\ntimeouts.reply = \"9s\"\n";
const MIRROR: &str = "[[mirror]]\nname = \"m\"\nsource = \"/s\"\npath = \"/m\"\n[[mirror]]\nname = \"n\"\nsource = \"/t\"\npath = \"/n\"\ndelete = \"remove\"\ntrash.days = 3\n";

/// The configuration in a file and a drop-in.
fn loaded(main: &str, drop_in: &str) -> (Result<Config, ConfigError>, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("conf.d")).expect("made");
    fs::write(dir.path().join("t.toml"), main).expect("written");
    fs::write(dir.path().join("conf.d/x.toml"), drop_in).expect("written");
    (load::load_with(&dir.path().join("t.toml"), None, None, &[]), dir.path().to_owned())
}

fn complaint(main: &str, drop_in: &str) -> String {
    let (result, dir) = loaded(main, drop_in);
    result.expect_err("a complaint").to_string().replace(&format!("{}/", dir.display()), "")
}

const DEFAULTS: &str = "[defaults.remote]\npassword = { file = \"all.pass\" }\nconnections = 5\ntimeouts = { reply = \"5s\", stall = \"6s\" }\n\
                        [defaults.mirror]\nremote = \"a\"\ndelete = \"keep\"\ntrash = { days = 7, size = \"1KiB\" }\n";

#[test]
fn they_count_where_nothing_else_is_said_in_any_file() {
    for (main, drop_in) in [
        (format!("{REMOTE}{MIRROR}"), DEFAULTS.to_owned()),
        (DEFAULTS.to_owned(), format!("{REMOTE}{MIRROR}")),
        (format!("{DEFAULTS}{REMOTE}"), MIRROR.to_owned()),
    ] {
        let in_drop_in = drop_in.contains("[defaults");
        let (config, dir) = loaded(&main, &drop_in);
        let config = config.unwrap_or_else(|e| panic!("{e}"));
        let (a, b) = (&config.remotes["a"], &config.remotes["b"]);
        // A relative path is that of the file that it is written in.
        let pass = if in_drop_in { dir.join("conf.d/all.pass") } else { dir.join("all.pass") };
        assert_eq!((&a.password, &b.password), (&PasswordSource::File(pass.clone()), &PasswordSource::File(pass)));
        assert_eq!((a.connections, b.connections), (5, 2));
        let seconds = Duration::from_secs;
        assert_eq!((a.timeouts.reply, b.timeouts.reply, b.timeouts.stall), (seconds(5), seconds(9), seconds(6)));
        let [m, n] = config.mirrors.as_slice() else { panic!("two mirrors") };
        assert_eq!((m.remote.as_str(), n.remote.as_str()), ("a", "a"));
        assert_eq!((m.delete, n.delete), (Delete::Keep, Delete::Remove));
        assert_eq!((m.trash.days, n.trash.days, n.trash.size), (7, 3, 1024));
    }
}

#[test]
fn what_is_wrong_is_told_once_and_where_it_is_written() {
    let all = format!("{REMOTE}{MIRROR}");
    assert_eq!(
        complaint(&all, &DEFAULTS.replace("\"keep\"", "\"bin\"")),
        "conf.d/x.toml:7:10: delete: expected \"trash\", \"remove\" or \"keep\""
    );
    assert_eq!(
        complaint(&all, &DEFAULTS.replace("days = 7", "days = 0")),
        "conf.d/x.toml:8:18: days: expected a number from 1 to 3650"
    );
    assert_eq!(
        complaint(&all, &DEFAULTS.replace("delete =", "delet =")),
        "conf.d/x.toml:7:1: unknown key `delet`; did you mean `delete`?"
    );
    // It counts nowhere, and is wrong all the same.
    assert_eq!(complaint("", "[defaults.mirrors]\n"), "conf.d/x.toml:1:11: unknown key `mirrors`; did you mean `mirror`?");
    assert_eq!(complaint("", "[defaults.mirror]\nquiet = 5\n"), "conf.d/x.toml:2:9: found a whole number, expected a string");
}

#[test]
fn a_default_that_is_set_twice_names_both_files() {
    let twice = format!(
        "{REMOTE}{MIRROR}[defaults.mirror]\ndelete = \"keep\"\ntrash.size = \"1KiB\"\n[defaults.remote]\npassword = {{ env = \"P\" }}\n"
    );
    let said = complaint(&twice, DEFAULTS);
    for words in [
        "conf.d/x.toml:2:1: `password` of [defaults.remote] is set already, at t.toml:",
        "conf.d/x.toml:7:1: `delete` of [defaults.mirror] is set already, at t.toml:",
        ": `trash.size` of [defaults.mirror] is set already, at t.toml:",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let own = complaint(&format!("{REMOTE}{MIRROR}[defaults.mirror]\nname = \"x\"\n[defaults.remote]\nhost = \"h\"\n"), DEFAULTS);
    assert!(own.contains(": `name` can be no default: each mirror has its own"), "{own}");
    assert!(own.contains(": `host` can be no default: each remote has its own"), "{own}");
}

#[test]
fn files_with_defaults_are_limited() {
    let origins: Vec<_> = (0..=MOST).map(|n| Origin::new(&PathBuf::from(format!("/{n}.toml")), None)).collect();
    let texts: Vec<_> = (0..=MOST).map(|n| format!("[defaults.mirror]\nkey{n} = 1\n")).collect();
    let files: Vec<_> = texts.iter().map(String::as_str).zip(&origins).collect();
    let faults = |count: usize| super::lay(&mut [], &files[..count]);
    assert_eq!(faults(MOST), []);
    assert_eq!(faults(MOST + 1)[0].to_string(), "/16.toml:2:1: more than 16 files have defaults; put them into fewer");
}
