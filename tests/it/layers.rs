//! Holds the house together: who may name whom, who may use which library, who may print, how long a file may be.

use std::{
    fs,
    path::{Path, PathBuf},
};

use libtest_mimic::Trial;

use crate::support::trial;

/// Lowest first; rooms in one row are siblings and do not name each other.
const LAYERS: &[&[&str]] = &[
    &["model"],
    &["blocking", "clock"],
    &["config", "ftps", "watch"],
    &["scan", "plan", "index", "remote"],
    &["mirror"],
    &["control", "telemetry", "service", "daemon"],
    &["cli"],
];

/// A library and the only room that may name it.
const OWNED: &[(&str, &str)] = &[
    ("rusqlite", "index"),
    ("rustls", "ftps"),
    ("tokio_rustls", "ftps"),
    ("rustls_platform_verifier", "ftps"),
    ("x509_parser", "ftps"),
    ("pkcs8", "ftps"),
    ("toml_edit", "config"),
    ("notify", "watch"),
    ("axum", "control"),
    ("hyper", "control"),
    ("sd_notify", "daemon"),
    ("tracing_subscriber", "telemetry"),
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("clap_mangen", "cli"),
    ("indicatif", "cli"),
    ("ratatui", "cli"),
    ("anyhow", "cli"),
    ("libunftp", "cli"),
];

const PRINTS: &[&str] = &["println!", "print!", "eprintln!", "eprint!", "dbg!"];

/// The wall, in lines.
const WALL: usize = 600;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("layers::each_room_names_only_lower_ones", || async {
            let found: Vec<_> = sources("src").iter().flat_map(|(path, text)| violations(path, text)).collect();
            assert!(found.is_empty(), "\n{}", found.join("\n"));
        }),
        trial("layers::a_planted_violation_is_found", || async { planted() }),
        trial("layers::no_file_is_longer_than_the_wall", || async {
            for (path, text) in sources("src").into_iter().chain(sources("tests")) {
                assert!(text.lines().count() <= WALL, "{} has more than {WALL} lines", path.display());
            }
        }),
    ]
}

fn planted() {
    let violations = |path: &str, text: &str| violations(Path::new(path), text);
    assert_eq!(violations("src/plan.rs", "use crate::index::Index;").len(), 1, "a sibling");
    assert_eq!(
        violations("src/plan.rs", "use crate::{\n    model::RelPath,\n    mirror::{self, retry},\n};").len(),
        1,
        "in braces"
    );
    assert_eq!(violations("src/scan/walk.rs", "fn f() { crate::control::bind(); }").len(), 1, "a higher room in a body");
    assert_eq!(violations("src/mirror/engine.rs", "use rusqlite::Connection;").len(), 1, "a library of another room");
    assert_eq!(violations("src/mirror/engine.rs", "fn f() { println!(); }").len(), 1, "printing");
    assert_eq!(violations("src/ftps/proto/reply.rs", "use tokio::io::AsyncRead;").len(), 1, "the protocol and a runtime");
    assert_eq!(violations("src/ftps/proto/reply.rs", "use crate::model::RelPath;").len(), 1, "the protocol and the crate");
    assert_eq!(violations("src/mirror/engine.rs", "use crate::{index::{Index, mirror}, plan};"), Vec::<String>::new());
    assert_eq!(violations("src/mirror/engine.rs", "// crate::control is above us, println! too"), Vec::<String>::new());
}

/// What `text`, the source of `path`, names that it may not.
fn violations(path: &Path, text: &str) -> Vec<String> {
    let room = room(path);
    let Some(height) = height(&room) else {
        return Vec::new();
    };
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect();
    let sans_io = path.starts_with("src/ftps/proto") || path == Path::new("src/ftps/proto.rs");
    let mut found = Vec::new();
    let mut complain = |what: String| found.push(format!("{}: {what}", path.display()));
    for named in named_after(&code, "crate::").into_iter().chain(named_after(&code, "towline::")) {
        match self::height(&named) {
            Some(other) if named != room && other >= height => complain(format!("{room} names {named}")),
            _ => {}
        }
        if sans_io && named != "ftps" {
            complain(format!("the protocol names {named}"));
        }
    }
    for (library, owner) in OWNED {
        if room != *owner && uses(&code, library) {
            complain(format!("{room} uses {library}, which belongs to {owner}"));
        }
    }
    if sans_io && uses(&code, "tokio") {
        complain("the protocol uses tokio".into());
    }
    if room != "cli" {
        PRINTS.iter().filter(|print| standing_alone(&code, print)).for_each(|print| complain(format!("{room} prints: {print}")));
    }
    found
}

/// The room a source file belongs to: the first component below `src`, without its extension.
fn room(path: &Path) -> String {
    let below = path.strip_prefix("src").unwrap_or(path);
    let first = below.components().next().map(|c| c.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    first.trim_end_matches(".rs").to_owned()
}

fn height(room: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&room))
}

/// The first identifiers after each `prefix`, also inside `prefix{a, b::c}`.
fn named_after(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => names.push(identifier(rest)),
            Some(list) => {
                let mut depth = 1;
                let mut expecting = true;
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 1 => expecting = true,
                        c if expecting && depth == 1 && (c.is_alphabetic() || c == '_') => {
                            names.push(identifier(&list[i..]));
                            expecting = false;
                        }
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Whether `code` names the crate `library` in a path (not a local module or function of that name).
fn uses(code: &str, library: &str) -> bool {
    [format!("{library}::"), format!("use {library};")].iter().any(|form| {
        code.match_indices(form.as_str()).any(|(at, _)| {
            let before = code[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
        })
    })
}

fn standing_alone(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| !code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_'))
}

/// Every Rust file below `dir` of the project, with its text.
fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut left = vec![root.join(dir)];
    while let Some(at) = left.pop() {
        for entry in fs::read_dir(&at).expect("a source directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("source text");
                found.push((path.strip_prefix(root).expect("below the root").to_owned(), text));
            }
        }
    }
    found.sort();
    found
}
