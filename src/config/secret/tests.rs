//! Reading secrets from real files and programs.

use std::{ffi::OsString, fs, os::unix::fs::PermissionsExt as _};

use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;

const CANARY: &str = "hunter2";

fn nothing(_: &str) -> Option<OsString> {
    None
}

/// The password, or what is said, which never holds it.
fn read(source: &PasswordSource, env: Env<'_>, limit: Duration) -> Result<String, String> {
    match source.read_with(env, limit) {
        Ok(secret) => Ok(secret.expose_secret().to_owned()),
        Err(error) => {
            assert!(!format!("{error} {error:?} {}", error.hint()).contains(CANARY), "{error:?}");
            Err(error.to_string())
        }
    }
}

fn run(words: &[&str]) -> Result<String, String> {
    let source = PasswordSource::Command(words.iter().map(|word| (*word).to_owned()).collect());
    read(&source, &nothing, COMMAND_LIMIT)
}

/// A file in a directory that goes away with it.
fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.pass");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (dir, path)
}

fn make_fifo(dir: &Path) -> PathBuf {
    let fifo = dir.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    fifo
}

#[test]
fn one_line_break_is_taken_off() {
    let said = |bytes: &[u8]| password(bytes).map(|secret| secret.expose_secret().to_owned());
    assert_eq!(said(b"hunter2").as_deref(), Ok(CANARY));
    assert_eq!(said(b"hunter2\n").as_deref(), Ok(CANARY));
    assert_eq!(said(b"hunter2\r\n").as_deref(), Ok(CANARY));
    assert_eq!(said(b" two words ").as_deref(), Ok(" two words "));
    assert_eq!(said(&[b'x'; MAX]).map(|text| text.len()), Ok(MAX));
    assert_eq!(said(b""), Err(Unfit::Empty));
    assert_eq!(said(b"\n"), Err(Unfit::Empty));
    assert_eq!(said(b"\r\n"), Err(Unfit::Empty));
    assert_eq!(said(b"hunter2\n\n"), Err(Unfit::Lines));
    assert_eq!(said(b"hunter2\r"), Err(Unfit::Lines));
    assert_eq!(said(b"hunter2\rQUIT"), Err(Unfit::Lines));
    assert_eq!(said(b"hunter2\0"), Err(Unfit::Lines));
    assert_eq!(said(b"hunter2\xff"), Err(Unfit::NotUtf8));
    assert_eq!(said(&[b'x'; MAX + 1]), Err(Unfit::TooLong));
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    for (mode, fits) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false), (0o601, false)] {
        let (_dir, path) = file(b"hunter2\n", mode);
        let shown = path.display().to_string();
        let said = read(&PasswordSource::File(path), &nothing, COMMAND_LIMIT);
        if fits {
            assert_eq!(said.as_deref(), Ok(CANARY));
        } else {
            assert_eq!(said, Err(format!("others can read the password file {shown}: its mode is {mode:04o}")));
        }
    }
}

#[test]
fn the_hint_says_how_to_mend_it() {
    let (_dir, path) = file(b"hunter2", 0o644);
    assert!(PasswordSource::File(path).read().unwrap_err().hint().contains("chmod 600"));
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    let from = || "it".to_owned();
    assert!(check_guard(0o100_600, 1000, 1000, &from).is_ok());
    assert!(check_guard(0o100_600, 0, 1000, &from).is_ok());
    assert!(matches!(check_guard(0o100_600, 1001, 1000, &from), Err(SecretError::Foreign { uid: 1001, .. })));
    assert!(matches!(check_guard(0o100_600, 1001, 0, &from), Err(SecretError::Foreign { .. })));
}

#[test]
fn what_is_no_file_does_not_block() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = make_fifo(dir.path());
    for path in [fifo, dir.path().to_owned()] {
        let said = read(&PasswordSource::File(path), &nothing, COMMAND_LIMIT).unwrap_err();
        assert!(said.ends_with("is not a regular file"), "{said}");
    }
    let said = read(&PasswordSource::File(dir.path().join("none")), &nothing, COMMAND_LIMIT).unwrap_err();
    assert!(said.starts_with("cannot read the password file ") && said.contains("No such file"), "{said}");
}

