//! `wasmlx bench`.

use crate::support::{field_names, run};

const SMALL: [&str; 7] = ["bench", "--json", "-p", "24", "-g", "12", "-n"];

fn bench(arguments: &[&str]) -> serde_json::Value {
    let all: Vec<&str> = SMALL.iter().chain(arguments).copied().collect();
    run(&all).ok().json()
}

#[test]
fn json_has_the_names_of_run_and_the_counters() {
    let result = bench(&["2"]);
    let names = [
        "boundary_calls",
        "concurrency",
        "device",
        "device_reads",
        "digest",
        "evals",
        "generation_tokens",
        "generation_tps",
        "model",
        "peak_memory_bytes",
        "prompt_tokens",
        "prompt_tps",
        "sampler",
        "trials",
        "ttft_ms",
        "wasted_forwards",
    ];
    assert_eq!(field_names(&result), names);
    assert_eq!(result["boundary_calls"], 0.0);
    assert!(result["digest"].is_string(), "the best tokens are the same in every trial");
}

/// What a component costs the device is nothing: the same ids, the same number of reads.
#[test]
fn native_plan_and_step_choose_the_same_and_read_the_same() {
    let result = bench(&["2", "--sampler", "native,plan,step"]);
    let samplers = result["samplers"].as_array().expect("a list");
    let field = |name: &str| samplers.iter().map(|sampler| sampler[name].clone()).collect::<Vec<_>>();
    assert_eq!(field("sampler"), ["native", "plan", "step"]);
    for same in ["digest", "device_reads"] {
        let values = field(same);
        assert!(values.iter().all(|value| *value == values[0] && !value.is_null()), "{same}: {values:?}");
    }
    assert_eq!(field("boundary_calls"), [0.0, 0.0, 1.0]);
    let ratios = result["generation_tps_ratios"].as_array().expect("a list");
    assert_eq!(ratios.len(), 2);
    for ratio in ratios {
        assert_eq!(ratio["baseline"], "native");
        assert!(
            ratio["low"].as_f64() <= ratio["median"].as_f64() && ratio["median"].as_f64() <= ratio["high"].as_f64()
        );
    }
}

#[test]
fn a_policy_that_reads_is_seen_to_read() {
    let result = bench(&["1", "--sampler", "plan,read"]);
    let reads = |index: usize| result["samplers"][index]["device_reads"].as_f64().expect("a number");
    assert!(reads(1) > reads(0) + 0.5, "{} and {}", reads(1), reads(0));
}

#[test]
fn several_requests_run_at_once_and_a_table_is_for_people() {
    let result = bench(&["1", "-c", "3"]);
    assert_eq!(result["concurrency"], 3);
    let text = run(&["bench", "-p", "8", "-g", "4", "-n", "1", "--quiet"]).ok().stdout;
    assert!(text.contains("plan") && text.contains("decode t/s"), "{text}");
}

#[test]
fn one_token_has_no_rate() {
    let result = run(&["bench", "--json", "-p", "8", "-g", "1", "-n", "1", "--sampler", "native,plan"]).ok().json();
    assert_eq!(result["samplers"][0]["generation_tps"], 0.0);
    assert_eq!(result["generation_tps_ratios"], serde_json::json!([]));
}

/// No prompt is made that no model could read.
#[test]
fn more_than_the_context_holds_is_refused() {
    for prompt in ["100000", "100000000000000", "18446744073709551615"] {
        let ran = run(&["bench", "-p", prompt]).failed(1);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("-p and -g"), "{}", ran.stderr);
    }
    run(&["bench", "-c", "100000000000"]).failed(2);
}
