//! Checksums as servers compute them: to compare a file there with one here without its bytes. The index knows files by
//! [`super::Digest`] instead.

use std::sync::LazyLock;

use md5::Md5;
use sha2::{Digest as _, Sha256};

/// What a checksum is made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// MD5: proof against accidents, not against somebody who means it.
    Md5,
    /// CRC-32 (IEEE 802.3): likewise.
    Crc32,
}

/// A checksum of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// By SHA-256.
    Sha256([u8; 32]),
    /// By MD5.
    Md5([u8; 16]),
    /// By CRC-32.
    Crc32(u32),
}

/// A checksum that is being made.
#[derive(Clone, Debug)]
pub struct Summing(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Md5(Md5),
    Crc32(u32),
}

impl Checksum {
    /// What it was made by.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Md5(_) => Algorithm::Md5,
            Self::Crc32(_) => Algorithm::Crc32,
        }
    }

    /// Of these bytes.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut summing = Summing::new(algorithm);
        summing.update(bytes);
        summing.finish()
    }
}

impl Summing {
    /// Of nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Md5 => State::Md5(Md5::default()),
            Algorithm::Crc32 => State::Crc32(!0),
        })
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Md5(state) => md5::Digest::update(state, bytes),
            State::Crc32(state) => {
                *state = bytes.iter().fold(*state, |sum, byte| (sum >> 8) ^ CRC32[usize::from((sum as u8) ^ byte)]);
            }
        }
    }

    /// The checksum of all that was taken.
    pub fn finish(self) -> Checksum {
        match self.0 {
            State::Sha256(state) => Checksum::Sha256(state.finalize().into()),
            State::Md5(state) => Checksum::Md5(md5::Digest::finalize(state).into()),
            State::Crc32(state) => Checksum::Crc32(!state),
        }
    }
}

static CRC32: LazyLock<[u32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|byte| (0..8).fold(byte as u32, |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 }))
});

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of RFC 6234, RFC 1321 and of the CRC catalogue.
    #[test]
    fn known_sums() {
        let Checksum::Sha256(sha) = Checksum::of(Algorithm::Sha256, b"abc") else { panic!("another algorithm") };
        assert_eq!((sha[..4].to_vec(), sha[31]), (vec![0xba, 0x78, 0x16, 0xbf], 0xad));
        let Checksum::Md5(md5) = Checksum::of(Algorithm::Md5, b"abc") else { panic!("another algorithm") };
        assert_eq!((md5[..4].to_vec(), md5[15]), (vec![0x90, 0x01, 0x50, 0x98], 0x72));
        assert_eq!(Checksum::of(Algorithm::Crc32, b"123456789"), Checksum::Crc32(0xcbf4_3926));
    }

    #[test]
    fn pieces_are_as_good_as_the_whole() {
        for algorithm in [Algorithm::Sha256, Algorithm::Md5, Algorithm::Crc32] {
            let mut summing = Summing::new(algorithm);
            b"some words".chunks(3).for_each(|piece| summing.update(piece));
            assert_eq!(summing.finish(), Checksum::of(algorithm, b"some words"));
        }
    }
}
