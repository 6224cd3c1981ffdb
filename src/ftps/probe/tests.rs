//! Probes of a scripted server that keeps files: what is found, what is left behind, and what a server that hangs up costs.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::ftps::{
    Credentials, Endpoint, Timeouts, TlsSettings, Trust,
    profile::{Dotfiles, Step, Tail},
    testing::{Heard, Peer, Pipe, Server},
};

/// Files by path; a directory has no body.
type Files = Arc<Mutex<BTreeMap<String, Option<Vec<u8>>>>>;

/// How the server differs from a good one.
#[derive(Clone, Copy, Default)]
struct Oddity {
    /// FEAT lines beside UTF8 and SIZE.
    features: &'static str,
    /// Commands that begin like this close the connection.
    hangs_up_on: &'static str,
    read_only: bool,
    truncates: bool,
    refuses_rename: bool,
    folds_case: bool,
}

/// One control connection.
struct Session {
    peer: Peer,
    files: Files,
    odd: Oddity,
    dir: String,
    restart: usize,
    from: String,
}

impl Session {
    async fn serve(peer: Peer, files: Files, odd: Oddity) -> Option<()> {
        let mut peer = peer.encrypt().await?;
        let features = format!("211-Features:\r\n UTF8\r\n SIZE\r\n{}211 End", odd.features);
        for line in ["200 pbsz", "200 prot", "331 password", "230 welcome", &features, "200 utf8", "200 type"] {
            peer.answer(line).await?;
        }
        let mut session = Self { peer, files, odd, dir: "/".to_owned(), restart: 0, from: String::new() };
        loop {
            let line = session.peer.hear().await?;
            if !session.odd.hangs_up_on.is_empty() && line.starts_with(session.odd.hangs_up_on) {
                return None;
            }
            let (verb, path) = line.split_once(' ').unwrap_or((&line, ""));
            let reply = session.reply(verb, path).await?;
            session.peer.say(&reply).await?;
        }
    }

    fn has(&self, path: &str) -> Option<Option<Vec<u8>>> {
        let files = self.files.lock().expect("unpoisoned");
        if self.odd.folds_case {
            return files.iter().find(|(name, _)| name.eq_ignore_ascii_case(path)).map(|(_, body)| body.clone());
        }
        files.get(path).cloned()
    }

    fn put(&self, path: &str, body: Option<Vec<u8>>) {
        self.files.lock().expect("unpoisoned").insert(path.to_owned(), body);
    }

    async fn reply(&mut self, verb: &str, path: &str) -> Option<String> {
        let no = || "550 no".to_owned();
        Some(match verb {
            "EPSV" => "229 go to (|||40000|)".to_owned(),
            "STOR" | "APPE" | "MKD" if self.odd.read_only => no(),
            "STOR" | "APPE" => {
                let mut whole = self.has(path).flatten().unwrap_or_default();
                let at = if verb == "APPE" { whole.len() } else { std::mem::take(&mut self.restart) };
                self.peer.say("150 send").await?;
                let mut data = self.peer.accept_data().await?;
                let mut body = Vec::new();
                data.read_to_end(&mut body).await.ok()?;
                data.shutdown().await.ok()?;
                let tail =
                    if at > 0 && !self.odd.truncates { whole.split_off((at + body.len()).min(whole.len())) } else { vec![] };
                whole.truncate(at);
                whole.extend(body);
                whole.extend(tail);
                self.put(path, Some(whole));
                "226 got it".to_owned()
            }
            "LIST" | "MLSD" => {
                let lines = match verb {
                    "MLSD" => self.facts(path),
                    _ => self.lines(&self.dir, path == "-a"),
                };
                self.peer.say("150 here").await?;
                let mut data = self.peer.accept_data().await?;
                data.write_all(lines.as_bytes()).await.ok()?;
                data.shutdown().await.ok()?;
                data.read_to_end(&mut Vec::new()).await.ok()?;
                "226 that was it".to_owned()
            }
            "STAT" => format!("213-Status\r\n{}213 End", self.lines(path.strip_prefix("-a ")?, true)),
            "REST" => {
                self.restart = path.parse().ok()?;
                "350 go on".to_owned()
            }
            "SIZE" => self.has(path).flatten().map_or_else(no, |body| format!("213 {}", body.len())),
            "MFMT" => "213 set".to_owned(),
            "MDTM" if path.starts_with('/') => "213 20200913122641".to_owned(),
            "CWD" if path == "/" || self.has(path) == Some(None) => {
                self.dir = path.to_owned();
                "250 there".to_owned()
            }
            "MKD" if self.has(path).is_none() => {
                self.put(path, None);
                "257 made".to_owned()
            }
            "RMD" | "DELE" if self.has(path).is_some_and(|body| body.is_none() == (verb == "RMD")) => {
                let mut files = self.files.lock().expect("unpoisoned");
                if files.keys().any(|other| other.starts_with(&format!("{path}/"))) {
                    return Some(no());
                }
                files.remove(path);
                "250 gone".to_owned()
            }
            "RNFR" if self.has(path).is_some() => {
                self.from = path.to_owned();
                "350 to what".to_owned()
            }
            "RNTO" if self.has(path).is_none() || !self.odd.refuses_rename => {
                let body = self.files.lock().expect("unpoisoned").remove(&self.from)?;
                self.put(path, body);
                "250 renamed".to_owned()
            }
            "NOOP" => "200 yes".to_owned(),
            "PWD" => "257 \"/\"".to_owned(),
            "QUIT" => "221 bye".to_owned(),
            "HASH" | "OPTS" | "XSHA256" | "XMD5" | "XCRC" | "MFF" | "SITE" => "500 what?".to_owned(),
            _ => no(),
        })
    }

