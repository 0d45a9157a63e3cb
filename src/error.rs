//! Our errors on their way to JavaScript.

use buntime_supervisor::{Error, ErrorClass};
use napi::Status;
use serde_json::json;

/// Packs an error into the one string that a Node-API error carries. The facade unpacks it and throws a `SandboxError`,
/// `PolicyError` or `SandboxSetupError`: classes that only JavaScript can define so that `instanceof` works.
pub fn to_js(error: Error) -> napi::Error {
    let class = match error.class {
        ErrorClass::Policy => "PolicyError",
        ErrorClass::Setup => "SandboxSetupError",
        ErrorClass::Other => "SandboxError",
    };
    let packed = json!({
        "class": class,
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
    });
    napi::Error::new(Status::GenericFailure, packed.to_string())
}

/// An option or an argument that cannot be used.
pub fn invalid_option(message: impl Into<String>) -> Error {
    Error::policy("ERR_BUNTIME_OPTION", message)
}
