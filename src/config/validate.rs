//! From what is written in one file to values that cannot be wrong. Collects everything that is wrong on the way; what
//! concerns several tables or files is for `merge`.

mod bandwidth;
mod connecting;

use std::{ops::Range, path::Path, path::PathBuf, sync::Arc};

use toml::Spanned;

use super::{
    ClientCertificate, DeleteBudget, Fault, Mirror, Mode, Notify, Origin, PasswordSource, Permissions, Ping, Program, Remote,
    Symlinks, Timeouts, Tls, Trust,
    error::Place,
    file::{
        self, BudgetTable, Document, Field, MirrorTable, NotifyTable, PasswordTable, PermissionsTable, RemoteTable, Table,
        TimeoutsTable, TlsTable, TrashTable, VerifyTable, WordOr, WordOrList,
    },
    layers::Layers,
    value::{self, Bounds, Expected, web::web_address},
};

/// What one file contributes.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Every remote that is named, whether right or not.
    pub(super) names: Vec<(String, Place)>,
    /// The remotes that are right.
    pub(super) remotes: Vec<Remote>,
    /// The mirrors that are right.
    pub(super) mirrors: Vec<PlacedMirror>,
    /// Files that have to be files and not directories, and by which key they are named.
    pub(super) plain_files: Vec<(&'static str, PathBuf, Place)>,
    /// Who is told of states, and where that is written.
    pub(super) notify: Option<(Notify, Place)>,
    /// What is wrong.
    pub(super) faults: Vec<Fault>,
}

/// A mirror and where its parts are written.
#[derive(Debug)]
pub(super) struct PlacedMirror {
    pub(super) mirror: Mirror,
    pub(super) name_at: Place,
    pub(super) remote_at: Place,
    pub(super) path_at: Place,
}

const PASSWORD_HINT: &str = "password = { file = \"web.pass\" }, { command = [\"pass\", \"show\", \"web\"] }, { env = \"WEB_PASS\" }, { credential = \"web\" } or { keyring = \"web\" }";

/// Reads the text of one file, with `layers` over and under its tables.
pub(super) fn part(text: &str, origin: &Origin, layers: &Layers) -> Part {
    let mut reader = Reader { file: origin.file.as_path().into(), text, layers, origin, part: Part::default() };
    match file::read(text, layers) {
        Ok(document) => reader.document(document),
        Err(malformed) => {
            let fault = Fault::new(&reader.place(&malformed.span), malformed.message);
            reader.part.faults.push(fault);
        }
    }
    reader.part
}

/// Values that are read, faults that are found. A method that returns `None` has noted why.
struct Reader<'a> {
    file: Arc<Path>,
    text: &'a str,
    layers: &'a Layers,
    origin: &'a Origin,
    part: Part,
}

impl<'a> Reader<'a> {
    fn document(&mut self, document: Document) {
        for (name, table) in document.remote {
            let place = self.place(&name.span());
            let span = name.span();
            let Some(name) = self.check("the name of a remote", name, value::name) else { continue };
            self.part.names.push((name.clone(), place));
            if let Some(remote) = self.remote(name, table.0, &span) {
                self.part.remotes.push(remote);
            }
        }
        for table in document.mirror {
            let span = table.span();
            if let Some(mirror) = self.mirror(table.into_inner().0, &span) {
                self.part.mirrors.push(mirror);
            }
        }
        if let Some(table) = document.notify {
            let place = self.place(&table.span());
            self.part.notify = self.notify(table.into_inner().0).map(|notify| (notify, place));
        }
    }

    fn notify(&mut self, table: NotifyTable) -> Option<Notify> {
        let (origin, default) = (self.origin, Notify::default());
        let program = |words| value::command(words, origin).map(Program);
        let command = self.optional("command", table.command, None, |words| program(words).map(Some));
        let webhook = self.optional("webhook", table.webhook, None, |text| web_address(&text).map(Some));
        let ping = self.optional("ping", table.ping, None, |ping| match ping {
            WordOrList::Word(text) => web_address(&text).map(|address| Some(Ping::Web(address))),
            WordOrList::List(words) => program(words).map(|program| Some(Ping::Program(program))),
        });
        let after = self.optional("after", table.after, default.after, |text| value::duration(&text, &Bounds::NOTIFY));
        let every =
            self.optional("ping_every", table.ping_every, default.ping_every, |text| value::duration(&text, &Bounds::NOTIFY));
        Some(Notify { command: command?, webhook: webhook?, after: after?, ping: ping?, ping_every: every? })
    }

