//! `wake-with` under `kaos up`: a function and those that wake with it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use support::{Kaos, answer, eventually, get, said};

#[test]
fn a_request_wakes_those_that_wake_with_its_function_and_they_sleep_when_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let function = |name: &str, more: &str| {
        format!("[[function]]\nname = {name:?}\ncommand = [{:?}]\nidle-timeout = \"1s\"\n{more}\n", answer())
    };
    let text = [
        function("web", "wake-with = \"api\""),
        function("api", "wake-with = \"db\""),
        function("db", ""),
        function("other", ""),
    ];
    std::fs::write(dir.path().join("kaos.toml"), text.concat()).unwrap();
    let kaos = Kaos::up_in(dir, &[]);
    assert_eq!(get(kaos.listen, "web.localhost", "/").status, 200);
    let decided = |name: &str| -> Vec<String> {
        let journal = kaos.json(&format!("/v1/journal/local/{name}"));
        let all = journal.as_array().unwrap().iter().rev();
        let moved = all.filter(|entry| entry["from"] != entry["to"]);
        moved.map(|entry| entry["because"]["word"].as_str().unwrap_or_default().to_owned()).collect()
    };
    // Where no more may start at once, the one in the middle is awake before the last wakes.
    for (name, with) in [("api", &["web"][..]), ("db", &["web", "api"])] {
        eventually("it has slept again", || (decided(name) == ["wake-with", "idle"]).then_some(()));
        let (code, text, _) = said(&kaos.command(&["explain", name]));
        let says = |with: &&str| text.contains(&format!("local/{with} is awake, and this wakes with it"));
        assert!(code == Some(0) && with.iter().any(says), "{text}");
    }
    eventually("it sleeps too", || (decided("web") == ["wake", "idle"]).then_some(()));
    assert!(decided("other").is_empty());
}
