//! Objects from files: YAML, of several documents, or JSON. Nothing of a file is run, included or fetched.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

use kaos_kubernetes::safety::Objects;
use serde_json::Value;

use crate::failure::Failure;

/// Longest file.
const LONGEST: u64 = 64 << 20;

/// Reads all of `files`; what names no namespace is of `namespace`.
pub(super) fn read(files: &[PathBuf], namespace: &str) -> Result<Objects, Failure> {
    let mut objects = Objects::default();
    for file in files {
        let failed = |why: String| Failure::Unanswered(format!("{}: {why}", file.display()));
        let text = text(file).map_err(failed)?;
        for (at, document) in documents(&text).map_err(failed)?.into_iter().enumerate() {
            let wrong = |why| failed(format!("document {}: {why}", at + 1));
            objects.take(document, namespace).map_err(wrong)?;
        }
    }
    Ok(objects)
}

fn text(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = match file.as_os_str() == "-" {
        true => stdin().lock().take(LONGEST + 1).read_to_string(&mut text),
        false => File::open(file).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text)),
    };
    match read {
        Err(error) => Err(format!("can't be read: {error}")),
        Ok(length) if length as u64 > LONGEST => Err(format!("is longer than {} MiB", LONGEST >> 20)),
        Ok(_) => Ok(text),
    }
}

/// The documents of a file that aren't empty.
fn documents(text: &str) -> Result<Vec<Value>, String> {
    let all: Vec<Value> = if text.trim_start().starts_with(['{', '[']) {
        let all: Result<_, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
        all.map_err(|error| format!("not JSON: {error}"))?
    } else {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_documents: 100_000, max_nodes: 20_000_000, max_events: 50_000_000 },
        };
        serde_saphyr::from_multiple_with_options(text, options)
            .map_err(|error| format!("not YAML: {}", first(&error.to_string())))?
    };
    let lists = all.into_iter().flat_map(|one| match one {
        Value::Array(items) => items,
        one => vec![one],
    });
    Ok(lists.filter(|document| !document.is_null()).collect())
}

/// The first line of a message: what comes after it shows the file.
fn first(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<String>, String> {
        let all = documents(text)?;
        Ok(all.iter().map(|one| one["metadata"]["name"].as_str().unwrap_or("?").to_owned()).collect())
    }

    #[test]
    fn yaml_of_several_documents_and_json_are_read() {
        let yaml =
            "# made by hand\n---\nkind: A\nmetadata: {name: a}\n---\n---\nkind: B\nmetadata:\n  name: b\n";
        assert_eq!(names(yaml).unwrap(), ["a", "b"]);
        let json = "{\"metadata\": {\"name\": \"a\"}}\n\t{\"metadata\": {\"name\": \"b\"}}";
        assert_eq!(names(json).unwrap(), ["a", "b"]);
        assert_eq!(names("[{\"metadata\": {\"name\": \"a\"}}]").unwrap(), ["a"]);
        assert_eq!(names("").unwrap(), [""; 0]);
        for wrong in ["a: b: c", "{\"a\"", "a: [1\n"] {
            let why = names(wrong).unwrap_err();
            assert!(why.starts_with("not ") && why.lines().count() == 1, "{wrong}: {why}");
        }
    }

    #[test]
    fn aliases_that_grow_without_end_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for at in 1..12 {
            let before = format!("*a{}", at - 1);
            bomb.push_str(&format!("a{at}: &a{at} [{}]\n", [before.as_str(); 10].join(", ")));
        }
        assert!(names(&bomb).is_err());
    }
}
