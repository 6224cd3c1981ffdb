//! The JSON schema and the reference, made by asking the code: it says of each key what it expects there, and which keys it knows.
//! What a key is for is what the example says of it. `TOWLINE_BLESS=1 cargo test --lib -- config::tests::reference` writes them.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use serde_json::{Map, Value as Json, json};
use toml::Value;

use super::*;

/// A step on the way to a value: a key, or the first of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    First,
}

/// A right configuration, in which one value is another.
fn with(path: &[Step], value: Value) -> String {
    let base = format!("{REMOTE}{MIRROR}").parse::<toml::Table>().unwrap();
    let mut root = Value::Table(base);
    let mut at = &mut root;
    for (number, step) in path.iter().enumerate() {
        let empty = match path.get(number + 1) {
            Some(Step::First) => Value::Array(Vec::new()),
            _ => Value::Table(toml::Table::new()),
        };
        at = match step {
            Step::Key(key) => at.as_table_mut().unwrap().entry(key.clone()).or_insert(empty),
            Step::First => {
                let list = at.as_array_mut().unwrap();
                if list.is_empty() {
                    list.push(empty);
                }
                &mut list[0]
            }
        };
    }
    *at = value;
    toml::to_string(root.as_table().unwrap()).unwrap()
}

/// What is said of it.
fn said(path: &[Step], value: impl Into<Value>) -> Vec<String> {
    match parse(&with(path, value.into())) {
        Ok(_) => Vec::new(),
        Err(ConfigError::Invalid { faults }) => faults.into_iter().map(|fault| fault.message).collect(),
        Err(other) => panic!("{other}"),
    }
}

fn strange_table() -> Value {
    Value::Table([("zzzzzzzz".to_owned(), Value::Integer(1))].into_iter().collect())
}

/// What may stand somewhere.
#[derive(Debug, Default)]
struct Shape {
    /// A text, and what is expected of it.
    text: Option<Option<String>>,
    /// A number, and from where to where.
    number: Option<(i64, i64)>,
    /// A list, and of what.
    list: Option<Box<Shape>>,
    /// A table: its keys, and whether each must be there.
    table: Option<BTreeMap<String, (Shape, bool)>>,
}

/// The words behind "expected" that the code has for this value.
fn expected(path: &[Step], value: impl Into<Value>) -> Option<String> {
    let key = path.iter().rev().find_map(|step| if let Step::Key(key) = step { Some(key) } else { None }).unwrap();
    said(path, value).iter().find_map(|said| Some(said.strip_prefix(&format!("{key}: expected "))?.to_owned()))
}

fn shape(path: &[Step]) -> Shape {
    let takes = |value: Value| !said(path, value).iter().any(|said| said.starts_with("found "));
    let mut shape = Shape::default();
    if takes("zzzz".into()) {
        // What no text at all may be is told soonest.
        shape.text = Some(["zzzz", "", "~zz\n\u{1}"].into_iter().find_map(|text| expected(path, text)));
    }
    if takes(1.into()) {
        let words = expected(path, -1).unwrap_or_else(|| panic!("{path:?} takes any number"));
        let (low, high) = words.strip_prefix("a number from ").unwrap().split_once(" to ").unwrap();
        shape.number = Some((low.parse().unwrap(), high.parse().unwrap()));
    }
    if takes(Value::Array(Vec::new())) {
        shape.list = Some(Box::new(self::shape(&[path, &[Step::First]].concat())));
    }
    let keys = said(path, strange_table()).iter().find_map(|said| Some(said.split_once("expected one of ")?.1.to_owned()));
    if let Some(keys) = keys {
        let empty = said(path, Value::Table(toml::Table::new()));
        let keys = keys.split('`').skip(1).step_by(2).map(|key| {
            let needed = empty.contains(&format!("`{key}` is missing"));
            (key.to_owned(), (self::shape(&[path, &[Step::Key(key.to_owned())]].concat()), needed))
        });
        shape.table = Some(keys.collect());
    }
    assert!(shape.text.is_some() || shape.number.is_some() || shape.list.is_some() || shape.table.is_some(), "{path:?}");
    shape
}

/// The words that a text may be, where it may be nothing else.
fn words(path: &[Step], expected: Option<&str>) -> Vec<String> {
    let Some(expected) = expected.filter(|words| !words.contains("such as")) else { return Vec::new() };
    let quoted = expected.split('"').skip(1).step_by(2).map(str::to_owned);
    let taken: Vec<_> = quoted.filter(|word| self::expected(path, word.as_str()).is_none()).collect();
    if taken.len() < 2 { Vec::new() } else { taken }
}

