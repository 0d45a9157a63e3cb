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
    let (mut plain, mut asking, mut refused) = (None, None, vec![]);
    if native {
        plain = Some(compile::compile(&[], compile::RET_USER_NOTIF)?);
        asking = Some(compile::compile(&[libc::SYS_execve as u32], compile::RET_USER_NOTIF)?);
        refused = compile::refused()?;
    }
    let table = |program: Option<Vec<_>>| program.map_or("None".into(), |program| format!("Some(&{program:?})"));
    let text = format!(
        "static PLAIN: Option<&[Instruction]> = {};\nstatic ASKING: Option<&[Instruction]> = {};\n\
        static REFUSED: &[u32] = &{refused:?};\n",
        table(plain),
        table(asking)
    );
    fs::write(Path::new(&env::var("OUT_DIR")?).join("filter.rs"), text)?;
    Ok(())
}
