//! Every way to write a remote, and that nothing but the pin changes.

use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;

const PIN: &str = "sha256/BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const OLD: &str = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const ADD: NewPin = NewPin { pin: [7; 32], replace: false, alone: false };
const REPLACE: NewPin = NewPin { replace: true, ..ADD };
const ALONE: NewPin = NewPin { alone: true, ..ADD };

/// `PIN`, `OLD` in texts are the pins.
fn edited(text: &str, new: &NewPin) -> String {
    let text = text.replace("OLD", OLD);
    match with_pin(&text, "web", new) {
        Edit::Text(text) => text.replace(OLD, "OLD").replace(PIN, "PIN"),
        other => panic!("{other:?}: {text}"),
    }
}

#[test]
fn every_way_to_write_a_remote() {
    for (before, after) in [
        // A table of its own, which is in the middle.
        (
            "# mine\n[remote.web]\nhost = \"h\" # there\n\n[remote.web.tls]\n# roots\nca  = 'ca.pem'\n\n# all of it\n[[mirror]]\nname=\"m\"\n",
            "# mine\n[remote.web]\nhost = \"h\" # there\n\n[remote.web.tls]\n# roots\nca  = 'ca.pem'\npin = [\"PIN\"]\n\n# all of it\n[[mirror]]\nname=\"m\"\n",
        ),
        // No table yet.
        (
            "[remote.web]\nhost = \"h\"\n\n# all of it\n[[mirror]]\nname = \"m\"\n",
            "[remote.web]\nhost = \"h\"\n\n[remote.web.tls]\npin = [\"PIN\"]\n\n# all of it\n[[mirror]]\nname = \"m\"\n",
        ),
        ("[remote.web]\nhost = \"h\"", "[remote.web]\nhost = \"h\"\n\n[remote.web.tls]\npin = [\"PIN\"]\n"),
        // Dotted keys, and tables in a line.
        ("[remote.web]\ntls.ca = \"x\"\nuser = \"u\"\n", "[remote.web]\ntls.ca = \"x\"\ntls.pin = [\"PIN\"]\nuser = \"u\"\n"),
        ("[remote.web]\ntls = { ca = \"x\" }\n", "[remote.web]\ntls = { ca = \"x\", pin = [\"PIN\"] }\n"),
        ("remote.web = { host = \"h\" }\n", "remote.web = { host = \"h\", tls = { pin = [\"PIN\"] } }\n"),
        // A list that is there.
        ("[remote.web.tls]\npin = [\"OLD\"] # here\n", "[remote.web.tls]\npin = [\"OLD\", \"PIN\"] # here\n"),
        ("[remote.web.tls]\npin = []\n", "[remote.web.tls]\npin = [\"PIN\"]\n"),
        (
            "[remote.web.tls]\npin = [\n  # office\n  \"OLD\", # 2025\n]\nmin = \"1.3\"\n",
            "[remote.web.tls]\npin = [\n  # office\n  \"OLD\", # 2025\n  \"PIN\",\n]\nmin = \"1.3\"\n",
        ),
        ("[remote.web.tls]\npin = [\n\t\"OLD\"\n]\n", "[remote.web.tls]\npin = [\n\t\"OLD\",\n\t\"PIN\",\n]\n"),
        // Windows.
        ("[remote.web.tls]\r\nca = \"x\"\r\n", "[remote.web.tls]\r\nca = \"x\"\r\npin = [\"PIN\"]\r\n"),
        // Another remote is another's business.
        (
            "[remote.a.tls]\npin = [\"OLD\"]\n[remote.web.tls]\n[remote.z.tls]\npin = [\"OLD\"]\n",
            "[remote.a.tls]\npin = [\"OLD\"]\n[remote.web.tls]\npin = [\"PIN\"]\n[remote.z.tls]\npin = [\"OLD\"]\n",
        ),
    ] {
        assert_eq!(edited(before, &ADD), after, "{before}");
    }
}

#[test]
fn older_pins_go_when_told_to() {
    let three = "[remote.web.tls]\npin = [\n  \"OLD\",\n  \"OLD\",\n] # here\nca = \"x\"\n";
    assert_eq!(edited(three, &REPLACE), "[remote.web.tls]\npin = [\"PIN\"] # here\nca = \"x\"\n");
}