/// What the example says of each key: `remote.tls.ca` and so on.
struct About {
    words: String,
    /// As it is there; what is commented out is the default.
    value: String,
    is_default: bool,
}

fn abouts() -> BTreeMap<String, About> {
    let (mut abouts, mut section, mut comment) = (BTreeMap::new(), String::new(), Vec::new());
    for line in EXAMPLE.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            comment.push(words);
            continue;
        }
        let words = std::mem::take(&mut comment).join("\n");
        let (is_default, line) = line.strip_prefix('#').map_or((false, line), |line| (true, line));
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']']).replace(".web", "");
            abouts.insert(section.clone(), About { words, value: String::new(), is_default });
        } else if let Some((key, value)) = line.split_once(" = ") {
            abouts.insert(format!("{section}.{key}"), About { words, value: value.to_owned(), is_default });
        }
    }
    abouts
}

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

/// The tables that everything is in, their paths and shapes.
fn tables() -> [(&'static str, Vec<Step>, Shape); 3] {
    let tables = [
        ("remote", vec![key("remote"), key("web")]),
        ("mirror", vec![key("mirror"), Step::First]),
        ("notify", vec![key("notify")]),
    ];
    tables.map(|(name, path)| {
        let shape = shape(&path);
        (name, path, shape)
    })
}

fn schema_of(name: &str, path: &[Step], shape: &Shape, abouts: &BTreeMap<String, About>) -> Json {
    let mut any = Vec::new();
    if let Some(expected) = &shape.text {
        let words = words(path, expected.as_deref());
        any.push(match (words.is_empty(), expected) {
            (false, _) => json!({ "type": "string", "enum": words }),
            (true, Some(expected)) => json!({ "type": "string", "$comment": format!("expected: {expected}") }),
            (true, None) => json!({ "type": "string" }),
        });
    }
    if let Some((low, high)) = shape.number {
        any.push(json!({ "type": "integer", "minimum": low, "maximum": high }));
    }
    if let Some(list) = &shape.list {
        let items = schema_of(name, &[path, &[Step::First]].concat(), list, abouts);
        any.push(json!({ "type": "array", "items": items }));
    }
    if let Some(keys) = &shape.table {
        let mut properties = Map::new();
        for (inner, (shape, _)) in keys {
            let path = [path, &[key(inner)]].concat();
            properties.insert(inner.clone(), schema_of(&format!("{name}.{inner}"), &path, shape, abouts));
        }
        // The rest may be among the defaults, of another file even.
        let own = defaults::OWN.iter().find(|(kind, _)| *kind == name).map_or(&[][..], |(_, keys)| *keys);
        let required: Vec<_> =
            keys.iter().filter(|(key, (_, needed))| *needed && own.contains(&key.as_str())).map(|(key, _)| key).collect();
        let mut table = json!({ "type": "object", "additionalProperties": false, "properties": properties });
        if !required.is_empty() {
            table["required"] = json!(required);
        }
        any.push(table);
    }
    let mut schema = if any.len() == 1 { any.remove(0) } else { json!({ "anyOf": any }) };
    if let Some(about) = abouts.get(name).filter(|about| !about.words.is_empty()) {
        schema["description"] = about.words.clone().into();
        if about.is_default && !about.value.is_empty() && !about.words.contains("Default: ") && !about.words.contains(" alone: ")
        {
            let value = format!("v = {}", about.value).parse::<toml::Table>().unwrap().remove("v").unwrap();
            schema["default"] = serde_json::to_value(value).unwrap();
        }
    }
    schema
}

fn schema() -> Json {
    let abouts = abouts();
    let [remote, mirror, notify] = tables().map(|(name, path, shape)| schema_of(name, &path, &shape, &abouts));
    let default = |schema: &Json| {
        let mut schema = schema.clone();
        let schema_of = schema.as_object_mut().unwrap();
        schema_of.remove("description");
        for key in schema_of.remove("required").unwrap().as_array().unwrap() {
            schema_of["properties"].as_object_mut().unwrap().remove(key.as_str().unwrap());
        }
        schema
    };
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Towline's configuration",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "remote": { "type": "object", "additionalProperties": remote.clone() },
            "defaults": {
                "type": "object",
                "additionalProperties": false,
                "properties": { "remote": default(&remote), "mirror": default(&mirror) },
            },
            "mirror": { "type": "array", "items": mirror.clone() },
            "notify": notify,
        },
    })
}

