//! Sessions that go on while a component attacks, and the report of what came of it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wasmlx_backend::fake::FakeScript;
use wasmlx_components::{ComponentError, ComponentErrorKind, Conversation, PolicyComponent, Template};

use crate::chats::{self, TestHost};
use crate::guests::GOOD;
use crate::policies::{INFO, logits, vocabulary};

/// How often an attack is repeated at most, for the others to be seen at work meanwhile.
const ROUNDS: u64 = 100_000;

/// Two sessions on the runtime of the attacked: one renders and takes steps, one has turns of a chat.
pub(crate) struct Others {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    report: String,
    title: &'static str,
}

#[derive(Default)]
struct Shared {
    /// The number of the attack under way; 0 between attacks.
    attack: AtomicU64,
    stopped: AtomicBool,
    steps: AtomicU64,
    turns: AtomicU64,
}

impl Others {
    /// They begin.
    pub(crate) fn new(title: &'static str) -> Self {
        let shared = Arc::new(Shared::default());
        let (stepping, talking) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            std::thread::spawn(move || {
                let template = Template::new(&GOOD.template(), "{}").unwrap();
                let policy = PolicyComponent::new(&GOOD.policy()).unwrap();
                let mut policy = policy.instantiate("{}", None, &vocabulary()).unwrap();
                stepping.serve(&stepping.steps, || {
                    template.render(&Conversation::default()).unwrap();
                    policy.step(&INFO, logits()).unwrap();
                });
            }),
            std::thread::spawn(move || {
                let tokio = chats::tokio();
                let host = Arc::new(TestHost::new(&tokio, FakeScript::new(), GOOD.template()));
                let session = chats::session(&tokio, &GOOD.chat(), None, host);
                talking.serve(&talking.turns, || {
                    chats::events(&session, "hello").unwrap();
                });
            }),
        ];
        let report =
            "| guest | outcome | contained in | others meanwhile | sentence |\n|---|---|---|---|---|\n".to_owned();
        Self { shared, threads, report, title }
    }

    /// Has a guest attack, over and over, until both of the others were served from beginning to end meanwhile: within
    /// one attack where it computes until it is stopped, else within attacks that follow each other without a pause.
    pub(crate) fn attacked<T: std::fmt::Debug>(
        &mut self,
        name: &str,
        attack: impl Fn() -> Result<T, ComponentError>,
    ) -> Result<T, ComponentError> {
        let (steps, turns) = (self.shared.steps.load(Ordering::SeqCst), self.shared.turns.load(Ordering::SeqCst));
        let served = |shared: &Shared| {
            (shared.steps.load(Ordering::SeqCst) - steps, shared.turns.load(Ordering::SeqCst) - turns)
        };
        self.shared.attack.store(1, Ordering::SeqCst);
        let mut longest = Duration::ZERO;
        let mut first: Option<Result<T, ComponentError>> = None;
        for round in 1..=ROUNDS {
            let start = Instant::now();
            let outcome = attack();
            longest = longest.max(start.elapsed());
            let kind = outcome.as_ref().err().map(ComponentError::kind);
            let (steps, turns) = served(&self.shared);
            if kind == Some(ComponentErrorKind::Deadline) {
                self.shared.attack.store(round + 1, Ordering::SeqCst);
            }
            let first = &*first.get_or_insert(outcome);
            if steps > 0 && turns > 0 {
                let sentence = first.as_ref().err().map(|error| error.message()).unwrap_or_default();
                let sentence: String = sentence.replace('\n', " ").chars().take(100).collect();
                let outcome = kind.map_or_else(|| "ends well".to_owned(), |kind| format!("{kind:?}"));
                let longest = longest.as_secs_f64() * 1e3;
                writeln!(
                    self.report,
                    "| {name} | {outcome} | {longest:.1} ms | {steps} steps, {turns} turns | {sentence} |"
                )
                .unwrap();
                break;
            }
            assert!(round < ROUNDS, "{name}: the others were served {steps} steps and {turns} turns");
        }
        self.shared.attack.store(0, Ordering::SeqCst);
        first.expect("one round at least")
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let ended = self.threads.drain(..).map(JoinHandle::join).all(|ended| ended.is_ok());
        println!("{}\n{}", self.title, self.report);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-report");
        let written = fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join(self.title).with_extension("md"), &self.report));
        if !std::thread::panicking() {
            written.unwrap();
            assert!(ended, "a session that did nothing wrong failed");
        }
    }
}

impl Shared {
    /// Serves until it is stopped, and counts what begins and ends within one attack.
    fn serve(&self, count: &AtomicU64, mut unit: impl FnMut()) {
        while !self.stopped.load(Ordering::SeqCst) {
            let before = self.attack.load(Ordering::SeqCst);
            unit();
            if before != 0 && before == self.attack.load(Ordering::SeqCst) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}
