//! Cases of sampling policies: what they plan, and what they choose step by step.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wasmlx_backend::Token;
use wasmlx_backend::fake::tokenizer_json;
use wasmlx_components::{Component, PolicyComponent, Vocabulary};
use wasmlx_engine::{CancelToken, Chain, ChainPenalties, Choice, StepInfo};
use wasmlx_text::Tokenizer;

use super::draws::Draws;
use super::scores::{WatchedLogits, WatchedToken};
use super::{Case, CaseOutcome, field, lines, refuse_unknown};

const FIELDS: [&str; 9] = ["name", "params", "plan", "error", "steps", "seed", "reads", "draws", "false_alarm"];

/// What of these says something about steps.
const ABOUT_STEPS: [&str; 4] = ["seed", "reads", "draws", "false_alarm"];

/// How far a probability may be from the one in the case, which is written with few digits.
const TOLERANCE: f64 = 1e-4;

pub(super) fn run(
    component: &Component,
    case: &Case,
    mended: &mut Case,
    cancel: &CancelToken,
) -> Result<CaseOutcome, String> {
    refuse_unchecked(case)?;
    let policy = PolicyComponent::new(component).map_err(|error| error.to_string())?;
    let params = Value::Object(field(case, "params")?.unwrap_or_default()).to_string();
    if case.contains_key("steps") {
        return steps(&policy, &params, case, mended, cancel);
    }
    // A plan is of no particular model.
    let vocabulary = Vocabulary { size: u32::MAX, ..Vocabulary::default() };
    let planned = policy.plan(&params, &vocabulary).map_err(|error| error.to_string());
    if let Some(part) = field::<String>(case, "error")? {
        return Ok(CaseOutcome::of_error(&part, planned.map(|plan| plan_text(plan.as_ref())), mended));
    }
    let expected = field::<Option<Vec<Op>>>(case, "plan")?.flatten().map(|ops| chain(&ops));
    let expected = plan_text(expected.as_ref());
    let got = match planned {
        Ok(plan) => {
            let got = plan_text(plan.as_ref());
            if got != expected {
                mended.insert("plan".to_owned(), plan.as_ref().map_or(Value::Null, plan_json));
            }
            got
        }
        Err(error) => format!("error: {error}"),
    };
    Ok(CaseOutcome::of(expected, got))
}

/// Refuses a case that checks less than it seems to.
fn refuse_unchecked(case: &Case) -> Result<(), String> {
    refuse_unknown("it", case, &FIELDS)?;
    let among = |names: &[&'static str]| names.iter().copied().filter(|name| case.contains_key(*name)).collect();
    let (expected, about_steps): (Vec<&str>, Vec<&str>) = (among(&["plan", "error", "steps"]), among(&ABOUT_STEPS));
    match (&expected[..], &about_steps[..]) {
        ([], _) => Err("it checks nothing: it has none of `plan`, `error` and `steps`".to_owned()),
        ([one, other, ..], _) => Err(format!("it has both `{one}` and `{other}`")),
        (["plan" | "error"], [name, ..]) => Err(format!("it has `{name}` without `steps`")),
        _ => Ok(()),
    }
}

/// A step of a plan, by the names of the WIT with underscores.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Op {
    Bias(Vec<(u32, f32)>),
    Penalties { repetition: f32, presence: f32, frequency: f32, window: u32 },
    TopP(f32),
    MinP { p: f32, min_keep: u32 },
    Xtc { probability: f32, threshold: f32 },
    TopK(u32),
    Temperature(f32),
    Seed(u64),
}

/// The chain that a plan means.
fn chain(ops: &[Op]) -> Chain {
    let mut chain = Chain { temperature: 1.0, ..Chain::default() };
    for op in ops {
        match op {
            Op::Bias(bias) => chain.bias.clone_from(bias),
            Op::Penalties { repetition, presence, frequency, window } => {
                chain.penalties = Some(ChainPenalties {
                    repetition: *repetition,
                    presence: *presence,
                    frequency: *frequency,
                    window: *window,
                });
            }
            Op::TopP(p) => chain.top_p = Some(*p),
            Op::MinP { p, min_keep } => chain.min_p = Some((*p, *min_keep)),
            Op::Xtc { probability, threshold } => chain.xtc = Some((*probability, *threshold)),
            Op::TopK(k) => chain.top_k = Some(*k),
            Op::Temperature(temperature) => chain.temperature = *temperature,
            Op::Seed(seed) => chain.seed = Some(*seed),
        }
    }
    chain
}

