//! What a burst asks for, and how it comes down again.

use super::*;

#[test]
fn the_end_of_a_burst_is_neither_a_collapse_nor_paid_for_a_window() {
    let knobs = [("target", "1"), ("target-utilization-percentage", "100"), ("max-scale", "0")];
    let mut scene = Scene::new(&knobs);
    scene.seen.replicas = counts(1, 1);
    (scene.seen.load, scene.seen.running) = (loads(20.0, 100.0), 100);
    assert_eq!(scene.says(0.0), (100, "panic"));
    scene.seen.replicas = counts(100, 100);
    (scene.seen.load, scene.seen.running) = (loads(1.0, 1.0), 1);
    assert_eq!(scene.says(30.0), (100, "panic"), "panic never goes down");
    let mut timeline = Vec::new();
    for tick in 31..80 {
        let (to, word) = scene.says(f64::from(tick));
        if to < scene.seen.replicas.desired {
            timeline.push((tick, to, word));
            scene.seen.replicas = counts(to, to);
        }
    }
    let expected = [(31, 50), (37, 25), (43, 12), (49, 6), (55, 3), (61, 1)];
    assert_eq!(timeline.iter().map(|(tick, to, _)| (*tick, *to)).collect::<Vec<_>>(), expected);
}

#[test]
fn what_a_queue_asked_for_comes_down_slowly_where_there_is_a_hard_limit() {
    for (limit, expected) in [("10", &[(20, 5), (40, 2), (60, 1)][..]), ("0", &[(1, 5), (4, 2), (7, 1)])] {
        let mut scene = Scene::new(&[("container-concurrency", limit), ("target", "10"), ("max-scale", "0")]);
        (scene.seen.replicas, scene.seen.load) = (counts(1, 1), loads(1.0, 1.0));
        (scene.seen.running, scene.seen.waiting) = (10, 90);
        assert_eq!(scene.says(7.0), (10, "backlog"));
        scene.seen.replicas = counts(10, 1);
        assert_eq!(scene.says(9.0).0, 10, "a begun start is finished");
        // All are ready, and what waited was answered at once.
        (scene.seen.running, scene.seen.waiting, scene.seen.replicas) = (1, 0, counts(10, 10));
        let mut timeline = Vec::new();
        for second in 10..80 {
            let (to, _) = scene.says(f64::from(second));
            if to < scene.seen.replicas.desired {
                timeline.push((second - 9, to));
                scene.seen.replicas = counts(to, to);
            }
        }
        assert_eq!(timeline, expected, "container-concurrency {limit}");
    }
}

#[test]
fn a_fleet_that_is_full_grows_to_where_it_is_steered() {
    let mut scene = Scene::new(&[("container-concurrency", "10"), ("max-scale", "0")]);
    (scene.seen.load, scene.seen.waiting) = (loads(1.0, 1.0), 1);
    for (desired, ready, running, to) in
        [(1, 1, 10, 2), (3, 3, 30, 4), (7, 7, 70, 10), (7, 6, 70, 8), (7, 7, 700, 10)]
    {
        (scene.seen.replicas, scene.seen.running) = (counts(desired, ready), running);
        assert_eq!(scene.says(0.0).0, to, "{running} running on {ready} of {desired}");
    }
}

#[test]
fn nothing_is_started_for_a_queue_that_is_over() {
    let mut scene = Scene::new(&[("container-concurrency", "1")]);
    (scene.seen.replicas, scene.seen.load) = (counts(1, 1), loads(0.1, 0.1));
    (scene.seen.running, scene.seen.waiting, scene.seen.allowance) = (1, 5, Some(0));
    assert_eq!(scene.says(1.0), (1, "start-budget"));
    (scene.seen.waiting, scene.seen.allowance) = (0, None);
    assert_eq!(scene.says(2.0).0, 1, "whoever waited has left");
}

#[test]
fn what_a_burst_began_is_kept_until_it_could_carry_something() {
    let mut scene = Scene::new(&[("target", "10"), ("target-utilization-percentage", "100")]);
    (scene.seen.waiting, scene.seen.replicas) = (80, counts(1, 0));
    assert_eq!(scene.says(10.0), (8, "backlog"));
    // All begin to run, a second after their start; the second before is all that was measured.
    (scene.seen.waiting, scene.seen.running) = (0, 80);
    (scene.seen.replicas, scene.seen.ready_since) = (counts(8, 8), at(11.2));
    scene.seen.load = loads(3.0, 3.0);
    assert_eq!(scene.says(11.3), (8, "fresh"));
    assert_eq!(scene.verdict(17.1).next, Some(Next { at: at(17.2), then: Then::Down }));
    assert_eq!(scene.says(17.2), (4, "window"));
    scene.seen.load = loads(80.0, 80.0);
    assert_eq!(scene.says(17.3).0, 8, "what it carries is measured");
    // Idle is no window's word.
    (scene.seen.running, scene.seen.last_activity) = (0, Some(at(11.0)));
    (scene.seen.ready_since, scene.policy.idle_timeout) =
        (at(18.0), IdleTimeout::After(std::time::Duration::from_secs(1)));
    assert_eq!(scene.says(19.0), (0, "idle"));
}
