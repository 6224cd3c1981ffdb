//! Replies of the server (RFC 959 §4.2), cut out of a byte stream; not what they mean.

use std::fmt;

/// The longest line, in bytes, without its end.
pub const MAX_LINE: usize = 8 * 1024;
/// The longest reply, in bytes.
pub const MAX_REPLY: usize = 64 * 1024;
/// The most lines in one reply.
pub const MAX_LINES: usize = 1_000;

/// How long a reply may be; a line is never longer than [`MAX_LINE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, line ends not counted.
    pub bytes: usize,
    /// Lines.
    pub lines: usize,
}

impl Limits {
    /// Any reply but a listing.
    pub const REPLY: Self = Self { bytes: MAX_REPLY, lines: MAX_LINES };
    /// The reply to `STAT` of a directory, which is a listing: room for the 10,000 names at which Pure-FTPd stops. It is held
    /// as a whole before it is read, so it gets less than one on a data connection.
    pub const LISTING: Self = Self { bytes: 1024 * 1024, lines: 16_000 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::REPLY
    }
}

/// One reply: three digits and at least one line of text.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The code, 100 to 599.
    pub code: u16,
    /// The text of each line; the code is cut off the first and the last, and off inner lines that repeat it.
    pub lines: Vec<Vec<u8>>,
}

/// What is wrong with the bytes of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The first line of a reply does not start with a code.
    #[error("the server's answer does not start with a three-digit reply code")]
    NoCode,
    /// A line without an end.
    #[error("the server sent a reply line above {MAX_LINE} bytes")]
    LineTooLong,
    /// A reply without an end.
    #[error("the server sent a reply above {} bytes or {} lines", .0.bytes, .0.lines)]
    ReplyTooLong(Limits),
}

impl Reply {
    /// 1yz: another reply follows.
    pub fn is_preliminary(&self) -> bool {
        self.code / 100 == 1
    }

    /// 2yz: done.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3yz: the server waits for the next command of a sequence.
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4yz: not now.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz: no.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// 4yz or 5yz.
    pub fn is_negative(&self) -> bool {
        self.is_transient() || self.is_permanent()
    }

    /// The server does not know the command, or not with this argument (500, 501, 502, 504).
    pub fn is_not_implemented(&self) -> bool {
        matches!(self.code, 500 | 501 | 502 | 504)
    }

    /// The same with `***` for `secret`, which the server repeats: replies end in messages and logs.
    ///
    /// A secret that is part of common words is only hidden where the text means nothing; one of less than four bytes is no
    /// secret, and stars in all words that have it would tell it.
    #[must_use]
    pub fn without(mut self, secret: &[u8]) -> Self {
        let is_unlike_data = secret.len() >= 8 && secret.iter().any(u8::is_ascii_alphabetic);
        let is_data = matches!(self.code, 211 | 213 | 226 | 227 | 229 | 250);
        if secret.len() < 4 || (is_data && !is_unlike_data) {
            return self;
        }
        for line in &mut self.lines {
            let (mut shown, mut rest) = (Vec::new(), &line[..]);
            while let Some(at) = rest.windows(secret.len()).position(|window| window == secret) {
                shown.extend_from_slice(&rest[..at]);
                shown.extend_from_slice(b"***");
                rest = &rest[at + secret.len()..];
            }
            if !shown.is_empty() {
                shown.extend_from_slice(rest);
                *line = shown;
            }
        }
        self
    }

    /// For messages: the lines in one, lossy UTF-8, control characters and invisible ones escaped, at most 300 characters.
    pub fn text(&self) -> String {
        const MOST: usize = 300;
        let mut text = String::new();
        for line in &self.lines {
            let line = String::from_utf8_lossy(line);
            let line = line.trim();
            if !text.is_empty() && !line.is_empty() {
                text.push_str(" / ");
            }
            for c in line.chars().take(MOST) {
                if c.is_control() || is_invisible(c) { text.extend(c.escape_default()) } else { text.push(c) }
            }
            if text.chars().count() > MOST {
                let cut = text.char_indices().nth(MOST).map_or(text.len(), |(at, _)| at);
                text.truncate(cut);
                text.push('…');
                break;
            }
        }
        text
    }
}

/// Not seen, but changes how others are: their direction, where a line ends.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        if text.is_empty() { write!(f, "{}", self.code) } else { write!(f, "{} {text}", self.code) }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes bytes as they come and gives replies.
///
/// Its buffer is bounded as long as [`Self::reply`] is called until it gives `None` after each [`Self::feed`].
#[derive(Debug, Default)]
pub struct ReplyParser {
    buffer: Vec<u8>,
    /// How much of `buffer` was searched for a line end in vain.
    searched: usize,
    open: Option<Reply>,
    open_bytes: usize,
    limits: Limits,
}