#[test]
fn an_endless_file_is_not_read_to_its_end() {
    let (_dir, path) = file(&vec![b'x'; 1 << 20], 0o600);
    let said = read(&PasswordSource::File(path), &nothing, COMMAND_LIMIT).unwrap_err();
    assert!(said.ends_with("it is longer than 4096 bytes"), "{said}");
}

#[test]
fn variables_and_credentials() {
    let (dir, _path) = file(b"hunter2\n", 0o440);
    let env = |name: &str| match name {
        "P" => Some(OsString::from(CANARY)),
        "CREDENTIALS_DIRECTORY" => Some(dir.path().into()),
        _ => None,
    };
    assert_eq!(read(&PasswordSource::Env("P".into()), &env, COMMAND_LIMIT).as_deref(), Ok(CANARY));
    assert_eq!(read(&PasswordSource::Env("Q".into()), &env, COMMAND_LIMIT), Err("the environment variable Q is not set".into()));
    let credential = PasswordSource::Credential("web.pass".into());
    assert_eq!(read(&credential, &env, COMMAND_LIMIT).as_deref(), Ok(CANARY));
    assert_eq!(
        read(&credential, &nothing, COMMAND_LIMIT),
        Err("cannot read the credential `web.pass`: $CREDENTIALS_DIRECTORY is not set".into())
    );
}

#[test]
fn commands() {
    assert_eq!(run(&["printf", "%s\\n", CANARY]).as_deref(), Ok(CANARY));
    // No shell: nothing is expanded.
    assert_eq!(run(&["echo", "$HOME", "*"]).as_deref(), Ok("$HOME *"));
    // Nothing is waited for on the standard input.
    assert_eq!(run(&["cat"]).unwrap_err(), "the password command `cat` holds no password: it is empty");
    assert!(run(&["/nonexistent/program"]).unwrap_err().starts_with("cannot run the password command `/nonexistent/program`: "));
    assert_eq!(
        run(&["sh", "-c", "echo hunter2; echo 'no such\n\x1b[31m entry' >&2; exit 3"]).unwrap_err(),
        "the password command `sh` failed (exit status: 3): no such [31m entry"
    );
    assert_eq!(run(&["sh", "-c", "echo hunter2; exit 1"]).unwrap_err(), "the password command `sh` failed (exit status: 1)");
    assert_eq!(run(&["yes", CANARY]).unwrap_err(), "the password command `yes` holds no password: it is longer than 4096 bytes");
}

#[test]
fn a_long_complaint_does_not_stop_the_command() {
    let said = run(&["sh", "-c", "yes complaint | head -c 1000000 >&2; echo hunter2"]);
    assert_eq!(said.as_deref(), Ok(CANARY));
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = make_fifo(dir.path());
    let no_block = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut end = OpenOptions::new().read(true).custom_flags(no_block).open(&fifo).unwrap();
    let script = format!("sleep 1000 > {} & wait", fifo.display());
    let source = PasswordSource::Command(vec!["sh".into(), "-c".into(), script]);
    let said = read(&source, &nothing, Duration::from_millis(200)).unwrap_err();
    assert_eq!(said, "the password command `sh` took longer than 200ms");
    // While the child lives it holds the FIFO open, and reading says that there is nothing yet; when it is gone, that it ends.
    let gone = (0..1000).any(|_| {
        let ended = matches!(end.read(&mut [0]), Ok(0));
        if !ended {
            std::thread::sleep(Duration::from_millis(10));
        }
        ended
    });
    assert!(gone);
}

#[test]
fn debug_shows_no_argument() {
    let source = PasswordSource::Command(vec!["echo".into(), CANARY.into()]);
    assert_eq!(format!("{source:?}"), "the password command `echo`");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(secret) = password(&bytes) {
            let text = secret.expose_secret();
            prop_assert!(!text.is_empty() && !text.contains(['\r', '\n', '\0']));
        }
    }
}
