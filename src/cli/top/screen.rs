//! The screen of `towline top`, from values alone: what is drawn where, and how fast things go.

use std::collections::HashMap;

use ratatui::{
    Frame,
    layout::{Constraint, Layout},
    style::{Color, Modifier, Style, Stylize},
    text::{Line, Span},
    widgets::{Block, Paragraph},
};
use towline::{
    control::Status,
    mirror::{MirrorStatus, Phase, status::InFlight},
    model::UnixMillis,
};

use crate::cli::show;

/// A bar is so wide.
const BAR: usize = 20;

/// What is drawn.
pub(super) struct View<'a> {
    pub(super) status: &'a Status,
    pub(super) rates: &'a Rates,
    /// The daemon answers; else this is how it was last.
    pub(super) alive: bool,
    /// What was said to the last order.
    pub(super) said: &'a str,
    pub(super) scroll: u16,
    pub(super) now: UnixMillis,
}

/// How fast each mirror and each of its transfers sends.
#[derive(Debug, Default)]
pub(super) struct Rates {
    known: HashMap<String, Rate>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    at: UnixMillisOrNever,
    sent: u64,
    a_second: u64,
}

type UnixMillisOrNever = Option<UnixMillis>;

impl Rates {
    /// Takes note of what was sent by `now`. Measured over a second at least, so that figures can be read.
    pub(super) fn measure(&mut self, status: &Status, now: UnixMillis) {
        let mut met = HashMap::new();
        for mirror in &status.mirrors {
            let flying: u64 = mirror.in_flight.iter().map(|job| job.sent).sum();
            let whole = (key(&mirror.name, None), mirror.counters.bytes_sent + flying);
            let jobs = mirror.in_flight.iter().map(|job| (key(&mirror.name, Some(job)), job.sent));
            for (key, sent) in std::iter::once(whole).chain(jobs) {
                let rate = self.known.get(&key).copied().unwrap_or_default().after(sent, now);
                met.insert(key, rate);
            }
        }
        // What is over is forgotten.
        self.known = met;
    }

    fn of(&self, mirror: &str, job: Option<&InFlight>) -> u64 {
        self.known.get(&key(mirror, job)).map_or(0, |rate| rate.a_second)
    }
}

fn key(mirror: &str, job: Option<&InFlight>) -> String {
    format!("{mirror}\0{}", job.map(|job| job.path.as_str()).unwrap_or_default())
}

impl Rate {
    fn after(self, sent: u64, now: UnixMillis) -> Self {
        let Some(at) = self.at else { return Self { at: Some(now), sent, a_second: 0 } };
        let millis = u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
        if millis < 1000 {
            return self;
        }
        Self { at: Some(now), sent, a_second: sent.saturating_sub(self.sent).saturating_mul(1000) / millis }
    }
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View<'_>) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    let title = format!("towline {}  process {}", view.status.version, view.status.pid);
    let state = if view.alive { Span::raw("") } else { Span::raw("  the daemon does not answer: as it was last").red().bold() };
    frame.render_widget(Line::from(vec![Span::raw(title).bold(), state]), head);
    let lines: Vec<Line<'_>> = view.status.mirrors.iter().flat_map(|mirror| lines(mirror, view)).collect();
    let most = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_sub(body.height.saturating_sub(1));
    let block = Block::default();
    frame.render_widget(Paragraph::new(lines).block(block).scroll((view.scroll.min(most), 0)), body);
    let keys = "q quit  \u{2191}\u{2193} scroll  p pause  r resume  R retry";
    let said = if view.said.is_empty() { keys.to_owned() } else { format!("{keys}   {}", view.said) };
    frame.render_widget(Line::from(said).style(Style::new().add_modifier(Modifier::REVERSED)), foot);
}

fn colour(phase: Phase) -> Color {
    match phase {
        Phase::InSync | Phase::AsScanned => Color::Green,
        Phase::Halted | Phase::Parked | Phase::Stopped => Color::Red,
        Phase::Waiting | Phase::Withheld | Phase::Paused => Color::Yellow,
        Phase::Starting | Phase::Scanning | Phase::Syncing | Phase::Publishing => Color::Cyan,
    }
}

