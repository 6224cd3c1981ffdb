//! `towline demo`: see it work, without any set-up. A real FTPS server (embedded, on loopback, with a certificate made a
//! moment ago), a real directory, real uploads; edits are made and what becomes of them is printed as it happens.

mod server;

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use towline::{
    clock,
    ftps::{DataMode, Mode, Profile, Timeouts, TlsSettings},
    index::Index,
    mirror::{Drift, Event, Handle, Mirror, Phase, Priority, Publish, Scrub, Seats, Settings, Siblings, Until, marker::MARKER},
    model::{Disposal, Done, Operation, Outcome, Retention, TRASH_DIR},
    plan::Budget,
    remote::ftps::{FtpsRemote, FtpsSettings},
    scan::View,
    watch::KernelWatcher,
};

use super::{Context, Exit, Failure, show, signals::Signals};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  towline demo --for 20s")]
pub(super) struct Args {
    /// End by itself after so long; else on Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    limit: Option<Duration>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|e| format!("{e}; write it like 20s or 2m"))?;
    Duration::try_from(span).map_err(|_| "a duration cannot be negative".to_owned())
}

/// The pause between two edits: long enough to read what the last one did.
const PAUSE: Duration = Duration::from_millis(1500);
/// An edit must be on the server within this time, or the demo says so and fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// One edit: what is said of it, and what it does.
type Edit = (&'static str, fn(&Path) -> io::Result<()>);

const EDITS: &[Edit] = &[
    ("a new file appears", |dir| fs::write(dir.join("news.html"), "<h1>It works</h1>\n")),
    ("a file is edited", |dir| fs::write(dir.join("index.html"), "<h1>Towline, second edition</h1>\n")),
    ("a directory with 20 files appears at once", |dir| {
        fs::create_dir(dir.join("gallery"))?;
        (0..20).try_for_each(|i| fs::write(dir.join(format!("gallery/{i:02}.svg")), format!("<svg id=\"{i}\"/>\n").repeat(50)))
    }),
    ("a file is renamed: nothing is sent again", |dir| fs::rename(dir.join("photo.raw"), dir.join("gallery/photo.raw"))),
    ("a file is touched: nothing is sent", |dir| {
        let file = fs::File::options().append(true).open(dir.join("about.html"))?;
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_750_000_000))
    }),
    ("a file is replaced by a directory of the same name", |dir| {
        fs::remove_file(dir.join("news.html"))?;
        fs::create_dir(dir.join("news.html"))?;
        fs::write(dir.join("news.html/today.txt"), "a directory now\n")
    }),
    ("a file is removed: on the server it goes to the trash", |dir| fs::remove_file(dir.join("notes.txt"))),
    ("a directory is removed with all that is in it", |dir| fs::remove_dir_all(dir.join("news.html"))),
];

pub(super) async fn demo(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let deadline = args.limit.map(|limit| Instant::now() + limit);
    let mut signals = Signals::new()?;
    let scratch = Scratch::new()?;
    let (source, served) = (scratch.0.join("site"), scratch.0.join("server"));
    sample(&source)?;
    fs::create_dir(&served)?;
    let server = server::start(&scratch.0, &served).await.map_err(Failure::failed)?;
    let out = &mut context.out;
    writeln!(out, "An FTPS server listens on 127.0.0.1:{} and serves {}", server.port, served.display())?;
    writeln!(out, "Towline keeps it equal to {}", source.display())?;

    let (events, mut heard) = mpsc::unbounded_channel();
    let (mirror, handle) = mirror(&scratch.0, &source, &server, events)?;
    let stop = CancellationToken::new();
    let running = tokio::spawn(mirror.run(Until::Stopped, stop.clone()));

    let shown = tokio::select! {
        shown = show_edits(out, &source, &served, handle, &mut heard, deadline) => shown,
        () = signals.received() => Ok(Exit::Done),
    };
    stop.cancel();
    let ended = running.await.map_err(Failure::failed)?;
    server.stop.cancel();
    let exit = shown?;
    ended.map_err(Failure::failed)?;
    writeln!(out, "Stopped. Everything was in a temporary directory, which is gone now.")?;
    Ok(exit)
}

