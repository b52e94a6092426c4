//! What guests log, and the spans of calls, as a subscriber gets them.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use wasmlx_components::{AnswerContext, Conversation, PolicyComponent, Template};
use wasmlx_engine::PolicyErrorKind;

use crate::guests::{Attack, GOOD, Guest, runtime};
use crate::policies::{INFO, logits, vocabulary};

/// Notes events of guests' logs, spans of calls, and what is recorded in these, as texts.
#[derive(Clone)]
struct Notes {
    level: Level,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Notes {
    fn new(level: Level) -> Self {
        Self { level, notes: Arc::default() }
    }

    fn note(&self, kind: &str, level: &str, fields: impl FnOnce(&mut Text)) {
        let mut text = Text(format!("{kind}{level}"));
        fields(&mut text);
        self.notes.lock().unwrap().push(text.0);
    }

    fn all(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }
}

/// Fields one after another: ` name=value`.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "duration_us" => self.0.push_str(" duration_us"),
            name => self.0.push_str(&format!(" {name}={value:?}")),
        }
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= &self.level && ["wasmlx_guest", "wasmlx_boundary"].contains(&metadata.target())
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.note("span ", span.metadata().level().as_str(), |text| span.record(text));
        Id::from_u64(self.notes.lock().unwrap().len() as u64)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.note("recorded", "", |text| values.record(text));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.note("event ", event.metadata().level().as_str(), |text| event.record(text));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn policy(name: &'static str, runtime: &wasmlx_components::Runtime) -> PolicyComponent {
    let component = Guest { special: Some(name), ..GOOD }.load_on(runtime, "policy", "sampling-policy");
    PolicyComponent::new(&component).unwrap()
}

/// A runtime of one's own: when it goes, its guests' lines are written.
fn own_runtime() -> wasmlx_components::Runtime {
    crate::guests::runtime_with(runtime().limits().clone())
}

#[test]
fn a_line_carries_whose_it_is_and_cannot_forge_another() {
    let notes = Notes::new(Level::INFO);
    let digest = tracing::subscriber::with_default(notes.clone(), || {
        let runtime = own_runtime();
        let component = policy("forges-the-log", &runtime);
        component.instantiate("{}", None, &vocabulary()).unwrap().step(&INFO, logits()).map(drop).unwrap();
        component.component().digest()[..12].to_owned()
    });
    let expected = format!(r"event INFO message=hi\r\u{{1b}}[2J\nhost ok! component=policy digest={digest}");
    assert_eq!(notes.all(), [expected]);
}

#[test]
fn a_flood_is_dropped_and_told_of() {
    let notes = Notes::new(Level::WARN);
    let error = tracing::subscriber::with_default(notes.clone(), || {
        let runtime = own_runtime();
        let component = policy("logs-without-end", &runtime);
        component.instantiate("{}", None, &vocabulary()).unwrap().step(&INFO, logits()).map(drop).unwrap_err()
    });
    assert_eq!(error.kind, PolicyErrorKind::Deadline, "{error}");
    let notes = notes.all();
    // The first megabyte is that second's last. Where the attack sees two seconds, another comes through.
    let lines = notes.iter().filter(|note| note.starts_with("event ERROR message=")).count();
    assert!((1..=2).contains(&lines), "{} lines", notes.len());
    assert!(notes[0].ends_with(r"... (1048576 bytes in all) component=policy digest=") || notes[0].len() < 20_000);
    assert_eq!(notes.iter().filter(|note| note.contains("lines are dropped")).count(), 1);
    assert!(notes.last().unwrap().contains("lines of its log were dropped"), "{:?}", notes.last());
    assert!(notes.len() <= 4);
}

#[test]
fn nothing_is_written_where_nobody_listens() {
    let notes = Notes::new(Level::WARN);
    tracing::subscriber::with_default(notes.clone(), || {
        let runtime = own_runtime();
        let policy = policy("forges-the-log", &runtime);
        policy.instantiate("{}", None, &vocabulary()).unwrap().step(&INFO, logits()).map(drop).unwrap();
    });
    assert_eq!(notes.all(), [""; 0]);
}

#[test]
fn each_call_is_a_span_with_its_outcome() {
    let notes = Notes::new(Level::TRACE);
    tracing::subscriber::with_default(notes.clone(), || {
        let component = Guest { place: 4, attack: Attack::Trap, ..GOOD }.policy();
        let policy = PolicyComponent::new(&component).unwrap();
        policy.instantiate("{}", None, &vocabulary()).unwrap().step(&INFO, logits()).map(drop).unwrap_err();
    });
    let function = |note: &String| {
        let (level, rest) = note.strip_prefix("span ")?.split_once(" component=\"policy\" digest=")?;
        Some(format!("{level} {}", rest.split_once("function=")?.1))
    };
    let spans: Vec<String> = notes.all().iter().filter_map(function).collect();
    let expected = ["DEBUG \"instantiation\"", "DEBUG \"policy.open\"", "DEBUG \"policy.max-backtrack\""];
    assert_eq!(spans, [&expected[..], &["TRACE \"policy.step\""]].concat());
    let outcomes: Vec<String> = notes.all().into_iter().filter(|note| note.contains("outcome=")).collect();
    let returned = "recorded outcome=\"returned\"".to_owned();
    assert_eq!(
        outcomes,
        [&[returned.clone(), returned.clone(), returned][..], &["recorded outcome=Trapped".into()]].concat()
    );
    assert_eq!(notes.all().iter().filter(|note| *note == "recorded duration_us").count(), 4);
}

#[test]
fn pieces_of_an_answer_are_spans_of_the_finest_level_alone() {
    let notes = Notes::new(Level::DEBUG);
    tracing::subscriber::with_default(notes.clone(), || {
        let template = Template::new(&GOOD.template(), "{}").unwrap();
        template.render(&Conversation::default()).unwrap();
        let mut parser = template.parser(&AnswerContext::default()).unwrap();
        parser.push("a").unwrap();
        parser.finish().unwrap();
    });
    let spans: Vec<String> = notes.all().into_iter().filter(|note| note.starts_with("span")).collect();
    assert_eq!(spans.len(), 5, "instantiation, configure, render, the parser and its finish: {spans:?}");
}
