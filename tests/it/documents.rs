//! Holds the documents to the program: messages to the source that prints them, TOML to the parser, links to what they lead to. What the
//! documents say besides is not looked at.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use libtest_mimic::Trial;
use towline::config::Config;

use crate::support::{temp_dir, trial};

/// Where a document has what differs from case to case.
const GAP: char = '…';

pub(crate) fn trials() -> Vec<Trial> {
    [
        ("every_message_is_one_of_the_program", messages as fn()),
        ("every_error_is_explained", errors),
        ("every_toml_is_a_configuration", configurations),
        ("every_filter_means_what_is_said", filters),
        ("every_link_leads_somewhere", links),
        ("what_is_written_in_strings_is_found", literals_are_found),
    ]
    .into_iter()
    .map(|(name, test)| trial(format!("documents::{name}"), move || async move { test() }))
    .collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The README and what is in `docs`.
fn documents() -> Vec<(PathBuf, String)> {
    let in_docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = in_docs.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    found.push(root().join("README.md"));
    found.sort();
    found.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

/// What stands between the fences of one kind, and behind which line that begins.
fn blocks(text: &str, kind: &str) -> Vec<(usize, String)> {
    let (mut found, mut open) = (Vec::new(), None::<(usize, bool, String)>);
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((number + 1, info == kind, String::new())),
            (Some(_), Some(_)) => {
                if let Some((at, true, block)) = open.take() {
                    found.push((at, block));
                }
            }
            (Some((_, _, block)), None) => *block += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    found
}

/// The program's source without its tests.
fn sources() -> Vec<(PathBuf, String)> {
    let (mut found, mut left) = (Vec::new(), vec![root().join("src")]);
    while let Some(at) = left.pop() {
        for path in fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                left.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && name != "tests.rs" {
                let text = read(&path);
                let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text[..end].to_owned()));
            }
        }
    }
    found
}

/// Every string of some code: where it begins, and what is in it.
fn literals(code: &str) -> Vec<(usize, String)> {
    let (mut found, bytes, mut at) = (Vec::new(), code.as_bytes(), 0);
    while at < bytes.len() {
        let rest = &code[at..];
        at += if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r\"") || rest.starts_with("r#\"") {
            let (open, close) = if rest.starts_with("r\"") { ("r\"", "\"") } else { ("r#\"", "\"#") };
            let end = rest[open.len()..].find(close).map_or(rest.len(), |end| open.len() + end);
            found.push((at, rest[open.len()..end].to_owned()));
            end + close.len()
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (text, length) = string(quoted);
            found.push((at, text));
            length + 1
        } else if let Some(quoted) = rest.strip_prefix('\'') {
            // A character, or a lifetime.
            match (quoted.strip_prefix('\\'), quoted.chars().next()) {
                (Some(escaped), _) => escaped[1..].find('\'').map_or(1, |end| end + 4),
                (None, Some(c)) if quoted[c.len_utf8()..].starts_with('\'') => c.len_utf8() + 2,
                _ => 1,
            }
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
    }
    found
}

/// A string up to its closing quote, and how long that is with the quote.
fn string(code: &str) -> (String, usize) {
    let (mut text, mut chars) = (String::new(), code.char_indices().peekable());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, at + 1),
            '\\' => match chars.next() {
                Some((_, '\n')) => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some((_, 'n')) => text.push('\n'),
                Some((_, other)) => text.push(other),
                None => {}
            },
            c => text.push(c),
        }
    }
    (text, code.len())
}

/// What is fixed in a format string: the pieces between its arguments.
fn pieces(format: &str) -> Vec<String> {
    let (mut pieces, mut chars, mut piece) = (Vec::new(), format.chars().peekable(), String::new());
    while let Some(c) = chars.next() {
        match c {
            '{' if chars.next_if_eq(&'{').is_some() => piece.push('{'),
            '}' if chars.next_if_eq(&'}').is_some() => piece.push('}'),
            '{' => {
                while chars.next().is_some_and(|c| c != '}') {}
                pieces.push(std::mem::take(&mut piece));
            }
            c => piece.push(c),
        }
    }
    pieces.push(piece);
    fixed(pieces.iter().map(String::as_str))
}

