//! Copies that the server makes by itself, in its words.

use super::FtpsSession;
use crate::{
    ftps::{Dial, proto::Pathname},
    model::RelPath,
    remote::{Class, Duplicate, RemoteError},
};

/// As [`crate::remote::Session::copy`].
pub(super) async fn copy<D: Dial>(
    session: &mut FtpsSession<D>,
    from: &RelPath,
    to: &RelPath,
    bytes: u64,
) -> Result<(), RemoteError> {
    let (from, to) = named(session, from, to)?;
    Ok(session.client.copy(&from, &to, bytes).await?)
}

/// As [`crate::remote::Session::duplicate`].
pub(super) async fn duplicate<D: Dial>(
    session: &mut FtpsSession<D>,
    from: &RelPath,
    to: &RelPath,
    bytes: u64,
    summed: bool,
) -> Result<Duplicate, RemoteError> {
    let (from, to) = named(session, from, to)?;
    let (size, sum) = session.client.duplicate(&from, &to, bytes, summed).await?;
    Ok(Duplicate { size, sum })
}

fn named<D: Dial>(session: &FtpsSession<D>, from: &RelPath, to: &RelPath) -> Result<(Pathname, Pathname), RemoteError> {
    let (from, to) = (session.at(from)?, session.at(to)?);
    if is_kept_by_words(from.as_bytes()) && is_kept_by_words(to.as_bytes()) {
        Ok((from, to))
    } else {
        Err(RemoteError::new(Class::Refused, "the server's copy command would take this name for another"))
    }
}

/// Whether a name is the same after ProFTPD took the line of a SITE command into words, and mod_copy put them together with one
/// space each: what else it found there would be copied without a word.
fn is_kept_by_words(path: &[u8]) -> bool {
    let odd = |byte: &u8| byte.is_ascii_control() || matches!(byte, b'"' | b'\\');
    !path.iter().any(odd) && !path.ends_with(b" ") && !path.windows(2).any(|two| two == b"  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_copy_command_takes_for_others_are_not_given_to_it() {
        for (path, kept) in [
            ("/a b/\u{fc} c", true),
            ("/a  b", false),
            ("/a ", false),
            ("/a /b", true),
            ("/\"a\"", false),
            ("/a\\b", false),
            ("/a\tb", false),
        ] {
            assert_eq!(is_kept_by_words(path.as_bytes()), kept, "{path}");
        }
    }
}
