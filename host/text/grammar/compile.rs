//! Grammars compiled, within limits of time and at a distance: on a thread of their own.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Map, Value, json};

use super::account::GrammarAccount;
use super::limits::{self, COMPILE_STACK, COMPILE_TIME, COMPILED_AT_ONCE};
use super::place::place;
use super::source::GrammarSource;
use super::vocabulary::Vocabulary;
use super::watch::{OPERATION_TIME, Watch};
use crate::error::{TextError, TextErrorKind};

/// Blanks between the parts of a JSON text: enough to indent thirty levels, and not so many that a model which has
/// nothing to say fills its answer with them.
const JSON_BLANKS: &str = r"[\x20\x0A\x0D\x09]{1,64}";

/// Where a schema has options for llguidance.
const OPTIONS: &str = "x-guidance";

/// A grammar before its text, with the tokens that may begin it known already.
pub(super) fn compile(vocabulary: &Vocabulary, source: &GrammarSource) -> Result<Matcher, TextError> {
    limits::check(source)?;
    let (factory, grammar, name) = (vocabulary.factory(), top_level(source)?, source.name());
    in_time(name, COMPILE_TIME, move || started(&factory, grammar, name))
}

fn started(factory: &ParserFactory, grammar: TopLevelGrammar, name: &str) -> Result<Matcher, TextError> {
    let parser = factory.create_parser(grammar.clone()).map_err(|error| {
        let error = format!("{error:#}");
        // llguidance has no kinds of errors; those of its limits are worded so.
        let is_limit =
            ["too large", "too big", "too many", "too complex", "fuel"].iter().any(|word| error.contains(word));
        let kind = if is_limit { TextErrorKind::GrammarTooComplex } else { TextErrorKind::GrammarInvalid };
        let at = schema_place(factory, &grammar, &error);
        TextError::new(kind, format!("the {name} cannot be used: {at}{}", sentence(&error)))
    })?;
    let mut matcher = Matcher::new(Ok(parser)).into_cancellable();
    // The first mask is the dearest, and here it holds up nobody.
    let watch = Watch::new(matcher.cancellation_handle().unwrap_or_default())?;
    let begun = watch.operation(|| {
        matcher.compute_mask()?;
        // Sees whether the empty text is complete already.
        matcher.consume_tokens(&[])
    });
    match begun {
        Ok(()) => Ok(matcher),
        Err(error) => Err(failed(name, &error.to_string())),
    }
}

/// `at /properties/age: ` for an error in a part of a JSON Schema.
fn schema_place(factory: &ParserFactory, grammar: &TopLevelGrammar, error: &str) -> String {
    let schema = grammar.grammars.first().and_then(|grammar| grammar.json_schema.as_ref()?.as_object());
    let fails = |part| {
        let compiled = factory.create_parser(TopLevelGrammar::from_json_schema(part));
        compiled.err().map(|error| format!("{error:#}"))
    };
    let place = schema.map(|schema| place(schema, error, fails)).unwrap_or_default();
    if place.is_empty() { place } else { format!("at {place}: ") }
}

/// What came of a step that llguidance could not take.
pub(super) fn failed(name: &str, error: &str) -> TextError {
    // Matchers answer nothing but texts. These two begin with a stop reason, and with `Cancelled`.
    if error.starts_with("NoExtensionBias") {
        let message = format!("the {name} cannot be satisfied: none of the model's tokens may come next");
        return TextError::new(TextErrorKind::GrammarInvalid, message);
    }
    let why = match error.starts_with("operation cancelled") {
        true => format!("it takes more than {} ms", OPERATION_TIME.as_millis()),
        false => sentence(error),
    };
    let message = format!("the {name} is too complex to find the tokens that may come next: {why}");
    TextError::new(TextErrorKind::GrammarTooComplex, message)
}

fn top_level(source: &GrammarSource) -> Result<TopLevelGrammar, TextError> {
    match source {
        GrammarSource::JsonSchema(schema) => Ok(TopLevelGrammar::from_json_schema(with_blanks(schema)?)),
        GrammarSource::Regex(expression) => {
            // llguidance would tell of a place in the Lark grammar that it makes of the expression.
            regex_syntax::ast::parse::Parser::new().parse(expression).map_err(|error| {
                let (at, what) = (error.span().start.offset, error.kind());
                let message = format!("the regular expression cannot be used: at byte {at}: {what}");
                TextError::new(TextErrorKind::GrammarInvalid, message)
            })?;
            Ok(TopLevelGrammar::from_regex(expression))
        }
        GrammarSource::Lark(text) => Ok(TopLevelGrammar::from_lark(text.clone())),
    }
}

