//! A transfer as the control connection tells of it (RFC 959 §5.4): which reply means what. Bytes are not its business.

use super::Reply;

/// A server that says 1yz more often than this within one transfer will not stop. (None measured says it twice.)
const MAX_PRELIMINARY: u8 = 8;

/// Where a transfer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// 1yz replies so far.
    opened: u8,
    ended: bool,
}

/// What a reply means to a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 1yz: the server opens the data connection.
    Opened,
    /// 2yz: all of it arrived.
    Complete(Reply),
    /// It failed.
    Failed(Failure, Reply),
}

/// Why a transfer failed, as far as the code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 425, 522: the server did not take the data connection or its handshake; as a rule because the TLS session was not
    /// that of the control connection.
    DataRefused,
    /// 426, 451 and other 4yz: broken off.
    Aborted,
    /// 452, 552: no space.
    Full,
    /// 421: the server closes the control connection.
    Closing,
    /// 550, 553 and other 5yz: this path, or this command, not at all.
    Refused,
    /// A reply that no transfer has.
    Unexpected,
}

impl Transfer {
    /// Right after the command was sent.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the server announced the data connection (1yz).
    pub fn is_opened(self) -> bool {
        self.opened > 0
    }

    /// Whether the last reply was seen.
    pub fn has_ended(self) -> bool {
        self.ended
    }

    /// Takes a reply.
    pub fn on_reply(&mut self, reply: Reply) -> Verdict {
        if reply.is_preliminary() && !self.ended && self.opened < MAX_PRELIMINARY {
            self.opened += 1;
            return Verdict::Opened;
        }
        self.ended = true;
        if reply.is_positive() {
            return Verdict::Complete(reply);
        }
        Verdict::Failed(classify(&reply), reply)
    }
}

/// Tells the last reply to an upload from those to commands that went out behind its last byte, none of which is answered with 226;
/// `told` are all of them, in the order in which they came. The others are given only if they came behind it, as they should: what a
/// server says of a file while the transfer still runs (or says no to, like ProFTPD with 450) is worth nothing.
///
/// # Errors
/// A reply, when none of them can be the upload's.
pub fn apart(mut told: Vec<Reply>) -> Result<(Reply, Option<Vec<Reply>>), Option<Reply>> {
    let complete = told.iter().position(|reply| reply.code == 226).or_else(|| (told.first()?.code == 250).then_some(0));
    // Without one that is complete: what transfers alone fail with, or whichever is negative.
    let of_transfers = |reply: &Reply| matches!(reply.code, 425 | 426 | 451 | 452 | 522 | 551..=553);
    let failed = || told.iter().position(of_transfers).or_else(|| told.iter().position(Reply::is_negative));
    match complete.or_else(failed) {
        Some(at) => {
            let ending = told.remove(at);
            Ok((ending, complete.filter(|at| *at == 0).map(|_| told)))
        }
        None => Err(told.into_iter().next()),
    }
}

fn classify(reply: &Reply) -> Failure {
    match reply.code {
        421 => Failure::Closing,
        425 | 522 => Failure::DataRefused,
        452 | 552 => Failure::Full,
        _ if reply.is_transient() => Failure::Aborted,
        _ if reply.is_permanent() => Failure::Refused,
        _ => Failure::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16) -> Reply {
        Reply { code, lines: vec![Vec::new()] }
    }

    #[test]
    fn codes() {
        for (code, failure) in [
            (421, Failure::Closing),
            (425, Failure::DataRefused),
            (522, Failure::DataRefused),
            (426, Failure::Aborted),
            (451, Failure::Aborted),
            (452, Failure::Full),
            (552, Failure::Full),
            (550, Failure::Refused),
            (553, Failure::Refused),
            (350, Failure::Unexpected),
        ] {
            assert_eq!(Transfer::new().on_reply(reply(code)), Verdict::Failed(failure, reply(code)));
        }
    }

    #[test]
    fn opened_then_complete() {
        let mut transfer = Transfer::new();
        assert_eq!(transfer.on_reply(reply(150)), Verdict::Opened);
        assert_eq!(transfer.on_reply(reply(125)), Verdict::Opened);
        assert!(transfer.is_opened() && !transfer.has_ended());
        assert_eq!(transfer.on_reply(reply(226)), Verdict::Complete(reply(226)));
        assert!(transfer.has_ended());
        assert!(matches!(transfer.on_reply(reply(150)), Verdict::Failed(Failure::Unexpected, _)));
    }

    #[test]
    fn the_end_of_an_upload_among_other_replies() {
        let told = |codes: &[u16]| {
            let apart = apart(codes.iter().map(|code| reply(*code)).collect());
            apart.map(|(ending, rest)| (ending.code, rest.map(|rest| rest.len()))).map_err(|first| first.map(|reply| reply.code))
        };
        assert_eq!(told(&[226]), Ok((226, Some(0))));
        assert_eq!(told(&[226, 213, 250, 213, 200, 229]), Ok((226, Some(5))));
        assert_eq!(told(&[226, 550, 550, 500]), Ok((226, Some(3))), "those are answers, too");
        assert_eq!(told(&[250, 213, 250]), Ok((250, Some(2))), "RFC 959 allows it");
        // Before the transfer was over they are worth nothing.
        assert_eq!(told(&[450, 450, 226]), Ok((226, None)));
        assert_eq!(told(&[213, 226, 250]), Ok((226, None)));
        // No upload: none of the others makes it one.
        assert_eq!(told(&[451, 213, 250, 229]), Ok((451, None)));
        assert_eq!(told(&[213, 426, 250]), Ok((426, None)));
        assert_eq!(told(&[450, 450, 552]), Ok((552, None)), "a full server is one");
        assert_eq!(told(&[450, 550]), Ok((450, None)));
        assert_eq!(told(&[213, 250, 229]), Err(Some(213)));
        assert_eq!(told(&[]), Err(None));
    }

    #[test]
    fn a_server_that_opens_for_ever_is_stopped() {
        let mut transfer = Transfer::new();
        let replies = std::iter::repeat_with(|| transfer.on_reply(reply(150)));
        assert_eq!(replies.take_while(|verdict| *verdict == Verdict::Opened).count(), usize::from(MAX_PRELIMINARY));
    }
}
