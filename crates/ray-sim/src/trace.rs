//! What happened, as a number to compare two runs of one seed by, and as lines to read when a run broke a promise.

use crate::cluster::Event;
use crate::link::{MICRO, Nanos};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// Lines kept.
const KEPT: usize = 80;

/// A record of a run. Clones share it, so that it can be read after a panic.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    hash: Rc<RefCell<u64>>,
    /// Writing lines costs more than the simulation itself: only a run that is known to fail does.
    lines: Option<Rc<RefCell<VecDeque<String>>>>,
}

impl Trace {
    /// A trace that keeps the last lines.
    pub fn with_lines() -> Self {
        Trace { lines: Some(Rc::default()), ..Trace::default() }
    }

    /// Takes note of an event.
    pub(crate) fn event(&self, now: Nanos, event: &Event) {
        let kind = match event {
            Event::Up(proc, _) => 1 << 32 | *proc as u64,
            Event::Down(proc, _) => 2 << 32 | *proc as u64,
            Event::Doorbell { to, from } => 3 << 32 | (*to as u64) << 16 | *from as u64,
            Event::Run(proc) => 4 << 32 | *proc as u64,
            Event::Timer(proc) => 5 << 32 | *proc as u64,
            Event::SchedulerTimer => 6 << 32,
            Event::ToZygote(..) => 7 << 32,
            Event::Exited { spawn, .. } => 8 << 32 | spawn,
            Event::Free(_, objects) => 9 << 32 | objects.len() as u64,
            Event::DriverStarts(program) => 10 << 32 | u64::from(*program),
            Event::Kill(proc) => 11 << 32 | *proc as u64,
        };
        let mut hash = self.hash.borrow_mut();
        *hash = crate::program::mix(*hash, now ^ kind.rotate_left(24));
        self.line(now, || {
            let mut text = format!("{event:?}");
            if text.len() > 230 {
                text.truncate(text.floor_char_boundary(230));
                text.push('…');
            }
            text
        });
    }

    /// Takes note of anything else.
    pub(crate) fn line(&self, now: Nanos, text: impl FnOnce() -> String) {
        if let Some(lines) = &self.lines {
            let mut lines = lines.borrow_mut();
            lines.push_back(format!("{:>12.3} ms  {}", now as f64 / (1000 * MICRO) as f64, text()));
            if lines.len() > KEPT && std::env::var_os("RAY_SIM_ALL").is_none() {
                lines.pop_front();
            }
        }
    }

    /// The number two runs of one seed share.
    pub fn hash(&self) -> u64 {
        *self.hash.borrow()
    }

    /// The last lines.
    pub fn lines(&self) -> Vec<String> {
        self.lines.as_ref().map_or_else(Vec::new, |lines| lines.borrow().iter().cloned().collect())
    }
}
