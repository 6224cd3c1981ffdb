//! What servers offer behind SITE: permissions and symbolic links. Whether they are wanted is decided above.

use tracing::debug;

use super::{Client, positive, refusal};
use crate::ftps::{
    dial::Dial,
    error::Error,
    proto::{Command, Pathname},
};

impl<D: Dial> Client<D> {
    /// Sets permission bits; `false` when this server refused it here, or could take the name for another.
    ///
    /// # Errors
    /// [`Error::Lacking`] when this server has no SITE CHMOD; else only when the connection is lost.
    pub async fn set_mode(&mut self, path: &Pathname, bits: u16) -> Result<bool, Error> {
        let Some(command) = chmod(path, bits) else { return Ok(false) };
        let reply = self.command(&command).await?;
        if reply.is_positive() {
            return Ok(true);
        }
        debug!(target: "towline::ftps", "SITE CHMOD was refused: {reply}");
        if reply.is_not_implemented() { Err(Error::Lacking("set permissions")) } else { Ok(false) }
    }

    /// Makes a symbolic link called `path` to `target`, which is relative to the directory `inside`.
    ///
    /// ProFTPD 1.3.8 resolves the target when the link is made, refuses one that is not there, and writes down its absolute
    /// path as the account sees it (measured).
    ///
    /// # Errors
    /// When refused; [`Error::Lacking`] when the server has no SITE SYMLINK, or would take the names for others.
    pub async fn make_link(&mut self, inside: &Pathname, target: &Pathname, path: &Pathname) -> Result<(), Error> {
        // The target ends at the first space.
        let splits = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'\\');
        if target.as_bytes().iter().any(splits) || !survives_splitting(path.as_bytes()) {
            return Err(Error::Lacking("make a link whose target has a space, a quote or a backslash in it"));
        }
        let reply = self.command(&Command::ChangeDir(inside.clone())).await?;
        positive("CWD", reply)?;
        let reply = self.command(&Command::SiteSymlink(target.clone(), path.clone())).await?;
        match reply.code {
            _ if reply.is_positive() => Ok(()),
            _ if reply.is_not_implemented() => Err(Error::Lacking("make symbolic links")),
            _ => Err(refusal("SITE SYMLINK", reply)),
        }
    }
}

/// What sets the permissions of `path`; `None` if the server could take the name for another.
pub(super) fn chmod(path: &Pathname, bits: u16) -> Option<Command> {
    survives_splitting(path.as_bytes()).then(|| Command::SiteChmod(bits & 0o777, path.clone()))
}

/// Whether a name is the same after ProFTPD split a SITE command into words, unquoted them, and put single spaces between
/// them again: `SITE CHMOD 600 /d/a  b` is about `/d/a b` there.
pub(super) fn survives_splitting(name: &[u8]) -> bool {
    let plain = |b: &u8| !matches!(b, b'"' | b'\\') && (*b == b' ' || !b.is_ascii_whitespace()) && *b != 0x0b;
    name.iter().all(plain) && !name.ends_with(b" ") && !name.windows(2).any(|pair| pair == b"  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_be_taken_for_another_is_not_sent() {
        for (name, same) in [
            (&b"/d/f"[..], true),
            (b"/a b/c d", true),
            (b"/ a", true),
            (b"/\xff'#", true),
            (b"/a  b", false),
            (b"/a ", false),
            (b"/a\tb", false),
            (b"/a\x0bb", false),
            (b"/\"a\"", false),
            (b"/a\\b", false),
        ] {
            assert_eq!(survives_splitting(name), same, "{}", name.escape_ascii());
        }
    }
}
