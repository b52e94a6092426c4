//! What parameters mean, and how wrong ones are refused.

use crate::{Parameters, Step};

fn chain(json: &str) -> Vec<Step> {
    Parameters::parse(json).unwrap().chain()
}

fn error(json: &str) -> String {
    Parameters::parse(json).unwrap_err().to_string()
}

#[test]
fn defaults_draw_from_the_nucleus() {
    for nothing in ["", "{}", " { } "] {
        assert_eq!(chain(nothing), [Step::TopP(0.9), Step::Temperature(0.7)]);
    }
}

#[test]
fn steps_come_in_the_order_of_mlx_lm_whatever_the_order_of_the_parameters() {
    let all = r#"{
        "temperature": 0.5, "top_k": 40, "xtc_threshold": 0.2, "xtc_probability": 0.5, "min_keep": 2, "min_p": 0.05,
        "top_p": 0.8, "penalty_window": 64, "frequency_penalty": 0.25, "presence_penalty": -0.5,
        "repetition_penalty": 1.1, "logit_bias": {"7": -100, "3": 1.5}, "seed": 1
    }"#;
    let steps = [
        Step::Bias(vec![(7, -100.0), (3, 1.5)]),
        Step::Penalties { repetition: 1.1, presence: -0.5, frequency: 0.25, window: 64 },
        Step::TopP(0.8),
        Step::MinP { p: 0.05, min_keep: 2 },
        Step::Xtc { probability: 0.5, threshold: 0.2 },
        Step::TopK(40),
        Step::Temperature(0.5),
    ];
    assert_eq!(chain(all), steps);
}

#[test]
fn the_best_token_needs_no_filters() {
    let filtered = r#"{"temperature": 0, "top_p": 0.5, "top_k": 2, "min_p": 0.1, "xtc_probability": 1}"#;
    assert_eq!(chain(filtered), [Step::Temperature(0.0)]);
    assert_eq!(chain(r#"{"temperature": 1e-30}"#), [Step::Temperature(0.0)]);

    let penalised = r#"{"temperature": 0, "presence_penalty": 1}"#;
    let penalties = Step::Penalties { repetition: 1.0, presence: 1.0, frequency: 0.0, window: 20 };
    assert_eq!(chain(penalised), [penalties, Step::Temperature(0.0)]);
}

#[test]
fn values_that_change_nothing_add_no_step() {
    for off in ["0", "0.0", "1", "1.0", "1e0"] {
        let json = format!(r#"{{"top_p": {off}, "repetition_penalty": {off}, "min_p": 0, "top_k": 0}}"#);
        assert_eq!(chain(&json), [Step::Temperature(0.7)]);
    }
}

#[test]
fn a_seed_has_64_bits() {
    assert_eq!(Parameters::parse(r#"{"seed": 18446744073709551615}"#).unwrap().seed, Some(u64::MAX));
    assert_eq!(Parameters::parse("{}").unwrap().seed, None);
    assert_eq!(error(r#"{"seed": -1}"#), "`seed` must be a whole number of at most 64 bits, not -1");
}

#[test]
fn the_last_of_two_counts() {
    assert_eq!(chain(r#"{"temperature": 1, "top_p": 1, "temperature": 2}"#), [Step::Temperature(2.0)]);
}

#[test]
fn errors_name_the_parameter() {
    assert_eq!(
        error(r#"{"top_p": 0.5, "topk": 3}"#),
        "`topk` is not a parameter of this policy; it has temperature, top_p, top_k, min_p, min_keep, \
         xtc_probability, xtc_threshold, repetition_penalty, presence_penalty, frequency_penalty, penalty_window, \
         logit_bias, seed"
    );
    assert_eq!(error(r#"{"temperature": "hot"}"#), "`temperature` must be a number of at least 0, not \"hot\"");
    assert_eq!(error(r#"{"temperature": -0.1}"#), "`temperature` must be a number of at least 0, not -0.1");
    assert_eq!(error(r#"{"temperature": 1e99}"#), "`temperature` must be a number of at least 0, not 1e99");
    assert_eq!(error(r#"{"presence_penalty": nan}"#), "`presence_penalty` must be a number, not nan");
    assert_eq!(error(r#"{"top_p": 1.5}"#), "`top_p` must be a number from 0 to 1, not 1.5");
    assert_eq!(error(r#"{"top_p": null}"#), "`top_p` must be a number from 0 to 1, not null");
    assert_eq!(error(r#"{"top_k": 2.5}"#), "`top_k` must be a whole number, not 2.5");
    assert_eq!(error(r#"{"min_keep": 0}"#), "`min_keep` must be a whole number of at least 1, not 0");
    assert_eq!(error(r#"{"xtc_threshold": 0.6}"#), "`xtc_threshold` must be a number from 0 to 0.5, not 0.6");
    for wrong in ["[[1, 2]]", r#"{"one": 1}"#, r#"{"1": "two"}"#, r#"{"-1": 1}"#, r#"{"1": 1e99}"#] {
        assert_eq!(
            error(&format!(r#"{{"logit_bias": {wrong}}}"#)),
            format!("`logit_bias` must be an object from token ids to numbers, not {wrong}")
        );
    }
    assert_eq!(error("[]"), "the parameters are not a JSON object: `{` is missing at byte 0");
}
