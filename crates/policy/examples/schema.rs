//! Prints the JSON Schema of policy files; `scripts/build.mjs --generate` puts it into policies/schema.json.

fn main() {
    println!("{:#}", buntime_policy::json_schema());
}
