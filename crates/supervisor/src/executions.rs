//! Executions: each that was accepted ends exactly once, whatever becomes of the worker.

use buntime_ipc::{How, Lie};

use crate::event::{Event, Outcome, Phase, WorkerState};
use crate::supervisor::Ended;

/// Counts what the worker says it started and ended, and makes the events of it.
#[derive(Default)]
pub struct Executions {
    /// Those of earlier workers, since each worker counts from 1.
    before: u32,
    started: u32,
    ended: u32,
}

impl Executions {
    /// For a worker that takes over after so many.
    pub fn after(ended: u32) -> Self {
        Self { before: ended, started: ended, ended }
    }

    pub fn running(&self) -> bool {
        self.started > self.ended
    }

    pub fn ended(&self) -> u32 {
        self.ended
    }

    /// The worker says that it began its execution `number`. `handed`: whether it was handed one, of which this is then
    /// the first.
    pub fn start(&mut self, number: u32, handed: impl FnOnce() -> bool, batch: &mut Vec<Event>) -> Result<(), Lie> {
        let next = self.started + 1;
        if self.running() || self.before.checked_add(number) != Some(next) || !handed() {
            return Err(Lie::Value { field: "execution that starts", found: number, expected: "the next one" });
        }
        self.started = next;
        batch.push(Event::State(WorkerState::new(Phase::CodeReceived)));
        batch.push(Event::State(WorkerState::new(Phase::ExecStart)));
        Ok(())
    }

    /// The worker says how it ended.
    pub fn end(
        &mut self,
        number: u32,
        exit_code: i32,
        how: How,
        error: &[u8],
        batch: &mut Vec<Event>,
    ) -> Result<(), Lie> {
        if !self.running() || self.before.checked_add(number) != Some(self.started) {
            return Err(Lie::Value { field: "execution that ends", found: number, expected: "the running one" });
        }
        let (outcome, second) = match how {
            How::Ok => (Outcome::Ok, None),
            How::Exception => (Outcome::Exception, Some(Phase::Exception)),
            How::Exit => (Outcome::Exit, None),
            How::Interrupted => (Outcome::Signal, Some(Phase::Interrupted)),
        };
        let error = (!error.is_empty()).then(|| String::from_utf8_lossy(error).into_owned());
        let signal = (how == How::Interrupted).then(|| "SIGINT".to_owned());
        self.close(exit_code, outcome, error, signal, second, batch);
        Ok(())
    }

    /// The worker is gone for good: ends what ran, and what was accepted and never began.
    pub fn worker_gone(
        &mut self,
        accepted: u32,
        ended: Ended,
        lie: Option<&str>,
        wanted: bool,
        batch: &mut Vec<Event>,
    ) {
        if lie.is_some() && self.ended < accepted {
            self.lied_in_next();
        }
        self.end_running(ended, lie, wanted, batch);
        while self.ended < accepted {
            self.started += 1;
            let error = Some("the sandbox ended before this code was executed".to_owned());
            self.close(125, Outcome::Cancelled, error, None, Some(Phase::Exception), batch);
        }
    }

    /// Who lies may do so before the news of its start is read: what was next is what was lied in.
    pub fn lied_in_next(&mut self) {
        self.started = self.ended + 1;
    }

    /// Ends what ran when the worker went.
    pub fn end_running(&mut self, ended: Ended, lie: Option<&str>, wanted: bool, batch: &mut Vec<Event>) {
        if self.running() {
            let (exit_code, outcome, signal, error) = match (ended, lie) {
                (_, Some(lie)) => (137, Outcome::Protocol, None, Some(format!("protocol: {lie}"))),
                (Ended::Exited(code), _) => (code, Outcome::Exit, None, None),
                (Ended::Signalled(number), _) => {
                    let name = signal_name(number);
                    let outcome = if wanted { Outcome::Cancelled } else { Outcome::Signal };
                    let what = if wanted { "the sandbox was stopped" } else { "the worker was killed" };
                    (128 + number, outcome, Some(name.clone()), Some(format!("{what} ({name})")))
                }
                (Ended::Never, _) => (125, Outcome::Cancelled, None, Some("the worker never started".into())),
            };
            let second = (!matches!(outcome, Outcome::Exit)).then_some(Phase::Exception);
            self.close(exit_code, outcome, error, signal, second, batch);
        }
    }

