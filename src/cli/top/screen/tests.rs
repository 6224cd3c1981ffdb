use ratatui::{Terminal, backend::TestBackend};
use towline::{
    index::Tally,
    mirror::status::{LinkStatus, PathStatus},
};

use super::*;

fn put(path: &str, sent: u64, size: u64) -> InFlight {
    InFlight { verb: "put".to_owned(), path: path.to_owned(), size: Some(size), sent }
}

fn status(sent: u64) -> Status {
    let busy = MirrorStatus {
        name: "site".to_owned(),
        phase: Phase::Syncing,
        tally: Tally {
            pending_files: 3,
            pending_bytes: 4096,
            pending_removals: 1,
            parked: 1,
            recorded_files: 1_200,
            recorded_bytes: 1 << 20,
            ..Tally::default()
        },
        oldest_pending: Some(UnixMillis(10_000)),
        in_flight: vec![put("big.iso", sent, 4096), InFlight { size: None, ..put("old", 0, 0) }],
        link: LinkStatus { state: "up".to_owned(), sessions: 3, limit: 8, ..LinkStatus::default() },
        problems: vec![PathStatus {
            path: "x".to_owned(),
            why: "550 no".to_owned(),
            hint: String::new(),
            attempts: 1,
            retry_at: None,
        }],
        ..MirrorStatus::default()
    };
    let idle = MirrorStatus { name: "docs".to_owned(), phase: Phase::InSync, ..MirrorStatus::default() };
    Status { version: "1.2.3".to_owned(), pid: 7, mirrors: vec![busy, idle] }
}

fn screen(width: u16, height: u16, scroll: u16, alive: bool) -> Vec<String> {
    let mut rates = Rates::default();
    rates.measure(&status(0), UnixMillis(60_000));
    rates.measure(&status(500), UnixMillis(60_500));
    rates.measure(&status(1024), UnixMillis(61_000));
    let status = status(1024);
    let view = View { status: &status, rates: &rates, alive, said: "", scroll, now: UnixMillis(61_000) };
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, &view)).unwrap();
    let buffer = terminal.backend().buffer();
    let cells: Vec<&str> = buffer.content().iter().map(ratatui::buffer::Cell::symbol).collect();
    cells.chunks(usize::from(width)).map(|row| row.concat().trim_end().to_owned()).collect()
}

#[test]
fn everything_is_on_one_screen() {
    let expected = "\
towline 1.2.3  process 7
site  syncing  1.00 KiB/s  1,200 files on the server (1.00 MiB)
  lanes    2 of 8 in use, 3 open; up
  queue    3 files (4.00 KiB), 1 removal, 1 parked; the oldest was seen 51 s ago
  now      [#####---------------]  25 %  put big.iso, 4.00 KiB at 1.00 KiB/s, 3 s left
  now      put old
  parked   x: 550 no

docs  in sync  0 B/s  0 files on the server (0 B)
  lanes    0 of 0 in use, 0 open;
  queue    0 files (0 B)

q quit  \u{2191}\u{2193} scroll  p pause  r resume  R retry";
    assert_eq!(screen(100, 13, 0, true).join("\n"), expected);
}

#[test]
fn a_small_screen_is_no_panic_and_scrolls_to_the_end_and_no_further() {
    let rows = screen(30, 5, 8, true);
    assert_eq!((rows.len(), rows[1].as_str()), (5, "  lanes    0 of 0 in use, 0 op"));
    let end = screen(30, 5, 999, true);
    assert_eq!(
        (end[1].as_str(), end[2].as_str(), end[3].as_str()),
        ("  queue    0 files (0 B)", "", ""),
        "what is last stays in sight"
    );
    screen(1, 1, 0, true);
}

#[test]
fn a_daemon_that_is_gone_is_said() {
    assert!(screen(80, 10, 0, false)[0].ends_with("the daemon does not answer: as it was last"));
}
