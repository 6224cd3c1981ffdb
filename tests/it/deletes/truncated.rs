//! Listings of the server's directories that end early, at any byte, wherever one is asked for: nothing is deleted for it, nothing is
//! taken for missing or for compared, nothing that is recorded is forgotten.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use libtest_mimic::Trial;

use crate::{
    chaos::{
        leads_through,
        proxy::{Fault, Harm, Lane, Proxy, Way},
    },
    rig::{Rig, tree},
    servers::{self, Kind, Options, Server},
    support::scaled,
};

/// It is the last in its directory, by its name.
const LAST: &str = "zz-the-last";
/// Only there.
const FOREIGN: &str = "d/theirs";

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    // Pure-FTPd does not write down what it was asked.
    let kinds = [Kind::ProFtpd, Kind::Vsftpd, Kind::Pyftpdlib].into_iter().zip(0..scaled(1, 3));
    for (kind, _) in kinds {
        for (name, test) in [("verify", verify as fn(&Cell)), ("adopt", adopt), ("restore", restore), ("sync", sync)] {
            let name = format!("deletes::truncated_listing::{name}::{}", kind.name());
            trials.push(servers::trial(kind, name, move || async move {
                let cell = Cell::new(kind).await;
                test(&cell);
                cell.nothing_deleted();
            }));
        }
    }
    trials
}

/// A mirror that is in sync, behind a proxy.
struct Cell {
    rig: Rig,
    proxy: Proxy,
    /// What the server holds.
    held: BTreeMap<PathBuf, Option<Vec<u8>>>,
}

impl Cell {
    async fn new(kind: Kind) -> Self {
        // It holds on to sessions whose data connection was cut, for minutes.
        let max_clients = (kind == Kind::Pyftpdlib).then_some(2000);
        let server = Server::start(kind, Options { data_ports: Some(60), max_clients, ..Options::default() });
        let proxy = Proxy::start(server.port, server.passive()).await;
        let rig = Rig::with(server);
        leads_through(&rig);
        for i in 0..12 {
            rig.write(&format!("a-file-at-the-top-{i}"), format!("top {i}"));
            rig.write(&format!("d/a-file-{i}"), format!("file {i}"));
            rig.write(&format!("e/deep/a-file-{i}"), format!("deep {i}"));
        }
        rig.write(LAST, "the last");
        let mut cell = Self { rig, proxy, held: BTreeMap::new() };
        cell.in_sync();
        fs::write(cell.rig.mirrored().join(FOREIGN), "theirs").unwrap();
        cell.held = tree(&cell.rig.mirrored());
        assert_eq!(cell.held.len(), 41);
        cell
    }

    fn in_sync(&self) {
        let output = self.rig.towline(&["sync"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }

    /// Runs a verb while data connections to Towline are cut at the `at`th byte.
    fn cut(&self, at: u64, args: &[&str]) -> String {
        let output = self.armed(at, args);
        // Where a server is short of connections it may end before it comes to that.
        let ended = !output.status.success();
        assert!(self.proxy.has_fired() || ended, "{args:?}: not cut at {at}\n{}", said(&output));
        self.proxy.heal();
        format!("{args:?} cut at {at} ends with {:?}: {}", output.status.code(), said(&output))
    }

    fn armed(&self, at: u64, args: &[&str]) -> Output {
        self.proxy.arm(Fault { harm: Harm::Cut, lane: Lane::Data, way: Way::Down, at });
        self.rig.towline(args)
    }

    /// Where to cut: evenly in the first of `parts` parts of what `args` let come from the server.
    fn places(&self, args: &[&str], parts: u64) -> impl Iterator<Item = u64> + use<> {
        self.armed(u64::MAX, args);
        let (reach, count) = (self.proxy.passed() / parts, scaled(3, 40));
        assert!(reach > 1000, "{args:?} let {reach} bytes come");
        (0..count).map(move |n| reach * n / count)
    }

    fn forget(&self) {
        fs::remove_dir_all(self.rig.state()).unwrap();
    }

    fn nothing_deleted(&self) {
        let mut now = tree(&self.rig.mirrored());
        // A probe that was cut off is cleared by the next one, and what was sent in vain by the next pass that finds the server.
        let ours = |path: &Path| path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b".towline-"));
        now.retain(|path, _| !ours(path));
        assert_eq!(now, self.held);
        let log = self.rig.server.log();
        let says = |line: &&str, verb: &str| line.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word == verb);
        assert!(log.lines().any(|line| says(&line, "STOR")), "the log shows what it is searched for");
        // What was sent in vain is swept.
        let theirs = log.lines().filter(|line| !line.contains(".towline-"));
        let deleted: Vec<&str> = theirs.filter(|line| ["DELE", "RMD"].iter().any(|verb| says(line, verb))).collect();
        assert!(deleted.is_empty(), "{deleted:#?}");
    }
}

fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some() && !said.contains("panicked"), "{said}");
    said
}

fn verify(cell: &Cell) {
    let (there, aside) = (cell.rig.mirrored().join(LAST), cell.rig.server.root.join("aside"));
    for at in cell.places(&["verify", "site"], 1) {
        let said = cell.cut(at, &["verify", "site", "--repair"]);
        assert!(!said.contains(": missing") && !said.contains("noted"), "{said}");
        // What is missing is not as recorded, however little was listed.
        fs::rename(&there, &aside).unwrap();
        let said = cell.cut(at, &["verify", "site"]);
        assert!(!said.contains("ends with Some(0)") && !said.contains("37 files as recorded"), "{said}");
        fs::rename(&aside, &there).unwrap();
    }
    // Nothing was forgotten: nothing is sent again.
    let output = cell.rig.towline(&["sync"]);
    assert!(output.status.code() == Some(0) && said(&output).contains(": 0 files sent"), "{}", said(&output));
    let said = said(&cell.rig.towline(&["verify", "site"]));
    assert!(said.contains("37 files as recorded"), "{said}");
}

fn adopt(cell: &Cell) {
    let verb = ["adopt", "site", "--trust-times"];
    for at in cell.places(&["verify", "site"], 1) {
        cell.forget();
        let said = cell.cut(at, &verb);
        assert!(!said.contains("missing on the server"), "{said}");
        // Somebody who does not read what it says.
        cell.rig.towline(&["sync"]);
        cell.nothing_deleted();
        cell.rig.towline(&verb);
        cell.in_sync();
    }
}

fn restore(cell: &Cell) {
    // The directory at the top is listed first; then the files come.
    let places = cell.places(&["verify", "site"], 4);
    cell.forget();
    for (number, at) in places.enumerate() {
        let to = cell.rig.dir.path().join(format!("back-{number}"));
        let said = cell.cut(at, &["restore", "site", "--to", to.to_str().unwrap()]);
        let back = tree(&to);
        assert!(back.iter().all(|(path, body)| cell.held.get(path) == Some(body)), "{said}");
        assert!(back == cell.held || !said.contains("ends with Some(0)"), "{} are back: {said}", back.len());
    }
}

/// The server is asked what it can do, and what it holds, as if for the first time.
fn sync(cell: &Cell) {
    cell.forget();
    for at in cell.places(&["sync"], 1) {
        cell.forget();
        cell.cut(at, &["sync"]);
        cell.nothing_deleted();
        cell.in_sync();
    }
}
