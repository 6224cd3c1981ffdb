//! The TOML as it is written: every key that may occur and the type of its value. Whether a value makes sense is decided in
//! `validate`. Errors of the TOML parser pass through here and leave without the text that it would repeat.

use std::{collections::BTreeMap, fmt, marker::PhantomData, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use toml::{Spanned, de::DeTable};

use super::{layers::Layers, suggest};

/// A key that may be left out, and where its value is.
pub(super) type Field<T> = Option<Spanned<T>>;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    pub(super) remote: BTreeMap<Spanned<String>, Table<RemoteTable>>,
    #[serde(default)]
    pub(super) mirror: Vec<Spanned<Table<MirrorTable>>>,
    /// Only looked at for its form: what is in it counts in remotes and mirrors.
    #[serde(default)]
    #[expect(dead_code, reason = "it is read by `layers`")]
    pub(super) defaults: Table<DefaultsTable>,
    pub(super) notify: Option<Spanned<Table<NotifyTable>>>,
}

/// `[notify]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotifyTable {
    pub(super) command: Field<Vec<String>>,
    pub(super) webhook: Field<String>,
    pub(super) after: Field<String>,
    pub(super) ping: Field<WordOrList>,
    pub(super) ping_every: Field<String>,
}

/// `[defaults]`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DefaultsTable {
    #[serde(default)]
    #[expect(dead_code, reason = "it is read by `layers`")]
    pub(super) remote: Table<RemoteTable>,
    #[serde(default)]
    #[expect(dead_code, reason = "it is read by `layers`")]
    pub(super) mirror: Table<MirrorTable>,
}

/// `[remote.NAME]`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoteTable {
    pub(super) host: Field<String>,
    pub(super) port: Field<i64>,
    pub(super) mode: Field<String>,
    pub(super) data: Field<String>,
    pub(super) active: Field<Table<ActiveTable>>,
    pub(super) proxy: Field<Table<ProxyTable>>,
    pub(super) user: Field<String>,
    pub(super) password: Field<Table<PasswordTable>>,
    pub(super) connections: Field<i64>,
    pub(super) bandwidth: Field<WordOr<BandwidthTable>>,
    #[serde(default)]
    pub(super) tls: Table<TlsTable>,
    #[serde(default)]
    pub(super) timeouts: Table<TimeoutsTable>,
}

/// `password = { ... }`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordTable {
    pub(super) file: Field<String>,
    pub(super) command: Field<Vec<String>>,
    pub(super) env: Field<String>,
    pub(super) credential: Field<String>,
    pub(super) keyring: Field<String>,
}

/// `active = { ... }`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActiveTable {
    pub(super) ports: Field<String>,
    pub(super) address: Field<String>,
}

/// `proxy = { ... }`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProxyTable {
    pub(super) socks5: Field<String>,
    pub(super) http: Field<String>,
    pub(super) user: Field<String>,
    pub(super) password: Field<Table<PasswordTable>>,
}

/// `bandwidth = { ... }`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BandwidthTable {
    pub(super) limit: Field<String>,
    #[serde(default)]
    pub(super) at: Vec<Spanned<Table<HoursTable>>>,
}

/// `bandwidth.at = [{ ... }]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoursTable {
    pub(super) days: Field<String>,
    pub(super) from: Field<String>,
    pub(super) to: Field<String>,
    pub(super) limit: Field<String>,
}

/// `[remote.NAME.tls]`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsTable {
    pub(super) ca: Field<String>,
    #[serde(default)]
    pub(super) pin: Vec<Spanned<String>>,
    pub(super) trust: Field<String>,
    pub(super) server_name: Field<String>,
    pub(super) min: Field<String>,
    pub(super) client_cert: Field<String>,
    pub(super) client_key: Field<String>,
    pub(super) client_key_password: Field<Table<PasswordTable>>,
}

/// `[remote.NAME.timeouts]`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeoutsTable {
    pub(super) connect: Field<String>,
    pub(super) reply: Field<String>,
    pub(super) stall: Field<String>,
}

/// `[[mirror]]`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MirrorTable {
    pub(super) name: Field<String>,
    pub(super) source: Field<String>,
    pub(super) remote: Field<String>,
    pub(super) path: Field<String>,
    #[serde(default)]
    pub(super) ignore: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) append: Vec<Spanned<String>>,
    pub(super) quiet: Field<String>,
    pub(super) full_scan: Field<String>,
    pub(super) delete: Field<String>,
    #[serde(default)]
    pub(super) trash: Table<TrashTable>,
    #[serde(default)]
    pub(super) delete_budget: Table<BudgetTable>,
    pub(super) drift: Field<String>,
    pub(super) publish: Field<String>,
    pub(super) scan: Field<String>,
    #[serde(default)]
    pub(super) verify: Table<VerifyTable>,
    pub(super) symlinks: Field<String>,
    pub(super) permissions: Field<WordOr<PermissionsTable>>,
}

/// `permissions = { ... }`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PermissionsTable {
    pub(super) files: Field<String>,
    pub(super) directories: Field<String>,
}

/// `trash = { ... }`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrashTable {
    pub(super) days: Field<i64>,
    pub(super) size: Field<String>,
    pub(super) versions: Field<String>,
}

/// `verify = { ... }`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyTable {
    pub(super) every: Field<String>,
    pub(super) read_back: Field<String>,
}

/// `delete_budget = { ... }`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetTable {
    pub(super) files: Field<i64>,
    pub(super) percent: Field<i64>,
}

