//! `wasmlx bench`: how fast, and what a component costs.
//!
//! Counted as `mlx_lm.benchmark` counts: a random prompt, no end token, one warm-up run; the prompt's rate is its
//! tokens over the time to the first token, the generation's rate is its tokens over the time after the first.

mod trial;

use serde_json::{Map, Value, json};
use wasmlx::{DEFAULT_POLICY, ErrorKind, Host, Model, Prompt, Sampler};

use self::trial::{Sampled, Trial};
use super::run::{self, Loaded};
use crate::GlobalOptions;
use crate::candidates;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::options::{ModelOptions, json_object};
use crate::output::{self, Output};
use crate::statistics::MedianInterval;

const MEASUREMENT: &str = "Measurement";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Tokens of the prompt
    #[arg(short = 'p', long, help_heading = MEASUREMENT, value_name = "N", default_value_t = 512, value_parser = at_least_one)]
    prompt_tokens: usize,
    /// Tokens to generate
    #[arg(short = 'g', long, help_heading = MEASUREMENT, value_name = "N", default_value_t = 256, value_parser = at_least_one)]
    generation_tokens: usize,
    /// Requests at once, each with a prompt of its own
    #[arg(short = 'c', long, help_heading = MEASUREMENT, value_name = "N", default_value_t = 1, value_parser = requests)]
    concurrency: usize,
    /// Measured runs, after one that warms up
    #[arg(short = 'n', long, help_heading = MEASUREMENT, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    trials: usize,
    /// Who chooses the tokens: native (the host's own chain), plan (default-policy, a chain that the host runs),
    /// step (classic, called each token), read (mirostat, which reads from the device each token), or a component.
    /// Several, with commas between, are run by turns and compared pair by pair with the first
    #[arg(long, help_heading = MEASUREMENT, value_name = "NAMES", value_delimiter = ',', default_value = "plan", add = candidates::bench_sampler())]
    sampler: Vec<String>,
    /// Parameters of every sampler; left out, the best token where only `plan` is measured, else for native, plan and
    /// step repetition penalty 1.1, min-p 0.05, temperature 0.7, and for others their own defaults
    #[arg(long, help_heading = MEASUREMENT, value_name = "JSON", value_parser = json_object)]
    sampler_params: Option<Map<String, Value>>,
    /// Of the prompts and of the sampling
    #[arg(long, help_heading = MEASUREMENT, value_name = "N", default_value_t = 0)]
    seed: u64,
}

fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}")),
    }
}

/// The most requests at once: each holds a prompt and a cache.
const MOST_REQUESTS: usize = 1024;

fn requests(text: &str) -> std::result::Result<usize, String> {
    match at_least_one(text)? {
        count if count <= MOST_REQUESTS => Ok(count),
        _ => Err(format!("at most {MOST_REQUESTS}")),
    }
}

pub(crate) async fn run(arguments: Arguments, global: &GlobalOptions) -> Result {
    let interrupt = Interrupt::listen();
    run::with_model(&arguments.model, global, &interrupt, async |loaded| measure(&arguments, global, loaded).await)
        .await
}

async fn measure(arguments: &Arguments, global: &GlobalOptions, loaded: &Loaded) -> Result {
    let Loaded { host, model, .. } = loaded;
    let context = model.info().context_length as usize;
    if arguments.prompt_tokens.saturating_add(arguments.generation_tokens) > context {
        let message = format!(
            "-p and -g come to more than the {context} tokens that {} was made for; ask for fewer",
            model.name()
        );
        return Err(Failure::new(ErrorKind::InvalidInput, message));
    }
    let bench = Bench::new(arguments, host, model);
    for name in &arguments.sampler {
        bench.trial(name).await?;
    }
    host.reset_peak_memory().await?;

    let mut results: Vec<Sampled> = arguments.sampler.iter().map(|name| Sampled::new(name)).collect();
    for trial in 0..arguments.trials {
        for index in order(trial, results.len()) {
            let measured = bench.trial(&results[index].name).await?;
            if !global.json && !global.quiet {
                output::aside(format_args!("trial {}, {}: {}", trial + 1, results[index].name, measured.line()));
            }
            results[index].trials.push(measured);
        }
    }
    let peak = model.memory().await?.peak_bytes;
    let report = BenchReport { arguments, model, results: &results, peak };
    let mut output = Output::new();
    if global.json {
        output.json(&report.to_json())
    } else {
        output.text(&report.to_text())?;
        output.flush()
    }
}