/// One mirror: its state, its lanes, its transfers, its queue, what failed last.
fn lines<'a>(mirror: &'a MirrorStatus, view: &View<'_>) -> Vec<Line<'a>> {
    let tally = &mirror.tally;
    let state = Span::styled(mirror.phase.as_str(), Style::new().fg(colour(mirror.phase)).bold());
    let rate = format!("  {}/s", show::bytes(view.rates.of(&mirror.name, None)));
    let held =
        format!("  {} on the server ({})", show::count(tally.recorded_files, "file", "files"), show::bytes(tally.recorded_bytes));
    let mut lines =
        vec![Line::from(vec![Span::raw(mirror.name.as_str()).bold(), Span::raw("  "), state, Span::raw(rate), Span::raw(held)])];
    lines.push(Line::from(format!(
        "  lanes    {} of {} in use, {} open; {}",
        mirror.in_flight.len(),
        mirror.link.limit,
        mirror.link.sessions,
        mirror.link.why.as_ref().map_or_else(|| mirror.link.state.clone(), |why| format!("{}: {why}", mirror.link.state))
    )));
    let mut queue =
        format!("  queue    {} ({})", show::count(tally.pending_files, "file", "files"), show::bytes(tally.pending_bytes));
    for (n, one, many) in [
        (tally.pending_dirs, "directory", "directories"),
        (tally.pending_removals, "removal", "removals"),
        (tally.waiting, "waits", "wait"),
    ] {
        if n > 0 {
            queue += &format!(", {}", show::count(n, one, many));
        }
    }
    if tally.parked > 0 {
        queue += &format!(", {} parked", tally.parked);
    }
    if let Some(oldest) = mirror.oldest_pending {
        queue += &format!("; the oldest was seen {}", show::ago(oldest, view.now));
    }
    lines.push(Line::from(queue));
    lines.extend(mirror.in_flight.iter().map(|job| transfer(mirror, job, view)));
    if let Some(pause) = &mirror.paused {
        lines.push(Line::from(format!("  paused   {}", show::paused(&mirror.name, pause, view.now))).yellow());
    }
    if let Some(halt) = &mirror.halt {
        lines.push(Line::from(format!("  halted   {}; {}", halt.why, halt.hint)).red());
    }
    if let Some(why) = &mirror.stopped {
        lines.push(Line::from(format!("  stopped  {why}")).red());
    }
    for problem in &mirror.problems {
        let word = if problem.retry_at.is_some() { "waits" } else { "parked" };
        lines.push(Line::from(format!("  {word:<8} {}: {}", problem.path, problem.why)).red());
    }
    for unseen in &mirror.unseen {
        lines.push(Line::from(format!("  unseen   {}: {}", unseen.path, unseen.why)).red());
    }
    lines.push(Line::default());
    lines
}

/// One transfer: how far, how fast, how much longer.
fn transfer<'a>(mirror: &MirrorStatus, job: &'a InFlight, view: &View<'_>) -> Line<'a> {
    let Some(size) = job.size.filter(|size| *size > 0) else {
        return Line::from(format!("  now      {} {}", job.verb, job.path));
    };
    let (sent, rate) = (job.sent.min(size), view.rates.of(&mirror.name, Some(job)));
    let filled = usize::try_from(u128::from(sent) * BAR as u128 / u128::from(size)).unwrap_or(BAR);
    let bar = format!("{}{}", "#".repeat(filled), "-".repeat(BAR - filled));
    let percent = u128::from(sent) * 100 / u128::from(size);
    let mut text =
        format!("  now      [{bar}] {percent:>3} %  {} {}, {} at {}/s", job.verb, job.path, show::bytes(size), show::bytes(rate));
    if let Some(left) = (size - sent).checked_div(rate) {
        text += &format!(", {} left", show::span(std::time::Duration::from_secs(left)));
    }
    Line::from(text)
}

#[cfg(test)]
mod tests;