/// A fault of the text's form: where, and what to say of it.
pub(super) struct Malformed {
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

/// Reads `text`, with `layers` over and under its tables.
pub(super) fn read(text: &str, layers: &Layers) -> Result<Document, Malformed> {
    // Syntax first: those messages are fixed sentences. What serde says afterwards may quote what is in the file.
    let span = |error: &toml::de::Error| error.span().unwrap_or(0..0);
    let mut document = DeTable::parse(text)
        .map_err(|error| Malformed { span: span(&error), message: format!("not valid TOML: {}", error.message()) })?;
    layers.apply(document.get_mut())?;
    Document::deserialize(toml::Deserializer::from(document)).map_err(|error| {
        let span = span(&error);
        Malformed { message: reword(error.message(), text.get(span.clone()).unwrap_or_default()), span }
    })
}

/// Serde's message without any value of the file. `at` is the text that it is about.
fn reword(message: &str, at: &str) -> String {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        // The last one: what comes behind it are our own names, while the key may hold anything.
        let (key, known) = rest.rsplit_once("`, expected ").unwrap_or(("", ""));
        if let Some(refusal) = suggest::refusal(key) {
            return refusal.to_owned();
        }
        let known = known.split('`').skip(1).step_by(2);
        return match suggest::nearest(key, known.clone()) {
            Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
            None => format!("unknown key; expected one of {}", suggest::list(known)),
        };
    }
    match (message.strip_prefix("invalid type: "), message.rsplit_once(", expected ")) {
        (Some(found), Some((_, expected))) => {
            let found = match (kind(found), expected) {
                ("a whole number", "i64") => "a number far out of range",
                (kind, _) => kind,
            };
            let expected = match expected {
                "i64" => "a whole number",
                "a map" => "a table",
                "a sequence" if at.starts_with('[') => "a list; a mirror is written `[[mirror]]`, with two brackets",
                "a sequence" => "a list",
                other => other,
            };
            format!("found {found}, expected {expected}")
        }
        _ => "expected something else here".to_owned(),
    }
}

/// The kind of value that serde's `invalid type` message starts with, without the value.
fn kind(found: &str) -> &'static str {
    const KINDS: [(&str, &str); 6] = [
        ("string", "a string"),
        ("integer", "a whole number"),
        ("floating point", "a number with a fraction"),
        ("boolean", "true or false"),
        ("map", "a table or a date"),
        ("sequence", "a list"),
    ];
    KINDS.iter().find(|(word, _)| found.starts_with(word)).map_or("something else", |(_, kind)| *kind)
}

/// A table, and nothing else: a derived struct would take a list of its values in order as well.
#[derive(Default)]
pub(super) struct Table<T>(pub(super) T);

/// What to call a table where something else was found.
pub(super) trait Described {
    const EXPECTED: &str = "a table";
}

impl Described for RemoteTable {}
impl Described for ActiveTable {}
impl Described for BandwidthTable {
    const EXPECTED: &str = "\"unlimited\", \"2MiB\" or { limit = \"unlimited\", at = [{ days = \"mon-fri\", from = \"08:00\", \
                            to = \"18:00\", limit = \"1MiB\" }] }";
}
impl Described for HoursTable {}
impl Described for TlsTable {
    const EXPECTED: &str = "a table such as { min = \"1.3\" }; TLS cannot be turned off";
}
impl Described for ProxyTable {
    const EXPECTED: &str = "a table such as { socks5 = \"proxy.example.com:1080\" } or { http = \"proxy.example.com:3128\" }";
}
impl Described for TimeoutsTable {}
impl Described for MirrorTable {}
impl Described for DefaultsTable {}
impl Described for BudgetTable {}
impl Described for TrashTable {}
impl Described for NotifyTable {}
impl Described for VerifyTable {
    const EXPECTED: &str = "a table such as { every = \"30d\" }, or { every = \"never\" }";
}
impl Described for PermissionsTable {
    const EXPECTED: &str = "\"server\", \"keep\" or { files = \"0644\", directories = \"0755\" }";
}
impl Described for PasswordTable {
    const EXPECTED: &str = "{ file = \"...\" }, { command = [...] }, { env = \"...\" }, { credential = \"...\" } or { keyring = \"...\" }; \
                            the password itself does not belong in this file";
}

impl<'de, T: Deserialize<'de> + Described> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor(PhantomData)).map(Self)
    }
}

struct TableVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Described> Visitor<'de> for TableVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// A text, or a list of texts.
pub(super) enum WordOrList {
    Word(String),
    List(Vec<String>),
}

impl<'de> Deserialize<'de> for WordOrList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrListVisitor)
    }
}

struct WordOrListVisitor;

impl<'de> Visitor<'de> for WordOrListVisitor {
    type Value = WordOrList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an address such as \"https://ping.example.com/path\", or a program and its arguments such as [\"ping-it\", \"now\"]",
        )
    }

    fn visit_str<E>(self, word: &str) -> Result<WordOrList, E> {
        Ok(WordOrList::Word(word.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<WordOrList, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(WordOrList::List)
    }
}

/// A word, or a table that says more.
pub(super) enum WordOr<T> {
    Word(String),
    Table(T),
}

impl<'de, T: Deserialize<'de> + Described> Deserialize<'de> for WordOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrVisitor(PhantomData))
    }
}

struct WordOrVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Described> Visitor<'de> for WordOrVisitor<T> {
    type Value = WordOr<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E>(self, word: &str) -> Result<WordOr<T>, E> {
        Ok(WordOr::Word(word.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WordOr<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(WordOr::Table)
    }
}
