//! What single values may be. Pure: a value goes in, what it means or what was expected comes out; where it stood is not
//! known here. What was expected never holds what was found.

pub(super) mod bandwidth;
pub(super) mod web;

use std::{borrow::Cow, net::IpAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use base64::Engine as _;
use ignore::gitignore::GitignoreBuilder;
use jiff::{SpanRelativeTo, fmt::friendly::SpanParser};

use super::{
    DataMode, Delete, Drift, Mode, Origin, Permissions, ProxyKind, Publish, Scan, Symlinks, TlsVersion, Trust, Versions,
};
use crate::model::RelPath;

/// What a value should have been: the end of a sentence that begins with "expected".
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expected(pub(super) Cow<'static, str>);

/// The longest login name: it has to fit into a command line.
const MAX_USER: usize = 255;
/// The longest host name (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;
/// The longest name of a mirror or remote; it becomes part of file names.
const MAX_NAME: usize = 64;
/// The longest path on a server, as on Linux.
const MAX_PATH: usize = 4096;

/// Name of a mirror or a remote.
pub(super) fn name(text: String) -> Result<String, Expected> {
    let fits = (1..=MAX_NAME).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if fits { Ok(text) } else { Err("1 to 64 letters, digits, `.`, `_` or `-`, not starting with `.`".into()) }
}

/// A host name or an address; IPv6 with or without brackets, which are taken off.
pub(super) fn host(text: String) -> Result<String, Expected> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
    if let Ok(address) = bare.parse::<IpAddr>()
        && (address.is_ipv6() || bare.len() == text.len())
    {
        return Ok(bare.to_owned());
    }
    let labels = text.strip_suffix('.').unwrap_or(&text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if labels.len() <= MAX_HOST && labels.split('.').all(label) {
        Ok(text)
    } else {
        Err("a host name (an international one as xn--...) or an address, without scheme, port or path".into())
    }
}

/// `host:port`, for a proxy; IPv6 in brackets.
pub(super) fn place(text: &str) -> Result<(String, u16), Expected> {
    let expected = || Expected::from("a host name or an address (IPv6 in brackets), a colon and a port");
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    let bare_ipv6 = host.contains(':') && !host.starts_with('[');
    let port = Some(port).filter(|port| port.bytes().all(|b| b.is_ascii_digit())).and_then(|port| port.parse().ok());
    match (self::host(host.to_owned()), port) {
        (Ok(host), Some(port @ 1..)) if !bare_ipv6 => Ok((host, port)),
        _ => Err(expected()),
    }
}

/// `"explicit"` or `"implicit"`.
pub(super) fn mode(text: &str) -> Result<Mode, Expected> {
    match text {
        "explicit" => Ok(Mode::Explicit),
        "implicit" => Ok(Mode::Implicit),
        "plain" | "plaintext" | "clear" | "cleartext" | "ftp" | "none" | "off" | "no" | "insecure" => {
            Err("\"explicit\" or \"implicit\"; there is no mode without encryption, since anybody on the way could read the \
                 password and change files: let the server's administrator enable TLS"
                .into())
        }
        "auto" | "opportunistic" | "try" | "allow" | "optional" | "prefer" => {
            Err("\"explicit\" or \"implicit\"; encryption is not tried and then left, since whoever is on the way decides then: \
                 port 21 is explicit and port 990 implicit, as a rule"
                .into())
        }
        _ => Err("\"explicit\" (AUTH TLS; port 21 as a rule) or \"implicit\" (TLS at once; port 990 as a rule)".into()),
    }
}

/// `"passive"`, `"epsv"`, `"pasv"` or `"active"`.
pub(super) fn data(text: &str) -> Result<DataMode, Expected> {
    match text {
        "passive" => Ok(DataMode::Passive),
        "epsv" => Ok(DataMode::Epsv),
        "pasv" => Ok(DataMode::Pasv),
        "active" => Ok(DataMode::Active { ports: None, address: None }),
        _ => Err("\"passive\", \"epsv\", \"pasv\" or \"active\"".into()),
    }
}

/// The ports that a server may connect to: `50000-50100`, or one.
pub(super) fn ports(text: &str) -> Result<RangeInclusive<u16>, Expected> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        let text = text.trim();
        Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| text.parse::<u16>().ok())
    };
    match (number(low), number(high)) {
        // Servers do not connect to ports below (RFC 2577 §3).
        (Some(low @ 1024..), Some(high)) if low <= high => Ok(low..=high),
        _ => Err("ports from 1024 to 65535, such as \"50000-50100\"".into()),
    }
}