#[test]
fn trust_is_written_where_it_is() {
    for (before, after) in [
        ("[remote.web.tls]\ntrust = \"chain\" # as ever\n", "[remote.web.tls]\ntrust = \"pin\" # as ever\npin = [\"PIN\"]\n"),
        ("[remote.web.tls]\n", "[remote.web.tls]\npin = [\"PIN\"]\ntrust = \"pin\"\n"),
    ] {
        assert_eq!(edited(before, &ALONE), after);
    }
}

#[test]
fn what_is_there_is_left_alone() {
    let known = format!("[remote.web.tls]\npin = [\"{PIN}\"]\n");
    assert_eq!(with_pin(&known, "web", &ADD), Edit::Done);
    assert_eq!(with_pin(&known, "web", &REPLACE), Edit::Done);
    assert_eq!(with_pin(&format!("{known}trust = 'pin'\n"), "web", &ALONE), Edit::Done);
    assert_eq!(with_pin(&known, "other", &ADD), Edit::NotHere);
    assert_eq!(with_pin("remote = [", "web", &ADD), Edit::NotHere);
    for odd in ["remote.web = 1", "remote.web.tls = 1", "remote.web.tls.pin = \"x\"", "a = 1\r\nremote.web = {}\n"] {
        assert_eq!(with_pin(odd, "web", &ADD), Edit::Impossible, "{odd}");
    }
}

proptest! {
    /// Whatever stands around it: without the line of the pin it is the same text.
    #[test]
    fn nothing_else_changes(
        lines in prop::collection::vec("(|#[ -~]{0,12}| *x[0-9]{1,4} *= *[0-9]{1,3} *(# ?[a-z\"=]{0,9})?)", 0..6),
        behind in prop::collection::vec("(|#[ -~]{0,12}|\\[[a-z]{4}\\.y\\]|\\[\\[z\\]\\])", 0..4),
    ) {
        let text = format!("[remote.web.tls]\n{}\n{}\n", lines.join("\n"), behind.join("\n"));
        prop_assume!(text.parse::<DocumentMut>().is_ok());
        let edited = edited(&text, &ADD);
        prop_assert_eq!(edited.replacen("pin = [\"PIN\"]\n", "", 1), text);
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]a-z.=\"{}#, \n\r]{0,60}") {
        with_pin(&text.replace('q', "remote.web"), "web", &ALONE);
    }
}

const CONFIG: &str = "# main\n[remote.web]\nhost = \"h\"\nuser = \"u\"\npassword = { env = \"P\" }\n";

#[test]
fn the_file_that_defines_it_is_written_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("conf.d")).unwrap();
    fs::write(at("towline.toml"), CONFIG.replace("web", "other")).unwrap();
    fs::write(at("web.shared"), CONFIG).unwrap();
    fs::set_permissions(at("web.shared"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("../web.shared", at("conf.d/web.toml")).unwrap();

    assert_eq!(write_pin(&at("towline.toml"), "web", &ADD).unwrap(), Some(at("conf.d/web.toml")));
    assert_eq!(fs::read_to_string(at("web.shared")).unwrap(), format!("{CONFIG}\n[remote.web.tls]\npin = [\"{PIN}\"]\n"));
    assert_eq!(fs::metadata(at("web.shared")).unwrap().mode() & 0o7777, 0o640);
    assert!(fs::symlink_metadata(at("conf.d/web.toml")).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(at("towline.toml")).unwrap(), CONFIG.replace("web", "other"));
    assert_eq!(write_pin(&at("towline.toml"), "web", &ADD).unwrap(), None);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn what_would_not_load_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("towline.toml");
    for (text, expected) in [(CONFIG.replace("host", "hots"), "would not load"), (CONFIG.replace("web", "a"), "no file")] {
        fs::write(&file, &text).unwrap();
        let error = write_pin(&file, "web", &ADD).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    assert!(matches!(write_pin(&dir.path().join("missing.toml"), "web", &ADD), Err(EditError::Config(_))));
}

#[test]
fn a_file_that_changed_meanwhile_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("towline.toml");
    fs::write(&file, "somebody's").unwrap();
    assert!(matches!(replace(&file, b"ours", "edited"), Err(EditError::Changed(_))));
    assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
