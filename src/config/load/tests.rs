//! Finding and reading, with real files.

use std::ffi::OsString;

use super::*;

const REMOTE: &str = "[remote.web]\nhost = \"h\"\nuser = \"u\"\npassword = { file = \"web.pass\" }\n";
const MIRROR: &str = "[[mirror]]\nname = \"m\"\nsource = \"site\"\nremote = \"web\"\npath = \"/p\"\n";

/// A directory with these files in it.
fn dir(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    dir
}

fn load_in(dir: &tempfile::TempDir) -> Result<Config, ConfigError> {
    load(&dir.path().join("towline.toml"), None)
}

/// What is said, without the directory.
fn complaint(dir: &tempfile::TempDir) -> String {
    load_in(dir).unwrap_err().to_string().replace(dir.path().to_str().unwrap(), "DIR")
}

fn env<'a>(table: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
    move |name| table.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
}

#[test]
fn the_order_of_the_search() {
    let all = [("TOWLINE_CONFIG", "t.toml"), ("XDG_CONFIG_HOME", "/xdg"), ("HOME", "/home/ann")];
    let look = |explicit: Option<&str>, table: &[(&str, &str)]| -> Vec<String> {
        candidates(explicit.map(Path::new), &env(table)).into_iter().map(|path| path.to_string_lossy().into_owned()).collect()
    };
    assert_eq!(look(Some("x.toml"), &all), ["x.toml"]);
    assert_eq!(look(None, &all), ["t.toml"]);
    assert_eq!(look(None, &all[1..]), ["/xdg/towline/towline.toml", "/etc/towline/towline.toml"]);
    assert_eq!(look(None, &all[2..]), ["/home/ann/.config/towline/towline.toml", "/etc/towline/towline.toml"]);
    assert_eq!(look(None, &[("TOWLINE_CONFIG", ""), ("XDG_CONFIG_HOME", "relative")]), ["/etc/towline/towline.toml"]);
}

#[test]
fn the_first_that_exists_is_found() {
    let dir = dir(&[("towline/towline.toml", b"")]);
    let xdg = [("XDG_CONFIG_HOME", dir.path().to_str().unwrap())];
    assert_eq!(find(None, &env(&xdg)).unwrap(), dir.path().join("towline/towline.toml"));

    let missing = dir.path().join("nothing.toml");
    let error = find(Some(&missing), &env(&xdg)).unwrap_err();
    assert_eq!(error.to_string(), format!("no configuration file; looked for {}", missing.display()));
    assert!(error.hint().is_some());
    // A file in the place of a directory is no configuration either.
    assert!(find(Some(&dir.path().join("towline/towline.toml/x")), &env(&[])).is_err());
}

#[test]
fn drop_ins_add_to_the_file() {
    let two = MIRROR.replace("\"m\"", "\"n\"").replace("/p", "/q");
    let dir = dir(&[
        ("towline.toml", REMOTE.as_bytes()),
        ("conf.d/b.toml", MIRROR.as_bytes()),
        ("conf.d/a.toml", two.as_bytes()),
        ("conf.d/.hidden.toml", b"no toml"),
        ("conf.d/readme.txt", b"no toml"),
    ]);
    let config = load_in(&dir).unwrap();
    assert_eq!(config.mirrors.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["n", "m"]);
    // Relative to the file it is written in.
    assert_eq!(config.mirrors[0].source, dir.path().join("conf.d/site"));
    assert_eq!(config.remotes["web"].password, super::super::PasswordSource::File(dir.path().join("web.pass")));
}

#[test]
fn a_name_in_two_files_names_both() {
    let dir = dir(&[
        ("towline.toml", format!("{REMOTE}{MIRROR}").as_bytes()),
        ("conf.d/a.toml", format!("{REMOTE}{MIRROR}").as_bytes()),
    ]);
    assert_eq!(
        complaint(&dir),
        "DIR/conf.d/a.toml:1:9: remote `web` exists already, at DIR/towline.toml:1:9\n\
         DIR/conf.d/a.toml:6:8: mirror `m` exists already, at DIR/towline.toml:6:8\n\
         DIR/conf.d/a.toml:9:8: overlaps with the directory of mirror `m`, at DIR/towline.toml:9:8"
    );
}

#[test]
fn faults_of_all_files_are_told_at_once() {
    let dir = dir(&[("towline.toml", b"\nx = 1"), ("conf.d/a.toml", b"a = \xff"), ("conf.d/b.toml", b"[[mirror]")]);
    let said = complaint(&dir);
    assert!(said.starts_with("DIR/towline.toml:2:1: unknown key; expected"), "{said}");
    assert!(said.contains("\nDIR/conf.d/a.toml:1:5: not valid TOML: expected UTF-8\n"), "{said}");
    assert!(said.contains("\nDIR/conf.d/b.toml:1:"), "{said}");
}

#[test]
fn a_ca_may_be_a_directory_and_a_client_certificate_not() {
    let with = |key: &str| dir(&[("towline.toml", format!("{REMOTE}tls.{key} = \"certs\"").as_bytes()), ("certs/x.pem", b"")]);
    assert!(load_in(&with("ca")).unwrap().remotes["web"].tls.ca.as_ref().is_some_and(|ca| ca.ends_with("certs")));
    let said = complaint(&with("client_cert"));
    assert_eq!(said, "DIR/towline.toml:5:19: client_cert: expected a PEM file; this is a directory");
}

#[test]
fn what_cannot_be_read_is_said() {
    let dir = dir(&[("conf.d/x", b"")]);
    assert!(complaint(&dir).starts_with("cannot read DIR/towline.toml: No such file"));
    fs::create_dir(dir.path().join("towline.toml")).unwrap();
    assert!(complaint(&dir).starts_with("cannot read DIR/towline.toml: "));
    fs::remove_dir(dir.path().join("towline.toml")).unwrap();
    fs::write(dir.path().join("towline.toml"), vec![b'#'; 1 + (1 << 20)]).unwrap();
    assert!(complaint(&dir).starts_with("DIR/towline.toml is larger than 1048576 bytes"));
}

#[test]
fn drop_ins_are_limited() {
    let dir = dir(&[("towline.toml", b"")]);
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    for n in 0..=MAX_DROP_INS {
        fs::write(dir.path().join(format!("conf.d/{n}.toml")), "").unwrap();
    }
    assert_eq!(complaint(&dir), "DIR/conf.d holds more than 256 drop-ins");
}