/// The schema with our blanks between the parts of a text, unless it says itself which ones it wants.
fn with_blanks(schema: &Value) -> Result<Value, TextError> {
    let mut schema = match schema {
        Value::Bool(true) => Map::new(),
        Value::Object(schema) => schema.clone(),
        other => {
            let message = format!("a JSON Schema is an object, or `true` for any value; this one is {other}");
            return Err(TextError::new(TextErrorKind::GrammarInvalid, message));
        }
    };
    let options = schema.entry(OPTIONS).or_insert_with(|| json!({}));
    if let Some(options) = options.as_object_mut()
        && !options.contains_key("whitespace_flexible")
    {
        options.entry("whitespace_pattern").or_insert_with(|| JSON_BLANKS.into());
    }
    Ok(Value::Object(schema))
}

/// Runs work on a thread with a stack for deep nesting, and waits so long for it. Work that takes longer keeps its
/// place among those that may run, and that of its account, until it comes to its end.
fn in_time<T: Send + 'static>(
    name: &str,
    allowed: Duration,
    work: impl FnOnce() -> Result<T, TextError> + Send + 'static,
) -> Result<T, TextError> {
    let over = |what: &str| {
        let message = format!("the {name} is too complex: {what} {} s", allowed.as_secs());
        TextError::new(TextErrorKind::GrammarTooComplex, message)
    };
    let compiling = match GrammarAccount::current() {
        Some(account) => Some(account.begin().ok_or_else(|| {
            let message = format!("the {name} cannot be compiled: an earlier one, which took too long, still is");
            TextError::new(TextErrorKind::GrammarTooComplex, message)
        })?),
        None => None,
    };
    let place = Place::take(allowed).ok_or_else(|| over("others that are still being compiled took all of"))?;
    let (sender, receiver) = channel();
    let run = move || {
        let result = match &compiling {
            Some(compiling) => compiling.count(work),
            None => work(),
        };
        drop((compiling, place));
        // Whoever asked may have stopped waiting.
        let _ = sender.send(result);
    };
    thread::Builder::new().name("wasmlx-grammar".into()).stack_size(COMPILE_STACK).spawn(run).map_err(|error| {
        let message = format!("the {name} cannot be compiled: no thread could be started: {error}");
        TextError::new(TextErrorKind::GrammarTooComplex, message)
    })?;
    match receiver.recv_timeout(allowed) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(over("compiling it takes more than")),
        Err(RecvTimeoutError::Disconnected) => {
            let message =
                format!("the {name} cannot be used: compiling it panicked, which is a defect; please report it");
            Err(TextError::new(TextErrorKind::GrammarInvalid, message))
        }
    }
}

/// One of the places for grammars that are being compiled.
struct Place;

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

impl Place {
    /// Waits for a place; none where none comes free in time.
    fn take(allowed: Duration) -> Option<Self> {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |taken: &mut usize| *taken >= COMPILED_AT_ONCE;
        let (mut taken, waited) =
            FREED.wait_timeout_while(taken, allowed, is_full).unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        *taken += 1;
        Some(Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

/// llguidance's words on one line, without what is for its authors, and no longer than a person reads.
fn sentence(error: &str) -> String {
    const LONGEST: usize = 300;
    let error = error.split("<non-verbose/>").next().unwrap_or_default();
    let error = error.split("<backtrace>").next().unwrap_or_default();
    // Of lines of the grammar, and arrows below them, nothing is left to see once all is one line.
    let is_excerpt = |line: &&str| line.trim_start_matches(|digit: char| digit.is_ascii_digit()).starts_with(" |");
    let lines = error.lines().map(str::trim).take_while(|line| !is_excerpt(line));
    let lines = lines.filter(|line| !line.trim_matches('^').is_empty());
    let words = lines.collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &words[..end]),
        None => words.trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_compiles_one_grammar_at_a_time_and_is_told_what_they_took() {
        let account = GrammarAccount::default();
        let (open, gate) = channel::<()>();
        let wait = move || gate.recv().map_err(|_| failed("grammar", "nobody opened"));
        let error = account.during(|| in_time("grammar", Duration::from_millis(1), wait)).unwrap_err();
        assert!(error.to_string().contains("more than 0 s"), "{error}");
        assert_eq!(account.take_computed(), Duration::ZERO);
        let compile = || account.during(|| in_time("grammar", COMPILE_TIME, || Ok(())));
        let error = compile().unwrap_err();
        assert_eq!(error.kind(), TextErrorKind::GrammarTooComplex);
        assert!(error.to_string().contains("an earlier one"), "{error}");
        // Others wait for nothing.
        in_time("grammar", COMPILE_TIME, || Ok(())).unwrap();
        GrammarAccount::default().during(|| in_time("grammar", COMPILE_TIME, || Ok(()))).unwrap();
        assert_eq!(account.take_computed(), Duration::ZERO, "what others compile is theirs");
        open.send(()).unwrap();
        while compile().is_err() {
            thread::yield_now();
        }
        assert!(account.take_computed() > Duration::ZERO);
    }
}
