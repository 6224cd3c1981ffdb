//! Where to, as people write it: a host, a host and a port, a URL. Pure; asks nobody and connects to nothing.

use towline::config::{Mode, Remote, draft::Question};

/// A server as it was named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// A host name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// How TLS is said to start; nothing is to be found out.
    pub(super) mode: Option<Mode>,
    pub(super) user: Option<String>,
    pub(super) path: Option<String>,
}

/// One way to reach a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) mode: Mode,
    pub(super) port: u16,
}

impl Target {
    /// Reads what a person wrote.
    ///
    /// # Errors
    /// What was expected; a password in it is not repeated.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (mode, rest) = match text.split_once("://") {
            None => (None, text),
            Some((scheme, rest)) => (scheme_mode(scheme)?, rest),
        };
        let (place, path) = match rest.find('/') {
            None => (rest, None),
            Some(at) => (&rest[..at], Some(&rest[at..]).filter(|path| *path != "/")),
        };
        let (user, place) = match place.rsplit_once('@') {
            None => (None, place),
            Some((user, _)) if user.contains(':') => {
                return Err(
                    "a server without a password: everybody on this machine can read a command line; it is asked for, or \
                            taken from --password-file, --password-env, --password-stdin"
                        .to_owned(),
                );
            }
            Some((user, place)) => (Some(user), place),
        };
        if user.into_iter().chain(path).any(|part| part.contains('%')) {
            return Err("a server without % in it: say user and directory with --user and --path".to_owned());
        }
        let (host, port) = split_port(place)?;
        Ok(Self {
            host: Question::Host.fit(host)?,
            port,
            mode,
            user: user.map(|user| Question::User.fit(user)).transpose()?,
            path: path.map(|path| Question::Path.fit(path)).transpose()?,
        })
    }

    /// Where to knock, in order. A server of explicit TLS speaks first, so that waiting for it does no harm; the port of
    /// implicit TLS is silent until it is spoken to.
    pub(super) fn doors(&self) -> Vec<Door> {
        let explicit = Door { mode: Mode::Explicit, port: self.port.unwrap_or(Remote::DEFAULT_PORT) };
        let implicit = Door { mode: Mode::Implicit, port: self.port.unwrap_or(Remote::DEFAULT_IMPLICIT_PORT) };
        match (self.mode, self.port) {
            (Some(Mode::Explicit), _) => vec![explicit],
            (Some(Mode::Implicit), None) | (_, Some(Remote::DEFAULT_IMPLICIT_PORT)) => vec![implicit, explicit],
            _ => vec![explicit, implicit],
        }
    }

    /// A name for the server: the first part of its own that says something.
    pub(super) fn name(&self) -> String {
        let is_address = self.host.contains(':') || self.host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let says = |label: &&str| !matches!(*label, "ftp" | "ftps" | "www" | "");
        let labels: Vec<&str> = self.host.split('.').collect();
        let found = labels.iter().copied().find(says).filter(|_| !is_address);
        found.map_or_else(|| "server".to_owned(), |label| tidy(label, "server"))
    }
}

/// What a scheme says of TLS.
fn scheme_mode(scheme: &str) -> Result<Option<Mode>, String> {
    match scheme.to_ascii_lowercase().as_str() {
        "ftpes" => Ok(Some(Mode::Explicit)),
        "ftps" => Ok(Some(Mode::Implicit)),
        "ftp" => Err("ftps:// or ftpes://, or a host alone: nothing is ever sent without encryption".to_owned()),
        "sftp" | "scp" => Err("an FTPS server; SFTP is another protocol, which Towline does not speak".to_owned()),
        _ => Err("a host, host:port, or a URL such as ftps://ftp.example.com".to_owned()),
    }
}

/// The host and the port behind it, if there is one.
fn split_port(place: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match place.rsplit_once(':') {
        // An address of IPv6 alone.
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => return Ok((place, None)),
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => return Ok((place, None)),
    };
    let digits = Some(port).filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
    match digits.and_then(|port| port.parse().ok()) {
        Some(port @ 1..) => Ok((host, Some(port))),
        _ => Err("a port from 1 to 65535 behind the colon".to_owned()),
    }
}

/// A name for the configuration from a text: what no name can have is left out.
pub(super) fn tidy(text: &str, otherwise: &str) -> String {
    let fits: String = text.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(40).collect();
    let fits = fits.trim_start_matches('.');
    if fits.is_empty() { otherwise.to_owned() } else { fits.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Target {
        Target::parse(text).expect(text)
    }

    #[test]
    fn every_way_to_name_a_server() {
        let plain = |host: &str, port| Target { host: host.to_owned(), port, ..Target::default() };
        assert_eq!(parsed("ftp.example.com"), plain("ftp.example.com", None));
        assert_eq!(parsed(" ftp.example.com:2121 "), plain("ftp.example.com", Some(2121)));
        assert_eq!(parsed("[2001:db8::1]:21"), plain("2001:db8::1", Some(21)));
        assert_eq!(parsed("2001:db8::1"), plain("2001:db8::1", None));
        assert_eq!(parsed("[2001:db8::1]"), plain("2001:db8::1", None));
        let whole = parsed("ftpes://deploy@ftp.example.com:2121/htdocs/");
        assert_eq!((whole.mode, whole.port), (Some(Mode::Explicit), Some(2121)));
        assert_eq!((whole.user.as_deref(), whole.path.as_deref()), (Some("deploy"), Some("/htdocs")));
        assert_eq!(parsed("FTPS://h/"), Target { mode: Some(Mode::Implicit), ..plain("h", None) });
        for (text, said) in [
            ("ftp://h", "without encryption"),
            ("sftp://h", "another protocol"),
            ("http://h", "a URL such as"),
            ("h:0", "a port"),
            ("h:66000", "a port"),
            ("h:x", "a port"),
            ("h h", "a host name"),
            ("ftps://u%40v@h", "--user"),
            ("", "a host name"),
        ] {
            assert!(Target::parse(text).is_err_and(|e| e.contains(said)), "{text}: {:?}", Target::parse(text));
        }
        let said = Target::parse("ftps://u:hunter2@h").expect_err("a password");
        assert!(said.contains("--password-stdin") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn where_to_knock() {
        let doors = |text: &str| -> Vec<_> { parsed(text).doors().iter().map(|door| (door.mode, door.port)).collect() };
        let (explicit, implicit) = (Mode::Explicit, Mode::Implicit);
        assert_eq!(doors("h"), [(explicit, 21), (implicit, 990)]);
        assert_eq!(doors("h:990"), [(implicit, 990), (explicit, 990)]);
        assert_eq!(doors("h:2121"), [(explicit, 2121), (implicit, 2121)]);
        assert_eq!(doors("ftpes://h"), [(explicit, 21)]);
        assert_eq!(doors("ftps://h"), [(implicit, 990), (explicit, 21)]);
        assert_eq!(doors("ftps://h:2121"), [(explicit, 2121), (implicit, 2121)]);
    }

    #[test]
    fn names() {
        for (host, name) in [
            ("ftp.example.com", "example"),
            ("web.example.com", "web"),
            ("ftp", "server"),
            ("192.0.2.7", "server"),
            ("2001:db8::1", "server"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(Target { host: host.to_owned(), ..Target::default() }.name(), name);
        }
        assert_eq!(tidy("My Site (new)", "site"), "MySitenew");
        assert_eq!(tidy("…", "site"), "site");
        assert_eq!(tidy(".hidden", "site"), "hidden");
    }
}