    fn remote(&mut self, name: String, table: RemoteTable, at: &Range<usize>) -> Option<Remote> {
        let host = self.required("host", table.host, at, value::host);
        let mode = self.optional("mode", table.mode, Mode::default(), |text| value::mode(&text));
        let usual = match mode {
            Some(Mode::Implicit) => Remote::DEFAULT_IMPLICIT_PORT,
            _ => Remote::DEFAULT_PORT,
        };
        let port = self.optional("port", table.port, usual, |n| value::number(n, 1, 65_535));
        let connecting = self.connecting(table.data, table.active, table.proxy);
        let user = self.required("user", table.user, at, value::user);
        let password = self.password(table.password, at);
        let connections =
            self.optional("connections", table.connections, Remote::DEFAULT_CONNECTIONS, |n| value::number(n, 1, 32));
        let bandwidth = self.bandwidth(table.bandwidth);
        let tls = self.tls(table.tls.0);
        let timeouts = self.timeouts(table.timeouts.0);
        let (data, proxy) = connecting?;
        Some(Remote {
            name,
            host: host?,
            port: port?,
            mode: mode?,
            data,
            proxy,
            user: user?,
            password: password?,
            connections: connections?,
            bandwidth: bandwidth?,
            tls: tls?,
            timeouts: timeouts?,
        })
    }

    fn password(&mut self, table: Field<Table<PasswordTable>>, at: &Range<usize>) -> Option<PasswordSource> {
        let Some(table) = table else {
            let fault = Fault::new(&self.place(at), "`password` is missing");
            self.part.faults.push(fault.with_hint(PASSWORD_HINT));
            return None;
        };
        self.password_source("password", table)
    }

    fn password_source(&mut self, key: &'static str, table: Spanned<Table<PasswordTable>>) -> Option<PasswordSource> {
        let at = table.span();
        let origin = self.origin(&at);
        match table.into_inner().0 {
            PasswordTable { file: Some(file), command: None, env: None, credential: None, keyring: None } => {
                self.check("file", file, |text| value::local_path(&text, origin)).map(PasswordSource::File)
            }
            PasswordTable { file: None, command: Some(words), env: None, credential: None, keyring: None } => {
                self.check("command", words, |words| value::command(words, origin)).map(PasswordSource::Command)
            }
            PasswordTable { file: None, command: None, env: Some(name), credential: None, keyring: None } => {
                self.check("env", name, value::variable).map(PasswordSource::Env)
            }
            PasswordTable { file: None, command: None, env: None, credential: Some(name), keyring: None } => {
                self.check("credential", name, value::credential).map(PasswordSource::Credential)
            }
            PasswordTable { file: None, command: None, env: None, credential: None, keyring: Some(name) } => {
                self.check("keyring", name, value::in_keyring).map(PasswordSource::Keyring)
            }
            _ => {
                let message = format!("{key}: expected exactly one of `file`, `command`, `env`, `credential`, `keyring`");
                let fault = Fault::new(&self.place(&at), message);
                self.part.faults.push(fault.with_hint(PASSWORD_HINT));
                None
            }
        }
    }

    fn tls(&mut self, table: TlsTable) -> Option<Tls> {
        let origin = table.ca.as_ref().map_or(self.origin, |ca| self.origin(&ca.span()));
        let ca = self.optional("ca", table.ca, None, |text| value::local_path(&text, origin).map(Some));
        let client = self.client(table.client_cert, table.client_key, table.client_key_password);
        let written = table.pin.len();
        let pins: Vec<_> = table.pin.into_iter().filter_map(|pin| self.check("pin", pin, |text| value::pin(&text))).collect();
        let all_pins = pins.len() == written;
        let trust_at = table.trust.as_ref().map(|trust| self.place(&trust.span()));
        let trust = self.optional("trust", table.trust, Trust::default(), |text| value::trust(&text));
        if let (Some(Trust::Pin), Some(at), 0) = (trust, trust_at, written) {
            let fault = Fault::new(&at, "trust: \"pin\" needs at least one pin");
            self.part.faults.push(fault.with_hint("add pin = [\"sha256/...\"], the SHA-256 of the certificate's public key"));
            return None;
        }
        let server_name = self.optional("server_name", table.server_name, None, |text| value::host(text).map(Some));
        let min = self.optional("min", table.min, super::TlsVersion::default(), |text| value::tls_version(&text));
        all_pins.then_some(Tls { ca: ca?, pins, trust: trust?, server_name: server_name?, min: min?, client: client? })
    }

