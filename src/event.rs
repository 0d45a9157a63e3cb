//! Events as JavaScript objects.

use std::collections::VecDeque;

use buntime_supervisor::{Event, Output, WorkerState};
use napi::Env;
use napi::bindgen_prelude::{JsObjectValue, Object};

/// Most bytes of output that go the way of JSON.
const MAX_JSON_TEXT: usize = 4096;

/// A batch as JSON text, which JavaScript parses several times faster than Node-API builds objects, most of all after a
/// pause; `None` when there is so much text that escaping and parsing it would cost more.
pub fn to_json(events: &VecDeque<Event>) -> Option<serde_json::Result<String>> {
    let text: usize =
        events.iter().map(|event| if let Event::Output(output) = event { output.bytes.len() } else { 0 }).sum();
    (text <= MAX_JSON_TEXT).then(|| serde_json::to_string(events))
}

/// Builds `{type, data, …}`. Output and state, of which there are thousands a second, are built by hand; the rest is
/// rare and goes the way of serde.
pub fn to_js<'env>(env: &'env Env, event: Event) -> napi::Result<Object<'env>> {
    match event {
        Event::Output(output) => text(env, &output),
        Event::State(worker) => state(env, &worker),
        other => {
            // By way of a `Value`: from the event itself napi would make a BigInt of a time in milliseconds.
            let value = serde_json::to_value(&other)?;
            let mut object = Object::new(env)?;
            for key in ["type", "data"] {
                if let Some(member) = value.get(key) {
                    object.set(key, member)?;
                }
            }
            Ok(object)
        }
    }
}

fn text<'env>(env: &'env Env, output: &Output) -> napi::Result<Object<'env>> {
    let mut object = Object::new(env)?;
    object.set_c_named_property(c"type", "output")?;
    // ASCII is Latin-1 too, which JavaScript copies as it is; UTF-8 it has to decode.
    let text = match output.bytes.is_ascii() {
        true => env.create_string_latin1(&output.bytes)?,
        false => env.create_string(output.text())?,
    };
    object.set_c_named_property(c"data", text)?;
    object.set_c_named_property(c"stream", serde_json::to_value(output.stream)?)?;
    Ok(object)
}

fn state<'env>(env: &'env Env, worker: &WorkerState) -> napi::Result<Object<'env>> {
    let mut data = Object::new(env)?;
    data.set_c_named_property(c"worker", serde_json::to_value(worker.worker)?)?;
    if let Some(signal) = &worker.signal {
        data.set_c_named_property(c"signal", signal.as_str())?;
    }
    if let Some(code) = worker.exit_code {
        // Both spellings: the guide's example reads either.
        data.set_c_named_property(c"exitCode", code)?;
        data.set_c_named_property(c"exit_code", code)?;
    }
    if let Some(success) = worker.success {
        data.set_c_named_property(c"success", success)?;
    }
    if let Some(outcome) = worker.outcome {
        data.set_c_named_property(c"outcome", serde_json::to_value(outcome)?)?;
    }
    if let Some(error) = &worker.error {
        data.set_c_named_property(c"error", error.as_str())?;
    }
    let mut object = Object::new(env)?;
    object.set_c_named_property(c"type", "state")?;
    object.set_c_named_property(c"data", data)?;
    Ok(object)
}
