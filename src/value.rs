//! Plain JavaScript data as `serde_json::Value`.
//!
//! napi's own conversion turns `undefined` into null and says nothing of where a function stood; options need better.

use buntime_supervisor::Error;
use napi::bindgen_prelude::{Array, FromNapiValue, JsObjectValue, Object, Unknown};
use napi::{JsValue, ValueType};
use serde_json::{Map, Number, Value};

use crate::error::{invalid_option, to_js};

/// Deep enough for any policy or configuration; an object that contains itself ends here.
const MAX_DEPTH: usize = 32;

/// Converts `value`; keys whose value is `undefined` are left out. `name` is what error messages call it.
pub fn plain(value: Unknown<'_>, name: &str) -> napi::Result<Value> {
    convert(value, name, 0)
}

fn convert(value: Unknown<'_>, path: &str, depth: usize) -> napi::Result<Value> {
    if depth > MAX_DEPTH {
        return Err(refuse(path, "is nested too deeply"));
    }
    Ok(match value.get_type()? {
        ValueType::Undefined | ValueType::Null => Value::Null,
        ValueType::Boolean => Value::Bool(read(value)?),
        ValueType::String => Value::String(read(value)?),
        ValueType::Number => number(read(value)?, path)?,
        ValueType::Object => {
            let object: Object<'_> = read(value)?;
            if object.is_array()? { array(read(value)?, path, depth)? } else { members(&object, path, depth)? }
        }
        other => {
            return Err(refuse(path, &format!("is a {}, which is not plain data", kind(other))));
        }
    })
}

/// Whole numbers stay whole: JavaScript has only one kind, serde two.
fn number(number: f64, path: &str) -> napi::Result<Value> {
    const MAX_SAFE: f64 = 9_007_199_254_740_991.0;
    if number.fract() == 0.0 && number.abs() <= MAX_SAFE {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 53 bits")]
        return Ok(Value::from(number as i64));
    }
    match Number::from_f64(number) {
        Some(number) => Ok(Value::Number(number)),
        None => Err(refuse(path, &format!("is {number}, which is not a finite number"))),
    }
}

fn array(array: Array<'_>, path: &str, depth: usize) -> napi::Result<Value> {
    (0..array.len())
        .map(|index| {
            let item = array.get::<Unknown<'_>>(index)?;
            item.map_or(Ok(Value::Null), |item| convert(item, &format!("{path}[{index}]"), depth + 1))
        })
        .collect::<napi::Result<Vec<_>>>()
        .map(Value::Array)
}

fn members(object: &Object<'_>, path: &str, depth: usize) -> napi::Result<Value> {
    let mut map = Map::new();
    for key in Object::keys(object)? {
        let member: Unknown<'_> = object.get_named_property_unchecked(&key)?;
        if member.get_type()? != ValueType::Undefined {
            let value = convert(member, &format!("{path}.{key}"), depth + 1)?;
            map.insert(key, value);
        }
    }
    Ok(Value::Object(map))
}

fn read<T: FromNapiValue>(value: Unknown<'_>) -> napi::Result<T> {
    // SAFETY: each caller has asked for the type of `value` first.
    unsafe { value.cast() }
}

fn refuse(path: &str, what: &str) -> napi::Error {
    to_js(invalid(path, what))
}

fn invalid(path: &str, what: &str) -> Error {
    invalid_option(format!("{path} {what}"))
}

fn kind(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Function => "function",
        ValueType::Symbol => "symbol",
        ValueType::BigInt => "bigint",
        _ => "host object",
    }
}
