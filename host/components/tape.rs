//! A tape: what a component asked of models, templates, tools and the network, call by call. One run writes it down,
//! another that asks the same is given the same answers, and the first call that is another one ends it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::v0_1::types::wit;
use crate::{ComponentError, ComponentErrorKind};

/// The most calls of a tape.
const MOST_CALLS: usize = 10_000;

/// The most bytes of a tape, written as JSON.
const MOST_BYTES: usize = 64 << 20;

/// A tape under way. Contexts and generations have numbers on it, in the order in which they were made.
#[derive(Debug)]
pub struct Tape(Mutex<State>);

/// A call, and what was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TapedCall {
    /// What was called, by the names of the WIT with underscores: `context.prompt`.
    pub call: String,
    /// With which arguments, by their names.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// What came back.
    #[serde(flatten)]
    pub answer: TapedAnswer,
}

/// What a call answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TapedAnswer {
    /// A value.
    Result(Value),
    /// An error: `{"not_found": "..."}`.
    Error(Value),
}

/// Where a component did other than its tape says. What is missing on one side was not called there.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// Which call, the first is 1.
    pub number: usize,
    /// What the tape has.
    pub expected: Option<(String, Map<String, Value>)>,
    /// What the component called.
    pub got: Option<(String, Map<String, Value>)>,
}

#[derive(Debug)]
struct State {
    calls: Vec<TapedCall>,
    bytes: usize,
    /// How many were called again; none while they are recorded.
    played: Option<usize>,
    divergence: Option<Divergence>,
}

impl Tape {
    /// One that is written.
    pub fn recording() -> Arc<Self> {
        Self::of(Vec::new(), None)
    }

    /// One that is played.
    pub fn playing(calls: Vec<TapedCall>) -> Arc<Self> {
        Self::of(calls, Some(0))
    }

