//! Compiles the system-call filter, so that no launch has to.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

#[path = "src/seccomp/compile.rs"]
mod compile;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=data/syscalls.list");
    println!("cargo::rerun-if-changed=src/seccomp/compile.rs");
    // Call numbers are those of the machine that this runs on.
    let native = env::var("CARGO_CFG_TARGET_ARCH")? == env::consts::ARCH;
    let (mut filters, mut refused) = (String::new(), vec![]);
    if native {
        for asked in compile::askable_sets() {
            let program = compile::compile(&asked, compile::RET_USER_NOTIF)?;
            filters.push_str(&format!("    &{program:?},\n"));
        }
        refused = compile::refused()?;
    }
    let text = format!("static FILTERS: &[&[Instruction]] = &[\n{filters}];\nstatic REFUSED: &[u32] = &{refused:?};\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("filter.rs"), text)?;
    Ok(())
}
