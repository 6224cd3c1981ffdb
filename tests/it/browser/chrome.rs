//! A headless Chromium, told what to do over a pair of pipes (`--remote-debugging-pipe`): the DevTools protocol without a network, and
//! without a library. No more of it than the trials need.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    rig::PATIENCE,
    support::{Impossible, temp_dir, wait_until},
};

/// How it may be called.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// The first browser that is there.
pub(super) fn find() -> Result<&'static str, Impossible> {
    let is_there = |name: &&&str| {
        Command::new(name).arg("--version").stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
    };
    let missing = || Impossible::Missing("a browser: apt-get install chromium".to_owned());
    NAMES.iter().find(is_there).copied().ok_or_else(missing)
}

/// A running browser; it ends when dropped.
pub(super) struct Chrome {
    child: Child,
    orders: File,
    heard: Receiver<Value>,
    /// What came while something else was waited for.
    events: VecDeque<Value>,
    numbers: u64,
    _dir: TempDir,
}

/// A tab.
#[derive(Clone, Debug)]
pub(super) struct Tab {
    session: String,
}

impl Chrome {
    pub(super) fn start() -> Self {
        let dir = temp_dir();
        let pipes = ["orders", "answers"].map(|name| dir.path().join(name));
        for pipe in &pipes {
            assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", "in=$1 out=$2; shift 2; exec \"$@\" 3< \"$in\" 4> \"$out\"", "sh"]).args(&pipes).arg(find().unwrap());
        // Everything runs as root here, for which there is no sandbox.
        shell.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        shell.args(["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"]);
        shell.arg(format!("--user-data-dir={}", dir.path().join("profile").display())).arg("--remote-debugging-pipe");
        shell.arg("about:blank").env("HOME", dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = shell.spawn().unwrap();
        // In this order: each waits for the other end.
        let orders = File::options().write(true).open(&pipes[0]).unwrap();
        let answers = BufReader::new(File::open(&pipes[1]).unwrap());
        let (tell, heard) = channel();
        thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                if let Ok(message) = serde_json::from_slice(&message)
                    && tell.send(message).is_err()
                {
                    return;
                }
            }
        });
        Self { child, orders, heard, events: VecDeque::new(), numbers: 0, _dir: dir }
    }

    /// A new tab, which tells of what happens in it.
    pub(super) fn tab(&mut self) -> Tab {
        let made = self.order(None, "Target.createTarget", &json!({ "url": "about:blank" }));
        let attached = self.order(None, "Target.attachToTarget", &json!({ "targetId": made["targetId"], "flatten": true }));
        let tab = Tab { session: attached["sessionId"].as_str().unwrap().to_owned() };
        for what in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            self.tell(&tab, what, &json!({}));
        }
        tab
    }

    /// Gives an order in a tab, and waits for what comes of it.
    #[track_caller]
    pub(super) fn tell(&mut self, tab: &Tab, method: &str, parameters: &Value) -> Value {
        self.order(Some(tab), method, parameters)
    }

    /// What an expression amounts to.
    #[track_caller]
    pub(super) fn eval(&mut self, tab: &Tab, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.tell(tab, "Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {:#}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits until an expression holds.
    #[track_caller]
    pub(super) fn wait(&mut self, tab: &Tab, expression: &str) {
        if !wait_until(PATIENCE, || self.eval(tab, expression) == true) {
            let page = self.eval(tab, "document.body.innerText");
            panic!("not within {PATIENCE:?}: {expression}; the page says:\n{}", page.as_str().unwrap_or_default());
        }
    }

    /// Clicks what a selector finds; where a question is put first, yes.
    #[track_caller]
    pub(super) fn click(&mut self, tab: &Tab, selector: &str, is_asked: bool) {
        self.wait(tab, &format!("!!document.querySelector({selector:?}) && !document.querySelector({selector:?}).disabled"));
        // Not at once: a question would keep the answer waiting.
        self.eval(tab, &format!("void setTimeout(() => document.querySelector({selector:?}).click(), 0)"));
        if is_asked {
            self.event(tab, "Page.javascriptDialogOpening");
            self.tell(tab, "Page.handleJavaScriptDialog", &json!({ "accept": true }));
        }
    }

    /// Goes to an address, and waits until that is there.
    #[track_caller]
    pub(super) fn go(&mut self, tab: &Tab, address: &str) {
        self.tell(tab, "Page.navigate", &json!({ "url": address }));
        self.event(tab, "Page.loadEventFired");
    }

    /// A window of this size, light or dark.
    pub(super) fn look(&mut self, tab: &Tab, width: u64, height: u64, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.tell(tab, "Emulation.setDeviceMetricsOverride", &size);
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.tell(tab, "Emulation.setEmulatedMedia", &media);
    }

    /// A picture of what is seen, as PNG.
    pub(super) fn picture(&mut self, tab: &Tab) -> Vec<u8> {
        let taken = self.tell(tab, "Page.captureScreenshot", &json!({ "format": "png" }));
        base64::engine::general_purpose::STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// All that was told of a tab so far and not asked for.
    pub(super) fn told(&mut self, tab: &Tab) -> Vec<Value> {
        self.events.extend(self.heard.try_iter());
        self.events.iter().filter(|event| event["sessionId"] == tab.session.as_str()).cloned().collect()
    }

    /// Waits for an event of a tab, and takes it.
    #[track_caller]
    fn event(&mut self, tab: &Tab, method: &str) -> Value {
        let is_it = |event: &Value| event["sessionId"] == tab.session.as_str() && event["method"] == method;
        if let Some(at) = self.events.iter().position(is_it) {
            return self.events.remove(at).unwrap_or_default();
        }
        loop {
            let event = self.heard.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{method} did not come: {e}"));
            if is_it(&event) {
                return event;
            }
            self.events.push_back(event);
        }
    }

    #[track_caller]
    fn order(&mut self, tab: Option<&Tab>, method: &str, parameters: &Value) -> Value {
        self.numbers += 1;
        let mut order = json!({ "id": self.numbers, "method": method, "params": parameters });
        if let Some(tab) = tab {
            order["sessionId"] = tab.session.as_str().into();
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).unwrap();
        loop {
            let mut message = self.heard.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("no answer to {method}: {e}"));
            if message["id"] == self.numbers {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.events.push_back(message);
        }
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        // It ends its own children.
        let _ = self.orders.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        if !wait_until(Duration::from_secs(10), || matches!(self.child.try_wait(), Ok(Some(_)))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