/// Makes the edits one by one, again and again, and prints what becomes of each until the deadline.
async fn show_edits(
    out: &mut impl Write,
    source: &Path,
    served: &Path,
    handle: Handle,
    heard: &mut mpsc::UnboundedReceiver<Event>,
    deadline: Option<Instant>,
) -> Result<Exit, Failure> {
    writeln!(out, "\n* the mirror starts: everything that is there goes up")?;
    let mut edits = EDITS.iter().peekable();
    loop {
        let begun = Instant::now();
        if !settled(out, source, served, &handle, heard).await? {
            return Ok(Exit::Failed);
        }
        let (files, bytes) = tree(served)?.values().flatten().fold((0, 0), |(n, sum), body| (n + 1, sum + body.len() as u64));
        let took = begun.elapsed().as_millis();
        writeln!(out, "  = equal: {} on the server, {} ({took} ms)", show::count(files, "file", "files"), show::bytes(bytes))?;
        let next = Instant::now() + PAUSE;
        if deadline.is_some_and(|deadline| deadline < next) {
            return Ok(Exit::Done);
        }
        tokio::time::sleep_until(next).await;
        let Some((what, edit)) = edits.next() else {
            writeln!(out, "\n* your turn: edit {} and watch (Ctrl-C ends)", source.display())?;
            return free_play(out, heard, deadline).await;
        };
        writeln!(out, "\n* {what}")?;
        edit(source)?;
    }
}

/// Prints events until something was done, both trees are equal and the mirror says so.
async fn settled(
    out: &mut impl Write,
    source: &Path,
    served: &Path,
    handle: &Handle,
    heard: &mut mpsc::UnboundedReceiver<Event>,
) -> Result<bool, Failure> {
    let patience = Instant::now() + PATIENCE;
    let mut done = false;
    let mut status = handle.status.clone();
    loop {
        while let Ok(event) = heard.try_recv() {
            done |= matches!(event, Event::Settled { outcome: Outcome::Done(_), .. });
            print(out, &event)?;
        }
        let in_sync = status.borrow_and_update().phase == Phase::InSync;
        // A touched file is equal before it was looked at.
        if done && in_sync && tree(source)? == tree(served)? {
            return Ok(true);
        }
        if timeout_at(patience, status.changed()).await.is_err() {
            writeln!(out, "  ! not on the server after {}", show::span(PATIENCE))?;
            super::status::write_mirror(out, &status.borrow(), clock::now())?;
            return Ok(false);
        }
    }
}

async fn free_play(
    out: &mut impl Write,
    heard: &mut mpsc::UnboundedReceiver<Event>,
    deadline: Option<Instant>,
) -> Result<Exit, Failure> {
    let far = Instant::now() + Duration::from_secs(365 * 86_400);
    while let Ok(Some(event)) = timeout_at(deadline.unwrap_or(far), heard.recv()).await {
        print(out, &event)?;
    }
    Ok(Exit::Done)
}

fn print(out: &mut impl Write, event: &Event) -> io::Result<()> {
    match event {
        Event::Settled { operation, outcome: Outcome::Done(done) } => match (operation, done) {
            (Operation::Put { path, .. }, Done::Holds { sent: 0, print, .. }) if print.size > 0 => {
                writeln!(out, "  unchanged  {path}")
            }
            (Operation::Put { path, .. }, Done::Holds { sent, .. }) => {
                writeln!(out, "  put        {path} ({})", show::bytes(*sent))
            }
            (Operation::Rename { from, to, .. } | Operation::RenameDir { from, to, .. }, _) => {
                writeln!(out, "  renamed    {from} -> {to}")
            }
            (operation, _) => writeln!(out, "  {:<10} {}", short(operation), operation.path()),
        },
        Event::Settled { operation, outcome: Outcome::Failed(problem) | Outcome::InDoubt(problem) } => {
            writeln!(out, "  ! {}: {problem}", operation.path())
        }
        Event::Settled { outcome: Outcome::Untouched, .. } => Ok(()),
        Event::Halted(halt) => writeln!(out, "  ! {halt}"),
        Event::LinkDown(why) => writeln!(out, "  ! the server cannot be used: {why}"),
        Event::LinkUp => writeln!(out, "  the server can be used again"),
    }
}

