//! Finding out what is at a path, by its exact name. Reply codes decide little (550 is all that most servers ever say, some
//! say 450 to what is missing, some 550 to what they do not want to talk about), so no single refusal that may mean something
//! else proves that nothing is there.

use super::{Client, Found, refusal};
use crate::ftps::{
    dial::Dial,
    error::Error,
    proto::{
        Command, ListedKind, Pathname, Reply,
        listing::{self, Keep, Lookup},
    },
};

/// What one reply says about a path.
enum Says {
    /// This is there.
    There(Found),
    /// Nothing is there, as far as this command knows.
    Missing,
    /// Nothing that can be relied on.
    Nothing(Reply),
    /// The server does not know the command.
    Unknown(Reply),
}

impl<D: Dial> Client<D> {
    /// The size of a file; `None` if there is none of that name.
    ///
    /// # Errors
    /// When the server does not say.
    pub async fn size(&mut self, path: &Pathname) -> Result<Option<u64>, Error> {
        let reply = self.ask(&Command::Size(path.clone())).await?;
        let unsized_is = match reply.code {
            213 => match parse_size(&reply) {
                Some(size) => return Ok(Some(size)),
                None => return Err(Error::Unexpected { verb: "SIZE", reply }),
            },
            // 550 is all that servers say, be it a directory, missing, or a matter of permission.
            _ if says_missing(&reply) && self.connection.features.mlst.is_none() => return Ok(None),
            _ if reply.is_not_implemented() => Error::Lacking("tell the size of a file"),
            _ if reply.is_negative() => refusal("SIZE", reply),
            _ => return Err(Error::Unexpected { verb: "SIZE", reply }),
        };
        match self.look(path).await? {
            Some(Found { kind: ListedKind::File, size: None }) => Err(unsized_is),
            found => Ok(found.filter(|found| found.kind == ListedKind::File).and_then(|found| found.size)),
        }
    }

    /// What is at `path`; `None` only if it is known that nothing is. Where a rename died half-way on a server that refuses to
    /// replace files, the file that it had moved aside is put back first; see `client::rename`.
    ///
    /// # Errors
    /// When the server does not say.
    pub async fn find(&mut self, path: &Pathname) -> Result<Option<Found>, Error> {
        let found = self.look(path).await?;
        self.mend(path, found).await
    }

    /// What is at `path`, and nothing is mended.
    pub(super) async fn look(&mut self, path: &Pathname) -> Result<Option<Found>, Error> {
        let mut last = None;
        if self.connection.features.mlst.is_some() {
            let reply = self.ask(&Command::Mlst(path.clone())).await?;
            let facts = listing::mlst(&reply).filter(|_| reply.code == 250);
            match facts {
                Some((kind, size)) => return Ok(Some(Found { kind, size: size.filter(|_| kind == ListedKind::File) })),
                // RFC 3659 §7.2.1 has 550 for just this.
                None if says_missing(&reply) => return Ok(None),
                None => last = Some(reply),
            }
        }
        let as_file = match self.says_size(path).await? {
            Says::There(found) => return Ok(Some(found)),
            said => said,
        };
        // All paths are absolute, so it does not matter where this leads.
        let reply = self.ask(&Command::ChangeDir(path.clone())).await?;
        if reply.is_positive() {
            return Ok(Some(Found { kind: ListedKind::Dir, size: None }));
        }
        match as_file {
            // Neither a file nor a directory, say two commands; but not if a third one meant something else.
            Says::Missing if says_missing(&reply) && last.is_none() => return Ok(None),
            Says::Nothing(said) | Says::Unknown(said) => last = last.or(Some(said)),
            _ => {}
        }
        self.look_in_parent(path, last.unwrap_or(reply)).await
    }

    async fn says_size(&mut self, path: &Pathname) -> Result<Says, Error> {
        let reply = self.ask(&Command::Size(path.clone())).await?;
        Ok(match reply.code {
            213 => Says::There(Found { kind: ListedKind::File, size: parse_size(&reply) }),
            // A server without SIZE may say 550 to all of them.
            _ if says_missing(&reply) && self.connection.features.size => Says::Missing,
            _ if reply.is_not_implemented() => Says::Unknown(reply),
            _ => Says::Nothing(reply),
        })
    }

