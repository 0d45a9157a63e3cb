//! What the caller's environment has to say: `POD_*`, `NODE_ENV`, `BUNTIME_UNSAFE`.

use std::ffi::OsString;

use buntime_policy::Permissions;

use crate::failure::{Failure, OURS, USAGE};

/// Refuses the variables of the guide, which have no effect yet: a `POD_DENY_…` without one would be a hole.
pub fn refuse_pod(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let ours: Vec<(String, String)> = variables
        .filter(|(name, _)| name.as_encoded_bytes().starts_with(b"POD_"))
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    let pairs = ours.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // A misspelt one is told first: it will not be supported later either.
    Permissions::from_variables(pairs).map_err(|error| Failure::new(USAGE, error.to_string()))?;
    let is_setting =
        |name: &str| name == "POD_POLICY_JSON" || name.starts_with("POD_ALLOW_") || name.starts_with("POD_DENY_");
    match ours.iter().find(|(name, _)| is_setting(name)) {
        Some((name, _)) => {
            Err(Failure::unsupported(name).with_hint(format!("unset {name}, and use flags or --policy")))
        }
        None => Ok(()),
    }
}

/// Refuses `--no-sandbox` where it can only be a mistake.
pub fn refuse_no_sandbox(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), Failure> {
    let is = |name: &str, value: &str| variable(name).is_some_and(|found| found == value);
    if is("NODE_ENV", "production") && !is("BUNTIME_UNSAFE", "1") {
        let message = "--no-sandbox is refused in production (NODE_ENV=production)";
        return Err(Failure::new(OURS, message).with_hint("set BUNTIME_UNSAFE=1 if the code is trusted"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Result<(), Failure> {
        refuse_pod([(name.into(), "x".into())].into_iter())
    }

    #[test]
    fn no_variable_of_the_guide_is_ignored() {
        for name in ["POD_ALLOW_NET", "POD_DENY_READ", "POD_POLICY_JSON", "POD_DENY_RAED"] {
            let failure = pod(name).unwrap_err();
            assert_eq!(failure.code, USAGE, "{name}");
            assert!(format!("{failure:?}").contains(name), "{failure:?}");
        }
        for name in ["POD_NAME", "POD_IP", "MY_POD_DENY_READ", "PATH"] {
            assert_eq!(pod(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn no_sandbox_in_production_needs_to_be_meant() {
        let allowed = |node_env: Option<&str>, unsafe_: Option<&str>| {
            let variable = |name: &str| match name {
                "NODE_ENV" => node_env.map(OsString::from),
                "BUNTIME_UNSAFE" => unsafe_.map(OsString::from),
                _ => None,
            };
            refuse_no_sandbox(variable).is_ok()
        };
        assert!(allowed(None, None));
        assert!(allowed(Some("development"), None));
        assert!(!allowed(Some("production"), None));
        assert!(!allowed(Some("production"), Some("0")));
        assert!(allowed(Some("production"), Some("1")));
    }
}