    /// The events of an end, in their order: the error, the end, the second state.
    fn close(
        &mut self,
        exit_code: i32,
        outcome: Outcome,
        error: Option<String>,
        signal: Option<String>,
        second: Option<Phase>,
        batch: &mut Vec<Event>,
    ) {
        self.ended = self.started;
        if let Some(error) = &error {
            batch.push(Event::Error(error.clone()));
        }
        let state = WorkerState {
            signal,
            exit_code: Some(exit_code),
            success: Some(exit_code == 0 && matches!(outcome, Outcome::Ok | Outcome::Exit)),
            outcome: Some(outcome),
            error,
            ..WorkerState::new(Phase::ExecEnd)
        };
        batch.push(Event::State(state.clone()));
        if let Some(worker) = second {
            batch.push(Event::State(WorkerState { worker, ..state }));
        }
    }
}

/// `SIGKILL` for 9.
pub fn signal_name(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(batch: &[Event]) -> Vec<String> {
        batch
            .iter()
            .map(|event| match event {
                Event::State(state) => format!("{:?} {:?}", state.worker, state.exit_code),
                Event::Error(error) => format!("error {error}"),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn each_accepted_execution_ends_once_also_when_the_worker_dies() {
        let (mut executions, mut batch) = (Executions::default(), Vec::new());
        executions.start(1, || true, &mut batch).unwrap();
        executions.end(1, 1, How::Exception, b"ValueError: x", &mut batch).unwrap();
        executions.start(2, || true, &mut batch).unwrap();
        batch.clear();
        executions.worker_gone(3, Ended::Signalled(6), None, false, &mut batch);
        let ends = phases(&batch).into_iter().filter(|line| line.starts_with("ExecEnd")).collect::<Vec<_>>();
        assert_eq!(ends, ["ExecEnd Some(134)", "ExecEnd Some(125)"]);
        batch.clear();
        executions.worker_gone(3, Ended::Exited(0), None, false, &mut batch);
        assert!(batch.is_empty(), "{batch:?}");
    }

    #[test]
    fn the_order_of_an_exceptions_events() {
        let (mut executions, mut batch) = (Executions::default(), Vec::new());
        executions.start(1, || true, &mut batch).unwrap();
        executions.end(1, 1, How::Exception, b"ValueError: x", &mut batch).unwrap();
        assert_eq!(
            phases(&batch),
            ["CodeReceived None", "ExecStart None", "error ValueError: x", "ExecEnd Some(1)", "Exception Some(1)"]
        );
    }

    #[test]
    fn a_worker_cannot_start_or_end_what_was_not_sent() {
        let (mut executions, mut batch) = (Executions::default(), Vec::new());
        assert!(executions.start(1, || false, &mut batch).is_err());
        assert!(executions.start(2, || true, &mut batch).is_err());
        assert!(executions.end(1, 0, How::Ok, b"", &mut batch).is_err());
        executions.start(1, || true, &mut batch).unwrap();
        assert!(executions.start(2, || true, &mut batch).is_err());
        executions.end(1, 0, How::Ok, b"", &mut batch).unwrap();
        assert!(executions.end(1, 0, How::Ok, b"", &mut batch).is_err());
    }

    #[test]
    fn each_worker_counts_from_one() {
        let (mut executions, mut batch) = (Executions::after(5), Vec::new());
        for lie in [0, 2, 6, u32::MAX] {
            assert!(executions.start(lie, || true, &mut batch).is_err(), "{lie}");
        }
        executions.start(1, || true, &mut batch).unwrap();
        assert!(executions.end(6, 0, How::Ok, b"", &mut batch).is_err());
        executions.end(1, 0, How::Ok, b"", &mut batch).unwrap();
        assert_eq!(executions.ended(), 6);
    }

    #[test]
    fn a_worker_that_is_replaced_leaves_the_rest_to_the_next_one() {
        let (mut executions, mut batch) = (Executions::default(), Vec::new());
        executions.start(1, || true, &mut batch).unwrap();
        executions.end_running(Ended::Signalled(9), None, true, &mut batch);
        assert_eq!(executions.ended(), 1);
        executions.end_running(Ended::Signalled(9), None, true, &mut batch);
        assert_eq!(executions.ended(), 1, "nothing ran");
        executions.lied_in_next();
        executions.end_running(Ended::Signalled(9), Some("lie"), true, &mut batch);
        assert_eq!(executions.ended(), 2, "what it lied in");
    }
}
