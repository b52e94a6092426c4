//! An agent that votes: `vote [--voters N] QUESTION`.
//!
//! Each model that it is given reads the question once: the first voter answers, and the others fork its context, cut
//! back to the question. Each draws with a seed of its own. Most votes win.

mod ballot;

mod bindings {
    #![allow(unsafe_code, missing_docs, unreachable_pub)]
    use super::Component;
    wit_bindgen::generate!({ world: "agent", path: "../../../wit", generate_all });
    export!(Component with_types_in self);
}

use ballot::Ballot;
use bindings::wasmlx::runner::contexts::{self, Context, GenerateOptions, GenerationEvent};
use bindings::wasmlx::runner::types::{Conversation, Error, Message, Output, Part};
use bindings::wasmlx::runner::{console, models, templates};

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
            let (asked, length) = ask(&model.name, question)?;
            for seed in 0..voters {
                // What the first voter made the model read, the others share.
                let answer = match seed {
                    0 => answer(&asked, seed)?,
                    _ => answer(&asked.fork()?, seed)?,
                };
                asked.truncate(length)?;
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

/// A context of a model with the question, and how many tokens that is.
fn ask(model: &str, question: &str) -> Result<(Context, u32), Error> {
    let message = Message {
        role: "user".into(),
        content: vec![Part::Text(question.into())],
        reasoning: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
        name: None,
    };
    let conversation = Conversation {
        messages: vec![message],
        tools: Vec::new(),
        documents: Vec::new(),
        add_generation_prompt: true,
        options: String::new(),
        context: None,
    };
    let context = contexts::open(Some(model))?;
    let prompt = context.prompt(&templates::render_for(model, &conversation)?)?;
    Ok((context, prompt.tokens))
}

/// What one voter says: the content of the answer, reasoning left out.
fn answer(voter: &Context, seed: u64) -> Result<String, Error> {
    let options =
        GenerateOptions { max_tokens: Some(TOKENS), stops: Vec::new(), seed: Some(seed), tools: false, grammar: None };
    let generation = voter.generate(&options)?;
    let mut answer = String::new();
    loop {
        let events = generation.next_batch(64)?;
        if events.is_empty() {
            return Ok(answer.trim().to_owned());
        }
        for event in events {
            if let GenerationEvent::Output(Output::Content(text)) = event {
                answer.push_str(&text);
            }
        }
    }
}
