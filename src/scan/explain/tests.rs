use std::{fs, os::unix::fs::symlink};

use super::*;
use crate::scan::{Symlinks, View};

fn said(dir: &tempfile::TempDir, patterns: &[&str], view: View, path: &str) -> String {
    let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
    let rules = Rules::new(dir.path(), &patterns).unwrap();
    let root = Root::open(dir.path()).unwrap().seen_as(view);
    explain(&root, &rules, &RelPath::new(path).unwrap()).to_string()
}

#[test]
fn a_rule_is_named_with_its_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/b/logs")).unwrap();
    for file in ["a/b/x.log", "a/b/kept.log", "a/b/logs/deep", "a/y.tmp", "a/b/plain"] {
        fs::write(dir.path().join(file), "x").unwrap();
    }
    fs::write(dir.path().join("a/.towlineignore"), "# a remark\n\n*.log\n").unwrap();
    fs::write(dir.path().join("a/b/.towlineignore"), "!kept.log\nlogs/\n").unwrap();
    let why = |path| said(&dir, &["*.tmp"], View::default(), path);
    assert_eq!(why("a/b/x.log"), "a/b/x.log is ignored by `*.log` (a/.towlineignore, line 3)");
    assert_eq!(why("a/b/kept.log"), "a file is here");
    assert_eq!(why("a/b/logs/deep"), "a/b/logs is ignored by `logs/` (a/b/.towlineignore, line 2)");
    assert_eq!(why("a/y.tmp"), "a/y.tmp is ignored by `*.tmp` (`ignore` in the configuration)");
    assert_eq!(why("a/b/plain"), "a file is here");
    assert_eq!(why("a/b"), "a directory is here");
    assert_eq!(why("a/b/plain/below"), "nothing is here");
    assert_eq!(why("no/such"), "nothing is here");
}

#[test]
fn what_is_skipped_is_told_by_its_kind() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/f"), "f").unwrap();
    symlink("d", dir.path().join("link")).unwrap();
    symlink("..", dir.path().join("d/up")).unwrap();
    symlink("nothing", dir.path().join("dangling")).unwrap();
    symlink("/etc/passwd", dir.path().join("out")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let skip = |path| said(&dir, &[], View::default(), path);
    assert!(skip("link").starts_with("link is a symbolic link, and `symlinks`"), "{}", skip("link"));
    assert_eq!(skip("link/f"), skip("link"));
    assert_eq!(skip("socket"), "socket is a socket");
    let follow = |path| said(&dir, &[], View { symlinks: Symlinks::Follow, ..View::default() }, path);
    assert_eq!(follow("link/f"), "a file is here");
    assert_eq!(follow("dangling"), "dangling is a symbolic link that leads to nothing");
    assert_eq!(follow("out"), "out is a symbolic link that leads out of the directory");
    assert!(follow("d/up").ends_with("leads back to a directory that it is in"), "{}", follow("d/up"));
}

#[test]
fn a_directory_that_cannot_be_opened_is_named() {
    use crate::scan::dir::fault;
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("closed/below")).unwrap();
    fault::inject(fault::Call::OpenDir, "closed", rustix::io::Errno::ACCESS);
    let said = said(&dir, &[], View::default(), "closed/below");
    fault::clear();
    assert!(said.starts_with("closed cannot be looked at: "), "{said}");
}
