use super::*;

fn parse(text: &str) -> Result<Shape, String> {
    Shape::parse("x.toml", text)
}

/// A shape of these parts.
fn shape(parts: &str) -> Shape {
    parse(&format!("about = \"x\"\nparts = [{parts}]\n")).unwrap()
}

#[test]
fn the_shipped_shapes_are_sound_and_end_in_ten_minutes_of_silence() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/shapes");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".toml") {
            let shape = Shape::parse(&name, &std::fs::read_to_string(&file).unwrap());
            let shape = shape.unwrap_or_else(|why| panic!("{why}"));
            let last = shape.pieces.last().unwrap();
            assert_eq!((last.most(), last.lasts), (0.0, 600.0), "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 14);
}

/// Requests of each of the first `seconds` seconds, and of all.
fn counts(shape: &Shape, seconds: usize) -> (Vec<usize>, usize) {
    let moments = shape.moments(1);
    assert!(moments.is_sorted());
    let within = |second: usize| moments.iter().filter(|at| at.as_secs() == second as u64).count();
    ((0..seconds).map(within).collect(), moments.len())
}

#[test]
fn as_many_come_as_the_rates_say() {
    // Of a thousand expected, five standard deviations are 160.
    let near = |count: usize, expected: usize| count.abs_diff(expected) <= expected.isqrt() * 5;
    let steps = r#"{ rate = 1000, duration = "1s" }, { rate = 0, duration = "1s" }, { rate = 4000, duration = "1s" }"#;
    let (each, _) = counts(&shape(steps), 4);
    assert!(near(each[0], 1000) && each[1] == 0 && near(each[2], 4000) && each[3] == 0, "{each:?}");
    let (each, all) = counts(&shape(r#"{ from = 0, to = 4000, duration = "4s" }"#), 4);
    assert!(near(all, 8000) && near(each[0], 500) && near(each[3], 3500), "{each:?}");
    let (each, all) = counts(&shape(r#"{ mean = 2000, swing = 2000, period = "4s", duration = "8s" }"#), 8);
    // The integral of 1 − cos over the first quarter: (π/2 − 1) / (π/2).
    assert!(near(all, 16_000) && near(each[0], 727) && near(each[1], 3273) && near(each[4], 727), "{each:?}");
    let twice = r#"{ times = 2, parts = [{ rate = 1000, duration = "1s" }, { rate = 0, duration = "1s" }] }"#;
    let (each, _) = counts(&shape(twice), 4);
    assert!(near(each[0], 1000) && each[1] == 0 && near(each[2], 1000) && each[3] == 0, "{each:?}");
    assert_eq!(shape(twice).span(), Duration::from_secs(4));
}

#[test]
fn the_seed_decides() {
    let shape = shape(r#"{ rate = 10, duration = "10s" }"#);
    assert_eq!(shape.moments(1), shape.moments(1));
    assert_ne!(shape.moments(1), shape.moments(2));
}

#[test]
fn what_is_wrong_has_its_place_and_what_is_expected() {
    for (part, column, words) in [
        (r#"{ rate = -1, duration = "1s" }"#, 12, "rate = -1: expected requests a second"),
        (r#"{ rate = nan, duration = "1s" }"#, 12, "rate = NaN"),
        (r#"{ rate = inf, duration = "1s" }"#, 12, "rate = inf"),
        (r#"{ rate = "1", duration = "1s" }"#, 12, "invalid type"),
        (r#"{ rate = 1, duration = 5 }"#, 26, "invalid type"),
        (r#"{ rate = 1, duration = "5" }"#, 26, "duration: \"5\" is no duration"),
        (r#"{ rate = 1, duration = "0" }"#, 26, "above 0"),
        (r#"{ rate = 1 }"#, 3, "expected rate and duration"),
        (r#"{ duration = "1s" }"#, 3, "expected rate and duration"),
        (r#"{ rate = 1, to = 2, duration = "1s" }"#, 3, "expected rate and duration"),
        (r#"{ rote = 1, duration = "1s" }"#, 5, "rote"),
        (r#"{ mean = 1, swing = 2, period = "1s", duration = "1s" }"#, 23, "up to the mean, 1"),
        (r#"{ times = 0, parts = [{ rate = 1, duration = "1s" }] }"#, 13, "expected 1 or more"),
        (r#"{ times = 100001, parts = [{ rate = 1, duration = "1s" }] }"#, 13, "100000 parts"),
        (r#"{ times = 2, parts = [{ times = 2, parts = [] }] }"#, 25, "have none themselves"),
        (r#"{ times = 2, rate = 1, parts = [] }"#, 3, "expected rate and duration"),
        (r#"{ times = -2, parts = [] }"#, 13, "invalid value"),
        (r#"{ rate = 1, duration = "1s" "#, 31, ""),
    ] {
        let why = parse(&format!("about = \"x\"\nparts = [\n  {part}]\n")).unwrap_err();
        assert!(why.starts_with(&format!("x.toml:3:{column}: ")) && why.contains(words), "{part}: {why}");
        assert!(!why.contains('\n'), "{why}");
    }
}

#[test]
fn what_is_wrong_as_a_whole_has_a_place_too() {
    for (text, words) in [
        ("", "missing field `about`"),
        ("about = \"x\"", "missing field `parts`"),
        ("parts = []", "missing field `about`"),
        ("about = \"x\"\nparts = []", "x.toml:2:9: about 0 requests"),
        ("about = \"x\"\nparts = [{ rate = 0, duration = \"1h\" }]", "x.toml:2:9: about 0 requests"),
        (
            "about = \"x\"\nparts = [{ rate = 1e5, duration = \"1h\" }]",
            "x.toml:2:9: about 360000000 requests",
        ),
        (
            "about = \"x\"\nparts = [{ times = 30, parts = [{ rate = 1, duration = \"1h\" }] }]",
            "x.toml:2:9: 108000 s in all",
        ),
        ("about = \"ä\" é", "x.toml:1:13"),
        ("\u{feff}\0", "x.toml:1:"),
    ] {
        let why = parse(text).unwrap_err();
        assert!(why.starts_with("x.toml:") && why.contains(words), "{text:?}: {why}");
    }
    let deep = format!("about = \"x\"\nparts = {}", "[".repeat(100_000));
    assert!(parse(&deep).unwrap_err().starts_with("x.toml:2:"));
}
