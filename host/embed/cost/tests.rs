//! What is told of two cards.

use serde_json::json;

use super::*;

fn card() -> CostCard {
    let spread = Spread { lower: 90, median: 100, upper: 110 };
    CostCard {
        schema: SCHEMA,
        digest: "d".to_owned(),
        machine: Machine::this(),
        compile: 1,
        load: spread,
        memory: Some(1 << 16),
        calls: vec![CallCost {
            name: "policy.step".to_owned(),
            time: spread,
            fuel: 50,
            host_calls: 2.0,
            bytes: Some(4),
        }],
        work: Some(json!({"params": {}})),
    }
}

fn told(comparison: &CostComparison) -> Vec<(&'static str, f64, f64)> {
    comparison.changes.iter().map(|change| (change.what, change.before, change.after)).collect()
}

#[test]
fn the_same_cost_is_no_change() {
    assert_eq!(card().compare(&card()), CostComparison::default());
}

#[test]
fn what_is_dearer_and_what_is_cheaper_is_told() {
    let mut after = card();
    after.memory = Some(1 << 17);
    after.calls[0].fuel = 40;
    after.calls[0].time = Spread { lower: 111, median: 200, upper: 230 };
    let comparison = after.compare(&card());
    assert_eq!(told(&comparison), [("memory", 65536.0, 131_072.0), ("time", 100.0, 200.0), ("fuel", 50.0, 40.0)]);
    assert_eq!(comparison.incomparable, None);
    // Times that overlap, or are much alike, are no change; nor is the time of what does the same as before.
    for (lower, median) in [(110, 200), (111, 199)] {
        after.calls[0].time = Spread { lower, median, upper: 230 };
        assert!(told(&after.compare(&card())).iter().all(|(what, ..)| *what != "time"));
    }
    after.calls[0].time = Spread { lower: 900, median: 1000, upper: 1100 };
    assert!(told(&after.compare(&card())).iter().any(|(what, ..)| *what == "time"));
    after.calls[0].fuel = 50;
    assert!(told(&after.compare(&card())).iter().all(|(what, ..)| *what != "time"));
}

#[test]
fn times_of_another_machine_are_not_compared_and_counts_are() {
    let mut after = card();
    after.machine.processor = "another".to_owned();
    after.load = Spread { lower: 1, median: 1, upper: 1 };
    after.calls[0].time = after.load;
    after.calls[0].bytes = Some(8);
    let comparison = after.compare(&card());
    assert_eq!(told(&comparison), [("bytes", 4.0, 8.0)]);
    assert!(comparison.incomparable.is_some_and(|why| why.contains("machines")));
}

#[test]
fn calls_of_other_work_are_not_compared() {
    let mut after = card();
    after.work = None;
    after.calls[0].fuel = 1;
    let comparison = after.compare(&card());
    assert!(comparison.changes.is_empty() && comparison.incomparable.is_some_and(|why| why.contains("work")));
}

#[test]
fn a_card_that_was_kept_is_read_back_unless_it_is_of_another_form() {
    let kept = card().to_value();
    assert_eq!(CostCard::read(&kept), Some(card()));
    let changed = |path: &str, value: Value| {
        let mut kept = kept.clone();
        *kept.pointer_mut(path).unwrap() = value;
        CostCard::read(&kept)
    };
    assert_eq!(changed("/schema", json!(2)), None);
    assert_eq!(changed("/machine/processor", json!("\u{1b}[2J")), None);
    assert_eq!(changed("/calls", json!(7)), None);
}

#[test]
fn quartiles_are_of_the_samples() {
    assert_eq!(Spread::of(vec![5, 1, 4, 2, 3]), Spread { lower: 2, median: 3, upper: 4 });
    assert_eq!(Spread::of(vec![7]), Spread { lower: 7, median: 7, upper: 7 });
}