/// A plan an operation a line, in the order in which the host runs them.
fn plan_text(chain: Option<&Chain>) -> String {
    let Some(chain) = chain else { return "no plan".to_owned() };
    let lines: Vec<String> = ops(chain).iter().map(|op| serde_json::to_string(op).unwrap_or_default()).collect();
    lines.join("\n")
}

/// A plan in the form that cases have, its numbers with as few digits as tell them apart as `f32`.
fn plan_json(chain: &Chain) -> Value {
    let text = serde_json::to_string(&ops(chain)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// What the host does for a plan, in its order.
fn ops(chain: &Chain) -> Vec<Op> {
    let mut ops = Vec::new();
    if !chain.bias.is_empty() {
        ops.push(Op::Bias(chain.bias.clone()));
    }
    ops.extend(chain.penalties.map(|penalties| {
        let ChainPenalties { repetition, presence, frequency, window } = penalties;
        Op::Penalties { repetition, presence, frequency, window }
    }));
    ops.extend(chain.top_p.map(Op::TopP));
    ops.extend(chain.min_p.map(|(p, min_keep)| Op::MinP { p, min_keep }));
    ops.extend(chain.xtc.map(|(probability, threshold)| Op::Xtc { probability, threshold }));
    ops.extend(chain.top_k.map(Op::TopK));
    ops.push(Op::Temperature(chain.temperature));
    ops.extend(chain.seed.map(Op::Seed));
    ops
}

/// One step of a case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    new: Vec<u32>,
    pub(super) logits: Vec<f32>,
    pub(super) expect: Expected,
}

/// What a step is to choose.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expected {
    /// This token, however it is chosen.
    Token(u32),
    /// A draw with these probabilities of tokens; those left out have none.
    Distribution(BTreeMap<u32, f64>),
    Forced(Vec<u32>),
    /// How many tokens are dropped, and what follows.
    Backtrack(usize, Vec<u32>),
    Stop,
    /// No choice: an error with this in its sentence.
    Error(String),
}

/// A request that a policy serves.
pub(super) struct Request<'a> {
    policy: &'a PolicyComponent,
    params: &'a str,
    pub(super) steps: &'a [Step],
    vocabulary: Vocabulary,
}

impl<'a> Request<'a> {
    fn new(policy: &'a PolicyComponent, params: &'a str, steps: &'a [Step]) -> Self {
        let size = steps.iter().map(|step| step.logits.len()).max().unwrap_or(0);
        let vocabulary = Vocabulary {
            size: u32::try_from(size).unwrap_or(u32::MAX),
            // The tokens below 256 are the bytes of those numbers.
            tokenizer: Tokenizer::from_bytes(tokenizer_json().as_bytes()).ok(),
            ..Vocabulary::default()
        };
        Self { policy, params, steps, vocabulary }
    }

    /// Serves it once; tells of each step its index, what was chosen, and how often the policy read.
    pub(super) fn play(
        &self,
        seed: u64,
        mut tell: impl FnMut(usize, Result<Choice, String>, u32) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut live = match self.policy.instantiate(self.params, None, &self.vocabulary) {
            Ok(live) => live,
            // A policy that cannot be made fails at its first step, as far as a case can tell.
            Err(error) => return tell(0, Err(error.to_string()), 0),
        };
        let (mut position, mut generated) = (0, 0);
        for (index, step) in self.steps.iter().enumerate() {
            let new = u32::try_from(step.new.len()).unwrap_or(u32::MAX);
            position += new;
            generated = if index == 0 { 0 } else { generated + new };
            let logits = WatchedLogits::new(step.logits.clone()).map_err(|error| error.to_string())?;
            let reads = logits.reads();
            let info = StepInfo { position, generated, new: &step.new, seed };
            let chosen = live.step(&info, Box::new(logits)).map_err(|error| error.to_string());
            tell(index, chosen, reads.load(Ordering::Relaxed))?;
        }
        Ok(())
    }
}

