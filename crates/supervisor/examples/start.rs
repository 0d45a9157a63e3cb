//! `start()` to `ready`, and one execution there and back, in microseconds. Needs `BUNTIME_INIT_PATH`.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use buntime_supervisor::{Event, EventSink, Flow, Options, Phase, Run, Supervisor};

struct Ends(mpsc::Sender<Instant>);

impl EventSink for Ends {
    fn emit(&self, batch: Vec<Event>) -> Flow {
        for event in batch {
            if matches!(&event, Event::State(state) if state.worker == Phase::ExecEnd) {
                let _ = self.0.send(Instant::now());
            }
        }
        Flow::Continue
    }
}

fn median(mut values: Vec<u128>) -> u128 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let interpreter = std::env::args().nth(1).map(Into::into);
    let mut starts = Vec::new();
    let mut stops = Vec::new();
    for _ in 0..30 {
        let (sender, _ends) = mpsc::channel();
        let options = Options {
            interpreter: interpreter.clone(),
            sandbox_enabled: std::env::var_os("BARE").is_none(),
            ..Options::default()
        };
        let supervisor = Supervisor::new(options, Arc::new(Ends(sender))).expect("options");
        let before = Instant::now();
        supervisor.start(None).await.expect("start");
        starts.push(before.elapsed().as_micros());
        let before = Instant::now();
        supervisor.stop(Some(Duration::from_secs(2))).await;
        stops.push(before.elapsed().as_micros());
    }
    println!("start -> ready {} us, stop {} us", median(starts), median(stops));

    let (sender, ends) = mpsc::channel();
    let options = Options { interpreter, ..Options::default() };
    let supervisor = Supervisor::new(options, Arc::new(Ends(sender))).expect("options");
    supervisor.start(None).await.expect("start");
    for gap in [0, 5] {
        let mut trips = Vec::new();
        for _ in 0..1000 {
            std::thread::sleep(Duration::from_millis(gap));
            let before = Instant::now();
            supervisor.run(Run::Code("print(1)".into())).expect("run");
            let end = ends.recv().expect("an end");
            trips.push(end.duration_since(before).as_micros());
        }
        println!("print(1) there and back, {gap} ms apart: {} us", median(trips));
    }
    let before = Instant::now();
    for _ in 0..20_000 {
        supervisor.run(Run::Code("print(1)".into())).expect("run");
    }
    for _ in 0..20_000 {
        ends.recv().expect("an end");
    }
    println!("pipelined: {:.0} executions a second", 20_000.0 / before.elapsed().as_secs_f64());
    supervisor.stop(None).await;
}
