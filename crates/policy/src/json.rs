//! A JSON tree that keeps the order of keys and every duplicate, which `serde_json::Value` would drop in silence.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::PolicyError;
use crate::schema::Keyword;
use crate::suggest;

#[derive(Debug, Clone, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    Integer(u64),
    /// Every other number, as text: no policy holds one.
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Number(text) => f.write_str(text),
            Self::String(text) => write!(f, "{text:?}"),
            Self::Array(_) => f.write_str("a list"),
            Self::Object(_) => f.write_str("an object"),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("json")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Integer(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(format!("{value:?}")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            list.push(entry);
        }
        Ok(Json::Object(list))
    }
}

/// A document that is JSON.
pub(crate) struct Document<'a> {
    name: &'a str,
    root: Json,
}

impl<'a> Document<'a> {
    pub(crate) fn parse(text: &str, name: &'a str) -> Result<Self, PolicyError> {
        match serde_json::from_str(text) {
            Ok(root) => Ok(Self { name, root }),
            Err(error) => {
                let message = error.to_string();
                let place = format!(" at line {} column {}", error.line(), error.column());
                Err(PolicyError::Syntax {
                    document: name.to_owned(),
                    line: error.line(),
                    column: error.column(),
                    message: message.strip_suffix(&place).unwrap_or(&message).to_lowercase(),
                })
            }
        }
    }

    pub(crate) fn root(&self) -> Node<'_> {
        Node { document: self.name, path: String::new(), json: &self.root }
    }
}

/// A value in a document, which knows its place and so can complain precisely.
pub(crate) struct Node<'a> {
    pub(crate) document: &'a str,
    pub(crate) path: String,
    json: &'a Json,
}

impl<'a> Node<'a> {
    pub(crate) fn fail(&self, problem: impl Into<String>) -> PolicyError {
        PolicyError::Invalid { document: self.document.to_owned(), path: self.path.clone(), problem: problem.into() }
    }

    fn unexpected(&self, expected: &str) -> PolicyError {
        self.fail(format!("found {}, expected {expected}", self.json))
    }

    /// The value as an object that has no other keys than `known`, and none twice.
    pub(crate) fn object(&self, known: &[&str]) -> Result<Object<'a>, PolicyError> {
        let object = self.any_object()?;
        for (index, (key, _)) in object.entries.iter().enumerate() {
            if !known.contains(&key.as_str()) {
                return Err(object.at(key).fail(format!("unknown key, {}", suggest::did_you_mean(key, known))));
            }
            if object.entries[..index].iter().any(|(earlier, _)| earlier == key) {
                return Err(object.at(key).fail("this key occurs twice"));
            }
        }
        Ok(object)
    }

    /// The value as an object whose keys are not looked at.
    pub(crate) fn any_object(&self) -> Result<Object<'a>, PolicyError> {
        match self.json {
            Json::Object(entries) => {
                Ok(Object { document: self.document, path: self.path.clone(), json: self.json, entries })
            }
            _ => Err(self.unexpected("an object")),
        }
    }

    pub(crate) fn list(&self) -> Result<impl Iterator<Item = Node<'a>>, PolicyError> {
        let Json::Array(items) = self.json else {
            return Err(self.unexpected("a list"));
        };
        let (document, path) = (self.document, self.path.clone());
        Ok(items.iter().enumerate().map(move |(index, json)| Node { document, path: format!("{path}[{index}]"), json }))
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.json, Json::Array(_))
    }

    pub(crate) fn bool(&self) -> Result<bool, PolicyError> {
        match self.json {
            Json::Bool(value) => Ok(*value),
            _ => Err(self.unexpected("true or false")),
        }
    }

    pub(crate) fn integer(&self, expected: &str) -> Result<u64, PolicyError> {
        match self.json {
            Json::Integer(value) => Ok(*value),
            _ => Err(self.unexpected(expected)),
        }
    }

    /// The value as text, read by a function that says what it found and expected.
    pub(crate) fn text<T>(
        &self,
        expected: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, PolicyError> {
        match self.json {
            Json::String(text) => read(text).map_err(|problem| self.fail(problem)),
            _ => Err(self.unexpected(expected)),
        }
    }

    pub(crate) fn keyword<T: Keyword>(&self) -> Result<T, PolicyError> {
        let words: Vec<&str> = T::ALL.iter().map(|word| word.as_str()).collect();
        self.text(&suggest::one_of(&words), |text| {
            let found = T::ALL.iter().find(|word| word.as_str() == text);
            found.copied().ok_or_else(|| format!("found {text:?}, {}", suggest::did_you_mean(text, &words)))
        })
    }
}

/// An object in a document.
pub(crate) struct Object<'a> {
    document: &'a str,
    path: String,
    json: &'a Json,
    entries: &'a [(String, Json)],
}

impl<'a> Object<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<Node<'a>> {
        let (_, json) = self.entries.iter().find(|(name, _)| name == key)?;
        Some(Node { json, ..self.at(key) })
    }

    /// Reads a key if it is there.
    pub(crate) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Node<'a>) -> Result<T, PolicyError>,
    ) -> Result<Option<T>, PolicyError> {
        self.get(key).map(|node| read(&node)).transpose()
    }

    pub(crate) fn require(&self, key: &str, expected: &str) -> Result<Node<'a>, PolicyError> {
        self.get(key).ok_or_else(|| self.at(key).fail(format!("missing, expected {expected}")))
    }

    /// The object itself, to complain about.
    pub(crate) fn place(&self) -> Node<'a> {
        Node { document: self.document, path: self.path.clone(), json: self.json }
    }

    /// The place of a key, whether it is there or not.
    fn at(&self, key: &str) -> Node<'a> {
        let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let path = match (plain, self.path.is_empty()) {
            (true, true) => key.to_owned(),
            (true, false) => format!("{}.{key}", self.path),
            (false, _) => format!("{}[{key:?}]", self.path),
        };
        Node { document: self.document, path, json: self.json }
    }
}