/// Whose turn it is in a round: each sampler takes each place, and comes after each other, equally often.
fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    let backwards = round / count % 2 == 1;
    (0..count).map(move |turn| {
        let index = (turn + round) % count;
        if backwards { count - 1 - index } else { index }
    })
}

/// What is measured.
struct Bench<'a> {
    arguments: &'a Arguments,
    host: &'a Host,
    model: &'a Model,
    prompts: Vec<Vec<u32>>,
}

impl<'a> Bench<'a> {
    fn new(arguments: &'a Arguments, host: &'a Host, model: &'a Model) -> Self {
        let vocabulary = u64::from(model.info().vocabulary_size);
        let prompts = prompts(arguments.seed, vocabulary, arguments.concurrency, arguments.prompt_tokens);
        Self { arguments, host, model, prompts }
    }

    /// Runs all requests once, at the same time.
    async fn trial(&self, sampler: &str) -> Result<Trial> {
        let (sampler, parameters) = (self.sampler(sampler).await?, self.parameters(sampler));
        let mut tasks = tokio::task::JoinSet::new();
        for prompt in &self.prompts {
            let builder = self
                .model
                .complete(Prompt::Tokens(prompt.clone()))
                .max_tokens(self.arguments.generation_tokens)
                .ignore_eos(true)
                .seed(self.arguments.seed)
                .sampler(sampler.clone())
                .sampler_params(parameters.clone());
            tasks.spawn(async move { builder.start().await?.finish().await });
        }
        let mut reports = Vec::new();
        while let Some(joined) = tasks.join_next().await {
            let report = joined.map_err(|error| Failure::new(ErrorKind::Stopped, error))?;
            reports.push(report?);
        }
        Ok(Trial::of(&reports))
    }

    /// The native chain is the one that the plan comes to, made once and not for each request.
    async fn sampler(&self, name: &str) -> Result<Sampler> {
        Ok(match name {
            "native" => {
                let chain = self.host.plan(DEFAULT_POLICY, &self.parameters(name)).await?;
                Sampler::Native(chain.ok_or_else(|| {
                    Failure::new(ErrorKind::InvalidComponent, format_args!("{DEFAULT_POLICY} gives no plan"))
                })?)
            }
            "plan" => DEFAULT_POLICY.into(),
            "step" => "classic".into(),
            "read" => "mirostat".into(),
            component => component.into(),
        })
    }

    fn parameters(&self, sampler: &str) -> Map<String, Value> {
        let parameters = match (&self.arguments.sampler_params, sampler) {
            (Some(given), _) => return given.clone(),
            (None, "plan") if self.arguments.sampler.iter().all(|name| name == "plan") => json!({"temperature": 0}),
            (None, "native" | "plan" | "step") => {
                json!({"repetition_penalty": 1.1, "min_p": 0.05, "temperature": 0.7})
            }
            (None, _) => json!({}),
        };
        parameters.as_object().cloned().unwrap_or_default()
    }
}

/// So many prompts of random ids, none like another.
fn prompts(seed: u64, vocabulary: u64, count: usize, tokens: usize) -> Vec<Vec<u32>> {
    let mut random = Random(seed);
    (0..count).map(|_| (0..tokens).map(|_| random.below(vocabulary)).collect()).collect()
}