fn short(operation: &Operation) -> &'static str {
    match operation {
        Operation::MakeDir { .. } => "mkdir",
        Operation::RemoveFile { .. } => "removed",
        Operation::Trash { .. } => "trashed",
        Operation::Keep { .. } => "kept",
        Operation::Restore { .. } | Operation::Revert { .. } => "put back",
        Operation::Expire { .. } => "expired",
        Operation::RemoveDir { .. } => "rmdir",
        Operation::SetMode { .. } => "chmod",
        Operation::Rotate { .. } => "renamed",
        Operation::Put { .. } | Operation::Rename { .. } | Operation::RenameDir { .. } | Operation::Link { .. } => {
            operation.verb()
        }
    }
}

fn mirror(
    scratch: &Path,
    source: &Path,
    server: &server::Server,
    events: mpsc::UnboundedSender<Event>,
) -> Result<(Mirror<FtpsRemote, KernelWatcher>, Handle), Failure> {
    let settings = FtpsSettings {
        host: "127.0.0.1".into(),
        port: server.port,
        mode: Mode::default(),
        data: DataMode::default(),
        proxy: None,
        user: server.user.clone(),
        password: server.password.clone().into(),
        base: b"/".to_vec(),
        tls: TlsSettings { ca: Some(server.ca.clone()), server_name: Some("localhost".into()), ..TlsSettings::default() },
        timeouts: Timeouts::default(),
        throttle: None,
    };
    let remote = FtpsRemote::new(settings, Profile::default(), Arc::new(|_: &Profile| {})).map_err(Failure::failed)?;
    let settings = Settings {
        name: "demo".into(),
        source: source.to_owned(),
        view: View::default(),
        ignore: Vec::new(),
        append: Vec::new(),
        quiet: Duration::from_millis(200),
        full_scan: Duration::from_secs(3600),
        identity: "demo".into(),
        budget: Budget { files: 50, percent: 25 },
        drift: Drift::default(),
        publish: Publish::default(),
        scan: Priority::default(),
        scrub: Scrub::default(),
        disposal: Disposal::Trash,
        retention: Retention::default(),
        neighbours: Vec::new(),
        seats: Seats::new(4),
        siblings: Siblings::default(),
        clock: clock::now,
        observer: Some(Arc::new(move |event: &Event| drop(events.send(event.clone())))),
    };
    let index = Index::open(&scratch.join("state").join("demo.db"), clock::now()).map_err(Failure::failed)?;
    Mirror::new(settings, index, Arc::new(remote), Some(Arc::new(|root: PathBuf| KernelWatcher::start(&root))))
        .map_err(Failure::failed)
}

/// A small web site.
fn sample(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir.join("css"))?;
    fs::create_dir_all(dir.join("docs/guide"))?;
    for (name, body) in [
        ("index.html", "<h1>Towline</h1>\n"),
        ("about.html", "<p>A mirror that can be forgotten.</p>\n"),
        ("notes.txt", "to be removed\n"),
        ("css/site.css", "body { margin: 2rem }\n"),
        ("docs/guide/first steps.md", "# First steps\n"),
        ("docs/guide/übersicht.md", "# Names are bytes\n"),
    ] {
        fs::write(dir.join(name), body)?;
    }
    let mut seed = blake3::Hasher::new().finalize_xof();
    let mut photo = vec![0; 3 << 20];
    seed.fill(&mut photo);
    fs::write(dir.join("photo.raw"), photo)
}

/// Everything below `dir` but the trash: files with their bytes, directories without.
fn tree(dir: &Path) -> io::Result<BTreeMap<PathBuf, Option<Vec<u8>>>> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(at) = left.pop() {
        for entry in fs::read_dir(&at)? {
            let path = entry?.path();
            let name = path.strip_prefix(dir).map_err(io::Error::other)?.to_owned();
            if name == Path::new(TRASH_DIR) || name == Path::new(MARKER) {
                continue;
            }
            if path.is_dir() {
                found.insert(name, None);
                left.push(path);
            } else {
                found.insert(name, Some(fs::read(&path)?));
            }
        }
    }
    Ok(found)
}

/// A private directory that goes away with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let dir = std::env::temp_dir().join(format!("towline-demo-{}-{:08x}", std::process::id(), fastrand::u32(..)));
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(Self(fs::canonicalize(dir)?))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
