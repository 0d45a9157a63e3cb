//! The system-call filters of a worker: the list's, compiled, and the exec gate in front of it.

mod compile;

use std::borrow::Cow;
use std::str::FromStr;

use syscalls::Sysno;

use self::compile::{
    ARCH, AUDIT_ARCH, JUMP_EQUAL, LOAD_WORD, NUMBER, RET_ALLOW, RET_KILL_PROCESS, RET_USER_NOTIF, RETURN, Verdict, step,
};
pub use self::compile::{Instruction, List};

// `PLAIN` and `ASKING: Option<&[Instruction]>`, the list's filter without and with the exec gate in it, and
// `REFUSED: &[u32]`, the calls that the list refuses whatever their arguments are; none where the architecture that
// they were compiled on is not the one that they are for.
include!(concat!(env!("OUT_DIR"), "/filter.rs"));

// <linux/seccomp.h>
const RET_TRACE: u32 = 0x7ff0_0000;

/// The filter of the list.
pub fn list() -> Result<Cow<'static, [Instruction]>, String> {
    built_in(PLAIN, &[])
}

/// The filter of the list with the exec gate in it: every `execve` asks the holder of the filter's listener. Loading is
/// the dearest step of all, and one filter is loaded sooner than two.
pub fn list_and_gate() -> Result<Cow<'static, [Instruction]>, String> {
    built_in(ASKING, &[libc::SYS_execve as u32])
}

fn built_in(built: Option<&'static [Instruction]>, asked: &[u32]) -> Result<Cow<'static, [Instruction]>, String> {
    match built {
        Some(program) => Ok(program.into()),
        None => compile::compile(asked, RET_USER_NOTIF).map(Cow::Owned),
    }
}

/// The filter of the list where the holder of the filter's listener is asked about every `execve` and about each of
/// these calls, whatever the list says of them: that is for the holder to say, by [`List::refusal`].
pub fn list_and_watch(names: &[String]) -> Result<Vec<Instruction>, String> {
    compile::compile(&watched(names)?, RET_USER_NOTIF)
}

/// The same without the list, for a test build that goes without it.
pub fn watch_alone(names: &[String]) -> Result<Vec<Instruction>, String> {
    Ok(answering(&watched(names)?, RET_USER_NOTIF))
}

fn watched(names: &[String]) -> Result<Vec<u32>, String> {
    let mut asked = vec![libc::SYS_execve as u32];
    for name in names {
        let number = number(name)?;
        if !asked.contains(&number) {
            asked.push(number);
        }
    }
    Ok(asked)
}

/// The filter that gives one answer to some calls, and lets all else pass to the filter behind it.
fn answering(calls: &[u32], answer: u32) -> Vec<Instruction> {
    let mut program = vec![
        step(LOAD_WORD, ARCH, 0, 0),
        step(JUMP_EQUAL, AUDIT_ARCH, 1, 0),
        step(RETURN, RET_KILL_PROCESS, 0, 0),
        step(LOAD_WORD, NUMBER, 0, 0),
    ];
    program.extend(calls.iter().flat_map(|call| [step(JUMP_EQUAL, *call, 0, 1), step(RETURN, answer, 0, 0)]));
    program.push(step(RETURN, RET_ALLOW, 0, 0));
    program
}

/// The number of a system call.
pub fn number(name: &str) -> Result<u32, String> {
    Sysno::from_str(name).map(|call| call.id() as u32).map_err(|()| format!("no such system call: {name:?}"))
}

/// The name of a system call, where it has one.
pub fn name(number: u32) -> Option<&'static str> {
    Sysno::new(number as usize).map(|call| call.name())
}

/// The filter that refuses these calls and lets all else pass to the filter behind it; `None` where the list refuses
/// them itself, as it does those of the default policy. Fails only on a name that is no system call, which policies
/// check before.
pub fn refusing(names: &[String]) -> Result<Option<Vec<Instruction>>, String> {
    let mut calls = names.iter().map(|name| number(name)).collect::<Result<Vec<u32>, String>>()?;
    calls.retain(|call| REFUSED.binary_search(call).is_err());
    Ok((!calls.is_empty()).then(|| answering(&calls, Verdict::Errno(libc::EPERM).action())))
}

