//! What the listener's thread has seen and nobody has been told yet.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use buntime_policy::PermissionKind;

use crate::event::{AuditEvent, Event};

/// Most records that wait to be told. What comes beyond is counted.
const MAX_WAITING: usize = 8192;
/// Between two `syscalls` events.
const COUNTS_PERIOD: Duration = Duration::from_millis(200);

/// Records, counts, warnings and denials, bounded however fast they come and however seldom they are taken.
#[derive(Default)]
pub struct Records {
    waiting: VecDeque<AuditEvent>,
    /// Records that found no room since the last were taken.
    dropped: u64,
    /// Calls by name, since the start; in the order of the names.
    counts: BTreeMap<&'static str, u64>,
    counts_told: Option<(Instant, u64)>,
    /// In words, what `warn` rules have let through.
    warnings: Vec<String>,
    denials: Vec<Denied>,
    /// Denials that found no room.
    more_denials: u64,
}

/// Something that a descendant of the worker was denied.
pub struct Denied {
    pub permission: PermissionKind,
    pub operation: &'static str,
    pub target: Vec<u8>,
    pub pid: i32,
}

impl Records {
    /// For these calls.
    pub fn new(audited: impl IntoIterator<Item = &'static str>) -> Self {
        let counts = audited.into_iter().map(|name| (name, 0)).collect();
        Self { waiting: VecDeque::new(), dropped: 0, counts, ..Self::default() }
    }

    pub fn add(&mut self, record: AuditEvent) {
        *self.counts.entry(record.syscall).or_default() += 1;
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(record);
        } else {
            self.dropped += 1;
        }
    }

    pub fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }

    pub fn deny(&mut self, denied: Denied) {
        if self.denials.len() < MAX_WAITING {
            self.denials.push(denied);
        } else {
            self.more_denials += 1;
        }
    }

    pub fn take_denials(&mut self) -> (Vec<Denied>, u64) {
        (std::mem::take(&mut self.denials), std::mem::take(&mut self.more_denials))
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.dropped == 0 && self.warnings.is_empty() && self.denials.is_empty()
    }

    /// Makes events of what waits. The counts come with `last` or when they have not been told for a while.
    pub fn tell(&mut self, now: Instant, last: bool, batch: &mut Vec<Event>) {
        batch.extend(self.warnings.drain(..).map(Event::Warn));
        if !self.waiting.is_empty() || self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            batch.push(Event::AuditEvents { events: self.waiting.drain(..).collect(), dropped });
        }
        let total = self.counts.values().sum();
        let due = self.counts_told.is_none_or(|(then, _)| last || now.duration_since(then) >= COUNTS_PERIOD);
        if due && total != self.counts_told.map_or(0, |(_, told)| told) {
            self.counts_told = Some((now, total));
            batch.push(Event::Syscalls {
                buckets: self.counts.keys().copied().collect(),
                counts: self.counts.values().copied().collect(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buntime_policy::Action;

    fn record() -> AuditEvent {
        AuditEvent {
            time: 1,
            syscall: "openat",
            target: "/x".into(),
            pid: 2,
            action: Action::Allow,
            rule: None,
            source: "default".into(),
            raw: None,
        }
    }

    #[test]
    fn a_flood_is_bounded_and_counted() {
        let (mut records, mut batch, now) = (Records::new(["openat", "connect"]), Vec::new(), Instant::now());
        for _ in 0..MAX_WAITING + 7 {
            records.add(record());
        }
        records.tell(now, false, &mut batch);
        let [Event::AuditEvents { events, dropped }, Event::Syscalls { buckets, counts }] = &batch[..] else {
            panic!("{} events", batch.len());
        };
        assert_eq!((events.len(), *dropped), (MAX_WAITING, 7));
        assert_eq!((&buckets[..], &counts[..]), (&["connect", "openat"][..], &[0, MAX_WAITING as u64 + 7][..]));
        assert!(records.is_empty());
    }

    #[test]
    fn counts_come_five_times_a_second_and_at_the_end() {
        let (mut records, mut batch, start) = (Records::new(["openat"]), Vec::new(), Instant::now());
        for millis in 0..1000 {
            records.add(record());
            records.tell(start + Duration::from_millis(millis), false, &mut batch);
        }
        let counts = |batch: &[Event]| batch.iter().filter(|event| matches!(event, Event::Syscalls { .. })).count();
        assert_eq!(counts(&batch), 5);
        records.tell(start + Duration::from_millis(1000), true, &mut batch);
        assert_eq!(counts(&batch), 6);
        records.tell(start + Duration::from_secs(9), true, &mut batch);
        assert_eq!(counts(&batch), 6, "nothing new");
    }
}
