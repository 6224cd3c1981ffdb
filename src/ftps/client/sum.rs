//! Checksums that the server computes, by the commands that a probe has shown to be right. Which of them is a proof of what is
//! decided above.

use tracing::debug;

use super::{Client, refusal, site::survives_splitting};
use crate::{
    ftps::{
        dial::Dial,
        error::Error,
        profile::{Hashes, Hashing},
        proto::{Command, Extra, Pathname, Reply, extra},
    },
    model::Checksum,
};

/// How a checksum is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    X(extra::Digest),
    Hash,
}

impl<D: Dial> Client<D> {
    /// The checksum of a file, or of the bytes of it from a first one up to and without a last one; `None` if this server has
    /// no way to tell, refused it here, or its answer can be read in two ways.
    ///
    /// # Errors
    /// Only when the connection is lost.
    pub async fn sum(&mut self, path: &Pathname, part: Option<(u64, u64)>) -> Result<Option<Checksum>, Error> {
        let hashes = self.endpoint.profile().hashes;
        let Some(way) = way(hashes, part.is_some()) else { return Ok(None) };
        if !survives_splitting(path.as_bytes()) {
            return Ok(None);
        }
        let command = match way {
            Way::X(digest) => Extra::Digest(digest, path.clone(), part),
            Way::Hash => {
                let chosen = self.told(Extra::ChooseSha256).await?.is_positive();
                // With the last byte, as RANG has it; see `Extra::Range`.
                let part = part.map(|(first, end)| (first, end.saturating_sub(1)));
                // A range may hold for all that follows, so it is always given where the server heeds it.
                let ranged = hashes.hash == Some(Hashing::Ranges);
                if !chosen || (ranged && !self.told(Extra::Range(part)).await?.is_intermediate()) {
                    return Ok(None);
                }
                Extra::Hash(path.clone())
            }
        };
        let reply = self.told(command).await?;
        Ok(told(way, &reply))
    }

    /// The one command that asks for the checksum of a whole file, and how its reply is read; `None` if it takes none, or more than one.
    pub(super) fn single_sum(&self, path: &Pathname) -> Option<(Way, Command)> {
        match way(self.endpoint.profile().hashes, false)? {
            way @ Way::X(digest) if survives_splitting(path.as_bytes()) => {
                Some((way, Command::Extra(Extra::Digest(digest, path.clone(), None))))
            }
            _ => None,
        }
    }

    /// Says it; a 421 is no answer, but the end.
    async fn told(&mut self, extra: Extra) -> Result<Reply, Error> {
        let command = Command::Extra(extra);
        let reply = self.command(&command).await?;
        if reply.code == 421 { Err(refusal(command.verb(), reply)) } else { Ok(reply) }
    }
}

/// The checksum that a reply tells.
pub(super) fn told(way: Way, reply: &Reply) -> Option<Checksum> {
    let sum = if reply.is_positive() { read(way, reply) } else { None };
    if sum.is_none() {
        debug!(target: "towline::ftps", "no checksum in: {reply}");
    }
    sum
}

/// The best proof that the server has, of a part where one is asked for.
fn way(hashes: Hashes, of_part: bool) -> Option<Way> {
    let able = |hashing: Option<Hashing>| match hashing {
        Some(Hashing::Ranges) => true,
        Some(Hashing::Whole) => !of_part,
        Some(Hashing::Never) | None => false,
    };
    let ways = [
        (hashes.xsha256, Way::X(extra::Digest::Sha256)),
        (hashes.hash, Way::Hash),
        (hashes.xmd5, Way::X(extra::Digest::Md5)),
        (hashes.xcrc, Way::X(extra::Digest::Crc)),
    ];
    ways.into_iter().find(|(hashing, _)| able(*hashing)).map(|(_, way)| way)
}

/// The one word of the reply that is a checksum of this kind; servers put the path, the range and the algorithm beside it.
fn read(way: Way, reply: &Reply) -> Option<Checksum> {
    let text = reply.text();
    let mut found = None;
    for word in text.split_whitespace() {
        let sum = match way {
            Way::X(extra::Digest::Sha256) | Way::Hash => bytes(word).map(Checksum::Sha256),
            Way::X(extra::Digest::Md5) => bytes(word).map(Checksum::Md5),
            Way::X(extra::Digest::Crc) => bytes(word).map(|sum| Checksum::Crc32(u32::from_be_bytes(sum))),
        };
        if sum.is_some() && found.is_some() && sum != found {
            // A file may be called like one.
            return None;
        }
        found = found.or(sum);
    }
    found
}

/// `N` bytes in hexadecimal digits, and nothing else.
fn bytes<const N: usize>(word: &str) -> Option<[u8; N]> {
    if word.len() != 2 * N || !word.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(word.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        Reply { code: 250, lines: vec![text.as_bytes().to_vec()] }
    }

    #[test]
    fn the_one_word_that_is_a_checksum_is_read() {
        let md5 = Way::X(extra::Digest::Md5);
        let crc = Way::X(extra::Digest::Crc);
        let sum = "be82d7c7ec35ddea225e843727f232e3";
        let known = read(md5, &reply(sum));
        assert!(matches!(known, Some(Checksum::Md5([0xbe, 0x82, .., 0xe3]))));
        for text in
            [format!("  {}", sum.to_uppercase()), format!("0-5 {sum} /a b"), format!("{sum} {sum}"), format!("\"{sum}\" {sum}")]
        {
            assert_eq!(read(md5, &reply(&text)), known, "{text}");
        }
        for text in [format!("{sum} {}", sum.replace('b', "c")), format!("{sum}0"), "done".to_owned(), format!("{}zz", &sum[2..])]
        {
            assert_eq!(read(md5, &reply(&text)), None, "{text}");
        }
        assert_eq!(read(crc, &reply("371D88E8")), Some(Checksum::Crc32(0x371d_88e8)));
        assert_eq!(read(crc, &reply("371D88E8 12345678")), None, "which of them?");
    }

    #[test]
    fn the_best_way_that_can_do_it() {
        let hashes =
            Hashes { hash: Some(Hashing::Whole), xsha256: Some(Hashing::Never), xmd5: Some(Hashing::Ranges), xcrc: None };
        assert_eq!(way(hashes, false), Some(Way::Hash));
        assert_eq!(way(hashes, true), Some(Way::X(extra::Digest::Md5)));
        assert_eq!(way(Hashes::default(), false), None);
    }
}
