//! The JSON Schema of policy files, for editors: from the keys that the parser knows and the words of the schema.

use serde_json::{Map, Value, json};
use syscalls::x86_64::Sysno;

use crate::names::SYS_NAMES;
use crate::parse::keys;
use crate::schema::{Action, DefaultAction, FsMode, FsPerm, Keyword, Proto, Tier};

/// The schema (draft 2020-12). It accepts what [`parse_policy`](crate::parse_policy) accepts, save for a few values
/// that only their parser can judge: address blocks, host names, and ranges that do not ascend.
pub fn json_schema() -> Value {
    let mut schema = object(keys::ROOT, &["version"], |key| match key {
        "$schema" => json!({"type": "string", "description": "Where this schema lies, for editors."}),
        "version" => json!({"const": 1}),
        "plugins" => described("Which layers of the kernel are used.", layers()),
        "defaults" => {
            described("What holds where no rule matches.", object(keys::DEFAULTS, &[], |_| word::<DefaultAction>()))
        }
        "fs" => described("Files and directories.", kind(keys::FS_RULE, &["path", "perms"])),
        "net" => described("Network peers: an address block, or a host.", net()),
        "exec" => described("Programs, by path or by name.", kind(keys::EXEC_RULE, &["path"])),
        "env" => {
            described("Environment variables, by name or by its beginning (AWS_*).", kind(keys::ENV_RULE, &["name"]))
        }
        "ffi" => described("Native libraries.", kind(keys::FFI_RULE, &["path"])),
        "sys" => described("What the system tells about itself.", sys()),
        "antiEscape" => object(keys::ANTI_ESCAPE, &[], |_| {
            described("System calls that are denied on top of the built-in filter.", list_of(system_call()))
        }),
        "audit" => object(keys::AUDIT, &[], |key| match key {
            "enabled" => flag(),
            "events" => described("System calls that are recorded.", list_of(system_call())),
            _ => undescribed(),
        }),
        "minTier" => described("The weakest enforcement that is accepted.", word::<Tier>()),
        "rules" => described("The same by lists, in place of fs, net and exec.", lists()),
        _ => undescribed(),
    });
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Policy of python-ipc-bun");
    schema
}

/// Of a key that nothing is said of here: nothing fits it, so that a test finds it.
fn undescribed() -> Value {
    json!(false)
}

fn object(keys: &[&str], required: &[&str], of: impl Fn(&str) -> Value) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), of(key))).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn described(description: &str, mut schema: Value) -> Value {
    schema["description"] = json!(description);
    schema
}

fn list_of(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn text() -> Value {
    json!({"type": "string", "minLength": 1})
}

fn word<T: Keyword>() -> Value {
    json!({"enum": T::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()})
}

fn system_call() -> Value {
    json!({"enum": Sysno::iter().map(|call| call.name()).collect::<Vec<_>>()})
}

fn layers() -> Value {
    object(keys::PLUGINS, &[], |_| flag())
}

/// `{"rules": […]}`, each rule with these keys and those of every rule.
fn kind(own: &[&str], required: &[&str]) -> Value {
    rules(rule(own, required))
}

fn rules(rule: Value) -> Value {
    object(keys::KIND, &[], |_| list_of(rule.clone()))
}

fn rule(own: &[&str], required: &[&str]) -> Value {
    object(&[keys::RULE, own].concat(), &[&["action"], required].concat(), |key| match key {
        "action" => word::<Action>(),
        "locked" => described("Yields to no other source.", flag()),
        "path" => text(),
        "perms" => list_of(word::<FsPerm>()),
        "sha256" => json!({"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"}),
        "proto" => described("Without it, allow and warn are about tcp, deny is about both.", word::<Proto>()),
        "cidr" => described("An address or a block of addresses.", text()),
        "host" => described("A name, *.name, or * for every name and public address.", text()),
        "ports" => ports(),
        "name" => json!({"type": "string", "pattern": "^[^*=]+\\*?$|^\\*$"}),
        _ => undescribed(),
    })
}

fn net() -> Value {
    let mut rule = rule(keys::NET_RULE, &[]);
    rule["oneOf"] = json!([
        {"required": ["cidr", "proto", "ports"]},
        {"required": ["host"]},
    ]);
    rules(rule)
}

fn sys() -> Value {
    let mut rule = rule(keys::SYS_RULE, &["name"]);
    let names: Vec<&str> = SYS_NAMES.iter().copied().chain(["username", "*"]).collect();
    rule["properties"]["name"] = json!({"enum": names});
    rules(rule)
}

/// As text, or as the ranges of the normal form.
fn ports() -> Value {
    let part = " *[0-9]{1,5}(-[0-9]{1,5})? *";
    let port = json!({"type": "integer", "minimum": 0, "maximum": u16::MAX});
    let range = object(keys::PORT_RANGE, keys::PORT_RANGE, |_| port.clone());
    json!({"anyOf": [{"type": "string", "pattern": format!("^{part}(,{part})*$")}, list_of(range)]})
}

fn lists() -> Value {
    let list = |keys: &[&str], mode: &Value| {
        object(keys, &[], |key| match key {
            "allow" | "deny" => list_of(text()),
            "mode" => described("A label of the list.", mode.clone()),
            _ => undescribed(),
        })
    };
    object(keys::LISTS, &[], |kind| match kind {
        "fs" => list(keys::LIST_WITH_MODE, &word::<FsMode>()),
        "net" => list(keys::LIST_WITH_MODE, &word::<DefaultAction>()),
        "exec" => list(keys::LIST, &undescribed()),
        _ => undescribed(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_current() {
        let file = include_str!("../../../policies/schema.json");
        let current = file == format!("{:#}\n", json_schema());
        assert!(current, "run `node scripts/build.mjs --generate`, or the example `schema` of this crate");
    }

    #[test]
    fn every_key_of_the_parser_is_described() {
        fn walk(schema: &Value, path: &str) {
            match schema {
                Value::Object(map) => {
                    for (key, value) in map.iter().filter(|(key, _)| *key != "additionalProperties") {
                        walk(value, &format!("{path}/{key}"));
                    }
                }
                Value::Array(items) => items.iter().for_each(|item| walk(item, path)),
                other => assert_ne!(*other, undescribed(), "{path}"),
            }
        }
        walk(&json_schema(), "");
    }
}
