//! What the caller's environment has to say: `POD_*`, `NODE_ENV`, `BUNTIME_UNSAFE`.

use std::ffi::OsString;

use buntime_policy::{Permissions, PolicyError, PolicyStack};

use crate::failure::{Failure, OURS, USAGE};

const POLICY_JSON: &str = "POD_POLICY_JSON";

/// What the environment says of the policy: the variables that stand for flags, and `POD_POLICY_JSON`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pod {
    pub permissions: Permissions,
    pub policy: Option<String>,
}

/// Reads the `POD_*` variables of the guide. One that nobody knows but that looks like one of them is a mistake, and so
/// is a value that is no text.
pub fn read_pod(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Pod, Failure> {
    let mut ours = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| is_setting(name)) else { continue };
        let value = value.into_string().map_err(|_| Failure::new(USAGE, format!("{name}: the value is not UTF-8")))?;
        ours.push((name.to_owned(), value));
    }
    let pairs = ours.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let usage = |error: PolicyError| Failure::new(USAGE, error.to_string());
    let permissions = Permissions::from_variables(pairs).map_err(usage)?;
    if let Some((name, _)) = ours.iter().find(|(name, _)| name.starts_with("POD_POLICY") && name != POLICY_JSON) {
        return Err(Failure::new(USAGE, format!("{name}: unknown variable, did you mean {POLICY_JSON:?}?")));
    }
    let policy = ours.into_iter().find(|(name, _)| name == POLICY_JSON).map(|(_, value)| value);
    // A value that means nothing is a mistake of the caller's, and no failure of the sandbox: it is found here.
    let mut trial = PolicyStack::deny_all();
    trial.push_variables(&permissions, "/").map_err(usage)?;
    policy.as_ref().map_or(Ok(()), |encoded| trial.push_variables_json(encoded, "/")).map_err(usage)?;
    Ok(Pod { permissions, policy })
}

/// Others are not ours: Kubernetes itself likes names such as `POD_NAME`.
pub fn is_setting(name: &str) -> bool {
    name.starts_with("POD_POLICY") || name.starts_with("POD_ALLOW_") || name.starts_with("POD_DENY_")
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
    use buntime_policy::Selection;

    use super::*;

    fn pod(pairs: &[(&str, &str)]) -> Result<Pod, Failure> {
        read_pod(pairs.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn variables_are_flags_by_another_name() {
        let found = pod(&[
            ("POD_ALLOW_READ", "/data,/tmp"),
            ("POD_DENY_ENV", "AWS_*"),
            ("POD_POLICY_JSON", "eyJ2ZXJzaW9uIjoxfQ=="),
        ])
        .unwrap();
        let list = |items: &[&str]| Selection::List(items.iter().map(|item| (*item).to_owned()).collect());
        assert_eq!(found.permissions.read.allow, list(&["/data", "/tmp"]));
        assert_eq!(found.permissions.env.deny, list(&["AWS_*"]));
        assert_eq!(found.policy.as_deref(), Some("eyJ2ZXJzaW9uIjoxfQ=="));
    }

    #[test]
    fn mistakes_name_the_variable_and_other_names_are_not_ours() {
        for (name, value) in [
            ("POD_DENY_RAED", "/etc"),
            ("POD_ALLOW_READ", ""),
            ("POD_ALLOW_SYS", "nonsense"),
            ("POD_POLICY_JSON", "%%"),
            ("POD_POLICY_JSON", "e30="),
            ("POD_POLICY_JSO", "eyJ2ZXJzaW9uIjoxfQ=="),
        ] {
            let failure = pod(&[(name, value)]).unwrap_err();
            assert_eq!(failure.code, USAGE, "{name}");
            assert!(format!("{failure:?}").contains(name), "{failure:?}");
        }
        for name in ["POD_NAME", "POD_IP", "MY_POD_DENY_READ", "PATH"] {
            assert_eq!(pod(&[(name, "")]), Ok(Pod::default()), "{name}");
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
