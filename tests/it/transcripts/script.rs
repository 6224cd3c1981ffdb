//! The lines of a transcript, cut into turns: a command, and all that answers it.

use towline::ftps::proto::{Reply, ReplyParser};

/// A command and what followed; the first turn may have no command, it is the greeting.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// The line of the command, from 1.
    pub(super) number: usize,
    pub(super) command: Vec<u8>,
    server: Vec<u8>,
    pub(super) data: Vec<u8>,
    pub(super) expected: Vec<String>,
    pub(super) capped: bool,
}

impl Turn {
    /// The command's first word.
    pub(super) fn verb(&self) -> &str {
        let end = self.command.iter().position(|b| *b == b' ').unwrap_or(self.command.len());
        std::str::from_utf8(&self.command[..end]).expect("a verb in ASCII")
    }

    /// All the replies, of which nothing is left over.
    pub(super) fn replies(&self) -> Vec<Reply> {
        let mut parser = ReplyParser::default();
        parser.feed(&self.server);
        let mut replies = Vec::new();
        while let Some(reply) = parser.reply().unwrap_or_else(|e| panic!("line {}: {e}", self.number)) {
            replies.push(reply);
        }
        assert!(parser.is_empty() && !replies.is_empty(), "line {}: the reply has no end", self.number);
        replies
    }
}

pub(super) fn turns(text: &str) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        assert!(line.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "line {number}: a byte that is to be written \\xHH");
        let (tag, rest) = line.split_once(' ').unwrap_or_else(|| panic!("line {number}: no tag"));
        if tag == "C:" || turns.is_empty() {
            turns.push(Turn { number, ..Turn::default() });
        }
        let Some(turn) = turns.last_mut() else { continue };
        match tag {
            "C:" => turn.command = unescape(rest),
            "S:" => turn.server.extend([&unescape(rest)[..], b"\r\n"].concat()),
            "D:" => turn.data.extend([&unescape(rest)[..], b"\r\n"].concat()),
            "=" => turn.expected.push(rest.to_owned()),
            "!" if rest == "capped" => turn.capped = true,
            _ => panic!("line {number}: {tag} is no tag"),
        }
    }
    turns
}

/// Takes `\xHH` for the byte.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let mut pieces = text.split("\\x");
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

pub(super) fn escape(bytes: &[u8]) -> String {
    let plain = |b: u8| b == b' ' || (b.is_ascii_graphic() && b != b'\\');
    bytes.iter().map(|b| if plain(*b) { char::from(*b).to_string() } else { format!("\\x{b:02x}") }).collect()
}
