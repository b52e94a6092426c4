//! Cases of prompt templates: what they render, and how they read answers.

use serde::Deserialize;
use serde_json::{Value, json};
use wasmlx_components::{AnswerContext, Component, Conversation, Output, Template, Tool};
use wasmlx_text::Segment;

use super::{Case, CaseOutcome, field, lines, refuse_beside_error, refuse_unknown};

const FIELDS: [&str; 6] = ["name", "config", "conversation", "segments", "parse", "error"];
const CONVERSATION_FIELDS: [&str; 6] =
    ["messages", "tools", "documents", "add_generation_prompt", "options", "context"];

pub(super) fn run(component: &Component, case: &Case, mended: &mut Case) -> Result<CaseOutcome, String> {
    let config = field::<Value>(case, "config")?.unwrap_or_else(|| json!({})).to_string();
    let conversation: Option<Conversation> = field(case, "conversation")?;
    let answers: Vec<Answer> = field(case, "parse")?.unwrap_or_default();
    refuse_unchecked(case, &answers)?;
    let template = Template::new(component, &config).map_err(|error| error.to_string());
    if let Some(part) = field::<String>(case, "error")? {
        let rendered = template.and_then(|template| render(&template, &conversation.unwrap_or_default()));
        return Ok(CaseOutcome::of_error(&part, rendered, mended));
    }
    // A component that refuses its configuration fails the case, which is no error of the case's own.
    let template = match template {
        Ok(template) => template,
        Err(error) => return Ok(CaseOutcome::of("a template".to_owned(), format!("error: {error}"))),
    };
    let mut outcome = CaseOutcome::Passed;
    let mut followed = AnswerContext::default();
    if let Some(conversation) = conversation {
        let expected: Vec<Value> = field(case, "segments")?.unwrap_or_default();
        let got = match template.render(&conversation) {
            Ok(segments) => {
                followed = AnswerContext::new(&conversation, &segments);
                if json!(segments) != json!(expected) {
                    mended.insert("segments".to_owned(), json!(segments));
                }
                written(&segments)
            }
            Err(error) => format!("error: {error}"),
        };
        outcome = CaseOutcome::of(lines(&expected), got);
    }
    for (index, answer) in answers.iter().enumerate() {
        let answered = answer.run(&template, &followed);
        if answered != CaseOutcome::Passed
            && let Ok(outputs) = parse(&template, &answer.context(&followed), &answer.text, &[])
            && let Some(place) = mended.get_mut("parse").and_then(|answers| answers.get_mut(index)?.get_mut("outputs"))
        {
            *place = json!(outputs);
        }
        outcome = outcome.or(answered);
    }
    Ok(outcome)
}

/// Refuses a case that checks less than it seems to.
fn refuse_unchecked(case: &Case, answers: &[Answer]) -> Result<(), String> {
    refuse_unknown("it", case, &FIELDS)?;
    refuse_beside_error(case, &["segments", "parse"])?;
    if let Some(Value::Object(conversation)) = case.get("conversation") {
        refuse_unknown("`conversation`", conversation, &CONVERSATION_FIELDS)?;
    }
    let has = |name: &str| case.contains_key(name);
    match (has("conversation"), has("segments")) {
        _ if has("error") => Ok(()),
        (true, false) => Err("it has neither `segments` nor `error`".to_owned()),
        (false, true) => Err("it has `segments` without `conversation`".to_owned()),
        (false, false) if answers.is_empty() => {
            Err("it checks nothing: it has none of `segments`, `parse` and `error`".to_owned())
        }
        _ => Ok(()),
    }
}

/// The segments of a conversation, in the form that cases have.
fn render(template: &Template, conversation: &Conversation) -> Result<String, String> {
    template.render(conversation).map(|segments| written(&segments)).map_err(|error| error.to_string())
}

/// Segments in the form that cases have.
fn written(segments: &[Segment]) -> String {
    lines(&segments)
}

/// An answer, and what it means.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    text: String,
    outputs: Vec<Output>,
    /// How the prompt ends; where it is left out, as the case's own conversation does.
    prompt_end: Option<String>,
    /// The tools that the model was offered; where it is left out, those of the case's own conversation.
    tools: Option<Vec<Tool>>,
}

impl Answer {
    /// What it follows.
    fn context(&self, followed: &AnswerContext) -> AnswerContext {
        AnswerContext {
            prompt_end: self.prompt_end.as_ref().unwrap_or(&followed.prompt_end).clone(),
            tools: self.tools.as_ref().unwrap_or(&followed.tools).clone(),
        }
    }

    /// Reads the answer in one piece, cut in two at every place, and character by character. Pieces are texts: none ends
    /// within a character.
    fn run(&self, template: &Template, followed: &AnswerContext) -> CaseOutcome {
        let context = self.context(followed);
        let borders: Vec<usize> = self.text.char_indices().map(|(at, _)| at).skip(1).collect();
        let mut all_cuts = vec![Vec::new()];
        all_cuts.extend(borders.iter().map(|border| vec![*border]));
        all_cuts.push(borders);
        let expected = lines(&self.outputs);
        for cuts in all_cuts {
            let got = match parse(template, &context, &self.text, &cuts) {
                Ok(outputs) => lines(&outputs),
                Err(error) => format!("error: {error}"),
            };
            if got != expected {
                let told = |outputs: &str| format!("{:?}, cut at bytes {cuts:?}:\n{outputs}", self.text);
                return CaseOutcome::Failed { expected: told(&expected), got: told(&got) };
            }
        }
        CaseOutcome::Passed
    }
}

/// What a text means that comes cut at these bytes, with neighbours of one kind joined.
fn parse(template: &Template, context: &AnswerContext, text: &str, cuts: &[usize]) -> Result<Vec<Output>, String> {
    let told = |error: wasmlx_components::ComponentError| error.to_string();
    let mut parser = template.parser(context).map_err(told)?;
    let mut joined = Vec::new();
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([text.len()]);
    for (start, end) in starts.zip(ends) {
        join(&mut joined, parser.push(&text[start..end]).map_err(told)?);
    }
    join(&mut joined, parser.finish().map_err(told)?);
    Ok(joined)
}

fn join(joined: &mut Vec<Output>, outputs: Vec<Output>) {
    for output in outputs {
        let other = match joined.last_mut() {
            Some(last) => last.join(output),
            None => Some(output),
        };
        joined.extend(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_neighbours_of_one_kind_are_joined() {
        let text = |text: &str| text.to_owned();
        let mut joined = vec![Output::Content(text("a"))];
        let outputs = vec![
            Output::Content(text("b")),
            Output::Reasoning(text("c")),
            Output::Content(text("d")),
            Output::ToolCallEnd,
            Output::ToolCallEnd,
        ];
        join(&mut joined, outputs);
        let expected = [
            Output::Content(text("ab")),
            Output::Reasoning(text("c")),
            Output::Content(text("d")),
            Output::ToolCallEnd,
            Output::ToolCallEnd,
        ];
        assert_eq!(joined, expected);
    }
}