/// Holds `text` to what is in the file, or writes it.
fn is_in(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("TOWLINE_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == text, "{file} is not what the code says: TOWLINE_BLESS=1 writes it");
}

#[test]
fn the_schema_is_what_the_code_says() {
    is_in("config/towline.schema.json", &format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap()));
}

/// Why `value` does not fit, by the keywords that our schema has and no others.
fn misfit(schema: &Json, value: &Json, at: &str) -> Option<String> {
    for (keyword, of) in schema.as_object().unwrap() {
        let wrong = |why: String| Some(format!("{at}: {why}"));
        let fault = match keyword.as_str() {
            "$schema" | "$comment" | "title" | "description" | "default" => None,
            "type" => {
                let is = match of.as_str().unwrap() {
                    "string" => value.is_string(),
                    "integer" => value.is_i64(),
                    "array" => value.is_array(),
                    "object" => value.is_object(),
                    other => panic!("{other}"),
                };
                if is { None } else { wrong(format!("is no {of}")) }
            }
            "enum" if of.as_array().unwrap().contains(value) => None,
            "enum" => wrong("is none of the words".into()),
            "minimum" if value.as_i64().is_none_or(|n| n >= of.as_i64().unwrap()) => None,
            "maximum" if value.as_i64().is_none_or(|n| n <= of.as_i64().unwrap()) => None,
            "minimum" | "maximum" => wrong("is out of range".into()),
            "items" => value.as_array().and_then(|list| list.iter().find_map(|item| misfit(of, item, at))),
            "required" => {
                let missing = |key: &&Json| value.as_object().is_some_and(|table| !table.contains_key(key.as_str().unwrap()));
                of.as_array().unwrap().iter().find(missing).and_then(|key| wrong(format!("{key} is missing")))
            }
            "properties" => value
                .as_object()
                .and_then(|table| table.iter().find_map(|(key, value)| misfit(of.get(key)?, value, &format!("{at}.{key}")))),
            "additionalProperties" => value.as_object().and_then(|table| {
                let known = |key: &str| schema.get("properties").is_some_and(|known| known.get(key).is_some());
                table.iter().filter(|(key, _)| !known(key)).find_map(|(key, value)| match of {
                    Json::Bool(false) => wrong(format!("{key} is not known")),
                    of => misfit(of, value, &format!("{at}.{key}")),
                })
            }),
            "anyOf" if of.as_array().unwrap().iter().any(|schema| misfit(schema, value, at).is_none()) => None,
            "anyOf" => wrong("fits in no way".into()),
            other => panic!("{other} is not looked at"),
        };
        if fault.is_some() {
            return fault;
        }
    }
    None
}

#[test]
fn the_schema_knows_the_example_and_what_is_wrong() {
    let schema = schema();
    let fits = |text: &str| {
        let table = text.parse::<toml::Table>().unwrap_or_else(|e| panic!("{e}: {text}"));
        misfit(&schema, &serde_json::to_value(table).unwrap(), "")
    };
    let all = uncommented().replace("#active = ", "active = ");
    for text in [EXAMPLE, &uncommented(), &all, &format!("{REMOTE}{MIRROR}"), ""] {
        assert_eq!(fits(text), None, "{text}");
    }
    for (text, why) in [
        (&format!("{REMOTE}port = 0"), ".remote.web.port: is out of range"),
        (&format!("{REMOTE}prt = 1"), ".remote.web: prt is not known"),
        (&format!("{REMOTE}[defaults.remote]\nhost = \"x\""), ".defaults.remote: host is not known"),
        (&format!("{REMOTE}tls.trust = \"none\""), ".remote.web.tls.trust: is none of the words"),
        (&format!("{REMOTE}mode = \"plain\""), ".remote.web.mode: is none of the words"),
        (&REMOTE.replace("host", "#host"), ".remote.web: \"host\" is missing"),
        (&REMOTE.replace("{ env = \"P\" }", "\"hunter2\""), ".remote.web.password: is no \"object\""),
        (&format!("{REMOTE}{MIRROR}ignore = \"x\""), ".mirror.ignore: is no \"array\""),
        (&format!("{REMOTE}{MIRROR}permissions = \"0644\""), ".mirror.permissions: fits in no way"),
    ] {
        let said = fits(text);
        assert!(said.as_deref().is_some_and(|said| said.contains(why)), "{said:?}: {text}");
    }
}