    fn of(calls: Vec<TapedCall>, played: Option<usize>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { calls, bytes: 0, played, divergence: None })))
    }

    /// What is on it.
    pub fn calls(&self) -> Vec<TapedCall> {
        self.lock().calls.clone()
    }

    /// After a run: the first call that was another one than the tape's, or of those that the component did not make.
    pub fn divergence(&self) -> Option<Divergence> {
        let state = self.lock();
        let left = || {
            let number = state.played?;
            let expected = state.calls.get(number)?;
            let expected = Some((expected.call.clone(), expected.arguments.clone()));
            Some(Divergence { number: number + 1, expected, got: None })
        };
        state.divergence.clone().or_else(left)
    }

    pub(crate) fn is_recording(&self) -> bool {
        self.lock().played.is_none()
    }

    /// A component calls. Of arguments that are known later only `take.complete` tells.
    ///
    /// # Errors
    /// The call is not the tape's, or the tape is full: the component is to be stopped.
    pub(crate) fn take(self: &Arc<Self>, call: &str, arguments: Value, later: Option<&str>) -> wasmtime::Result<Take> {
        let Value::Object(arguments) = arguments else {
            return Err(wasmtime::Error::msg("arguments on a tape have names"));
        };
        let mut state = self.lock();
        let Some(number) = state.played else {
            if state.calls.len() == MOST_CALLS || state.bytes > MOST_BYTES {
                let most = MOST_BYTES >> 20;
                let message = format!("a recording has at most {MOST_CALLS} calls and {most} MiB; this one is longer");
                let error = ComponentError::new(ComponentErrorKind::OutOfMemory, "", message);
                return Err(error.into());
            }
            state.bytes += bytes_of(&arguments);
            let answer = TapedAnswer::Error(no_answer());
            state.calls.push(TapedCall { call: call.to_owned(), arguments, answer });
            return Ok(Take(Some(Place { tape: Arc::clone(self), index: state.calls.len() - 1, given: None })));
        };
        let expected = state.calls.get(number);
        let is_same = |expected: &TapedCall| {
            let mut wanted = expected.arguments.clone();
            later.map(|name| wanted.shift_remove(name));
            expected.call == call && wanted == arguments
        };
        match expected {
            Some(expected) if state.divergence.is_none() && is_same(expected) => {
                let given = Some(expected.answer.clone());
                state.played = Some(number + 1);
                Ok(Take(Some(Place { tape: Arc::clone(self), index: number, given })))
            }
            expected => {
                let expected = expected.map(|expected| (expected.call.clone(), expected.arguments.clone()));
                state.diverge(Divergence { number: number + 1, expected, got: Some((call.to_owned(), arguments)) });
                Err(diverged(number))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each use leaves a whole tape behind, even where it panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn diverge(&mut self, divergence: Divergence) {
        self.divergence.get_or_insert(divergence);
    }
}

/// One call as it is taken; without a tape it is simply made.
#[derive(Debug)]
pub(crate) struct Take(Option<Place>);

/// Where on a tape a call is.
#[derive(Debug)]
struct Place {
    tape: Arc<Tape>,
    index: usize,
    given: Option<TapedAnswer>,
}

impl Take {
    /// One without a tape.
    pub(crate) fn untaped() -> Self {
        Self(None)
    }

    /// What the tape answers; none where the call is to be made, and its answer kept.
    ///
    /// # Errors
    /// The tape has something else than an answer of this type.
    pub(crate) fn given<T: DeserializeOwned>(&self) -> wasmtime::Result<Option<Result<T, ComponentError>>> {
        let Some(Place { index, given: Some(given), .. }) = &self.0 else { return Ok(None) };
        let wrong = |why: serde_json::Error| {
            let message = format!("call {} of the recording has an answer that is none of its: {why}", index + 1);
            wasmtime::Error::from(ComponentError::new(ComponentErrorKind::InvalidInput, "", message))
        };
        Ok(Some(match given {
            TapedAnswer::Result(value) => Ok(T::deserialize(value).map_err(wrong)?),
            TapedAnswer::Error(value) => Err(error_of(value).map_err(wrong)?),
        }))
    }

    /// Keeps what was answered, where it is recorded.
    pub(crate) fn keep<T: Serialize>(&self, outcome: &Result<T, ComponentError>) {
        let Some(Place { tape, index, given: None }) = &self.0 else { return };
        let answer = match outcome {
            // What comes here is of plain types, and always serialises.
            Ok(value) => TapedAnswer::Result(serde_json::to_value(value).unwrap_or(Value::Null)),
            Err(error) => TapedAnswer::Error(error_json(&error.clone().into())),
        };
        let mut state = tape.lock();
        state.bytes += bytes_of(&answer);
        if let Some(call) = state.calls.get_mut(*index) {
            call.answer = answer;
        }
    }

    /// An argument that was not known when the call began.
    ///
    /// # Errors
    /// It is another one than the tape's.
    #[cfg(feature = "agents")]
    pub(crate) fn complete(&self, name: &str, value: Value) -> wasmtime::Result<()> {
        let Some(Place { tape, index, given }) = &self.0 else { return Ok(()) };
        let mut state = tape.lock();
        if given.is_none() {
            state.bytes += bytes_of(&value);
            if let Some(call) = state.calls.get_mut(*index) {
                call.arguments.insert(name.to_owned(), value);
            }
            return Ok(());
        }
        let Some(TapedCall { call, arguments, .. }) = state.calls.get(*index).cloned() else { return Ok(()) };
        if arguments.get(name).unwrap_or(&Value::Null) == &value {
            return Ok(());
        }
        let mut got = arguments.clone();
        got.insert(name.to_owned(), value);
        let number = index + 1;
        state.diverge(Divergence { number, expected: Some((call.clone(), arguments)), got: Some((call, got)) });
        Err(diverged(*index))
    }
}

fn diverged(index: usize) -> wasmtime::Error {
    let message = format!("call {} is another one than was recorded", index + 1);
    ComponentError::new(ComponentErrorKind::Other, "", message).into()
}

/// What a call is said to have answered that did not return.
fn no_answer() -> Value {
    json!({"other": "the run ended within this call"})
}

fn bytes_of(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |text| text.len())
}

/// The names of a guest's errors.
const ERRORS: [(&str, ComponentErrorKind); 11] = [
    ("invalid_input", ComponentErrorKind::InvalidInput),
    ("not_found", ComponentErrorKind::NotFound),
    ("denied", ComponentErrorKind::Denied),
    ("cancelled", ComponentErrorKind::Cancelled),
    ("deadline", ComponentErrorKind::Deadline),
    ("out_of_memory", ComponentErrorKind::OutOfMemory),
    ("context_full", ComponentErrorKind::ContextFull),
    ("model_failed", ComponentErrorKind::ModelFailed),
    ("busy", ComponentErrorKind::Busy),
    ("component_failed", ComponentErrorKind::ComponentFailed),
    ("other", ComponentErrorKind::Other),
];

fn error_json(error: &wit::Error) -> Value {
    let error = ComponentError::from(error.clone());
    let named = ERRORS.iter().find(|(_, kind)| *kind == error.kind());
    json!({named.map_or("other", |(name, _)| name): error.message()})
}

fn error_of(value: &Value) -> Result<ComponentError, serde_json::Error> {
    let (name, message) = Map::<String, Value>::deserialize(value)?.into_iter().next().unwrap_or_default();
    let named = ERRORS.iter().find(|(known, _)| *known == name);
    let (_, kind) = named.ok_or_else(|| serde::de::Error::custom(format!("there is no error `{name}`")))?;
    Ok(ComponentError::new(*kind, "", String::deserialize(message)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Vec<TapedCall> {
        let tape = Tape::recording();
        tape.take("a", json!({"x": 1}), None).unwrap().keep(&Ok([1, 2]));
        tape.take("b", json!({}), None).unwrap().keep::<()>(&Err(ComponentError::new(
            ComponentErrorKind::Busy,
            "",
            "later",
        )));
        tape.calls()
    }

    #[test]
    fn what_was_recorded_is_given_again_to_who_asks_the_same() {
        let tape = Tape::playing(recorded());
        let given = tape.take("a", json!({"x": 1}), None).unwrap().given::<Vec<u32>>().unwrap().unwrap();
        assert_eq!(given.unwrap(), [1, 2]);
        let given = tape.take("b", json!({}), None).unwrap().given::<()>().unwrap().unwrap();
        assert_eq!(given.unwrap_err(), ComponentError::new(ComponentErrorKind::Busy, "", "later"));
        assert_eq!(tape.divergence(), None);
    }

    #[test]
    fn the_first_call_that_is_another_one_ends_it() {
        let tape = Tape::playing(recorded());
        assert!(tape.take("a", json!({"x": 2}), None).is_err());
        assert!(tape.take("a", json!({"x": 1}), None).is_err(), "nothing is given after it");
        let divergence = tape.divergence().unwrap();
        assert_eq!(divergence.number, 1);
        assert_eq!(divergence.expected.unwrap().1["x"], 1);
        assert_eq!(divergence.got.unwrap().1["x"], 2);
    }

    #[test]
    fn calls_that_are_missing_or_too_many_are_told() {
        let tape = Tape::playing(recorded());
        tape.take("a", json!({"x": 1}), None).unwrap();
        let left = tape.divergence().unwrap();
        assert_eq!((left.number, left.expected.unwrap().0.as_str(), left.got), (2, "b", None));
        tape.take("b", json!({}), None).unwrap();
        assert!(tape.take("c", json!({}), None).is_err());
        let more = tape.divergence().unwrap();
        assert_eq!((more.number, more.expected, more.got.unwrap().0.as_str()), (3, None, "c"));
    }

    #[test]
    #[cfg(feature = "agents")]
    fn an_argument_may_come_later() {
        let tape = Tape::recording();
        let take = tape.take("send", json!({"to": "a"}), Some("body")).unwrap();
        take.complete("body", json!("text")).unwrap();
        take.keep(&Ok(1));
        let tape = Tape::playing(tape.calls());
        let take = tape.take("send", json!({"to": "a"}), Some("body")).unwrap();
        assert!(take.complete("body", json!("other")).is_err());
        assert_eq!(tape.divergence().unwrap().got.unwrap().1["body"], "other");
    }

    #[test]
    fn a_recording_has_an_end() {
        let tape = Tape::recording();
        for _ in 0..MOST_CALLS {
            tape.take("a", json!({}), None).unwrap();
        }
        assert!(tape.take("a", json!({}), None).is_err());
    }

    #[test]
    fn errors_have_their_names_there_and_back() {
        for (_, kind) in ERRORS {
            let error = ComponentError::new(kind, "", "why");
            assert_eq!(error_of(&error_json(&error.clone().into())).unwrap(), error);
        }
        assert!(error_of(&json!({"unheard_of": "why"})).is_err());
    }
}