/// The whole result. Rates are medians over the trials.
struct BenchReport<'a> {
    arguments: &'a Arguments,
    model: &'a Model,
    results: &'a [Sampled],
    peak: u64,
}

impl BenchReport<'_> {
    /// One sampler: its figures at the top; several: a list of them, and how each stands to the first.
    fn to_json(&self) -> Value {
        let common = json!({
            "model": self.model.name(),
            "device": self.model.device(),
            "prompt_tokens": self.arguments.prompt_tokens,
            "generation_tokens": self.arguments.generation_tokens,
            "concurrency": self.arguments.concurrency,
            "trials": self.arguments.trials,
            "peak_memory_bytes": self.peak,
        });
        let mut object = common.as_object().cloned().unwrap_or_default();
        match self.results {
            [only] => object.extend(only.to_json()),
            all => {
                object.insert(
                    "samplers".to_owned(),
                    all.iter().map(|sampled| Value::Object(sampled.to_json())).collect(),
                );
                let ratios = self.ratios().map(|(name, baseline, ratio)| {
                    json!({
                        "sampler": name, "baseline": baseline, "median": ratio.median,
                        "low": ratio.low, "high": ratio.high, "confidence": ratio.confidence,
                    })
                });
                object.insert("generation_tps_ratios".to_owned(), ratios.collect());
            }
        }
        Value::Object(object)
    }

    fn ratios(&self) -> impl Iterator<Item = (&str, &str, MedianInterval)> {
        let (baseline, others) =
            self.results.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
        others.iter().filter_map(move |other| {
            let baseline = baseline?;
            Some((other.name.as_str(), baseline.name.as_str(), other.ratio_to(baseline)?))
        })
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        line(format!("{} on {}, peak memory {}", self.model.name(), self.model.device(), output::bytes(self.peak)));
        line(format!(
            "{:<16} {:>10} {:>10} {:>9} {:>7} {:>7} {:>7} {:>7}  {}",
            "sampler", "prompt t/s", "decode t/s", "first ms", "reads", "evals", "calls", "wasted", "digest of ids"
        ));
        for sampled in self.results {
            line(format!(
                "{:<16} {:>10.1} {:>10.1} {:>9.1} {:>7.3} {:>7.3} {:>7.3} {:>7.3}  {}",
                sampled.name,
                sampled.median(|trial| trial.prompt_tps),
                sampled.median(|trial| trial.generation_tps),
                sampled.median(|trial| trial.ttft_ms),
                sampled.median(|trial| trial.device_reads),
                sampled.median(|trial| trial.evals),
                sampled.median(|trial| trial.boundary_calls),
                sampled.median(|trial| trial.wasted_forwards),
                sampled.digest().map_or("differs from trial to trial".to_owned(), |digest| format!("{digest:016x}")),
            ));
        }
        for (name, baseline, ratio) in self.ratios() {
            line(format!(
                "{name} / {baseline}, decode rate: median {:.4}, {:.1} % interval {:.4} to {:.4} ({} pairs)",
                ratio.median,
                ratio.confidence * 100.0,
                ratio.low,
                ratio.high,
                self.arguments.trials
            ));
        }
        text
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u32 {
        // The bias of the remainder is below 2^-32 for any vocabulary.
        u32::try_from(self.next() % bound.max(1)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sampler_takes_every_place() {
        let rounds: Vec<Vec<usize>> = (0..6).map(|round| order(round, 3).collect()).collect();
        assert_eq!(rounds, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0], [1, 0, 2], [0, 2, 1]]);
        assert_eq!(order(5, 1).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn prompts_depend_on_the_seed_alone_and_differ() {
        let three = |seed| prompts(seed, 8192, 3, 8);
        assert_eq!(three(1), three(1));
        assert_ne!(three(1), three(2));
        let [one, two, other] = &three(3)[..] else { panic!("three are asked for") };
        assert!(one != two && two != other && one != other);
        assert!(one.len() == 8 && one.iter().all(|id| *id < 8192));
    }
}
