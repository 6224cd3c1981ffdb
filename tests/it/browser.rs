//! The page of `towline web` in a real browser, which speaks to a real daemon: what is seen, what the buttons do, who is kept out.
//! `TOWLINE_BLESS=1` writes its picture, `docs/web.png`, and says what `towline status` says then. What the page's server answers without a browser is in `seen`.

mod chrome;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    thread,
};

use libtest_mimic::Trial;

use crate::{
    rig::{Daemon, PATIENCE, Rig},
    servers::{self, Kind, Tls},
    support::{trial_where, wait_until},
};
use chrome::{Chrome, Tab};

/// Lists what nobody may rely on.
const BASICS: &str = include_str!("browser/basics.js");
/// What the page says of the only mirror.
const PHASE: &str = "document.querySelector('[data-phase]')?.textContent";

pub(crate) fn trials() -> Vec<Trial> {
    [("the_page_shows_and_does_what_it_says", works as fn()), ("nobody_else_is_let_in", strangers)]
        .into_iter()
        .map(|(name, test)| {
            let possible = || servers::possible(Kind::ProFtpd).and_then(|()| chrome::find().map(drop));
            trial_where(format!("browser::{name}"), possible, move || async move { test() })
        })
        .collect()
}

/// A daemon, and the page of it.
struct Scene {
    rig: Rig,
    address: String,
    _page: Daemon,
    _daemon: Daemon,
}

