//! Cases of policies that draw by themselves: the request is served with many seeds, and what comes up is counted.

use wasmlx_engine::{CancelToken, Choice};

use super::policy::{Expected, Request, Step, compare, compare_reads};
use super::statistics::ChiSquare;
use super::{BROKEN_OFF, Case, CaseOutcome, field};

/// The most seeds of a case.
const MOST: u64 = 100_000;

/// How seldom a policy that is right fails a case as it is written, where the case does not say.
const FALSE_ALARM: f64 = 1e-6;

/// How far the probabilities of a case may be from 1 together, which are written with few digits.
const TOLERANCE: f64 = 1e-3;

/// How often a request is served, and how sure a failure is to be one.
pub(super) struct Draws {
    count: u64,
    false_alarm: f64,
}

impl Draws {
    /// What a case says; none where it has no `draws`.
    pub(super) fn of(case: &Case) -> Result<Option<Self>, String> {
        let false_alarm: Option<f64> = field(case, "false_alarm")?;
        let Some(count) = field(case, "draws")? else {
            return if false_alarm.is_none() {
                Ok(None)
            } else {
                Err("it has `false_alarm` without `draws`".to_owned())
            };
        };
        let false_alarm = false_alarm.unwrap_or(FALSE_ALARM);
        if !(1..=MOST).contains(&count) {
            return Err(format!("`draws` must be from 1 to {MOST}"));
        }
        if !(false_alarm > 0.0 && false_alarm < 0.5) {
            return Err("`false_alarm` must be above 0 and below 0.5".to_owned());
        }
        Ok(Some(Self { count, false_alarm }))
    }

    /// Serves a request with the seeds from `first` on. Where a step expects a distribution, the tokens are counted;
    /// what other steps expect must hold each time.
    pub(super) fn run(
        &self,
        request: &Request<'_>,
        first: u64,
        reads: Option<u32>,
        cancel: &CancelToken,
    ) -> Result<CaseOutcome, String> {
        let mut counts = request.steps.iter().map(Counted::of).collect::<Result<Vec<_>, _>>()?;
        let mut outcome = CaseOutcome::Passed;
        for seed in 0..self.count {
            if cancel.is_cancelled() {
                return Err(BROKEN_OFF.to_owned());
            }
            request.play(first.wrapping_add(seed), |index, chosen, counted| {
                let compared = match (&mut counts[index], &chosen) {
                    (Some(counts), Ok(Choice::Token(token))) => {
                        counts.add(token.read().map_err(|error| error.to_string())?)
                    }
                    // No token is drawn, or none is to be.
                    _ => compare(index + 1, &request.steps[index].expect, &chosen),
                };
                outcome = outcome.clone().or(compared).or(compare_reads(index + 1, reads, counted));
                Ok(())
            })?;
            if outcome != CaseOutcome::Passed {
                return Ok(outcome);
            }
        }
        // Each step that is tested may raise its share of the false alarms (Bonferroni's correction).
        let tests = counts.iter().flatten().count();
        for (number, counts) in (1..).zip(&counts) {
            if let Some(counts) = counts {
                outcome = outcome.or(counts.compare(number, self.false_alarm / tests as f64)?);
            }
        }
        Ok(outcome)
    }
}

/// How often each token came up at a step.
struct Counted {
    probabilities: Vec<f64>,
    counts: Vec<u64>,
}

impl Counted {
    /// For a step that expects a distribution.
    fn of(step: &Step) -> Result<Option<Self>, String> {
        let Expected::Distribution(expected) = &step.expect else { return Ok(None) };
        let mut probabilities = vec![0.0; step.logits.len()];
        for (id, probability) in expected {
            let place = probabilities.get_mut(*id as usize);
            *place.ok_or_else(|| format!("`distribution` has the token `{id}`, which has no score"))? = *probability;
        }
        let sum: f64 = probabilities.iter().sum();
        let is_one = (sum - 1.0).abs() <= TOLERANCE && probabilities.iter().all(|probability| *probability >= 0.0);
        if !is_one {
            return Err(format!("the probabilities of `distribution` sum to {sum}, not to 1"));
        }
        probabilities.iter_mut().for_each(|probability| *probability /= sum);
        let counts = vec![0; probabilities.len()];
        Ok(Some(Self { probabilities, counts }))
    }

    fn add(&mut self, token: u32) -> CaseOutcome {
        match self.counts.get_mut(token as usize) {
            Some(count) => {
                *count += 1;
                CaseOutcome::Passed
            }
            None => CaseOutcome::of("a token that has a score".to_owned(), format!("the token {token}")),
        }
    }

    fn compare(&self, number: usize, false_alarm: f64) -> Result<CaseOutcome, String> {
        let test = ChiSquare::test(&self.counts, &self.probabilities, false_alarm)
            .ok_or("`draws` is too low to tell anything: 5 of all tokens but the likeliest are to be expected")?;
        if test.holds() {
            return Ok(CaseOutcome::Passed);
        }
        let ChiSquare { statistic, threshold, freedom } = test;
        let total: u64 = self.counts.iter().sum();
        let freedom = if freedom == 1 { "1 degree".to_owned() } else { format!("{freedom} degrees") };
        let told = |what: String, share: &dyn Fn(usize) -> f64| {
            let shares = (0..self.counts.len()).filter(|id| self.probabilities[*id] > 0.0 || self.counts[*id] > 0);
            let lines: Vec<String> = shares.map(|id| format!("  {id}: {:.4}", share(id))).collect();
            format!("step {number}: {what}\n{}", lines.join("\n"))
        };
        let at_most = format!(
            "chi-square at most {threshold:.2} ({freedom} of freedom, false alarms {false_alarm:.0e}) over {total} draws"
        );
        Ok(CaseOutcome::Failed {
            expected: told(at_most, &|id| self.probabilities[id]),
            got: told(format!("chi-square {statistic:.2}"), &|id| self.counts[id] as f64 / total as f64),
        })
    }
}
