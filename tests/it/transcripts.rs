//! Dialogues of real servers, and what is documented of others, run through the protocol: what Towline would say at login is what was
//! said, each reply is read, and each listing gives the names that were there.
//!
//! Every file in `tests/it/transcripts` is a trial. Its lines:
//!
//! - `# ...` a comment; the first ones tell where the dialogue comes from.
//! - `C: ...` what the client sends, `S: ...` what the server sends, `D: ...` a line of a listing on the data connection. A byte that is not
//!   printable ASCII, a backslash, and a space at the end of a line are `\xHH`. The password is `***`. TLS starts behind the 234.
//! - `= ...` what has to come out of the lines above. Under a listing, for each entry `NAME KIND SIZE [MODIFIED]` (a space in a name is
//!   `\x20`, a size that is not told is `-`); under MLST `KIND [SIZE]`; under EPSV and PASV the port; under FEAT what is there; under
//!   another command of a login, words of the error that ends it; elsewhere the code.
//! - `! capped` the server says that it left names out.
//!
//! A file starts with the greeting, or is a fragment without a login.

mod script;

use std::{cell::Cell, fs, path::Path, sync::Once};

use libtest_mimic::Trial;
use towline::ftps::proto::{
    Command, Encoding, Features, Listed, ListedKind, Listing, Reply,
    address::{epsv_port, pasv_port},
    listing::{self, Format, ListingParser},
    login::{Credentials, Login, Mode, Step},
    time,
    transfer::{Transfer, Verdict},
};

use crate::{invariants::FORMATS, support::trial};
use script::{Turn, escape, unescape};

pub(crate) fn trials() -> Vec<Trial> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/transcripts");
    let mut files: Vec<_> = fs::read_dir(&dir).expect("the transcripts").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    files.sort();
    assert!(files.len() >= 8, "transcripts are missing");
    let trials = files.into_iter().map(|path| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        trial(format!("transcripts::{name}"), move || async move { run(&fs::read_to_string(&path).expect("text")) })
    });
    trials.chain([trial("transcripts::a_wrong_one_is_noticed", || async { wrong_ones() })]).collect()
}

fn run(text: &str) {
    let turns = script::turns(text);
    assert!(turns.iter().any(|turn| !turn.expected.is_empty()), "nothing is expected");
    let mut rest = &turns[..];
    if turns[0].command.is_empty() {
        rest = log_in(&turns);
    }
    rest.iter().for_each(check);
}

/// Plays the login; gives what comes after it.
fn log_in(turns: &[Turn]) -> &[Turn] {
    let user = turns.iter().find_map(|turn| turn.command.strip_prefix(b"USER ")).unwrap_or(b"ann");
    let user = std::str::from_utf8(user).expect("a user's name");
    let mut login = Login::new(Credentials::new(user, "***").expect("can be sent"), Mode::Explicit);
    let mut rest = turns;
    let mut next = None;
    loop {
        let (turn, after) = rest.split_first().unwrap_or_else(|| panic!("the login goes on with {next:?}"));
        rest = after;
        if let Some(command) = &next {
            let line = Command::encode(command, Encoding::default());
            assert_eq!(escape(&turn.command), escape(&line[..line.len() - 2]), "line {}", turn.number);
        }
        let mut step = Err(None);
        for reply in turn.replies() {
            step = login.on_reply(reply).map_err(Some);
        }
        match step {
            Err(error) => {
                let error = error.map(|e| e.to_string());
                let told = error.as_ref().zip(turn.expected.first()).is_some_and(|(told, expected)| told.contains(expected));
                assert!(told && rest.is_empty(), "line {}: the login ends: {error:?}", turn.number);
                return rest;
            }
            Ok(step) => {
                if turn.verb() == "FEAT" {
                    check(turn);
                } else {
                    assert!(turn.expected.is_empty(), "line {}: the login goes on: {step:?}", turn.number);
                }
                next = match step {
                    Step::Send(command) => Some(command),
                    Step::StartTls => match login.encrypted() {
                        Step::Send(command) => Some(command),
                        step => panic!("after TLS: {step:?}"),
                    },
                    Step::Wait => panic!("line {}: a reply is missing", turn.number),
                    Step::Ready(_) => return rest,
                }
            }
        }
    }
}

fn check(turn: &Turn) {
    let replies = turn.replies();
    let last = replies.last().expect("a reply");
    let number = turn.number;
    match turn.verb() {
        "STOR" | "LIST" | "MLSD" => check_transfer(&replies, number),
        _ => assert_eq!(replies.len(), 1, "line {number}: one reply to one command"),
    }
    let found = match turn.verb() {
        "FEAT" => vec![told(&Features::of(last))],
        "EPSV" => epsv_port(last).iter().map(u16::to_string).collect(),
        "PASV" => pasv_port(last).iter().map(u16::to_string).collect(),
        "MLST" if last.is_positive() => listing::mlst(last).iter().map(|(kind, size)| kind_and_size(*kind, *size)).collect(),
        "MLSD" => check_listing(turn, &[Format::Facts], &turn.data, last),
        "LIST" => check_listing(turn, FORMATS, &turn.data, last),
        "STAT" if last.is_positive() => check_listing(turn, FORMATS, &status_lines(last), last),
        _ if !turn.expected.is_empty() => vec![last.code.to_string()],
        _ => Vec::new(),
    };
    let mut expected = turn.expected.clone();
    expected.sort();
    assert_eq!(found, expected, "line {number}");
}

