//! What a server does with names and what it can do besides storing files, as far as it is known.

use super::RelPath;

/// What is known of a server; `None`: not known, and then nothing is concluded from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Abilities {
    /// Names that differ in case only are one.
    pub folds_case: Option<bool>,
    /// Spaces at the start of names are kept.
    pub leading_spaces: Option<bool>,
    /// Spaces at the end of names are kept.
    pub trailing_spaces: Option<bool>,
    /// Control characters in names are kept.
    pub controls: Option<bool>,
    /// Names that are not UTF-8 are kept.
    pub non_utf8: Option<bool>,
    /// Permissions can be set (SITE CHMOD).
    pub chmod: Option<bool>,
    /// Symbolic links can be made (SITE SYMLINK).
    pub symlink: Option<bool>,
    /// A modification time that was set is told again to the second.
    #[serde(default)]
    pub times: Option<bool>,
    /// Files can be copied on the server (SITE CPFR, SITE CPTO).
    #[serde(default)]
    pub copies: Option<bool>,
    /// Bytes inside a file can be written over (REST and STOR), and its checksum is computed.
    #[serde(default)]
    pub patches: Option<bool>,
}

impl Abilities {
    /// Nothing known: of a server that nobody has asked yet.
    pub const UNKNOWN: Self = Self {
        folds_case: None,
        leading_spaces: None,
        trailing_spaces: None,
        controls: None,
        non_utf8: None,
        chmod: None,
        symlink: None,
        times: None,
        copies: None,
        patches: None,
    };

    /// Whether names that differ in case only are known to be one.
    pub fn folds(&self) -> bool {
        self.folds_case == Some(true)
    }

    /// What in `path` this server is known to store as something else, in words.
    pub fn alters(&self, path: &RelPath) -> Option<&'static str> {
        let any = |unfit: fn(&[u8]) -> bool| path.components().any(unfit);
        if self.leading_spaces == Some(false) && any(|name| name.starts_with(b" ")) {
            return Some("this server stores spaces at the start of a name as something else");
        }
        if self.trailing_spaces == Some(false) && any(|name| name.ends_with(b" ")) {
            return Some("this server stores spaces at the end of a name as something else");
        }
        if self.controls == Some(false) && any(|name| name.iter().any(u8::is_ascii_control)) {
            return Some("this server stores control characters in a name as something else");
        }
        if self.non_utf8 == Some(false) && any(|name| std::str::from_utf8(name).is_err()) {
            return Some("this server stores a name that is not UTF-8 as something else");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_altered_is() {
        let names: [&[u8]; 8] = [b" a", b"a ", b"d /x", b"a\tb", b"a\x7f", b"\xff", "\u{e9}".as_bytes(), b"a b"];
        let altered = |abilities: Abilities| -> Vec<usize> {
            let path = |n: &usize| RelPath::new(names[*n]).expect("a valid path");
            (0..names.len()).filter(|n| abilities.alters(&path(n)).is_some()).collect()
        };
        let known = Abilities {
            leading_spaces: Some(true),
            trailing_spaces: Some(true),
            controls: Some(true),
            non_utf8: Some(true),
            ..Abilities::UNKNOWN
        };
        assert_eq!(altered(Abilities::UNKNOWN), [0; 0]);
        assert_eq!(altered(known), [0; 0]);
        assert_eq!(altered(Abilities { leading_spaces: Some(false), ..known }), [0]);
        assert_eq!(altered(Abilities { trailing_spaces: Some(false), ..known }), [1, 2]);
        assert_eq!(altered(Abilities { controls: Some(false), ..known }), [3, 4]);
        assert_eq!(altered(Abilities { non_utf8: Some(false), ..known }), [5]);
    }
}