fn fixed<'p>(pieces: impl Iterator<Item = &'p str>) -> Vec<String> {
    pieces.map(str::trim).filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
}

/// The messages that the page on trouble explains, each with its line.
fn explained() -> Vec<(usize, Vec<String>)> {
    let text = read(&root().join("docs/troubleshooting.md"));
    let lines = blocks(&text, "text").into_iter().flat_map(|(at, block)| {
        let lines: Vec<_> = block.lines().map(str::to_owned).collect();
        lines.into_iter().enumerate().map(move |(below, line)| (at + below + 1, line))
    });
    lines.map(|(at, line)| (at, fixed(line.split(GAP)))).collect()
}

fn messages() {
    let sources = sources();
    let known: BTreeSet<Vec<String>> =
        sources.iter().flat_map(|(_, code)| literals(code)).map(|(_, literal)| pieces(&literal)).collect();
    let explained = explained();
    assert!(explained.len() > 100, "{} messages: the page is not read as it should be", explained.len());
    let strange: Vec<_> = explained.iter().filter(|(_, message)| !known.contains(message)).collect();
    assert!(strange.is_empty(), "docs/troubleshooting.md has messages that the program does not print: {strange:#?}");
}

/// Errors that nobody but a test or a bug meets.
const UNSEEN: &[&str] = &["there is no job", "a note cannot be written as JSON", "cannot write the output"];

