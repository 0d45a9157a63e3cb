//! The system-call filters of a worker: the list's, compiled, with or behind the calls that somebody is asked about.

mod compile;

use std::borrow::Cow;
use std::str::FromStr;

use syscalls::Sysno;

use self::compile::{
    ARCH, AUDIT_ARCH, JUMP_EQUAL, LOAD_WORD, NUMBER, RET_ALLOW, RET_KILL_PROCESS, RET_USER_NOTIF, RETURN, Verdict, step,
};
pub use self::compile::{Instruction, List};

// `FILTERS: &[&[Instruction]]`, the list's filter with each of `compile::askable_sets`, and `REFUSED: &[u32]`, the
// calls that the list refuses whatever their arguments are; none where the architecture that they were compiled on is
// not the one that they are for.
include!(concat!(env!("OUT_DIR"), "/filter.rs"));

// <linux/seccomp.h>
const RET_TRACE: u32 = 0x7ff0_0000;

/// The filter of the list.
pub fn list() -> Result<Cow<'static, [Instruction]>, String> {
    list_and_asking(&[])
}

/// The filter of the list in which each of these calls asks the holder of the filter's listener. Loading is the dearest
/// step of all, and one filter is loaded sooner than two.
pub fn list_and_asking(asked: &[u32]) -> Result<Cow<'static, [Instruction]>, String> {
    let place = |number: &u32| compile::ASKABLE.iter().position(|call| call.id() as u32 == *number);
    let bits = asked.iter().try_fold(0, |bits, number| Some(bits | 1 << place(number)?));
    match bits.and_then(|bits: usize| FILTERS.get(bits)) {
        Some(program) => Ok((*program).into()),
        None => compile::compile(asked, RET_USER_NOTIF).map(Cow::Owned),
    }
}

/// The filter of the list where the holder of the filter's listener is asked about every `execve` and about each of
/// these calls, whatever the list says of them: that is for the holder to say, by [`List::refusal`]. With `code` also
/// about each file that is mapped as code.
pub fn list_and_watch(names: &[String], code: bool) -> Result<Vec<Instruction>, String> {
    compile::compile_with_code(&watched(names)?, code, RET_USER_NOTIF)
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

/// The filter that asks about these calls and lets all else pass to the filter behind it: of two verdicts the kernel
/// takes the stricter. It is a filter of its own since PID 1, which hands its listener over, is under it too. Once the
/// judge is gone, each of the calls fails with ENOSYS.
pub fn asking(judge: ExecJudge, asked: &[u32]) -> Vec<Instruction> {
    let ask = match judge {
        ExecJudge::Supervisor => RET_USER_NOTIF,
        ExecJudge::Tracer => RET_TRACE,
    };
    answering(asked, ask)
}

#[cfg(test)]
mod tests {
    use super::compile::tests::run;
    use super::compile::{RET_ERRNO, X32_BIT};
    use super::*;

    #[test]
    fn what_the_build_compiled_is_what_is_compiled_now() {
        let sets: Vec<Vec<u32>> = compile::askable_sets().collect();
        assert_eq!((sets.len(), FILTERS.len()), (16, 16), "tests run where they were built");
        for asked in sets {
            let program = list_and_asking(&asked).unwrap();
            assert!(matches!(program, Cow::Borrowed(_)));
            assert_eq!(program, compile::compile(&asked, RET_USER_NOTIF).unwrap(), "{asked:?}");
        }
        let other = number("getpid").unwrap();
        assert_eq!(run(&list_and_asking(&[other]).unwrap(), AUDIT_ARCH, other, [0; 6]), RET_USER_NOTIF);
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
        let program = list_and_watch(&["openat".into(), "ptrace".into(), "openat".into()], false).unwrap();
        let call = |name: &str| run(&program, AUDIT_ARCH, number(name).unwrap(), [0; 6]);
        for asking in ["openat", "ptrace", "execve"] {
            assert_eq!(call(asking), RET_USER_NOTIF, "{asking}");
        }
        assert_eq!(call("read"), RET_ALLOW);
        assert_eq!(call("mount"), RET_ERRNO | libc::EPERM as u32);
        assert!(list_and_watch(&["opeat".into()], false).unwrap_err().contains("opeat"));
        let list = List::built_in().unwrap();
        assert_eq!(list.refusal(number("ptrace").unwrap(), &[0; 6]), Some(libc::EPERM));
        assert_eq!(list.refusal(number("openat").unwrap(), &[0; 6]), None);
        assert_eq!(list.refusal(number("openat").unwrap(), &[0, 0, 0o101, 0o4755, 0, 0]), Some(libc::EPERM));
        assert_eq!(list.refusal(number("memfd_create").unwrap(), &[0; 6]), Some(libc::ENOSYS));
    }

    #[test]
    fn files_that_become_code_ask() {
        let (plain, code) = (list_and_watch(&[], false).unwrap(), list_and_watch(&[], true).unwrap());
        let call = |program: &[Instruction], name: &str, protection: i32, flags: i32| {
            let arguments = [0, 4096, 0xff_0000_0000 | protection as u64, flags as u64, 3, 0];
            run(program, AUDIT_ARCH, number(name).unwrap(), arguments)
        };
        let (read, code_too) = (libc::PROT_READ, libc::PROT_READ | libc::PROT_EXEC);
        let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        for (name, protection, flags, asks) in [
            ("mmap", code_too, libc::MAP_PRIVATE, true),
            ("mmap", code_too, libc::MAP_SHARED, true),
            ("mmap", read, libc::MAP_PRIVATE, false),
            ("mmap", code_too, anonymous, false),
            ("mmap", read, anonymous, false),
            ("mprotect", code_too, 0, true),
            ("mprotect", read, libc::MAP_ANONYMOUS, false),
        ] {
            assert_eq!(call(&plain, name, protection, flags), RET_ALLOW);
            let expected = if asks { RET_USER_NOTIF } else { RET_ALLOW };
            assert_eq!(call(&code, name, protection, flags), expected, "{name} {protection} {flags:#x}");
        }
        let all = list_and_watch(&["mmap".into()], true).unwrap();
        assert_eq!(call(&all, "mmap", read, anonymous), RET_USER_NOTIF, "each is watched, and is asked about once");
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
    fn a_filter_in_front_asks_about_its_calls_alone() {
        let calls = ["execve", "uname"].map(|name| number(name).unwrap());
        let cases = [
            (ExecJudge::Supervisor, RET_USER_NOTIF, &calls[..1]),
            (ExecJudge::Supervisor, RET_USER_NOTIF, &calls[..]),
            (ExecJudge::Tracer, RET_TRACE, &calls[..1]),
        ];
        for (judge, ask, asked) in cases {
            let gate = asking(judge, asked);
            for number in (0..600).chain([X32_BIT | libc::SYS_execve as u32]) {
                let asks = asked.contains(&number);
                assert_eq!(run(&gate, AUDIT_ARCH, number, [0; 6]), if asks { ask } else { RET_ALLOW });
            }
            assert_eq!(run(&gate, 0x4000_0003, 11, [0; 6]), RET_KILL_PROCESS);
        }
    }
}