    fn facts(&self, dir: &str) -> String {
        let dir = format!("{}/", dir.trim_end_matches('/'));
        let files = self.files.lock().expect("unpoisoned");
        let names = files.iter().filter_map(|(path, body)| Some((path.strip_prefix(&dir)?, body)));
        let facts =
            |body: &Option<Vec<u8>>| body.as_ref().map_or("type=dir;".to_owned(), |b| format!("type=file;size={};", b.len()));
        names.filter(|(name, _)| !name.contains('/')).map(|(name, body)| format!("{} {name}\r\n", facts(body))).collect()
    }

    fn lines(&self, dir: &str, all: bool) -> String {
        let dir = format!("{}/", dir.trim_end_matches('/'));
        let files = self.files.lock().expect("unpoisoned");
        let names = files.iter().filter_map(|(path, body)| Some((path.strip_prefix(&dir)?, body)));
        let shown = names.filter(|(name, _)| !name.contains('/') && (all || !name.starts_with('.')));
        shown
            .map(|(name, body)| {
                let kind = if body.is_some() { '-' } else { 'd' };
                format!("{kind}rw-r--r-- 1 me us {} Nov 22 18:14 {name}\r\n", body.as_ref().map_or(0, Vec::len))
            })
            .collect()
    }
}

/// A server with these files, and an endpoint that leads to it.
fn server_with(files: &[(&str, Option<&str>)], odd: Oddity) -> (Arc<Endpoint<Pipe>>, Files, Heard) {
    let files: Files = Arc::new(Mutex::new(
        files.iter().map(|(path, body)| ((*path).to_owned(), body.map(|body| body.as_bytes().to_vec()))).collect(),
    ));
    let shared = files.clone();
    let server = Server::new(move |peer| Session::serve(peer, shared.clone(), odd));
    let heard = server.heard();
    (endpoint(server, Profile::default()), files, heard)
}

fn endpoint(server: Server, profile: Profile) -> Arc<Endpoint<Pipe>> {
    let tls = TlsSettings { trust: Trust::Pin, pins: vec![server.pin()], ..TlsSettings::default() };
    let credentials = Credentials::new("me", "secret").expect("sendable");
    let endpoint = Endpoint::new(Pipe(server), "ftp.test", credentials, &tls, Timeouts::default(), profile, Arc::new(|_| {}));
    Arc::new(endpoint.expect("settings"))
}

const DAY: i64 = 24 * 60 * 60 * 1000;

async fn probe_at(endpoint: &Arc<Endpoint<Pipe>>, day: i64) -> bool {
    let mut client = Client::connect(endpoint.clone()).await.expect("a login");
    let probed = client.probe_if_due(b"/", UnixMillis(day * DAY)).await.expect("a probe");
    client.study(b"/", UnixMillis(day * DAY)).await.expect("a probe");
    client.noop().await.expect("usable afterwards");
    probed
}