/// Who says which `execve` passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecJudge {
    /// The supervisor, as the holder of the filter's listener.
    Supervisor,
    /// PID 1, as the worker's tracer.
    Tracer,
}

/// The filter that asks about every `execve` and lets all else pass to the filter behind it: of two verdicts the kernel
/// takes the stricter. It is a filter of its own since PID 1, which hands its listener over, is under it too. Once the
/// judge is gone, each `execve` fails with ENOSYS.
pub fn exec_gate(judge: ExecJudge) -> Vec<Instruction> {
    let ask = match judge {
        ExecJudge::Supervisor => RET_USER_NOTIF,
        ExecJudge::Tracer => RET_TRACE,
    };
    answering(&[libc::SYS_execve as u32], ask)
}

#[cfg(test)]
mod tests {
    use super::compile::tests::run;
    use super::compile::{RET_ERRNO, X32_BIT};
    use super::*;

    #[test]
    fn what_the_build_compiled_is_what_is_compiled_now() {
        assert!(PLAIN.is_some() && ASKING.is_some(), "tests run where they were built");
        assert_eq!(list().unwrap(), compile::compile(&[], RET_USER_NOTIF).unwrap());
        assert_eq!(list_and_gate().unwrap(), compile::compile(&[libc::SYS_execve as u32], RET_USER_NOTIF).unwrap());
        assert_eq!(REFUSED, compile::refused().unwrap());
    }

    #[test]
    fn a_policy_denies_more() {
        let program = refusing(&["ptrace".into(), "socketpair".into(), "execveat".into()]).unwrap().unwrap();
        let call = |name: &str| run(&program, AUDIT_ARCH, number(name).unwrap(), [0; 6]);
        assert_eq!(call("socketpair"), RET_ERRNO | libc::EPERM as u32);
        assert_eq!(call("execveat"), RET_ERRNO | libc::EPERM as u32);
        assert_eq!(call("read"), RET_ALLOW);
        assert!(refusing(&["opeat".into()]).unwrap_err().contains("opeat"));
    }

    #[test]
    fn calls_that_are_watched_ask_and_so_does_execve() {
        let program = list_and_watch(&["openat".into(), "ptrace".into(), "openat".into()]).unwrap();
        let call = |name: &str| run(&program, AUDIT_ARCH, number(name).unwrap(), [0; 6]);
        for asking in ["openat", "ptrace", "execve"] {
            assert_eq!(call(asking), RET_USER_NOTIF, "{asking}");
        }
        assert_eq!(call("read"), RET_ALLOW);
        assert_eq!(call("mount"), RET_ERRNO | libc::EPERM as u32);
        assert!(list_and_watch(&["opeat".into()]).unwrap_err().contains("opeat"));
        let list = List::built_in().unwrap();
        assert_eq!(list.refusal(number("ptrace").unwrap(), &[0; 6]), Some(libc::EPERM));
        assert_eq!(list.refusal(number("openat").unwrap(), &[0; 6]), None);
        assert_eq!(list.refusal(number("openat").unwrap(), &[0, 0, 0o101, 0o4755, 0, 0]), Some(libc::EPERM));
        assert_eq!(list.refusal(number("memfd_create").unwrap(), &[0; 6]), Some(libc::ENOSYS));
    }

    #[test]
    fn what_is_refused_anyway_needs_no_filter() {
        for (names, needed) in [
            (&[][..], false),
            (&["ptrace", "mount"][..], false),
            (&["ptrace", "clone"], true), // refused by its arguments alone
            (&["read"], true),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(refusing(&names).unwrap().is_some(), needed, "{names:?}");
        }
    }

    #[test]
    fn the_exec_gate_asks_about_execve_alone() {
        for (judge, ask) in [(ExecJudge::Supervisor, RET_USER_NOTIF), (ExecJudge::Tracer, RET_TRACE)] {
            let gate = exec_gate(judge);
            for number in (0..600).chain([X32_BIT | libc::SYS_execve as u32]) {
                let asks = number == libc::SYS_execve as u32;
                assert_eq!(run(&gate, AUDIT_ARCH, number, [0; 6]), if asks { ask } else { RET_ALLOW });
            }
            assert_eq!(run(&gate, 0x4000_0003, 11, [0; 6]), RET_KILL_PROCESS);
        }
    }
}