/// An address that a server can connect to.
pub(super) fn address(text: &str) -> Result<IpAddr, Expected> {
    let fits = |address: &IpAddr| !(address.is_unspecified() || address.is_multicast());
    text.parse().ok().filter(fits).ok_or_else(|| "the address at which the server gets through to this machine".into())
}

/// A whole number within bounds.
pub(super) fn number<T: TryFrom<i64>>(value: i64, min: i64, max: i64) -> Result<T, Expected> {
    let expected = || Expected(format!("a number from {min} to {max}").into());
    if (min..=max).contains(&value) { T::try_from(value).map_err(|_| expected()) } else { Err(expected()) }
}

/// A login name.
pub(super) fn user(text: String) -> Result<String, Expected> {
    let fits = (1..=MAX_USER).contains(&text.len()) && !text.contains(['\r', '\n', '\0']);
    if fits { Ok(text) } else { Err("a login name of 1 to 255 bytes without line breaks or NUL".into()) }
}

/// The name of an account on a proxy.
pub(super) fn proxy_user(text: String, kind: ProxyKind) -> Result<String, Expected> {
    if kind == ProxyKind::Http && text.contains(':') {
        return Err("a name without a colon, which HTTP cannot carry (RFC 7617)".into());
    }
    user(text)
}

/// `sha256/BASE64`.
pub(super) fn pin(text: &str) -> Result<[u8; 32], Expected> {
    text.strip_prefix("sha256/")
        .and_then(|digest| base64::engine::general_purpose::STANDARD.decode(digest).ok())
        .and_then(|digest| digest.try_into().ok())
        .ok_or("\"sha256/\" and the 44 characters of the public key's SHA-256 in base64".into())
}

/// `"chain"` or `"pin"`.
pub(super) fn trust(text: &str) -> Result<Trust, Expected> {
    match text {
        "chain" => Ok(Trust::Chain),
        "pin" => Ok(Trust::Pin),
        _ => Err("\"chain\" or \"pin\"".into()),
    }
}

/// `"1.2"` or `"1.3"`.
pub(super) fn tls_version(text: &str) -> Result<TlsVersion, Expected> {
    match text {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        _ => Err("\"1.2\" or \"1.3\"".into()),
    }
}

/// `"remove"`.
pub(super) fn delete(text: &str) -> Result<Delete, Expected> {
    match text {
        "trash" => Ok(Delete::Trash),
        "remove" => Ok(Delete::Remove),
        "keep" => Ok(Delete::Keep),
        _ => Err("\"trash\", \"remove\" or \"keep\"".into()),
    }
}

/// `"copied"`, `"always"` or `"never"`.
pub(super) fn versions(text: &str) -> Result<Versions, Expected> {
    match text {
        "copied" => Ok(Versions::Copied),
        "always" => Ok(Versions::Always),
        "never" => Ok(Versions::Never),
        _ => Err("\"copied\", \"always\" or \"never\"".into()),
    }
}

/// `"keep-remote"`, `"keep-both"` or `"overwrite"`.
pub(super) fn drift(text: &str) -> Result<Drift, Expected> {
    match text {
        "keep-remote" => Ok(Drift::KeepRemote),
        "keep-both" => Ok(Drift::KeepBoth),
        "overwrite" => Ok(Drift::Overwrite),
        _ => Err("\"keep-remote\", \"keep-both\" or \"overwrite\"".into()),
    }
}

/// `"each"` or `"together"`.
pub(super) fn publish(text: &str) -> Result<Publish, Expected> {
    match text {
        "each" => Ok(Publish::Each),
        "together" => Ok(Publish::Together),
        _ => Err("\"each\" or \"together\"".into()),
    }
}