/// The lines between the first and the last; ProFTPD puts a space before each (RFC 959 has it so in every multi-line reply).
fn status_lines(reply: &Reply) -> Vec<u8> {
    let inner = reply.lines.get(1..reply.lines.len() - 1).unwrap_or_default();
    inner.iter().flat_map(|line| [line.strip_prefix(b" ").unwrap_or(line), b"\r\n"].concat()).collect()
}

fn check_transfer(replies: &[Reply], number: usize) {
    let mut transfer = Transfer::new();
    for (n, reply) in replies.iter().enumerate() {
        let verdict = transfer.on_reply(reply.clone());
        assert_eq!(transfer.has_ended(), n + 1 == replies.len(), "line {number}");
        assert_eq!(matches!(verdict, Verdict::Complete(_)), reply.is_positive(), "line {number}");
    }
    assert!(transfer.has_ended(), "line {number}: the last reply is missing");
}

/// The entries, as they are to be expected, by the one format that understands every line.
fn check_listing(turn: &Turn, formats: &[Format], text: &[u8], last: &Reply) -> Vec<String> {
    let number = turn.number;
    assert_eq!(listing::is_capped(last), turn.capped, "line {number}: whether names were left out");
    let understood: Vec<Listing> = formats
        .iter()
        .map(|format| {
            let mut parser = ListingParser::new(*format);
            parser.feed(text).expect("within bounds");
            parser.finish().expect("within bounds")
        })
        .filter(|listing| listing.rejected == 0)
        .collect();
    let with_times = turn.verb() == "MLSD";
    let mut all =
        understood.iter().map(|listing| listing.entries.iter().map(|entry| line(entry, with_times)).collect::<Vec<_>>());
    let mut entries = all.next().unwrap_or_else(|| panic!("line {number}: no format understands every line of it"));
    assert!(all.all(|other| other == entries), "line {number}: two formats understand it in different ways");
    entries.sort();
    entries
}

fn line(entry: &Listed, with_times: bool) -> String {
    let name = escape(&entry.name).replace(' ', "\\x20");
    let size = entry.size.map_or("-".to_owned(), |size| size.to_string());
    let modified = entry.modified.filter(|_| with_times).and_then(time::format).map(|time| format!(" {time}"));
    format!("{name} {} {size}{}", kind(entry.kind), modified.unwrap_or_default())
}

fn kind_and_size(kind: ListedKind, size: Option<u64>) -> String {
    let size = size.map(|size| format!(" {size}"));
    format!("{}{}", self::kind(kind), size.unwrap_or_default())
}

fn kind(kind: ListedKind) -> &'static str {
    match kind {
        ListedKind::File => "file",
        ListedKind::Dir => "dir",
        ListedKind::Link => "link",
        ListedKind::Other => "other",
    }
}

fn told(features: &Features) -> String {
    let all = [
        ("mlst", features.mlst.is_some()),
        ("mfmt", features.mfmt),
        ("mff", features.mff),
        ("mdtm", features.mdtm),
        ("size", features.size),
        ("utf8", features.utf8),
        ("epsv", features.epsv),
        ("tvfs", features.tvfs),
        ("rest", features.rest_stream),
        ("hash", !features.hash.is_empty()),
        ("site", !features.site.is_empty()),
    ];
    all.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

fn wrong_ones() {
    let right = "C: EPSV\nS: 229 ok (|||5|)\n= 5\n";
    run(right);
    for (wrong, why) in [
        ("C: EPSV\nS: 229 ok (|||5|)\n", "nothing expected"),
        ("C: EPSV\nS: 229 ok (|||6|)\n= 5\n", "another port"),
        ("C: EPSV\nS: 229-ok (|||5|)\n= 5\n", "half a reply"),
        ("C: EPSV\nS: 229 ok (|||5|)\nS: 200 ok\n= 5\n", "two replies"),
        ("C: MLSD /\nS: 150 ok\nD: type=file;size=1; a\nS: 226 ok\n= b file 1\n", "another name"),
        ("C: MLSD /\nS: 150 ok\nD: type=file;size=1; a\nD: ?\nS: 226 ok\n= a file 1\n", "a line that is not understood"),
        ("C: LIST\nS: 150 ok\nD: ?\n= a file 1\n", "no last reply"),
        ("S: 220 hi\nC: USER ann\nS: 331 ok\n= x\n", "another order of login"),
        ("S: 220 hi\nC: AUTH TLS\nS: 500 no\n= cheese\n", "another error"),
    ] {
        assert!(quietly(|| run(wrong)).is_err(), "{why}");
    }
    assert_eq!(unescape("a\\x5cb\\xff"), b"a\\b\xff");
    assert_eq!(escape(b"a\\b\xff"), "a\\x5cb\\xff");
}

/// Runs what is to panic without a word of it.
fn quietly(run: impl FnOnce() + std::panic::UnwindSafe) -> std::thread::Result<()> {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
    QUIET.set(true);
    let result = std::panic::catch_unwind(run);
    QUIET.set(false);
    result
}