/// What the example says of a key, as Markdown: what is set in further stays as it is.
fn paragraphs(words: &str) -> String {
    let (mut text, mut code) = (String::new(), false);
    for line in words.lines() {
        if line.starts_with(' ') != code {
            code = !code;
            text += if code { "\n\n```text\n" } else { "```\n\n" };
        }
        let _ = writeln!(text, "{}", if code { line.trim_start() } else { line });
    }
    text + if code { "```\n" } else { "" }
}

fn section(text: &mut String, name: &str, path: &[Step], shape: &Shape, abouts: &BTreeMap<String, About>) {
    let Some(keys) = &shape.table else { return };
    let heading = match name.split_once('.') {
        None if name == "mirror" => "[[mirror]]".to_owned(),
        None if name == "remote" => "[remote.NAME]".to_owned(),
        None => format!("[{name}]"),
        Some(("mirror", rest)) => format!("`{rest}` of a mirror").replace('`', ""),
        Some((_, rest)) => format!("[remote.NAME.{rest}]"),
    };
    let _ = writeln!(text, "## {heading}\n");
    if let Some(about) = abouts.get(name).filter(|about| !about.words.is_empty() && about.value.is_empty()) {
        let _ = writeln!(text, "{}", paragraphs(&about.words));
    }
    let mut inner = Vec::new();
    for (key_name, (shape, needed)) in keys {
        let (name, path) = (format!("{name}.{key_name}"), [path, &[key(key_name)]].concat());
        let about = abouts.get(&name);
        let _ = writeln!(text, "### {key_name}{}\n", if *needed { " (must be there)" } else { "" });
        if let Some(about) = about.filter(|about| !about.value.is_empty()) {
            let _ = writeln!(text, "{}", paragraphs(&about.words));
        }
        let of_list = shape.list.as_deref();
        let may = |shape: &Shape| {
            shape.text.clone().flatten().or(shape.number.map(|(low, high)| format!("a number from {low} to {high}")))
        };
        let (own, of_each) = (may(shape), of_list.and_then(may));
        let each = if own.is_none() { ", each" } else { "" };
        if let Some(expected) = own.or(of_each) {
            let _ = writeln!(text, "May be{each}: {expected}.\n");
        }
        if let Some(about) = about.filter(|about| about.is_default && !about.value.is_empty()) {
            let what = if about.words.contains("Default: ") || about.words.contains(" alone: ") { "Example" } else { "Default" };
            let _ = writeln!(text, "{what}: `{key_name} = {}`\n", about.value);
        }
        let table = of_list.filter(|list| list.table.is_some()).unwrap_or(shape);
        if let Some(keys) = &table.table {
            let path = if of_list.is_some() { [&path, &[Step::First][..]].concat() } else { path };
            if abouts.contains_key(&format!("{name}.{}", keys.keys().next().unwrap())) {
                let _ = writeln!(text, "A table of its own, see below.\n");
                inner.push((name, path, table));
            } else {
                let keys: Vec<_> = keys.keys().map(|key| format!("`{key}`")).collect();
                let _ = writeln!(text, "Keys: {}.\n", keys.join(", "));
            }
        }
    }
    for (name, path, shape) in inner {
        section(text, &name, &path, shape, abouts);
    }
}

#[test]
fn the_reference_is_what_the_code_says() {
    let abouts = abouts();
    let mut text = "# The configuration, key by key\n\n\
                    Made from what the code says it expects, and from what `config/towline.example.toml` says of each key. Editors that know JSON \
                    schemas for TOML take `config/towline.schema.json`.\n\n"
        .to_owned();
    for (heading, name) in [("[defaults.remote]", "defaults.remote"), ("[defaults.mirror]", "defaults.mirror")] {
        let _ = writeln!(text, "## {heading}\n\n{}", paragraphs(&abouts[name].words));
    }
    for (name, path, shape) in tables() {
        section(&mut text, name, &path, &shape, &abouts);
    }
    let text = text.replace("\n\n\n", "\n\n");
    is_in("docs/configuration.md", &format!("{}\n", text.trim_end()));
}

#[test]
fn every_key_is_explained() {
    let abouts = abouts();
    for (name, _, shape) in tables() {
        for key in shape.table.unwrap().keys() {
            let path = format!("{name}.{key}");
            // The account's name needs no words.
            let explained = abouts.get(&path).is_some_and(|about| !about.words.is_empty()) || path == "remote.user";
            assert!(explained, "{path} is not explained in the example");
        }
    }
}