/// `"background"` or `"normal"`.
pub(super) fn scan(text: &str) -> Result<Scan, Expected> {
    match text {
        "background" => Ok(Scan::Background),
        "normal" => Ok(Scan::Normal),
        _ => Err("\"background\" or \"normal\"".into()),
    }
}

/// A number of bytes as people write it: `500MiB`, `10 GB`.
pub(super) fn size(text: &str) -> Result<u64, Expected> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim_start().to_ascii_lowercase().as_str() {
        "b" => Some(1),
        "kb" => Some(1_000),
        "kib" => Some(1 << 10),
        "mb" => Some(1_000_000),
        "mib" => Some(1 << 20),
        "gb" => Some(1_000_000_000),
        "gib" => Some(1 << 30),
        "tb" => Some(1_000_000_000_000),
        "tib" => Some(1 << 40),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    bytes.filter(|bytes| *bytes <= i64::MAX.cast_unsigned()).ok_or("a size, as in 500MiB or 10GB".into())
}

/// `"skip"`, `"follow"` or `"link"`.
pub(super) fn symlinks(text: &str) -> Result<Symlinks, Expected> {
    match text {
        "skip" => Ok(Symlinks::Skip),
        "follow" => Ok(Symlinks::Follow),
        "link" => Ok(Symlinks::Link),
        _ => Err("\"skip\", \"follow\" or \"link\"".into()),
    }
}

/// `"server"` or `"keep"`.
pub(super) fn permissions(text: &str) -> Result<Permissions, Expected> {
    match text {
        "server" => Ok(Permissions::Server),
        "keep" => Ok(Permissions::Keep),
        _ => Err("\"server\", \"keep\" or { files = \"0644\", directories = \"0755\" }".into()),
    }
}

/// Three octal digits, with or without a zero in front, among which are the bits `needed`.
pub(super) fn octal(text: &str, needed: u16) -> Result<u16, Expected> {
    let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text);
    let octal = digits.len() == 3 && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let bits = octal.then(|| u16::from_str_radix(digits, 8).ok()).flatten();
    bits.filter(|bits| bits & needed == needed).ok_or_else(|| match needed {
        0 => "three octal digits, such as \"0644\"".into(),
        _ => "three octal digits, such as \"0755\", of which the first is 7".into(),
    })
}

/// What a duration may be, and how to say so.
pub(super) struct Bounds {
    min: Duration,
    max: Duration,
    words: &'static str,
}

impl Bounds {
    /// Any wait on the network.
    pub(super) const TIMEOUT: Self = Self {
        min: Duration::from_secs(1),
        max: Duration::from_secs(10 * 60),
        words: "a duration from 1s to 10m, such as \"30s\"",
    };
    /// The quiet window.
    pub(super) const QUIET: Self = Self {
        min: Duration::from_millis(10),
        max: Duration::from_secs(60 * 60),
        words: "a duration from 10ms to 1h, such as \"200ms\"",
    };
    /// The interval in which everything on the server is proven.
    pub(super) const VERIFY: Self = Self {
        min: Duration::from_secs(1),
        max: Duration::from_secs(3650 * 24 * 60 * 60),
        words: "a duration from 1s to 3650d, such as \"30d\", or \"never\"",
    };
    /// What concerns the telling of states.
    pub(super) const NOTIFY: Self = Self {
        min: Duration::from_secs(1),
        max: Duration::from_secs(24 * 60 * 60),
        words: "a duration from 1s to 24h, such as \"5m\"",
    };
    /// The interval of full scans.
    pub(super) const FULL_SCAN: Self = Self {
        min: Duration::from_secs(10),
        max: Duration::from_secs(30 * 24 * 60 * 60),
        words: "a duration from 10s to 30d, such as \"1h\"",
    };
}

/// A duration as people write it: `200ms`, `1h 30m`, `2 days`. A day has 24 hours.
pub(super) fn duration(text: &str, bounds: &Bounds) -> Result<Duration, Expected> {
    static PARSER: SpanParser = SpanParser::new();
    PARSER
        .parse_span(text)
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| (bounds.min..=bounds.max).contains(duration))
        .ok_or(bounds.words.into())
}

