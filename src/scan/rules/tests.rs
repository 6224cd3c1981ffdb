use std::fs;

use super::*;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn rules(root: &Path, patterns: &[&str]) -> Rules {
    Rules::new(root, &patterns.iter().map(|&p| p.to_owned()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_bad_pattern_is_named() {
    let error = Rules::new(Path::new("/"), &["*.tmp".into(), "a[z-a]".into()]).unwrap_err();
    assert!(error.to_string().contains("`a[z-a]`"), "{error}");
}

#[test]
fn patterns_mean_what_gitignore_means() {
    use Kind::{Dir, File};
    let dir = tempfile::tempdir().unwrap();
    let rules = rules(dir.path(), &["*.tmp", "/top", "build/", "a/**/z", "!keep.tmp", "# no pattern", "", "\\!bang"]);
    for (text, kind, ignored) in [
        ("x.tmp", File, true),
        ("d/x.tmp", File, true),
        ("d.tmp/below", File, true),
        ("keep.tmp", File, false),
        ("d.tmp/keep.tmp", File, true),
        ("top", File, true),
        ("d/top", File, false),
        ("build", File, false),
        ("build", Dir, true),
        ("d/build/x/y", File, true),
        ("a/b/c/z", File, true),
        ("!bang", File, true),
        (".hidden", File, false),
        (".git/config", File, false),
        (".towlineignore", File, false),
    ] {
        assert_eq!(rules.ignored(&path(text), kind), ignored, "{text}");
    }
}

#[test]
fn ignore_files_hold_for_their_directory_and_the_deepest_wins() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("d/e")).unwrap();
    fs::write(dir.path().join(IGNORE_FILE), "\u{feff}*.log\r\nlatin\\\n").unwrap();
    fs::write(dir.path().join("d/.towlineignore"), "!*.log\n/only\n").unwrap();
    fs::write(dir.path().join("d/e/.towlineignore"), "*\n!yes\n").unwrap();
    // No part of the rules: other programs' files.
    fs::write(dir.path().join(".gitignore"), "*").unwrap();
    fs::write(dir.path().join(".ignore"), "*").unwrap();
    let rules = rules(dir.path(), &["*.cfg", "only"]);
    for (text, ignored) in [
        ("a.log", true),
        ("d/a.log", false),
        ("d/only", true),
        ("d/x/only", true),
        ("d/x/a.log", false),
        ("d/e/a", true),
        ("d/e/yes", false),
        ("d/e/.towlineignore", true),
        ("a.cfg", true),
        ("plain", false),
        ("no/such/dir/a.log", true),
    ] {
        assert_eq!(rules.ignored(&path(text), Kind::File), ignored, "{text}");
    }
}

#[test]
fn an_ignore_file_that_is_none_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("elsewhere"), "*").unwrap();
    std::os::unix::fs::symlink("elsewhere", dir.path().join(IGNORE_FILE)).unwrap();
    assert!(!rules(dir.path(), &[]).ignored(&path("a"), Kind::File));
    fs::remove_file(dir.path().join(IGNORE_FILE)).unwrap();
    fs::create_dir(dir.path().join(IGNORE_FILE)).unwrap();
    assert!(!rules(dir.path(), &[]).ignored(&path("a"), Kind::File));
    fs::remove_dir(dir.path().join(IGNORE_FILE)).unwrap();
    crate::scan::tests::mkfifo(&dir.path().join(IGNORE_FILE));
    assert!(!rules(dir.path(), &[]).ignored(&path("a"), Kind::File));
}

#[test]
fn where_the_rules_cannot_be_read_everything_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/.towlineignore"), vec![b'\n'; MOST as usize + 1]).unwrap();
    let rules = rules(dir.path(), &[]);
    assert!(rules.ignored(&path("d/x"), Kind::File));
    assert!(!rules.ignored(&path("d"), Kind::Dir));
}

#[test]
fn a_line_that_is_no_pattern_is_told_and_the_others_hold() {
    let (matcher, troubles) = parse(b"*.a\n[z-a]\n\xff\xfe\n*.b").unwrap();
    assert_eq!(matcher.len(), 2);
    let lines: Vec<_> = troubles.iter().map(|t| if let Trouble::Pattern { line, .. } = t { *line } else { 0 }).collect();
    assert_eq!(lines, [2, 3]);
}