    /// A certificate of our own, if there is one.
    fn client(
        &mut self,
        cert: Field<String>,
        key: Field<String>,
        password: Field<Table<PasswordTable>>,
    ) -> Option<Option<ClientCertificate>> {
        let Some(cert) = cert else {
            let alone = key.map(|key| ("client_key", key.span()));
            let alone = alone.or(password.map(|password| ("client_key_password", password.span())));
            return match alone {
                None => Some(None),
                Some((key, at)) => {
                    let fault = Fault::new(&self.place(&at), format!("{key}: expected `client_cert` beside it"));
                    self.part
                        .faults
                        .push(fault.with_hint("add client_cert = \"me.pem\", the certificate that belongs to the key"));
                    None
                }
            };
        };
        let cert = self.plain_file("client_cert", cert);
        let key = match key {
            Some(key) => self.plain_file("client_key", key),
            None => cert.clone(),
        };
        let key_password = match password {
            Some(table) => self.password_source("client_key_password", table).map(Some),
            None => Some(None),
        };
        Some(Some(ClientCertificate { cert: cert?, key: key?, key_password: key_password? }))
    }

    /// A path that must not be a directory's, which is seen when all files are read.
    fn plain_file(&mut self, key: &'static str, field: Spanned<String>) -> Option<PathBuf> {
        let (at, origin) = (self.place(&field.span()), self.origin(&field.span()));
        let path = self.check(key, field, |text| value::local_path(&text, origin))?;
        self.part.plain_files.push((key, path.clone(), at));
        Some(path)
    }

    fn timeouts(&mut self, table: TimeoutsTable) -> Option<Timeouts> {
        let default = Timeouts::default();
        let check = |text: String| value::duration(&text, &Bounds::TIMEOUT);
        let connect = self.optional("connect", table.connect, default.connect, check);
        let reply = self.optional("reply", table.reply, default.reply, check);
        let stall = self.optional("stall", table.stall, default.stall, check);
        Some(Timeouts { connect: connect?, reply: reply?, stall: stall? })
    }

    fn mirror(&mut self, table: MirrorTable, at: &Range<usize>) -> Option<PlacedMirror> {
        let origin = self.origin;
        let [name_at, remote_at, path_at] = [&table.name, &table.remote, &table.path]
            .map(|field| self.place(&field.as_ref().map_or_else(|| at.clone(), Spanned::span)));
        let name = self.required("name", table.name, at, value::name);
        let source = self.required("source", table.source, at, |text| value::local_path(&text, origin));
        // That it is the name of a remote is seen when all files are read.
        let remote = self.required("remote", table.remote, at, Ok);
        let path = self.required("path", table.path, at, value::remote_path);
        let ignore = self.patterns("ignore", table.ignore);
        let append = self.patterns("append", table.append);
        let quiet = self.optional("quiet", table.quiet, Mirror::DEFAULT_QUIET, |text| value::duration(&text, &Bounds::QUIET));
        let full_scan = self
            .optional("full_scan", table.full_scan, Mirror::DEFAULT_FULL_SCAN, |text| value::duration(&text, &Bounds::FULL_SCAN));
        let delete = self.optional("delete", table.delete, super::Delete::default(), |text| value::delete(&text));
        let trash = self.trash(table.trash.0);
        let delete_budget = self.budget(table.delete_budget.0);
        let drift = self.optional("drift", table.drift, super::Drift::default(), |text| value::drift(&text));
        let publish = self.optional("publish", table.publish, super::Publish::default(), |text| value::publish(&text));
        let scan = self.optional("scan", table.scan, super::Scan::default(), |text| value::scan(&text));
        let verify = self.verify(table.verify.0);
        let symlinks = self.optional("symlinks", table.symlinks, Symlinks::default(), |text| value::symlinks(&text));
        let permissions = self.permissions(table.permissions);
        let mirror = Mirror {
            name: name?,
            source: source?,
            remote: remote?,
            path: path?,
            ignore: ignore?,
            append: append?,
            quiet: quiet?,
            full_scan: full_scan?,
            delete: delete?,
            trash: trash?,
            delete_budget: delete_budget?,
            drift: drift?,
            publish: publish?,
            scan: scan?,
            verify: verify?,
            symlinks: symlinks?,
            permissions: permissions?,
        };
        Some(PlacedMirror { mirror, name_at, remote_at, path_at })
    }

