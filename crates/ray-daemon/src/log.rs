//! Lines on standard error, but never a flood of them: a broken peer that comes back a thousand times a second fills no disk.

use std::time::{Duration, Instant};

/// The daemon's voice.
#[derive(Debug)]
pub(crate) struct Log {
    /// What each line begins with.
    name: String,
    /// When the current second began.
    since: Instant,
    lines: u32,
    left_out: u32,
}

impl Log {
    pub(crate) fn new(name: String, now: Instant) -> Self {
        Log { name, since: now, lines: 0, left_out: 0 }
    }

    pub(crate) fn line(&mut self, now: Instant, text: &str) {
        if self.admits(now) {
            let name = &self.name;
            if self.left_out > 0 {
                eprintln!("{name}: {} lines were left out here", std::mem::take(&mut self.left_out));
            }
            eprintln!("{name}: {text}");
        }
    }

    fn admits(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= PERIOD {
            (self.since, self.lines) = (now, 0);
        }
        let admitted = self.lines < LINES_PER_PERIOD;
        if admitted {
            self.lines += 1;
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
        admitted
    }
}

const PERIOD: Duration = Duration::from_secs(1);
const LINES_PER_PERIOD: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let start = Instant::now();
        let mut log = Log::new(String::from("test"), start);
        assert_eq!((0..100).filter(|_| log.admits(start)).count(), 20);
        assert_eq!(log.left_out, 80);
        assert!(log.admits(start + PERIOD));
    }
}