impl ReplyParser {
    /// Sets how long the replies that come next may be.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes more bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether nothing at all is waiting: no reply, no part of one.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.open.is_none()
    }

    /// The next whole reply, if there is one.
    ///
    /// # Errors
    /// When the bytes are no reply, or exceed a bound. The stream cannot be used any further.
    pub fn reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        while let Some(line) = self.line()? {
            if let Some(reply) = self.take(&line)? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>, ReplyError> {
        let Some(end) = self.buffer[self.searched..].iter().position(|b| *b == b'\n').map(|at| at + self.searched) else {
            self.searched = self.buffer.len();
            // One more for the CR of a line that is just as long as it may be.
            return if self.searched > MAX_LINE + 1 { Err(ReplyError::LineTooLong) } else { Ok(None) };
        };
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        self.searched = 0;
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.len() > MAX_LINE { Err(ReplyError::LineTooLong) } else { Ok(Some(line)) }
    }

    fn take(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let head = Head::of(line);
        let Some(mut open) = self.open.take() else {
            let head = head.ok_or(ReplyError::NoCode)?;
            let reply = Reply { code: head.code, lines: vec![head.text.to_vec()] };
            if !head.more {
                return Ok(Some(reply));
            }
            self.open_bytes = line.len();
            self.open = Some(reply);
            return Ok(None);
        };
        self.open_bytes += line.len();
        if self.open_bytes > self.limits.bytes || open.lines.len() >= self.limits.lines {
            return Err(ReplyError::ReplyTooLong(self.limits));
        }
        match head.filter(|head| head.code == open.code) {
            Some(head) => {
                open.lines.push(head.text.to_vec());
                if !head.more {
                    return Ok(Some(open));
                }
            }
            None => open.lines.push(line.to_vec()),
        }
        self.open = Some(open);
        Ok(None)
    }
}

struct Head<'a> {
    code: u16,
    more: bool,
    text: &'a [u8],
}

