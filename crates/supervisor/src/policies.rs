//! Policies on disk, and those that come with the package.

use std::io;
use std::path::{Path, PathBuf};

use buntime_policy::{NormalizedPolicy, Policy, PolicyError, parse_policy};

use crate::error::Error;

/// The shipped policies, by name.
const SHIPPED: [(&str, &str); 2] = [
    ("default", include_str!("../../../policies/default.json")),
    ("lambda", include_str!("../../../policies/lambda.json")),
];

/// A policy that was found.
pub struct Found {
    pub policy: Policy,
    /// Its name in `policyKeys`.
    pub key: String,
    /// Where its relative paths start.
    pub base: PathBuf,
    /// The file, unless it came with the package.
    pub file: Option<PathBuf>,
    /// Said to the user when the name was taken for another.
    pub note: Option<String>,
}

/// Finds a policy by path, or by the bare name of a shipped one.
pub fn find(name: &str, cwd: &Path) -> Result<Found, Error> {
    if let Some(text) = shipped(name) {
        return found(text, &format!("policies/{name}.json"), name, cwd.to_owned(), None);
    }
    let path = cwd.join(name);
    match crate::files::read_text(&path, true) {
        Ok(text) => {
            let base = path.parent().unwrap_or(cwd).to_owned();
            Ok(Found { file: Some(path), ..found(&text, name, name, base, None)? })
        }
        Err(error) => {
            // The guide's own spelling of a shipped policy, where no such file exists.
            let meant = name.strip_prefix("src/policies/").and_then(|rest| rest.strip_suffix(".json"));
            match meant.and_then(|meant| Some((meant, shipped(meant)?))) {
                Some((meant, text)) if error.kind() == io::ErrorKind::NotFound => {
                    let note = format!("{name} does not exist: the shipped policy {meant:?} is used");
                    found(text, &format!("policies/{meant}.json"), meant, cwd.to_owned(), Some(note))
                }
                _ => Err(unreadable(name, &path, &error)),
            }
        }
    }
}

fn unreadable(name: &str, path: &Path, error: &io::Error) -> Error {
    let error = Error::policy("ERR_BUNTIME_POLICY", format!("policy {}: {error}", path.display()));
    if name.contains('/') {
        return error;
    }
    let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    error.with_hint(format!("shipped policies: {}; {}", names.join(", "), buntime_policy::did_you_mean(name, &names)))
}

fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

fn found(text: &str, document: &str, key: &str, base: PathBuf, note: Option<String>) -> Result<Found, Error> {
    let policy = parse_policy(text, document).map_err(error)?;
    Ok(Found { policy, key: key.to_owned(), base, file: None, note })
}

/// `loadPolicy(pathOrName)`.
pub fn load_policy(name: &str) -> Result<NormalizedPolicy, Error> {
    let cwd = std::env::current_dir()
        .map_err(|error| Error::setup("ERR_BUNTIME_CWD", format!("working directory: {error}")))?;
    Ok(find(name, &cwd)?.policy.normalized())
}

pub fn error(error: PolicyError) -> Error {
    Error::policy("ERR_BUNTIME_POLICY", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_policy_loads() {
        for (name, _) in SHIPPED {
            assert_eq!(find(name, Path::new("/")).unwrap().key, name);
        }
    }

    #[test]
    fn the_guides_spelling_means_the_shipped_one_and_says_so() {
        let found = find("src/policies/lambda.json", Path::new("/nonexistent")).unwrap();
        assert_eq!(found.key, "lambda");
        assert!(found.note.unwrap().contains("src/policies/lambda.json"));
    }

    #[test]
    fn missing_files_are_errors_with_the_nearest_name() {
        let error = find("lamda", Path::new("/nonexistent")).err().unwrap();
        assert!(error.hint.unwrap().contains("\"lambda\""));
        assert!(find("src/policies/nothing.json", Path::new("/nonexistent")).is_err());
        assert!(find("./lambda", Path::new("/nonexistent")).is_err());
    }
}
