//! What has to hold of every parser and of the control API for any bytes at all, beyond not panicking. Each function takes an input and
//! panics where something does not hold. The fuzz targets in `fuzz/` call these, and `fuzz_corpus` does in each test run.

// With their paths: `fuzz/` has this file under another name.
#[path = "invariants/config.rs"]
mod config;
#[path = "invariants/control.rs"]
mod control;

use towline::ftps::proto::{
    Command, Features, Reply, ReplyError, ReplyParser,
    address::{epsv_port, pasv_port},
    listing::{self, Format, Listing, ListingError, ListingParser},
    login::{Credentials, Login, Mode, Step},
    reply::{MAX_LINE, MAX_LINES, MAX_REPLY},
    transfer::{Transfer, Verdict},
};

pub use config::config;
pub use control::control;

/// Every format that a listing may have. A new one is added here and nowhere else.
pub const FORMATS: &[Format] = &[Format::Facts, Format::Unix, Format::Dos, Format::Any];

/// Replies are bounded, show no control characters, and do not depend on how their bytes were cut.
pub fn reply(data: &[u8]) {
    let whole = parse([data]);
    assert_eq!(parse(data.chunks(1)), whole, "byte by byte");
    assert_eq!(parse(data.chunks(7)), whole, "in sevens");
    for reply in &whole.0 {
        assert!((100..600).contains(&reply.code));
        assert!((1..=MAX_LINES).contains(&reply.lines.len()));
        assert!(reply.lines.iter().all(|line| line.len() <= MAX_LINE && !line.contains(&b'\n')));
        assert!(reply.lines.iter().map(Vec::len).sum::<usize>() <= MAX_REPLY);
        let text = reply.text();
        assert!(text.chars().count() <= 301 && !text.contains(char::is_control), "{text:?}");
        assert!(!text.contains(['\u{202e}', '\u{2066}', '\u{2028}', '\u{200b}']), "{text:?}");
    }
}

/// Features say the same when they are written down and read again, in a reply that says twice what may be said twice.
pub fn feat(data: &[u8]) {
    for reply in replies(data) {
        let features = Features::of(&reply);
        let again = Features::of(&as_reply(&features));
        assert_eq!(flags(&again), flags(&features), "of {reply:?}");
        assert_eq!((&again.mlst, &again.hash, &again.site), (&features.mlst, &features.hash, &features.site), "of {reply:?}");
    }
}

/// A port is never 0, and is found again in a reply that has it as the RFC wants it.
pub fn passive(data: &[u8]) {
    let line = Reply { code: 229, lines: vec![data.to_vec()] };
    for reply in replies(data).into_iter().chain([line]) {
        let again = |text: String| Reply { code: 227, lines: vec![text.into_bytes()] };
        if let Ok(port) = epsv_port(&reply) {
            assert!(port > 0);
            assert_eq!(epsv_port(&again(format!("Entering Extended Passive Mode (|||{port}|)"))), Ok(port));
        }
        if let Ok(port) = pasv_port(&reply) {
            assert!(port > 0);
            let (high, low) = (port >> 8, port & 255);
            assert_eq!(pasv_port(&again(format!("Entering Passive Mode (192,0,2,1,{high},{low})."))), Ok(port));
        }
    }
}

/// No name leads out of its directory, no line counts twice, and where the bytes were cut does not matter. The replies to MLST and to
/// the listing itself are read without harm.
pub fn listing(data: &[u8]) {
    for format in FORMATS {
        let whole = list(*format, [data]);
        assert_eq!(list(*format, data.chunks(1)), whole, "byte by byte as {format:?}");
        assert_eq!(list(*format, data.chunks(7)), whole, "in sevens as {format:?}");
        let Ok(listing) = whole else { continue };
        let lines = data.split(|b| *b == b'\n').count();
        assert!(listing.entries.len() + listing.rejected <= lines);
        for listed in &listing.entries {
            assert!(stays_inside(&listed.name), "{:?} from {format:?}", listed.name.escape_ascii().to_string());
        }
    }
    for reply in replies(data).into_iter().chain([Reply { code: 250, lines: vec![data.to_vec()] }]) {
        let _ = (listing::mlst(&reply), listing::is_capped(&reply));
    }
}

/// Whatever the replies are, user and password are only sent when TLS is up and PROT P was granted. A transfer ends, at the latest with
/// the first reply that is not preliminary.
pub fn login(data: &[u8]) {
    let replies = replies(data);
    let mut login = Login::new(Credentials::new("ann", "hunter2").expect("can be sent"), Mode::Explicit);
    let (mut encrypted, mut asked, mut granted) = (false, "", false);
    for reply in replies.clone() {
        granted |= encrypted && asked == "PROT P" && reply.is_positive();
        let Ok(mut step) = login.on_reply(reply) else { break };
        if matches!(step, Step::StartTls) {
            assert!(!encrypted && !granted);
            encrypted = true;
            step = login.encrypted();
        }
        match step {
            Step::Send(command) => {
                let is_account = matches!(command, Command::User(_) | Command::Pass(_));
                assert!(!is_account || (encrypted && granted), "{command:?} after {asked}");
                asked = command.verb();
            }
            Step::Wait | Step::StartTls => {}
            Step::Ready(_) => {
                assert!(encrypted && granted);
                break;
            }
        }
    }

    let mut transfer = Transfer::new();
    for reply in replies {
        let may_go_on = reply.is_preliminary() && !transfer.has_ended();
        let goes_on = transfer.on_reply(reply) == Verdict::Opened;
        assert!(may_go_on || !goes_on);
        assert_eq!(transfer.has_ended(), !goes_on);
    }
}

/// The replies in `data`, and what ended them.
fn parse<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Reply>, Result<bool, ReplyError>) {
    let mut parser = ReplyParser::default();
    let mut replies = Vec::new();
    for chunk in chunks {
        parser.feed(chunk);
        loop {
            match parser.reply() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Err(error)),
            }
        }
    }
    let rest = parser.is_empty();
    (replies, Ok(rest))
}

fn replies(data: &[u8]) -> Vec<Reply> {
    parse([data]).0
}

fn list<'a>(format: Format, chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Listing, ListingError> {
    let mut parser = ListingParser::new(format);
    for chunk in chunks {
        parser.feed(chunk)?;
    }
    parser.finish()
}

fn stays_inside(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|b| matches!(b, b'/' | 0 | b'\r' | b'\n'))
}

fn flags(features: &Features) -> [(&'static str, bool); 8] {
    [
        ("MFMT", features.mfmt),
        ("MFF", features.mff),
        ("MDTM", features.mdtm),
        ("SIZE", features.size),
        ("UTF8", features.utf8),
        ("EPSV", features.epsv),
        ("TVFS", features.tvfs),
        ("REST STREAM", features.rest_stream),
    ]
}

/// The reply to FEAT of a server that has these features.
fn as_reply(features: &Features) -> Reply {
    let mut lines = vec!["Features:".to_owned()];
    for (name, _) in flags(features).iter().filter(|(_, is_there)| *is_there) {
        lines.extend([format!(" {name}"), name.to_ascii_lowercase()]);
    }
    if let Some(facts) = &features.mlst {
        lines.push(format!(" MLST {}", facts.iter().map(|fact| format!("{fact}*;")).collect::<String>()));
    }
    if !features.hash.is_empty() {
        lines.push(format!(" HASH {}", features.hash.join(";")));
    }
    lines.extend(features.site.iter().map(|command| format!(" SITE {command}")));
    lines.push("End".to_owned());
    Reply { code: 211, lines: lines.into_iter().map(String::into_bytes).collect() }
}