/// A duration, or `"never"`.
pub(super) fn interval(text: &str, bounds: &Bounds) -> Result<Option<Duration>, Expected> {
    if text == "never" { Ok(None) } else { duration(text, bounds).map(Some) }
}

/// A path here: absolute, or below the home directory, or relative to the configuration file.
pub(super) fn local_path(text: &str, origin: &Origin) -> Result<PathBuf, Expected> {
    if text.is_empty() || text.contains('\0') {
        return Err("a path".into());
    }
    let path = match text.strip_prefix('~') {
        None => origin.file.parent().unwrap_or(&origin.file).join(text),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => match &origin.home {
            Some(home) => home.join(rest.trim_start_matches('/')),
            None => return Err("an absolute path, since there is no home directory that `~` could stand for".into()),
        },
        Some(_) => return Err("a path; of `~`, only `~` and `~/...` are understood (a file of that name is `./~...`)".into()),
    };
    // Drops `.` and doubled slashes. `..` stays: what it means depends on symlinks.
    let path: PathBuf = path.components().collect();
    if path.is_absolute() { Ok(path) } else { Err("an absolute path, since the directory of this file is not known".into()) }
}

/// A directory on a server, without a slash behind unless it is the root.
pub(super) fn remote_path(mut text: String) -> Result<String, Expected> {
    // Not of `//`, which is no way to write `/`.
    if text.len() > 2 && text.ends_with('/') {
        text.pop();
    }
    let fits = text.len() <= MAX_PATH && !text.contains(['\r', '\n', '\0']) && is_absolute_remote(&text);
    if fits {
        Ok(text)
    } else {
        Err("an absolute path on the server such as \"/htdocs\", without `.`, `..`, doubled slashes, line breaks or NUL".into())
    }
}

fn is_absolute_remote(text: &str) -> bool {
    match text.strip_prefix('/') {
        Some("") => true,
        Some(rest) => RelPath::new(rest).is_ok(),
        None => false,
    }
}

/// A line of gitignore syntax.
pub(super) fn pattern(text: String) -> Result<String, Expected> {
    let fits = !text.contains(['\r', '\n', '\0']) && GitignoreBuilder::new("/").add_line(None, &text).is_ok();
    if fits { Ok(text) } else { Err("a line in gitignore syntax".into()) }
}

/// The name of an environment variable.
pub(super) fn variable(text: String) -> Result<String, Expected> {
    let fits = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits { Ok(text) } else { Err("the name of an environment variable: letters, digits and `_`".into()) }
}

/// The name of a systemd credential.
pub(super) fn credential(text: String) -> Result<String, Expected> {
    let fits = (1..=255).contains(&text.len())
        && !matches!(text.as_str(), "." | "..")
        && text.bytes().all(|b| b != b'/' && !b.is_ascii_control());
    if fits { Ok(text) } else { Err("the name of a credential: a file name without slashes".into()) }
}

/// The name of a password in a keyring: a word for every program that may be asked.
pub(super) fn in_keyring(text: String) -> Result<String, Expected> {
    let fits = (1..=255).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b));
    if fits { Ok(text) } else { Err("the name of a password in the keyring: letters, digits and `.`, `_`, `@`, `-`".into()) }
}

/// A program and its arguments. A program with a slash in it is a path like any other in the configuration.
pub(super) fn command(mut words: Vec<String>, origin: &Origin) -> Result<Vec<String>, Expected> {
    const EXPECTED: &str = "a program and its arguments, such as [\"pass\", \"show\", \"web\"]";
    if words.iter().any(|word| word.contains('\0')) {
        return Err(EXPECTED.into());
    }
    let Some(program) = words.first_mut().filter(|program| !program.is_empty()) else { return Err(EXPECTED.into()) };
    if program.contains('/') {
        let path = local_path(program, origin)?;
        *program = path.into_os_string().into_string().map_err(|_| Expected("a path in UTF-8".into()))?;
    }
    Ok(words)
}

impl From<&'static str> for Expected {
    fn from(words: &'static str) -> Self {
        Self(words.into())
    }
}

#[cfg(test)]
mod tests;