    /// Looks for the exact name in the listing of its directory; only a complete one proves that it is not there.
    async fn look_in_parent(&mut self, path: &Pathname, last: Reply) -> Result<Option<Found>, Error> {
        let Some((parent, name)) = split(path)? else { return Err(Error::Undecided(last)) };
        let listing = match self.list_keeping(&parent, &Keep::Named(name.clone())).await {
            Ok(listing) => listing,
            Err(error) if error.leaves_connection_usable() => return Err(Error::Undecided(last)),
            Err(error) => return Err(error),
        };
        match listing.lookup(&name) {
            Lookup::There(listed) => Ok(Some(Found { kind: listed.kind, size: listed.size })),
            Lookup::Absent => Ok(None),
            Lookup::Unknown => Err(Error::Undecided(last)),
        }
    }

    /// Asks; a 421 is no answer, but the end.
    async fn ask(&mut self, command: &Command) -> Result<Reply, Error> {
        let reply = self.command(command).await?;
        if reply.code == 421 { Err(refusal(command.verb(), reply)) } else { Ok(reply) }
    }
}

/// Whether a refusal can be read as "there is nothing of that name": 550, as all servers say, unless the words mean
/// something else.
pub(super) fn says_missing(reply: &Reply) -> bool {
    const OTHERWISE: [&str; 12] = [
        "permission",
        "denied",
        "not allowed",
        "not permitted",
        "forbidden",
        "syntax",
        "illegal",
        "locked",
        "in use",
        "busy",
        "unavailable",
        "timed out",
    ];
    let text = reply.text().to_ascii_lowercase();
    // RFC 959 itself has "file unavailable (e.g., file not found, no access)".
    let is_missing = ["not found", "no such", "not exist", "cannot find"].iter().any(|words| text.contains(words));
    reply.code == 550 && (is_missing || !OTHERWISE.iter().any(|words| text.contains(words)))
}

/// A path's directory and its name in there; `None` for the root.
pub(super) fn split(path: &Pathname) -> Result<Option<(Pathname, Vec<u8>)>, Error> {
    let bytes = path.as_bytes();
    let Some(slash) = bytes.iter().rposition(|b| *b == b'/') else { return Ok(None) };
    let (parent, name) = (&bytes[..slash], &bytes[slash + 1..]);
    if name.is_empty() {
        return Ok(None);
    }
    let parent = if parent.is_empty() { b"/" } else { parent };
    Ok(Some((Pathname::new(parent)?, name.to_vec())))
}

pub(super) fn parse_size(reply: &Reply) -> Option<u64> {
    std::str::from_utf8(reply.lines.first()?).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_means() {
        let reply = |code, text: &str| Reply { code, lines: vec![text.as_bytes().to_vec()] };
        for text in [
            "Can't check for file existence",
            "'/a' cannot be listed",
            "Could not get file size.",
            "No such file or directory.",
            "/a is not retrievable.",
            "/locked: No such file or directory",
            "The system cannot find the file specified. ",
            "Requested action not taken. File unavailable (e.g., file not found, no access).",
            "",
        ] {
            assert!(says_missing(&reply(550, text)), "{text}");
            assert!(!says_missing(&reply(450, text)), "{text}");
        }
        for text in
            ["Permission denied.", "/a: Not allowed", "SIZE not allowed in ASCII mode", "Access is denied.", "File is in use"]
        {
            assert!(!says_missing(&reply(550, text)), "{text}");
        }
    }

    #[test]
    fn a_path_is_a_name_in_a_directory() {
        let path = |text: &str| Pathname::new(text).expect("sendable");
        let split = |text: &str| split(&path(text)).expect("sendable");
        assert_eq!(split("/a/b c"), Some((path("/a"), b"b c".to_vec())));
        assert_eq!(split("/a"), Some((path("/"), b"a".to_vec())));
        assert_eq!(split("/"), None);
    }
}
