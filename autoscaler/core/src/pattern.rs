//! Paths by patterns: regular expressions, as ingress-nginx reads the paths of a host of which one is to be rewritten.
//!
//! They are run in time proportional to the path, whatever they are: without looking back or ahead, which isn't allowed.
//! What matches begins with a match, in capital letters or small (nginx's `~* "^…"`).

use regex::bytes::{Regex, RegexBuilder};

/// Bytes of the longest pattern.
const LONGEST: usize = 1024;
/// Bytes that one may take: as it is kept, and for what is remembered while it is run.
const SIZE: usize = 128 * 1024;

/// A pattern of paths.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<str>,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Pattern {
    /// Reads it. `Err`: what is wrong with it, and what is allowed.
    pub fn read(text: &str) -> Result<Pattern, String> {
        if text.len() > LONGEST {
            return Err(format!("it has {} bytes: allowed are {LONGEST}", text.len()));
        }
        let mut builder = RegexBuilder::new(&format!("^{text}"));
        builder.case_insensitive(true).unicode(false).size_limit(SIZE).dfa_size_limit(SIZE);
        match builder.build() {
            Ok(regex) => Ok(Pattern { text: text.into(), regex }),
            Err(regex::Error::CompiledTooBig(_)) => {
                Err("it takes too much memory: say less in {…} that is to be repeated".to_owned())
            }
            // The last line of what the parser says is what it means; the others show where.
            Err(wrong) => Err(wrong.to_string().lines().last().unwrap_or_default().trim().to_owned()),
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `path` begins so.
    pub fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path.as_bytes())
    }

    /// `target` with `$1` to `$9` in it replaced by what the groups of the pattern have matched in `path`; one that there isn't,
    /// or that has matched nothing, is empty. `None`: `path` doesn't match.
    pub fn fill(&self, target: &str, path: &str) -> Option<String> {
        let groups = self.regex.captures(path.as_bytes())?;
        let mut filled = String::with_capacity(target.len() + path.len());
        let mut rest = target;
        while let Some((before, after)) = rest.split_once('$') {
            filled.push_str(before);
            let digit = after.bytes().next().filter(|byte| (b'1'..=b'9').contains(byte));
            rest = match digit {
                Some(digit) => {
                    let group = groups.get(usize::from(digit - b'0'));
                    // Groups begin and end between characters: all bytes of a pattern and of a routed path are ASCII, or else
                    // matched whole.
                    filled.push_str(group.and_then(|group| path.get(group.range())).unwrap_or_default());
                    after.get(1..).unwrap_or_default()
                }
                None => {
                    filled.push('$');
                    after
                }
            };
        }
        filled.push_str(rest);
        Some(filled)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_is_for_what_begins_so() {
        for (pattern, path, matches) in [
            ("/foo", "/foo", true),
            ("/foo", "/foobar", true),
            ("/foo", "/FOO/x", true),
            ("/foo", "/a/foo", false),
            ("/foo$", "/foobar", false),
            ("/v[0-9]+/(.*)", "/v12/x", true),
            ("/v\\d+/", "/vx/", false),
            ("/a(/|$)(.*)", "/ab", false),
            ("/a(/|$)(.*)", "/a", true),
        ] {
            assert_eq!(Pattern::read(pattern).unwrap().matches(path), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn what_groups_have_matched_is_filled_in() {
        for (pattern, target, path, filled) in [
            ("/a(/|$)(.*)", "/$2", "/a/b/c", Some("/b/c")),
            ("/a(/|$)(.*)", "/$2", "/a", Some("/")),
            ("/(x|y)/(z+)", "/$2/$1$3$$0", "/y/zz", Some("/zz/y$$0")),
            ("/(.*)", "/api/$1", "/b/ä", Some("/api/b/ä")),
            ("/a", "/b", "/c", None),
        ] {
            assert_eq!(Pattern::read(pattern).unwrap().fill(target, path).as_deref(), filled, "{pattern}");
        }
    }

    #[test]
    fn what_cant_be_run_in_bounded_time_and_room_is_refused() {
        for (pattern, said) in [
            ("/(?=a)", "look-around"),
            ("/(a)\\1", "backreferences"),
            ("/(", "unclosed group"),
            ("/(a{1000}){1000}", "too much memory"),
        ] {
            let wrong = Pattern::read(pattern).unwrap_err();
            assert!(wrong.contains(said), "{pattern}: {wrong}");
        }
        assert!(Pattern::read(&"/a".repeat(LONGEST)).unwrap_err().contains("allowed are 1024"));
    }

    proptest! {
        /// Whatever is written in an object and asked for by a client.
        #[test]
        fn nothing_breaks_it(pattern in "/[a-z()|.*+?$^\\\\{}0-9ä]{0,12}", target in "[/$0-9a-z]{0,8}", path in "/[a-z/%ä]{0,12}") {
            if let Ok(read) = Pattern::read(&pattern) {
                prop_assert_eq!(read.matches(&path), read.fill(&target, &path).is_some());
            }
        }
    }
}
