//! Pulls that are ended: by Ctrl-C, by `kill -9` at any moment; and by eight processes at once.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Scene, model};
use crate::store::kills::{ALL_ROUNDS, Moments, ROUNDS, assert_clean, kill_after};

/// Bytes of weights: they come in some parts.
const WEIGHTS: usize = 12 << 20;

#[test]
fn ctrl_c_leaves_a_state_that_resumes() {
    let scene = Scene::new();
    scene.hub.add(model("maker/model", 1, WEIGHTS));
    scene.hub.throttle(1 << 20);
    let mut command = scene.command(&["pull", "maker/model"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while scene.sent() < 2 << 20 {
        thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("`wasmlx pull maker/model` goes on from here"), "{stderr}");
    assert_clean(&scene.home, &[]);

    scene.hub.throttle(0);
    scene.hub.clear_requests();
    scene.run(&["pull", "maker/model"]).ok();
    assert!(scene.sent() < WEIGHTS as u64 - (1 << 20), "{} again", scene.sent());
    assert_clean(&scene.home, &["maker/model"]);
}

/// Kills pulls; every other one is of a model that has come in part.
fn rounds(count: usize) {
    let (scene, mut moments) = (Scene::new(), Moments::new());
    scene.hub.add(model("maker/kept", 1, 1 << 20));
    scene.hub.add(model("maker/model", 2, WEIGHTS));
    scene.run(&["pull", "maker/kept"]).ok();
    let pull = ["pull", "maker/model"];
    let started = Instant::now();
    scene.run(&pull).ok();
    // The first may be slow; what counts is that most rounds end before their time.
    let time = started.elapsed().max(Duration::from_millis(20));

    let mut killed = 0;
    for round in 0..count {
        scene.run(&["store", "rm", "maker/model"]).ok();
        for _ in 0..1 + round % 2 {
            killed += usize::from(!kill_after(&mut scene.command(&pull), moments.within(time)));
            assert_clean(&scene.home, &["maker/kept"]);
        }
        scene.run(&pull).ok();
        assert_clean(&scene.home, &["maker/kept", "maker/model"]);
        // One that was killed right after the model was there has not swept.
        scene.run(&["store", "gc", "--unfinished"]).ok();
        let unfinished = scene.home.path().join("blobs/partial");
        let left: Vec<_> = std::fs::read_dir(unfinished).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{left:?} is left in round {round}");
    }
    println!("{killed} of {} were killed before their end", count + count / 2);
    assert!(killed * 4 > count, "only {killed} were killed before their end");
}

#[test]
fn who_is_killed_pulls_on() {
    rounds(ROUNDS);
}

#[test]
#[ignore = "takes minutes"]
fn who_is_killed_pulls_on_500_times() {
    rounds(ALL_ROUNDS);
}

#[test]
fn eight_that_want_the_same_fetch_it_once() {
    let scene = Scene::new();
    let one = model("maker/one", 1, WEIGHTS);
    scene.hub.add(one.clone());
    scene.hub.add(model("maker/two", 2, WEIGHTS));
    // Slow enough that all of them want it while it comes.
    scene.hub.throttle(4 << 20);
    let by_commit = format!("maker/one:{}", one.commit());
    thread::scope(|scope| {
        for name in
            ["maker/one", "maker/one", "maker/one", "maker/two", "maker/two", "maker/two", &by_commit, &by_commit]
        {
            let scene = &scene;
            scope.spawn(move || scene.run(&["pull", name, "--json"]).ok());
        }
    });
    assert_eq!(scene.sent(), 2 * WEIGHTS as u64);
    assert_clean(&scene.home, &["maker/one", "maker/two", &by_commit]);
}
