//! A whole run, from Rust: needs `buntime-init` (`BUNTIME_INIT_PATH`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buntime_supervisor::{Ended, Event, EventSink, Flow, Options, Run, Supervisor};

#[derive(Default)]
struct Collect(Mutex<Vec<Event>>);

impl EventSink for Collect {
    fn emit(&self, batch: Vec<Event>) -> Flow {
        if std::env::var_os("SHOW").is_some() {
            for e in &batch {
                eprintln!("{e:?}");
            }
        }
        self.0.lock().expect("no test panics while it holds this").extend(batch);
        Flow::Continue
    }
}

#[tokio::test]
async fn prints_and_ends() {
    let sink = Arc::new(Collect::default());
    let supervisor = Supervisor::new(Options::default(), sink.clone()).unwrap();
    let t = std::time::Instant::now();
    supervisor.start(None).await.unwrap();
    eprintln!("ready after {:?}", t.elapsed());
    assert!(
        supervisor
            .run(Run::Code("import os\nprint('hello', os.getpid(), os.getuid(), os.listdir('/proc'))".into()))
            .unwrap()
    );
    let ended = supervisor.stop(Some(Duration::from_secs(5))).await;
    assert_eq!(ended, Ended::Exited(0));
    let supervisor = Supervisor::new(Options::default(), sink.clone()).unwrap();
    let t = std::time::Instant::now();
    supervisor.start(None).await.unwrap();
    eprintln!("ready after {:?}", t.elapsed());
}