impl Scene {
    /// A mirror of some files, in sync, that sends slowly enough to be watched.
    fn new() -> Self {
        let rig = Rig::new(Kind::ProFtpd, Tls::Both);
        rig.configure("delete = \"trash\"\ndelete_budget = { files = 0, percent = 0 }");
        for (name, size) in
            [("index.html", 9_000), ("about/team.html", 14_000), ("css/site.css", 22_000), ("img/logo.svg", 4_000)]
        {
            rig.write(name, vec![b'x'; size]);
        }
        (1..=12).for_each(|n| rig.write(&format!("posts/2026-11-{n:02}.html"), vec![b'y'; 3_000 + n * 100]));
        let log = fs::File::create(rig.dir.path().join("log")).unwrap();
        let mut command = rig.command(&["--log", "debug", "run"]);
        command.env("TOWLINE__REMOTE__LAB__BANDWIDTH", "400KiB").stdout(Stdio::null()).stderr(log);
        let daemon = Daemon(command.spawn().unwrap());
        rig.await_sync();
        let mut child = rig.command(&["web", "--no-open"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.next().unwrap();
        thread::spawn(move || lines.for_each(drop));
        Self { rig, address, _page: Daemon(child), _daemon: daemon }
    }

    /// `http://127.0.0.1:PORT`
    fn origin(&self) -> &str {
        self.address.trim_end_matches('/').rsplit_once('/').unwrap().0
    }
}

/// What is wrong with what is seen, in every size and both schemes.
#[track_caller]
fn is_fit(chrome: &mut Chrome, tab: &Tab, when: &str) {
    for (width, height) in [(360, 740), (1280, 900), (2560, 1200)] {
        for scheme in ["light", "dark"] {
            chrome.look(tab, width, height, scheme);
            let wrong = chrome.eval(tab, BASICS);
            assert_eq!(wrong, serde_json::json!([]), "{when}, {width} wide, {scheme}");
        }
    }
    chrome.look(tab, 1280, 900, "light");
}

fn works() {
    let scene = Scene::new();
    let rig = &scene.rig;
    let mut chrome = Chrome::start();
    let tab = chrome.tab();
    let phase = |phase: &str| format!("{PHASE} === {phase:?}");
    chrome.look(&tab, 1280, 900, "light");
    chrome.go(&tab, &scene.address);
    chrome.wait(&tab, &phase("in sync"));
    assert_eq!(chrome.eval(&tab, "document.querySelector('[data-recorded]').textContent.startsWith('16 files')"), true);
    is_fit(&mut chrome, &tab, "in sync");

    // A pause, and its end.
    chrome.click(&tab, "[data-act=pause-hour]", false);
    chrome.wait(&tab, &phase("paused"));
    rig.await_status("a pause", |status| status["paused"]["until"].is_i64());
    is_fit(&mut chrome, &tab, "paused");
    chrome.click(&tab, "[data-act=resume]", false);
    chrome.wait(&tab, &phase("in sync"));

    // What the server refuses is shown, with what helps; and its retry.
    fs::create_dir_all(rig.mirrored().join("news/theirs")).unwrap();
    rig.write("news", "a file where the server has a directory");
    chrome.wait(&tab, "document.querySelector('[data-problems] strong')?.textContent === 'news'");

    // A transfer, as it goes.
    chrome.eval(&tab, "document.querySelector('[data-log-part]').open = true");
    rig.write("video/tour.mp4", vec![b'v'; 2_000_000]);
    let sent = "(document.querySelector('.flying progress')?.value ?? 0)";
    chrome.wait(&tab, &format!("{sent} > 0"));
    let first = chrome.eval(&tab, sent).as_f64().unwrap();
    chrome.wait(&tab, &format!("{sent} > {first} || !document.querySelector('.flying progress')"));
    is_fit(&mut chrome, &tab, "sending, with a problem");
    picture(&mut chrome, &tab, rig);
    chrome.wait(&tab, "document.querySelector('[data-recorded]').textContent.startsWith('17 files')");
    fs::remove_dir_all(rig.mirrored().join("news")).unwrap();
    chrome.click(&tab, "[data-problems] button", false);
    chrome.wait(&tab, &phase("in sync"));
    assert!(rig.mirrored().join("news").is_file());
    chrome.wait(&tab, "document.querySelector('[data-log]').textContent.includes('published video/tour.mp4')");

    // Removals wait for the button.
    (1..=12).for_each(|n| fs::remove_file(rig.source.join(format!("posts/2026-11-{n:02}.html"))).unwrap());
    // What is approved is what waits: all of it.
    rig.await_status("all removals", |status| status["phase"] == "halted" && status["tally"]["pending_removals"] == 12);
    chrome.wait(&tab, &phase("halted"));
    is_fit(&mut chrome, &tab, "halted");
    assert!(rig.mirrored().join("posts/2026-11-01.html").exists());
    chrome.click(&tab, "[aria-label='Approve the removals of site']", true);
    chrome.wait(&tab, &phase("in sync"));
    assert!(!rig.mirrored().join("posts/2026-11-01.html").exists());

    // What was removed comes back.
    chrome.eval(&tab, "document.querySelector('[data-trash-part]').open = true");
    chrome.wait(&tab, "document.querySelectorAll('[data-trash] button').length === 12");
    is_fit(&mut chrome, &tab, "with the trash");
    chrome.click(&tab, "[aria-label='Put back posts/2026-11-01.html']", true);
    let back = wait_until(PATIENCE, || rig.mirrored().join("posts/2026-11-01.html").exists());
    assert!(back, "{}", rig.log());
    chrome.wait(&tab, "document.querySelectorAll('[data-trash] button').length === 11");

    // Nothing was asked of any other place, and nothing went wrong that nobody sees.
    for event in chrome.told(&tab) {
        let parameters = &event["params"];
        match event["method"].as_str().unwrap() {
            "Network.requestWillBeSent" => {
                let url = parameters["request"]["url"].as_str().unwrap();
                assert!(url.starts_with(&scene.address) || url.starts_with("data:") || url == "about:blank", "{url}");
            }
            "Runtime.exceptionThrown" => panic!("{parameters:#}"),
            "Runtime.consoleAPICalled" => assert!(parameters["type"] != "error", "{parameters:#}"),
            "Log.entryAdded" => assert!(parameters["entry"]["level"] != "error", "{parameters:#}"),
            _ => {}
        }
    }
    assert_eq!(chrome.eval(&tab, "document.cookie + localStorage.length"), "0", "nothing is left in the browser");
}

/// For the documents; only where somebody wants it written.
fn picture(chrome: &mut Chrome, tab: &Tab, rig: &Rig) {
    let png = chrome.picture(tab);
    assert!(png.starts_with(b"\x89PNG"));
    if std::env::var_os("TOWLINE_BLESS").is_some() {
        assert!(png.len() < 150_000, "{} bytes", png.len());
        eprintln!("{}", String::from_utf8_lossy(&rig.towline(&["status"]).stdout));
        fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/web.png"), png).unwrap();
    }
}

fn strangers() {
    let scene = Scene::new();
    let rig = &scene.rig;
    let mut chrome = Chrome::start();
    let tab = chrome.tab();
    // Without the token there is no page.
    chrome.go(&tab, &format!("{}/{}/", scene.origin(), "0".repeat(32)));
    let said = chrome.eval(&tab, "document.body.innerText");
    assert!(said.as_str().unwrap().contains("open the address that `towline web` has printed"), "{said}");
    // A page of another origin that knows the address, token and all, is neither answered nor obeyed.
    let evil = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://127.0.0.1:{}/", evil.local_addr().unwrap().port());
    thread::spawn(move || {
        use std::io::Write as _;
        for mut stream in evil.incoming().map_while(Result::ok) {
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            let page = "<!doctype html><title>evil</title>";
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}", page.len());
        }
    });
    chrome.go(&tab, &at);
    let pause = format!("{}v1/mirrors/site/pause", scene.address);
    let status = format!("{}v1/status", scene.address);
    for (what, code) in [
        ("reads", format!("fetch({status:?}).then((a) => a.text(), () => 'refused')")),
        (
            "a simple request",
            format!("fetch({pause:?}, {{ method: 'POST', body: '{{}}' }}).then((a) => a.text(), () => 'refused')"),
        ),
        (
            "a request with the token",
            format!(
                "fetch({pause:?}, {{ method: 'POST', headers: {{ 'x-towline-token': {:?} }} }}).then((a) => a.text(), () => 'refused')",
                scene.address.trim_end_matches('/').rsplit('/').next().unwrap()
            ),
        ),
    ] {
        assert_eq!(chrome.eval(&tab, &code), "refused", "{what}");
    }
    // What needs no answer: a form, sent; and a frame to lay something over.
    let form = format!(
        "new Promise((done) => {{ const frame = document.createElement('iframe'); frame.name = 'f'; document.body.append(frame); \
         const form = document.createElement('form'); form.method = 'post'; form.action = {pause:?}; form.target = 'f'; \
         document.body.append(form); frame.onload = () => done(true); form.submit(); }})"
    );
    chrome.eval(&tab, &form);
    let framed = format!(
        "new Promise((done) => {{ const frame = document.createElement('iframe'); frame.onload = () => {{ \
         let seen = 'kept out'; try {{ seen = frame.contentDocument ? 'let in' : seen; }} catch {{ }} done(seen); }}; \
         frame.src = {:?}; document.body.append(frame); }})",
        scene.address
    );
    assert_eq!(chrome.eval(&tab, &framed), "kept out");
    assert!(rig.status().unwrap()["paused"].is_null(), "nothing of that went through");
    let blocked = chrome
        .told(&tab)
        .iter()
        .any(|event| event["params"]["entry"]["text"].as_str().is_some_and(|text| text.contains("frame-ancestors")));
    assert!(blocked, "the page lets itself be framed");
}
