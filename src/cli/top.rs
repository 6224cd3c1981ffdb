//! `towline top`: all mirrors on one screen, as they change. The screen is drawn by [`draw`] from values alone.

mod screen;

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    time::Duration,
};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::{sync::mpsc, time::Instant};
use towline::{
    clock,
    control::{
        Status,
        client::{Client, Events},
    },
};

use super::{Context, Exit, Failure, assemble, signals::Signals};
use screen::{Rates, View, draw};

/// Ages and speeds are counted on this often.
const TICK: Duration = Duration::from_secs(1);
/// A daemon that has gone is asked for again this often.
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Keys: q ends it; up and down (or k and j) scroll; p pauses every mirror, r resumes them; R retries what failed.\n\n\
                  Example:\n  towline top"
)]
pub(super) struct Args {}

pub(super) async fn top(context: Context, Args {}: Args) -> Result<Exit, Failure> {
    if !io::stdout().is_terminal() {
        return Err(Failure::said(Exit::Usage, "this is for a terminal")
            .with_hint(Some("`towline status --watch` shows changes line by line")));
    }
    let mut signals = Signals::new()?;
    let client = Client::new(&assemble::socket(&context)?);
    // Before the screen is taken.
    let events = client.events().await.map_err(|e| Failure::new(Exit::Unavailable, e))?;
    // Takes the screen, and gives it back when this panics.
    let mut terminal = ratatui::try_init()?;
    let ended = tokio::select! {
        ended = show(&mut terminal, &client, events) => ended,
        () = signals.received() => Ok(()),
    };
    ratatui::try_restore()?;
    ended.map(|()| Exit::Done)
}

async fn show(terminal: &mut ratatui::DefaultTerminal, client: &Client, events: Events) -> Result<(), Failure> {
    let mut keys = keys();
    let (mut events, mut last) = (Some(events), None::<Status>);
    let (mut rates, mut scroll, mut said) = (Rates::default(), 0_u16, String::new());
    let mut ask_again = Instant::now();
    loop {
        if let Some(status) = &last {
            rates.measure(status, clock::now());
            let view = View { status, rates: &rates, alive: events.is_some(), said: &said, scroll, now: clock::now() };
            terminal.draw(|frame| draw(frame, &view))?;
        }
        tokio::select! {
            event = next(&mut events) => match event {
                Some(status) => last = Some(status),
                None => {
                    events = None;
                    ask_again = Instant::now() + AGAIN;
                }
            },
            key = keys.recv() => match key {
                None | Some(Key::Quit) => return Ok(()),
                Some(Key::Down) => scroll = scroll.saturating_add(1),
                Some(Key::Up) => scroll = scroll.saturating_sub(1),
                Some(Key::Redraw) => terminal.clear()?,
                Some(Key::Tell(order)) => said = tell(client, last.as_ref(), order).await,
            },
            () = tokio::time::sleep(TICK) => {}
            () = tokio::time::sleep_until(ask_again), if events.is_none() => {
                events = client.events().await.ok();
                ask_again = Instant::now() + AGAIN;
            }
        }
    }
}

/// The next event; nothing when the daemon has ended, and for ever while there is none.
async fn next(events: &mut Option<Events>) -> Option<Status> {
    match events {
        Some(events) => events.next().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Quit,
    Up,
    Down,
    Redraw,
    Tell(Order),
}

/// What all mirrors are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Pause,
    Resume,
    Retry,
}

/// What was said to it, in words.
async fn tell(client: &Client, status: Option<&Status>, order: Order) -> String {
    let mut told = BTreeMap::new();
    for mirror in status.iter().flat_map(|status| &status.mirrors) {
        let name = &mirror.name;
        let said = match order {
            Order::Pause => client.pause(name, None).await.map(|_| "paused".to_owned()),
            Order::Resume => client.resume(name).await.map(|_| "resumed".to_owned()),
            Order::Retry => client.retry(name, None).await.map(|retried| format!("{} tried again", retried.paths)),
        };
        told.insert(name, said.unwrap_or_else(|e| e.to_string()));
    }
    told.into_iter().map(|(name, said)| format!("{name}: {said}")).collect::<Vec<_>>().join(", ")
}

/// Keys, read on a thread: a terminal is not waited for in any other way. The thread ends with the process, or when nobody listens.
fn keys() -> mpsc::Receiver<Key> {
    let (tx, rx) = mpsc::channel(16);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if let Some(key) = meant(&event)
                && tx.blocking_send(key).is_err()
            {
                return;
            }
        }
    });
    rx
}

/// What somebody means by it, if anything.
fn meant(event: &Event) -> Option<Key> {
    match event {
        Event::Resize(..) => Some(Key::Redraw),
        Event::Key(key) if key.kind == KeyEventKind::Release => None,
        // In raw mode the terminal makes no signal of it.
        Event::Key(key) if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
        Event::Key(key) => Some(match key.code {
            KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
            KeyCode::Up | KeyCode::Char('k') => Key::Up,
            KeyCode::Down | KeyCode::Char('j') => Key::Down,
            KeyCode::Char('p') => Key::Tell(Order::Pause),
            KeyCode::Char('r') => Key::Tell(Order::Resume),
            KeyCode::Char('R') => Key::Tell(Order::Retry),
            _ => return None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::crossterm::event::KeyEvent;

    #[test]
    fn keys_mean_what_the_help_says() {
        let key = |code| meant(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        assert_eq!((key(KeyCode::Char('q')), key(KeyCode::Esc)), (Some(Key::Quit), Some(Key::Quit)));
        assert_eq!((key(KeyCode::Up), key(KeyCode::Char('j'))), (Some(Key::Up), Some(Key::Down)));
        assert_eq!(key(KeyCode::Char('R')), Some(Key::Tell(Order::Retry)));
        assert_eq!(key(KeyCode::Char('c')), None);
        assert_eq!(meant(&Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL))), Some(Key::Quit));
        assert_eq!(meant(&Event::Resize(80, 24)), Some(Key::Redraw));
    }
}
