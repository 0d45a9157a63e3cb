//! `class Supervisor` of the binding: short methods over the core's.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use buntime_supervisor::{Run, Supervisor as Core, Watch};
use napi::Env;
use napi::bindgen_prelude::{Either, Function, Object, PromiseRaw, Unknown};
use napi_derive::napi;
use serde_json::Value;

use crate::error::{invalid_option, to_js};
use crate::listeners::{Listeners, Taken};
use crate::{event, options, paths, policy, value};

/// One sandbox, as the facade in `index.js` sees it.
#[napi]
pub struct Supervisor {
    core: Core,
    listeners: Arc<Listeners>,
    /// What the last execution is watched with, until its first news has been dispatched.
    watch: RefCell<Option<Watch>>,
}

#[napi]
impl Supervisor {
    #[napi(constructor, catch_unwind)]
    pub fn new(options: Unknown<'_>) -> napi::Result<Self> {
        paths::announce_init();
        let options = options::parse(value::plain(options, "options")?).map_err(to_js)?;
        let listeners = Arc::new(Listeners::default());
        let core = Core::new(options, listeners.clone()).map_err(to_js)?;
        Ok(Self { core, listeners, watch: RefCell::default() })
    }

    /// Resolves when the worker is ready. `wake` is called, from then on, whenever there are events to take.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn start<'env>(
        &self,
        env: &'env Env,
        config_override: Unknown<'_>,
        wake: Function<'_, (), ()>,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let config_override = match value::plain(config_override, "configOverride")? {
            Value::Null => None,
            object @ Value::Object(_) => Some(object),
            other => {
                let message = format!("configOverride: expected an object, found {other}");
                return Err(to_js(invalid_option(message)));
            }
        };
        let wake = wake.build_threadsafe_function().weak::<true>().build()?;
        self.listeners.open(wake);
        let started = self.core.start(config_override);
        env.spawn_future(async move { started.await.map_err(to_js) })
    }

    /// All events that wait, in order: as JSON text, or as objects when there is much output.
    #[napi(catch_unwind, ts_return_type = "string | object[]")]
    pub fn take_events<'env>(&self, env: &'env Env) -> napi::Result<Either<String, Vec<Object<'env>>>> {
        self.to_js(env, self.listeners.take())
    }

    /// The last events, likewise; none are kept from here on, and `wake` is let go.
    #[napi(catch_unwind, ts_return_type = "string | object[]")]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<Either<String, Vec<Object<'env>>>> {
        self.to_js(env, self.listeners.close())
    }

    /// 0: not accepted. 1: accepted. 2: accepted, and there are events to take, of which no wake-up tells; then
    /// `unwatch` is to be called.
    #[napi(catch_unwind)]
    pub fn send_code(&self, code: String) -> napi::Result<u32> {
        self.unwatch()?;
        let watched = self.listeners.sending();
        let run = Run::Code(code);
        let sent =
            if watched { self.core.run_watched(run) } else { self.core.run(run).map(|sent| sent.then_some(None)) };
        match sent {
            Ok(Some(Some(watch))) if self.listeners.watch(&watch) => {
                *self.watch.borrow_mut() = Some(watch);
                Ok(2)
            }
            Ok(Some(watch)) => Ok(1 + u32::from(watched && self.listeners.unwatch(watch))),
            not_sent => {
                self.listeners.not_sent();
                not_sent.map(|_| 0).map_err(to_js)
            }
        }
    }

    /// True when there are events to take, of which no wake-up tells.
    #[napi(catch_unwind)]
    pub fn unwatch(&self) -> napi::Result<bool> {
        let watch = self.watch.borrow_mut().take();
        Ok(watch.is_some() && self.listeners.unwatch(watch))
    }

    #[napi(catch_unwind, ts_return_type = "Promise<{ stateLost: boolean }>")]
    pub fn interrupt<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, Value>> {
        let interrupted = self.core.interrupt();
        env.spawn_future(async move { Ok(serde_json::to_value(interrupted.await.map_err(to_js)?)?) })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn restart_worker<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        let restarted = self.core.restart_worker();
        env.spawn_future(async move { restarted.await.map_err(to_js) })
    }

    /// Resolves with the metadata of the policies that are in force then.
    #[napi(catch_unwind, ts_return_type = "Promise<object>")]
    pub fn apply_policy_set<'env>(
        &self,
        env: &'env Env,
        set: Unknown<'_>,
        source: Unknown<'_>,
    ) -> napi::Result<PromiseRaw<'env, Value>> {
        let set = policy::set(value::plain(set, "set")?, value::plain(source, "source")?).map_err(to_js)?;
        let applied = self.core.apply_policy_set(set);
        env.spawn_future(async move { Ok(serde_json::to_value(applied.await.map_err(to_js)?)?) })
    }

    /// Resolves when the sandbox is gone. No `graceMs` waits for queued code as long as it takes.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn stop<'env>(&self, env: &'env Env, grace_ms: Option<f64>) -> napi::Result<PromiseRaw<'env, ()>> {
        let stopped = self.core.stop(grace_ms.map(|ms| Duration::from_secs_f64(ms / 1000.0)));
        env.spawn_future(async move {
            stopped.await;
            Ok(())
        })
    }

    #[napi(catch_unwind, ts_return_type = "object")]
    pub fn snapshot(&self) -> napi::Result<Value> {
        Ok(serde_json::to_value(self.core.snapshot())?)
    }

    fn to_js<'env>(&self, env: &'env Env, taken: Taken) -> napi::Result<Either<String, Vec<Object<'env>>>> {
        if taken.paused {
            self.core.resume();
        }
        match event::to_json(&taken.events) {
            Some(text) => Ok(Either::A(text?)),
            None => taken
                .events
                .into_iter()
                .map(|event| event::to_js(env, event))
                .collect::<napi::Result<_>>()
                .map(Either::B),
        }
    }
}