fn steps(
    policy: &PolicyComponent,
    params: &str,
    case: &Case,
    mended: &mut Case,
    cancel: &CancelToken,
) -> Result<CaseOutcome, String> {
    let steps: Vec<Step> = field(case, "steps")?.unwrap_or_default();
    if steps.is_empty() {
        return Err("it has no steps".to_owned());
    }
    let seed = field(case, "seed")?.unwrap_or(0);
    let reads: Option<u32> = field(case, "reads")?;
    let request = Request::new(policy, params, &steps);
    if let Some(draws) = Draws::of(case)? {
        return draws.run(&request, seed, reads, cancel);
    }
    let mut outcome = CaseOutcome::Passed;
    request.play(seed, |index, chosen, counted| {
        let compared = compare(index + 1, &steps[index].expect, &chosen);
        if compared != CaseOutcome::Passed
            && chosen.is_ok()
            && let Some(place) = mended.get_mut("steps").and_then(|steps| steps.get_mut(index)?.get_mut("expect"))
        {
            *place = json!(Expected::of(&chosen));
        }
        let compared_reads = compare_reads(index + 1, reads, counted);
        if compared_reads != CaseOutcome::Passed {
            mended.insert("reads".to_owned(), counted.into());
        }
        outcome = outcome.clone().or(compared).or(compared_reads);
        Ok(())
    })?;
    Ok(outcome)
}

/// Compares how often a step read, where the case says it.
pub(super) fn compare_reads(number: usize, reads: Option<u32>, counted: u32) -> CaseOutcome {
    let told = |reads| format!("step {number}: {reads} reads");
    match reads {
        Some(reads) if reads != counted => CaseOutcome::Failed { expected: told(reads), got: told(counted) },
        _ => CaseOutcome::Passed,
    }
}

/// Compares a choice with what a step expects.
pub(super) fn compare(number: usize, expected: &Expected, chosen: &Result<Choice, String>) -> CaseOutcome {
    let holds = match (expected, chosen) {
        (Expected::Token(id), Ok(Choice::Token(token))) => token.read().is_ok_and(|read| read == *id),
        (Expected::Distribution(expected), Ok(Choice::Token(token))) => {
            distribution(token.as_ref()).is_some_and(|drawn| is_close(expected, drawn))
        }
        (Expected::Forced(expected), Ok(Choice::Forced(tokens))) => expected == tokens,
        (Expected::Backtrack(dropped, follow), Ok(Choice::Backtrack(count, tokens))) => {
            (dropped, follow) == (count, tokens)
        }
        (Expected::Stop, Ok(Choice::Stop)) => true,
        (Expected::Error(part), Err(error)) => error.contains(part),
        _ => false,
    };
    let told = |choice: &Expected| format!("step {number}: {}", lines(choice));
    match holds {
        true => CaseOutcome::Passed,
        false => CaseOutcome::Failed { expected: told(expected), got: told(&Expected::of(chosen)) },
    }
}

/// What a token was drawn from; none where the best was taken.
fn distribution(token: &dyn Token) -> Option<&[f32]> {
    WatchedToken::of(token)?.distribution.as_deref()
}

/// Whether every token has the probability that is written, or none where none is.
fn is_close(expected: &BTreeMap<u32, f64>, drawn: &[f32]) -> bool {
    let known = expected.keys().all(|id| (*id as usize) < drawn.len());
    let close = |(id, probability): (u32, &f32)| {
        let wanted = expected.get(&id).copied().unwrap_or(0.0);
        (f64::from(*probability) - wanted).abs() <= TOLERANCE
    };
    known && (0..).zip(drawn).all(close)
}

impl Expected {
    /// What would have to be expected for a choice to be right.
    fn of(chosen: &Result<Choice, String>) -> Self {
        match chosen {
            Err(error) => Self::Error(error.clone()),
            Ok(Choice::Stop) => Self::Stop,
            Ok(Choice::Forced(tokens)) => Self::Forced(tokens.clone()),
            Ok(Choice::Backtrack(count, tokens)) => Self::Backtrack(*count, tokens.clone()),
            Ok(Choice::Token(token)) => match distribution(token.as_ref()) {
                Some(drawn) => {
                    let likely = (0..).zip(drawn).filter(|(_, probability)| **probability > 0.0);
                    let rounded = |probability: f32| (f64::from(probability) * 1e5).round() / 1e5;
                    Self::Distribution(likely.map(|(id, probability)| (id, rounded(*probability))).collect())
                }
                None => token.read().map_or_else(|error| Self::Error(error.to_string()), Self::Token),
            },
        }
    }
}