impl<'a> Head<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        let (digits, rest) = line.split_at_checked(3)?;
        if !matches!(digits[0], b'1'..=b'5') || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        match rest.split_first() {
            None => Some(Self { code, more: false, text: b"" }),
            Some((b' ', text)) => Some(Self { code, more: false, text }),
            Some((b'-', text)) => Some(Self { code, more: true, text }),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(chunks: &[&[u8]]) -> Result<Vec<Reply>, ReplyError> {
        let mut parser = ReplyParser::default();
        let mut replies = Vec::new();
        for chunk in chunks {
            parser.feed(chunk);
            while let Some(reply) = parser.reply()? {
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    const MIXED: &[u8] =
        b"220 hello\r\n211-Features:\r\n MDTM\r\n 211 is not the end\r\n226 nor this\n211-more\r\n211 End\r\n226\r\n150 \n";

    #[test]
    fn single_and_multi_line_replies() {
        let replies = parse(&[MIXED]).expect("well-formed");
        assert_eq!(replies.iter().map(|r| r.code).collect::<Vec<_>>(), [220, 211, 226, 150]);
        let lines: Vec<_> = replies[1].lines.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect();
        assert_eq!(lines, ["Features:", " MDTM", " 211 is not the end", "226 nor this", "more", "End"]);
        assert_eq!(replies[0].to_string(), "220 hello");
        assert_eq!(replies[2].to_string(), "226");
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bad in [&b"hello\r\n"[..], b"22\r\n", b"\r\n", b"022 x\r\n", b"600 x\r\n", b"220x\r\n", b"\x16\x03\x01\n"] {
            assert_eq!(parse(&[bad]), Err(ReplyError::NoCode), "{bad:?}");
        }
    }

    #[test]
    fn lines_and_replies_are_bounded() {
        let just = [b"220 ".to_vec(), vec![b'x'; MAX_LINE - 4], b"\r\n".to_vec()].concat();
        assert_eq!(parse(&[&just]).map(|r| r.len()), Ok(1));
        assert_eq!(parse(&[&just[..just.len() - 1]]).map(|r| r.len()), Ok(0));
        assert_eq!(parse(&[&vec![b'2'; MAX_LINE + 2]]), Err(ReplyError::LineTooLong));
        let many = [b"220-\r\n".to_vec(), b"x\r\n".repeat(MAX_LINES)].concat();
        assert_eq!(parse(&[&many]), Err(ReplyError::ReplyTooLong(Limits::REPLY)));
        let big = [b"220-\r\n".to_vec(), [vec![b'x'; 8_000], b"\r\n".to_vec()].concat().repeat(9)].concat();
        assert_eq!(parse(&[&big]), Err(ReplyError::ReplyTooLong(Limits::REPLY)));
    }

    #[test]
    fn a_listing_in_a_reply_has_a_limit_of_its_own() {
        let listing = |lines: usize| [b"213-\r\n".to_vec(), b"x\r\n".repeat(lines), b"213 end\r\n".to_vec()].concat();
        let mut parser = ReplyParser::default();
        parser.limit(Limits::LISTING);
        parser.feed(&listing(MAX_LINES * 2));
        assert_eq!(parser.reply().map(|reply| reply.map(|reply| reply.lines.len())), Ok(Some(MAX_LINES * 2 + 2)));
        parser.feed(&listing(Limits::LISTING.lines));
        assert_eq!(parser.reply(), Err(ReplyError::ReplyTooLong(Limits::LISTING)));
        let mut parser = ReplyParser::default();
        parser.limit(Limits::LISTING);
        parser.feed(&[b"213-\r\n".to_vec(), [vec![b'x'; 8_000], b"\r\n".to_vec()].concat().repeat(140)].concat());
        assert_eq!(parser.reply(), Err(ReplyError::ReplyTooLong(Limits::LISTING)));
    }

    /// RFC 959 §4.2 as servers have it: inner lines with the code and a dash, with another code, with the code and a space
    /// behind a space, empty, with a bare line feed.
    #[test]
    fn multi_line_replies_of_every_shape() {
        for (text, lines) in [
            ("226-one\r\n226-two\r\n226 three\r\n", vec!["one", "two", "three"]),
            ("226-\r\n\r\n226 \r\n", vec!["", "", ""]),
            ("226-a\n226 b\n", vec!["a", "b"]),
            ("226-a\r\n 226 b\r\n226\r\n", vec!["a", " 226 b", ""]),
            ("226-a\r\n225 b\r\n550-c\r\n2266 d\r\n226x\r\n226 e\r\n", vec!["a", "225 b", "550-c", "2266 d", "226x", "e"]),
            ("226-a\r\n226--b\r\n226 -c\r\n", vec!["a", "-b", "-c"]),
        ] {
            let replies = parse(&[text.as_bytes(), b"200 next\r\n"]).expect("well-formed");
            assert_eq!(replies.iter().map(|reply| reply.code).collect::<Vec<_>>(), [226, 200], "{text:?}");
            let found: Vec<_> = replies[0].lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
            assert_eq!(found, lines, "{text:?}");
        }
    }

    #[test]
    fn text_is_one_short_line_without_control_characters() {
        let reply = Reply { code: 220, lines: vec![b"\x1b[2Ja".to_vec(), b"".to_vec(), vec![0xff], vec![b'y'; 5_000]] };
        let text = reply.text();
        assert!(text.starts_with("\\u{1b}[2Ja / \u{fffd} / yyy"), "{text}");
        assert!(text.chars().count() <= 301 && text.ends_with('…'), "{text}");
    }

    #[test]
    fn a_secret_that_is_repeated_is_hidden() {
        let without = |code, line: &str, secret: &str| {
            let reply = Reply { code, lines: vec![line.into(), b"End".to_vec()] };
            reply.without(secret.as_bytes()).text()
        };
        assert_eq!(without(530, "no hunter2, PASS hunter2hunter2", "hunter2"), "no ***, PASS ****** / End");
        assert_eq!(without(211, "I like open-sesame", "open-sesame"), "I like *** / End");
        assert_eq!(without(530, "stars: ****", "****"), "stars: *** / End");
        // What is data stays data, whatever the password.
        assert_eq!(without(213, "20241122", "20241122"), "20241122 / End");
        assert_eq!(without(250, "type=file;", "file"), "type=file; / End");
        assert_eq!(without(550, "a no", "a"), "a no / End");
    }

    #[test]
    fn text_cannot_turn_its_direction() {
        let reply = Reply { code: 220, lines: vec!["a\u{202e}b\u{2028}c\u{200b}".into()] };
        assert_eq!(reply.text(), "a\\u{202e}b\\u{2028}c\\u{200b}");
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_does_not_matter(cuts in proptest::collection::vec(0..MIXED.len(), 0..12)) {
            let mut cuts = cuts;
            cuts.extend([0, MIXED.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &MIXED[w[0]..w[1]]).collect();
            prop_assert_eq!(parse(&chunks), parse(&[MIXED]));
        }

        /// Whatever the lines in between are, a reply ends with the line that has its code and a space.
        #[test]
        fn a_multi_line_reply_is_one_reply(
            code in 100..600u16,
            inner in proptest::collection::vec("[ 0-9a-z-]{0,8}", 0..8),
            dashed in any::<bool>(),
            end in prop_oneof![Just("\n"), Just("\r\n")],
        ) {
            let ends = |line: &String| line.starts_with(&format!("{code} ")) || *line == code.to_string();
            let inner: Vec<String> = inner.into_iter().filter(|line| !ends(line)).collect();
            let mut text = format!("{code}-first{end}");
            for line in &inner {
                text += &if dashed { format!("{code}-{line}{end}") } else { format!("{line}{end}") };
            }
            text += &format!("{code} last{end}");
            let replies = parse(&[text.as_bytes()]).expect("well-formed");
            prop_assert_eq!(replies.len(), 1);
            prop_assert_eq!((replies[0].code, replies[0].lines.len()), (code, inner.len() + 2));
            prop_assert_eq!(replies[0].lines.last().map(Vec::as_slice), Some(&b"last"[..]));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'2')], 0..400)) {
            if let Ok(replies) = parse(&[&bytes]) {
                for reply in replies {
                    prop_assert!((100..600).contains(&reply.code) && !reply.lines.is_empty());
                    prop_assert!(!reply.text().contains(char::is_control));
                }
            }
        }
    }
}
