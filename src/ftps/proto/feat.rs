//! What a server says it can do: the reply to FEAT (RFC 2389 §3.2); not whether it is true.

use super::Reply;

/// The features that Towline has a use for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// The facts of MLST and MLSD in lower case; `None` when the server has neither (RFC 3659 §7.8).
    pub mlst: Option<Vec<String>>,
    /// MFMT sets a modification time.
    pub mfmt: bool,
    /// MFF sets facts.
    pub mff: bool,
    /// MDTM tells a modification time.
    pub mdtm: bool,
    /// SIZE tells a file's size.
    pub size: bool,
    /// Names are UTF-8 (RFC 2640).
    pub utf8: bool,
    /// EPSV is there.
    pub epsv: bool,
    /// Paths are slash-separated and form a tree (RFC 3659 §6).
    pub tvfs: bool,
    /// REST works in stream mode (RFC 3659 §5).
    pub rest_stream: bool,
    /// The algorithms of HASH, as the server spells them; empty without HASH.
    pub hash: Vec<String>,
    /// SITE commands, in upper case.
    pub site: Vec<String>,
    /// What AUTH may be given, in upper case.
    pub auth: Vec<String>,
}

impl Features {
    /// Reads the reply to FEAT. A negative reply, or a single line, means none; lines that are not known are skipped.
    pub fn of(reply: &Reply) -> Self {
        let mut features = Self::default();
        if !reply.is_positive() || reply.lines.len() < 3 {
            return features;
        }
        for line in &reply.lines[1..reply.lines.len() - 1] {
            let line = String::from_utf8_lossy(line);
            let line = line.trim();
            let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            match name.to_ascii_uppercase().as_str() {
                "MLST" | "MLSD" => {
                    features.mlst.get_or_insert_default().extend(listed(rest).map(str::to_ascii_lowercase));
                }
                "MFMT" => features.mfmt = true,
                "MFF" => features.mff = true,
                "MDTM" => features.mdtm = true,
                "SIZE" => features.size = true,
                "UTF8" => features.utf8 = true,
                "EPSV" => features.epsv = true,
                "TVFS" => features.tvfs = true,
                // A line for each, or `AUTH TLS;TLS-C;SSL;TLS-P;` (Serv-U), or `AUTH TLS;AUTH SSL`.
                "AUTH" => {
                    let words = rest
                        .split(|c: char| c == ';' || c.is_whitespace())
                        .filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case("AUTH"));
                    features.auth.extend(words.map(str::to_ascii_uppercase));
                }
                "REST" => features.rest_stream |= rest.trim().eq_ignore_ascii_case("STREAM"),
                "HASH" => features.hash = listed(rest).map(str::to_owned).collect(),
                // Several lines with one command each, or one with all of them separated by `;` or spaces.
                "SITE" => {
                    let words = rest.split(|c: char| c == ';' || c.is_whitespace()).filter(|word| !word.is_empty());
                    features.site.extend(words.map(str::to_ascii_uppercase));
                }
                _ => {}
            }
        }
        features
    }
}

/// The words between semicolons, without space around them and the asterisk of what is switched on.
fn listed(rest: &str) -> impl Iterator<Item = &str> {
    let words = rest.split(';').map(|word| word.trim_start().trim_end_matches(|c: char| c == '*' || c.is_whitespace()));
    words.filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn features(lines: &[&str]) -> Features {
        let lines = ["Features:"].iter().chain(lines).chain(&["End"]).map(|l| l.as_bytes().to_vec()).collect();
        Features::of(&Reply { code: 211, lines })
    }

    #[test]
    fn proftpd_vsftpd_and_odd_spacing() {
        let proftpd = features(&[
            " MLST modify*;perm*;size*;type*;unique*;",
            " MFMT",
            " SITE MKDIR",
            " SITE UTIME",
            " HASH CRC32;SHA-256*;",
            " REST STREAM",
            " UTF8",
        ]);
        assert_eq!(proftpd.mlst.as_deref(), Some(&["modify", "perm", "size", "type", "unique"].map(str::to_owned)[..]));
        assert!(proftpd.mfmt && proftpd.rest_stream && proftpd.utf8 && !proftpd.epsv);
        assert_eq!(proftpd.site, ["MKDIR", "UTIME"]);
        assert_eq!(proftpd.hash, ["CRC32", "SHA-256"]);
        let vsftpd =
            features(&[" AUTH TLS", " EPRT", " EPSV", " MDTM", " PASV", " PBSZ", " PROT", " REST STREAM", " SIZE", " TVFS"]);
        assert!(vsftpd.mlst.is_none() && vsftpd.epsv && vsftpd.mdtm && vsftpd.size && vsftpd.tvfs && !vsftpd.utf8);
        assert!(features(&["mfmt", "  utf8 "]).mfmt);
    }

    #[test]
    fn what_auth_takes() {
        for lines in [&[" AUTH TLS", " auth ssl"][..], &[" AUTH TLS;SSL;"], &["AUTH TLS;AUTH SSL"], &[" AUTH TLS SSL"]] {
            assert_eq!(features(lines).auth, ["TLS", "SSL"], "{lines:?}");
        }
        assert_eq!(features(&["AUTH"]).auth, [""; 0]);
    }

    #[test]
    fn space_of_every_kind_is_no_part_of_a_word() {
        let odd =
            features(&["\tUTF8", " REST\t STREAM", " MLST Type *; size* ;", " HASH SHA-1; MD5*", " SITE CHMOD;MSG\r UTIME"]);
        assert!(odd.utf8 && odd.rest_stream);
        assert_eq!(odd.mlst.as_deref(), Some(&["type", "size"].map(str::to_owned)[..]));
        assert_eq!(odd.hash, ["SHA-1", "MD5"]);
        assert_eq!(odd.site, ["CHMOD", "MSG", "UTIME"]);
    }

    #[test]
    fn no_features() {
        assert_eq!(Features::of(&Reply { code: 211, lines: vec![b"No features".to_vec()] }), Features::default());
        assert_eq!(Features::of(&Reply { code: 500, lines: vec![b" MFMT".to_vec(); 3] }), Features::default());
    }

    proptest! {
        #[test]
        fn no_lines_make_it_panic(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 1..6)) {
            let _ = Features::of(&Reply { code: 211, lines });
        }
    }
}