fn errors() {
    let explained: BTreeSet<Vec<String>> = explained().into_iter().map(|(_, message)| message).collect();
    let mut missing = Vec::new();
    for (path, code) in sources().iter().filter(|(path, _)| !path.to_string_lossy().starts_with("src/remote/memory")) {
        let literals = literals(code);
        let between = |from: usize, to: usize| literals.iter().filter(move |(at, _)| (from..to).contains(at));
        let mut told: Vec<&String> = Vec::new();
        for (at, _) in code.match_indices("#[error(") {
            let behind = code[at + "#[error(".len()..].trim_start();
            if behind.starts_with('"') {
                told.extend(between(at, code.len()).map(|(_, text)| text).take(1));
            }
        }
        // Words that an error is put together from.
        let parts: &[(&str, &str, &str)] = &[
            ("src/model/problem.rs", "let what = match self.reason", "};"),
            ("src/plan/guard.rs", "impl fmt::Display for Halt", "\n}"),
            ("src/ftps/tls/error.rs", "pub fn why(&self)", "\n    }"),
            ("src/ftps/dial/proxy.rs", "impl fmt::Display for ProxyError", "\n}"),
            ("src/ftps/error.rs", "impl fmt::Display for Wait", "\n}"),
        ];
        for (_, from, to) in parts.iter().filter(|(file, ..)| path == Path::new(file)) {
            let from = code.find(from).unwrap_or_else(|| panic!("{from} is not in {}", path.display()));
            let to = from + code[from..].find(to).unwrap();
            told.extend(between(from, to).map(|(_, text)| text));
        }
        for message in told {
            let fixed = pieces(message);
            let says_something = fixed.iter().any(|piece| piece.chars().any(char::is_alphabetic)) && message.trim() != ",";
            let unseen = UNSEEN.iter().any(|words| message.starts_with(words));
            if says_something && !unseen && !explained.contains(&fixed) {
                missing.push(format!("{}: {message}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "docs/troubleshooting.md does not explain:\n{}", missing.join("\n"));
}

fn configurations() {
    let dir = temp_dir();
    let (file, mut seen) = (dir.path().join("towline.toml"), 0);
    for (path, text) in documents() {
        for (at, block) in blocks(&text, "toml") {
            // A mirror may be shown alone: its server is one of the page's.
            let mut whole = block.clone();
            let named = block.lines().filter_map(|line| line.strip_prefix("remote")?.split('"').nth(1));
            for name in named.collect::<BTreeSet<_>>() {
                if !block.contains(&format!("[remote.{name}]")) {
                    whole += &format!("[remote.{name}]\nhost = \"h\"\nuser = \"u\"\npassword = {{ env = \"P\" }}\n");
                }
            }
            fs::write(&file, whole).unwrap();
            if let Err(e) = Config::load(&file) {
                panic!("{}, line {at}: {e}\n{block}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen} blocks: they are not read as they should be");
}

/// What is ignored by the last column of the table of filters, row by row, and what is not. Directories end with a slash.
const FILTERS: &[(&str, &[&str], &[&str])] = &[
    ("*.tmp", &["a.tmp", "a/b.tmp"], &["a.tmp.txt"]),
    (".git/", &[".git/", "a/.git/"], &[".git", ".gitignore"]),
    ("/cache/", &["cache/"], &["a/cache/", "cache"]),
    ("/docs/*.bak", &["docs/a.bak"], &["docs/a/b.bak", "a/docs/b.bak"]),
    ("*.tmp !/keep.tmp", &["a.tmp", "a/keep.tmp"], &["keep.tmp"]),
    ("* !*/ !*.html", &["a.css", "a/b.css"], &["a/", "a/b.html", "b.html"]),
];

/// Means what the mirror's own rules mean: they are this library's.
fn filters() {
    let text = read(&root().join("docs/moving.md"));
    let (_, table) = text.split_once("| rclone | lftp | lsyncd | here |\n|---|---|---|---|\n").unwrap();
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), FILTERS.len());
    for (row, (said, ignored, kept)) in rows.into_iter().zip(FILTERS) {
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let patterns: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert_eq!(patterns.join(" "), *said, "{row}");
        let mut rules = ignore::gitignore::GitignoreBuilder::new("");
        for pattern in patterns {
            rules.add_line(None, pattern).unwrap();
        }
        let rules = rules.build().unwrap();
        let is_ignored = |path: &str| rules.matched(path.trim_end_matches('/'), path.ends_with('/')).is_ignore();
        assert!(ignored.iter().all(|path| is_ignored(path)), "{row}");
        assert!(!kept.iter().any(|path| is_ignored(path)), "{row}");
    }
}

/// What a heading is called in an address, as GitHub and others do it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    kept.replace(' ', "-")
}

fn links() {
    for (path, text) in documents() {
        let mut prose = String::new();
        let mut fenced = false;
        for line in text.lines() {
            fenced ^= line.starts_with("```");
            if !fenced {
                prose += &format!("{line}\n");
            }
        }
        for (at, _) in prose.match_indices("](") {
            let to = prose[at + 2..].split(')').next().unwrap();
            if to.contains("://") {
                continue;
            }
            let (file, section) = to.split_once('#').unwrap_or((to, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: {to} leads nowhere", path.display());
            let headings = || {
                read(&file)
                    .lines()
                    .filter_map(|line| Some(anchor(line.trim_start_matches('#').strip_prefix(' ')?)))
                    .collect::<Vec<_>>()
            };
            assert!(
                section.is_empty() || headings().iter().any(|name| name == section),
                "{}: {to} leads nowhere",
                path.display()
            );
        }
    }
}

fn literals_are_found() {
    let texts = |code: &str| literals(code).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    assert_eq!(texts(r#"f("a", '"', 'x', "b") // "c""#), ["a", "b"]);
    assert_eq!(texts("fn f<'a>(s: &'a str) { g('\\'', \"one \\\n    two\") }"), ["one two"]);
    assert_eq!(texts(r##"r"C:\x" r#"say "yes""# "\"no\"""##), ["C:\\x", "say \"yes\"", "\"no\""]);
    assert_eq!(pieces("a {x:?} b {{c}} {}"), ["a", "b {c}"]);
    assert_eq!(fixed("a … b {c} …".split(GAP)), pieces("a {x:?} b {{c}} {}"));
    assert_eq!(anchor("The state, and more"), "the-state-and-more");
}