fn left(files: &Files) -> Vec<String> {
    files.lock().expect("unpoisoned").keys().cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn a_good_server_is_found_good_and_left_as_it_was() {
    let (endpoint, files, heard) = server_with(&[("/file", Some("x"))], Oddity::default());
    assert!(probe_at(&endpoint, 1).await);
    let profile = endpoint.profile();
    assert_eq!(profile.probed.expect("dated").verdict, Verdict::Complete);
    assert_eq!((profile.size, profile.rename_replaces, profile.appe), (Some(true), Some(true), Some(true)));
    assert_eq!((profile.rest_stor, profile.folds_case, profile.in_order), (Some(Tail::Keeps), Some(false), Some(true)));
    let dotfiles = profile.dotfiles;
    assert_eq!((dotfiles.list, dotfiles.list_all, dotfiles.stat_all), (Some(false), Some(true), Some(true)));
    assert_eq!((dotfiles.mlsd, profile.chmod, profile.server_copy), (None, Some(false), Some(false)));
    let names = profile.names;
    assert_eq!((names.utf8, names.spaces(), names.controls, names.long), (Some(true), Some(true), Some(true), Some(true)));
    assert_eq!(profile.set_time, Some(crate::ftps::SetTime::Mfmt));
    assert_eq!(profile.set_time_exact, Some(true));
    assert_eq!(left(&files), ["/file"]);
    // What is in no scratch directory was never named.
    let (lines, logins) = (heard.lines(), 8);
    assert!(lines.iter().skip(logins).all(|line| !line.contains("/file")), "{lines:#?}");
    assert!(lines.len() - logins <= 120, "{} commands", lines.len());
    // Not again, for ever.
    assert!(!probe_at(&endpoint, 10_000).await);
}

#[tokio::test(start_paused = true)]
async fn what_no_upload_needs_is_found_out_when_it_is_asked_for() {
    let odd = Oddity { features: " MLST type*;size*;\r\n", ..Oddity::default() };
    let (endpoint, files, heard) = server_with(&[], odd);
    let mut client = Client::connect(endpoint.clone()).await.expect("a login");
    assert!(client.probe_if_due(b"/", UnixMillis(DAY)).await.expect("a probe"));
    let begun = endpoint.profile();
    assert_eq!(begun.probed.expect("dated").verdict, Verdict::Begun);
    assert!(begun.is_begun());
    assert_eq!((begun.size, begun.rename_replaces, begun.in_order), (Some(true), Some(true), Some(true)));
    assert_eq!((begun.appe, begun.rest_stor, begun.dotfiles), (None, None, Dotfiles::default()));
    assert!(!heard.lines().iter().any(|line| line.starts_with("APPE") || line.starts_with("REST")), "{:#?}", heard.lines());
    assert_eq!(left(&files), Vec::<String>::new());
    assert!(!client.probe_if_due(b"/", UnixMillis(1_000 * DAY)).await.expect("nothing"), "an upload need not wait for it");

    client.study(b"/", UnixMillis(2 * DAY)).await.expect("a probe");
    let known = endpoint.profile();
    assert_eq!(known.probed.expect("dated").verdict, Verdict::Complete);
    assert_eq!((known.appe, known.rest_stor), (Some(true), Some(Tail::Keeps)));
    let as_before = Profile { probed: begun.probed, appe: None, rest_stor: None, dotfiles: Dotfiles::default(), ..known };
    assert_eq!(as_before, begun, "what was known stays");
    let so_far = heard.lines().len();
    client.study(b"/", UnixMillis(3 * DAY)).await.expect("nothing");
    assert_eq!(heard.lines().len(), so_far, "once is enough");
    assert_eq!(left(&files), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_another_server_left_unknown_is_not_asked_of_this_one() {
    let (endpoint, _, heard) = server_with(&[], Oddity::default());
    let probed = Some(Probed { at: UnixMillis(DAY), fingerprint: 0, verdict: Verdict::Begun });
    endpoint.learn(|profile| profile.probed = probed);
    let mut client = Client::connect(endpoint.clone()).await.expect("a login");
    let so_far = heard.lines().len();
    client.study(b"/", UnixMillis(DAY)).await.expect("nothing");
    assert_eq!(heard.lines().len(), so_far);
}

#[tokio::test(start_paused = true)]
async fn an_odd_server_is_found_odd() {
    let odd = Oddity { truncates: true, refuses_rename: true, folds_case: true, ..Oddity::default() };
    let (endpoint, files, _) = server_with(&[], odd);
    assert!(probe_at(&endpoint, 1).await);
    let profile = endpoint.profile();
    let found = (profile.rest_stor, profile.rename_replaces, profile.folds_case);
    assert_eq!(found, (Some(Tail::Truncates), Some(false), Some(true)));
    assert_eq!(left(&files), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_costs_the_connection_is_remembered_and_the_others_are_taken() {
    let (endpoint, files, heard) = server_with(&[], Oddity { hangs_up_on: "STAT", ..Oddity::default() });
    assert!(probe_at(&endpoint, 1).await);
    let profile = endpoint.profile();
    assert_eq!(profile.lost.steps().collect::<Vec<_>>(), [Step::Dotfiles]);
    assert_eq!((profile.probed.expect("dated").verdict, profile.in_order), (Verdict::Complete, Some(true)));
    assert_eq!(left(&files), Vec::<String>::new());
    assert_eq!(heard.lines().iter().filter(|line| *line == "AUTH TLS").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_all_the_time_is_let_be() {
    // Everything that a step does with the file.
    let (endpoint, files, heard) = server_with(&[], Oddity { hangs_up_on: "SIZE", ..Oddity::default() });
    assert!(probe_at(&endpoint, 1).await);
    let profile = endpoint.profile();
    assert_eq!(profile.probed.expect("dated").verdict, Verdict::CutShort);
    assert_eq!(profile.lost.steps().count(), 4);
    assert_eq!(left(&files), Vec::<String>::new(), "tidy all the same");
    let logins = || heard.lines().iter().filter(|line| *line == "AUTH TLS").count();
    assert!(logins() <= 6, "{}", logins());
    // What cost a connection is not tried again; the rest is, on another day.
    assert!(!probe_at(&endpoint, 1).await);
    assert!(probe_at(&endpoint, 2).await);
    assert_eq!(endpoint.profile().lost.steps().next(), Some(Step::Size));
    assert!(endpoint.profile().lost.steps().count() > 4);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_may_not_write_is_asked_again_the_next_day() {
    let (endpoint, files, heard) = server_with(&[("/file", Some("x"))], Oddity { read_only: true, ..Oddity::default() });
    assert!(probe_at(&endpoint, 1).await);
    assert_eq!(endpoint.profile().probed.expect("dated").verdict, Verdict::NoDirectory);
    assert_eq!(left(&files), ["/file"]);
    assert!(!heard.lines().iter().any(|line| line.starts_with("STOR")));
    assert!(!probe_at(&endpoint, 1).await);
    assert!(probe_at(&endpoint, 2).await);
}

#[tokio::test(start_paused = true)]
async fn other_features_are_another_server() {
    let (endpoint, ..) = server_with(&[], Oddity::default());
    assert!(probe_at(&endpoint, 1).await);
    let known = Profile { limit: Some(3), ..endpoint.profile() };
    let files: Files = Arc::default();
    for (features, again) in [("", false), (" MFMT\r\n", true)] {
        let (files, odd) = (files.clone(), Oddity { features, ..Oddity::default() });
        let server = Server::new(move |peer| Session::serve(peer, files.clone(), odd));
        let same = self::endpoint(server, known);
        assert_eq!(probe_at(&same, 2).await, again, "{features:?}");
        assert_eq!(same.profile().probed.expect("dated").at, UnixMillis(if again { 2 } else { 1 } * DAY));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_probe_left_is_cleared_and_what_is_not_ours_is_kept() {
    let ours =
        [("/.towline-probe", None), ("/.towline-probe/tl-probe-file", Some("old")), ("/.towline-probe/tl-probe-CASE", None)];
    let (endpoint, files, _) = server_with(&ours, Oddity::default());
    assert!(probe_at(&endpoint, 1).await);
    assert_eq!(left(&files), Vec::<String>::new());

    let foreign = [ours[0], ("/.towline-probe/letter", Some("dear"))];
    let (endpoint, files, _) = server_with(&foreign, Oddity::default());
    assert!(probe_at(&endpoint, 1).await);
    assert_eq!(left(&files), ["/.towline-probe", "/.towline-probe/letter"]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_midway_leaves_no_trace_for_long() {
    // Every 7th command hangs for ever, so to speak: the probe is dropped there.
    let (endpoint, files, heard) = server_with(&[], Oddity::default());
    for allowed in (5..100).step_by(7) {
        let mut client = Client::connect(endpoint.clone()).await.expect("a login");
        let begun = heard.lines().len();
        let dropped = async {
            while heard.lines().len() < begun + allowed {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            probed = client.probe_if_due(b"/", UnixMillis(DAY)) => assert!(probed.is_ok()),
            () = dropped => {}
        }
        if endpoint.profile().probed.is_some() {
            break;
        }
    }
    endpoint.learn(|profile| profile.probed = None);
    assert!(probe_at(&endpoint, 1).await);
    assert_eq!(endpoint.profile().probed.expect("dated").verdict, Verdict::Complete);
    assert_eq!(left(&files), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn one_probes_and_the_others_go_on() {
    let (endpoint, _, heard) = server_with(&[], Oddity::default());
    let (one, other) = (Client::connect(endpoint.clone()).await, Client::connect(endpoint.clone()).await);
    let (mut one, mut other) = (one.expect("a login"), other.expect("a login"));
    // The pipe leads data connections to the latest login.
    let _alone = endpoint.probing.try_lock().expect("nobody probes");
    assert!(!one.probe_if_due(b"/", UnixMillis(0)).await.expect("no probe"));
    drop(_alone);
    assert!(other.probe_if_due(b"/", UnixMillis(0)).await.expect("a probe"));
    assert!(!one.probe_if_due(b"/", UnixMillis(0)).await.expect("no probe"));
    assert_eq!(heard.lines().iter().filter(|line| *line == "MKD /.towline-probe").count(), 1);
}

/// A server that hangs up on `STAT -a`, and has no room for the logins of these numbers.
fn crowded(full: impl Fn(usize) -> bool + Send + Sync + Copy + 'static) -> (Arc<Endpoint<Pipe>>, Files) {
    let (files, count) = (Files::default(), Arc::new(AtomicUsize::new(0)));
    let shared = files.clone();
    let server = Server::new(move |mut peer| {
        let (files, number) = (shared.clone(), count.fetch_add(1, Ordering::Relaxed));
        async move {
            if full(number) {
                return peer.say("421 too many").await;
            }
            Session::serve(peer, files, Oddity { hangs_up_on: "STAT", ..Oddity::default() }).await
        }
    });
    (endpoint(server, Profile::default()), files)
}

#[tokio::test(start_paused = true)]
async fn a_place_that_somebody_else_took_is_waited_for() {
    let (endpoint, files) = crowded(|number| (1..4).contains(&number));
    assert!(probe_at(&endpoint, 1).await);
    let profile = endpoint.profile();
    assert_eq!((profile.probed.expect("dated").verdict, profile.scratch_left), (Verdict::Complete, None));
    assert_eq!(profile.lost.steps().collect::<Vec<_>>(), [Step::Dotfiles]);
    assert_eq!(left(&files), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_had_to_be_left_is_removed_at_a_later_login() {
    let (endpoint, files) = crowded(|number| (1..10).contains(&number));
    let mut client = Client::connect(endpoint.clone()).await.expect("a login");
    assert!(client.probe_if_due(b"/", UnixMillis(DAY)).await.expect_err("no place").is_turned_away());
    assert!(left(&files).contains(&"/.towline-probe".to_owned()));
    assert!(endpoint.profile().scratch_left.is_some());
    while Client::connect(endpoint.clone()).await.is_err() {}
    let mut client = Client::connect(endpoint.clone()).await.expect("a login");
    assert!(!client.probe_if_due(b"/other", UnixMillis(DAY)).await.expect("usable"), "it is not due yet");
    assert!(!left(&files).is_empty(), "what is elsewhere is not looked for here");
    assert!(!client.probe_if_due(b"/", UnixMillis(DAY)).await.expect("usable"));
    assert_eq!((left(&files), endpoint.profile().scratch_left), (Vec::new(), None));
    client.noop().await.expect("usable afterwards");
}