    fn patterns(&mut self, key: &'static str, lines: Vec<Spanned<String>>) -> Option<Vec<String>> {
        let count = lines.len();
        let patterns: Vec<_> = lines.into_iter().filter_map(|line| self.check(key, line, value::pattern)).collect();
        (patterns.len() == count).then_some(patterns)
    }

    fn trash(&mut self, table: TrashTable) -> Option<super::Trash> {
        let default = super::Trash::default();
        let days = self.optional("days", table.days, default.days, |n| value::number(n, 1, 3650));
        let size = self.optional("size", table.size, default.size, |text| value::size(&text));
        let versions = self.optional("versions", table.versions, default.versions, |text| value::versions(&text));
        Some(super::Trash { days: days?, size: size?, versions: versions? })
    }

    fn verify(&mut self, table: VerifyTable) -> Option<super::Verify> {
        let default = super::Verify::default();
        let every = self.optional("every", table.every, default.every, |text| value::interval(&text, &Bounds::VERIFY));
        let read_back = self.optional("read_back", table.read_back, default.read_back, |text| value::size(&text));
        Some(super::Verify { every: every?, read_back: read_back? })
    }

    fn budget(&mut self, table: BudgetTable) -> Option<DeleteBudget> {
        let default = DeleteBudget::default();
        let files = self.optional("files", table.files, default.files, |n| value::number(n, 0, i64::from(u32::MAX)));
        let percent = self.optional("percent", table.percent, default.percent, |n| value::number(n, 0, 100));
        Some(DeleteBudget { files: files?, percent: percent? })
    }

    fn permissions(&mut self, field: Field<WordOr<PermissionsTable>>) -> Option<Permissions> {
        let Some(field) = field else { return Some(Permissions::default()) };
        let span = field.span();
        match field.into_inner() {
            WordOr::Word(word) => self.check("permissions", Spanned::new(span, word), |text| value::permissions(&text)),
            WordOr::Table(PermissionsTable { files, directories }) => {
                let files = self.optional("files", files, None, |text| value::octal(&text, 0).map(Some));
                // Towline itself has to get into the directories that it makes.
                let directories = self.optional("directories", directories, None, |text| value::octal(&text, 0o700).map(Some));
                Some(Permissions::Fixed { files: files?, directories: directories? })
            }
        }
    }

    /// The value of a key that has to be there; `table` is where it is missed.
    fn required<T, U>(
        &mut self,
        key: &'static str,
        field: Field<T>,
        table: &Range<usize>,
        check: impl FnOnce(T) -> Result<U, Expected>,
    ) -> Option<U> {
        match field {
            Some(field) => self.check(key, field, check),
            None => {
                self.part.faults.push(Fault::new(&self.place(table), format!("`{key}` is missing")));
                None
            }
        }
    }

    /// The value of a key, or `default` where it is left out.
    fn optional<T, U>(
        &mut self,
        key: &'static str,
        field: Field<T>,
        default: U,
        check: impl FnOnce(T) -> Result<U, Expected>,
    ) -> Option<U> {
        match field {
            Some(field) => self.check(key, field, check),
            None => Some(default),
        }
    }

    fn check<T, U>(&mut self, key: &str, field: Spanned<T>, check: impl FnOnce(T) -> Result<U, Expected>) -> Option<U> {
        let span = field.span();
        check(field.into_inner())
            .map_err(|Expected(words)| {
                self.part.faults.push(Fault::new(&self.place(&span), format!("{key}: expected {words}")));
            })
            .ok()
    }

    /// What a relative path that is written there is relative to.
    fn origin(&self, span: &Range<usize>) -> &'a Origin {
        self.layers.origin(span.start).unwrap_or(self.origin)
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let own = || Place::new(&self.file, self.text.as_bytes(), span.start);
        self.layers.place(span.start).unwrap_or_else(own)
    }
}
