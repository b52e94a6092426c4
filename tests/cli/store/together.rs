//! Eight processes at once.

use std::thread;

use super::Home;
use super::kills::{assert_clean, model};

/// Each takes a model in that shares files with the others', lists, removes it, sweeps and does it again. Two of them
/// have one name.
#[test]
fn eight_at_once_take_in_list_and_remove() {
    let home = Home::new();
    let source = home.beside("source");
    model(&source, 1);
    let source = source.to_str().unwrap();
    home.run(&["store", "import", source, "--name", "kept"]).ok();
    let whole = home.blobs();
    let round = |number: usize| {
        let name = format!("model-{}", number / 2);
        home.run(&["store", "import", source, "--name", &name, "--json"]).ok();
        home.run(&["store", "list", "--json"]).ok();
        home.run(&["store", "path", "kept"]).ok();
        // The other one of this name may have removed it, or be about to bring it in.
        let removed = home.run(&["store", "rm", &name]);
        let is_gone = removed.stderr.contains("no model") || removed.stderr.contains("another process brings");
        assert!(removed.code == Some(0) || is_gone, "{}", removed.stderr);
        home.run(&["store", "gc"]).ok();
        home.run(&["store", "verify"]).ok();
    };
    thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || (0..2).for_each(|_| round(number)));
        }
    });
    for number in 0..4 {
        // Whoever came last may have been left.
        home.run(&["store", "rm", &format!("model-{number}")]);
    }
    home.run(&["store", "gc", "--unfinished"]).ok();
    assert_clean(&home, &["kept"]);
    assert_eq!(home.blobs(), whole);
}
