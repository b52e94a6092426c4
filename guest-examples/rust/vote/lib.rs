//! An agent that votes: `vote [--voters N] QUESTION`.
//!
//! Each model that it is given reads the question once: the first voter answers, and the others fork its context, cut
//! back to the question. Each draws with a seed of its own. Most votes win.

mod ballot;

mod bindings {
    #![allow(unsafe_code, missing_docs, unreachable_pub)]
    use super::Component;
    wit_bindgen::generate!({
        world: "agent",
        path: "../../../wit",
        with: {
            "wasmlx:runner/contexts@0.1.0": asking::bindings::wasmlx::runner::contexts,
            "wasmlx:runner/templates@0.1.0": asking::bindings::wasmlx::runner::templates,
            "wasmlx:runner/types@0.1.0": asking::bindings::wasmlx::runner::types,
        },
        generate_all,
    });
    export!(Component with_types_in self);
}

use asking::bindings::wasmlx::runner::contexts::Context;
use asking::bindings::wasmlx::runner::types::Error;
use ballot::Ballot;
use bindings::wasmlx::runner::{console, models};

/// How many voters each model has where nobody says.
const VOTERS: u64 = 5;

/// The most tokens of a vote.
const TOKENS: u32 = 64;

struct Component;

impl bindings::Guest for Component {
    fn run(args: Vec<String>) -> Result<(), Error> {
        let (voters, question) = arguments(&args)?;
        let mut ballot = Ballot::default();
        for model in models::list() {
            let (asked, prompt) = asking::ask(&model.name, question)?;
            for seed in 0..voters {
                // What the first voter made the model read, the others share.
                let answer = match seed {
                    0 => answer(&asked, seed)?,
                    _ => answer(&asked.fork()?, seed)?,
                };
                asked.truncate(prompt.tokens)?;
                console::print(&format!("{} {}: {}\n", model.name, seed + 1, answer.replace('\n', " ")))?;
                ballot.add(&answer);
            }
        }
        let (winner, votes) = ballot.winner().ok_or_else(|| Error::ModelFailed("nobody answered anything".into()))?;
        console::print(&format!("{winner} ({votes} of {})\n", ballot.votes()))
    }
}

fn arguments(args: &[String]) -> Result<(u64, &str), Error> {
    let usage = || Error::InvalidInput("usage: vote [--voters N] QUESTION, N from 1 to 20".into());
    match args {
        [question] => Ok((VOTERS, question)),
        [option, count, question] if option == "--voters" => match count.parse() {
            Ok(count @ 1..=20) => Ok((count, question)),
            _ => Err(usage()),
        },
        _ => Err(usage()),
    }
}

/// What one voter says.
fn answer(voter: &Context, seed: u64) -> Result<String, Error> {
    let mut answer = String::new();
    asking::answer(voter, Some(TOKENS), Some(seed), |text| {
        answer.push_str(text);
        Ok(())
    })?;
    Ok(answer.trim().to_owned())
}
