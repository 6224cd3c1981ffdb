//! Forty odd names, through the real binary to each real server: every one arrives byte for byte or is parked with a reason, and
//! nothing else appears or vanishes there.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use libtest_mimic::Trial;
use towline::model::RelPath;

use crate::{
    rig::{Rig, tree},
    servers::{self, Kind, Tls},
};

/// What every name that holds a command is after.
const VICTIM: &str = "victim.txt";

/// A line of its own on the wire, if a client sent it as it is.
const INJECTIONS: [&[u8]; 3] = [b"a\nDELE victim.txt", b"b\rDELE victim.txt", b"c\r\nDELE victim.txt"];

pub(crate) fn trials() -> Vec<Trial> {
    Kind::ALL
        .into_iter()
        .map(|kind| {
            let name = format!("names::{}::forty_odd_names_arrive_or_are_parked", kind.name());
            servers::trial(kind, name, move || async move { odd_names(kind) })
        })
        .collect()
}

fn odd_names(kind: Kind) {
    let names = names();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 40);
    let rig = Rig::new(kind, Tls::Both);
    rig.write(VICTIM, "stays");
    for (i, name) in names.iter().enumerate() {
        let file = rig.source.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("file {i}")).unwrap();
    }
    let output = rig.towline(&["sync"]);
    let said = String::from_utf8_lossy(&output.stderr);
    let (here, there) = (tree(&rig.source), tree(&rig.mirrored()));

    assert_eq!(there.get(Path::new(VICTIM)), Some(&Some(b"stays".to_vec())), "the victim");
    let strangers: Vec<_> = there.iter().filter(|(path, body)| here.get(*path) != Some(*body)).map(|(path, _)| path).collect();
    assert!(strangers.is_empty(), "what nobody put there is on the server: {strangers:?}\n{said}");
    let missing: Vec<_> = names.iter().filter(|name| !there.contains_key(*name)).collect();
    let silent: Vec<_> = missing.iter().filter(|name| !is_parked(&said, name)).collect();
    assert!(silent.is_empty(), "neither on the server nor parked: {silent:?}\n{said}");
    for name in INJECTIONS {
        assert!(is_parked(&said, &path(name)), "{:?}\n{said}", path(name));
    }
    // It takes 0xFF doubled, as the first session finds out; that one sends it so, too.
    assert!(kind != Kind::ProFtpd || missing.len() == INJECTIONS.len(), "parked: {missing:?}");
    assert_eq!(output.status.code(), Some(3), "{said}");
    println!("{}: {} of 40 arrived, parked: {missing:?}", kind.name(), 40 - missing.len());
}

/// Whether `said` tells of this file or a directory around it that it is parked.
fn is_parked(said: &str, file: &Path) -> bool {
    let around = file.ancestors().filter(|path| !path.as_os_str().is_empty());
    around
        .map(|path| RelPath::new(path.as_os_str().as_bytes()).unwrap())
        .any(|path| said.contains(&format!(" parked     {path}: ")))
}

fn path(name: &[u8]) -> PathBuf {
    OsStr::from_bytes(name).into()
}

fn names() -> Vec<PathBuf> {
    let longest = "n".repeat(255);
    let longest_in_two_bytes = format!("{}x", "\u{fc}".repeat(127));
    let deep = format!("{}deep", "d/".repeat(40));
    let plain: [&[u8]; 37] = [
        b" in front",
        b"behind ",
        b" ",
        b"two  inside",
        b" a directory /file",
        b"-rf",
        b"--delete",
        b"~",
        b"~root",
        b"[a-z]",
        b"*",
        b"?",
        b"{a,b}",
        b"'",
        b"\"quoted\"",
        b"back\\slash",
        b"%s%n%00",
        b"a;b",
        b"a && b",
        b"$(touch x)",
        b"`id`|b>c",
        b"a\ttab",
        b"\x1b[31mred",
        b"delete\x7f",
        b"caf\xe9",
        b"\xff",
        b"one\xff\xfftwo",
        longest.as_bytes(),
        longest_in_two_bytes.as_bytes(),
        deep.as_bytes(),
        b".hidden",
        b"...",
        b"trailing.",
        b"a:b",
        "\u{1f680}".as_bytes(),
        "cafe\u{301}".as_bytes(),
        "caf\u{e9}".as_bytes(),
    ];
    plain.into_iter().chain(INJECTIONS).map(path).collect()
}
