//! `wasmlx run`: one answer.

use std::io::{IsTerminal as _, Read as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasmlx::{
    CancelToken, ChatBuilder, ComponentKind, ComponentRef, ErrorKind, Event, FinishReason, Host, LoadOptions, Model,
    Prompt, Report, ToolCall,
};

use crate::GlobalOptions;
use crate::answer::AnswerOptions;
use crate::candidates;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::options::{ANSWER, ModelOptions};
use crate::output::{self, Output, ProgressLine};
use crate::slots::tell_slots;
use crate::watch;
use crate::watched::Watched;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The prompt; left out, it is read from stdin
    prompt: Option<String>,
    /// More arguments for an agent, whose first is PROMPT; what begins with a dash stands after `--`
    #[arg(requires = "agent")]
    arguments: Vec<String>,
    #[command(flatten)]
    answer: AnswerOptions,
    /// Run an agent with the arguments given, in place of answering a prompt
    #[arg(long, value_name = "COMPONENT", add = candidates::component(ComponentKind::Agent), help_heading = ANSWER, conflicts_with_all = ["raw", "prompt_tokens", "system", "chat"])]
    agent: Option<String>,
    /// Go on with the prompt as it stands: no chat template, markers in it become the tokens they name
    #[arg(long, help_heading = ANSWER, conflicts_with_all = ["system", "template", "chat"])]
    raw: bool,
    /// Go on with these token ids, 1,2,3; needs no tokenizer
    #[arg(long, value_name = "IDS", value_delimiter = ',', help_heading = ANSWER, conflicts_with_all = ["prompt", "raw", "system", "template", "chat"])]
    prompt_tokens: Option<Vec<u32>>,
    /// Go on past the tokens that end an answer
    #[arg(long, help_heading = ANSWER)]
    ignore_eos: bool,
    /// With --json: the log-probabilities of each token and of the K best in its place
    #[arg(long, value_name = "K", requires = "json", help_heading = ANSWER, value_parser = clap::value_parser!(u32).range(0..=100))]
    logprobs: Option<u32>,
    /// Answer again whenever the source of a component that is named by its folder changes: it is built and swapped in
    /// while the model stays loaded. Every answer has the same seed. Ctrl-C breaks off an answer, then ends
    #[arg(long, help_heading = ANSWER, conflicts_with_all = ["raw", "prompt_tokens"])]
    watch: bool,
}

pub(crate) async fn run(mut arguments: Arguments, global: &GlobalOptions) -> Result {
    let interrupt = Interrupt::listen();
    let prompt = match &arguments.prompt_tokens {
        // An agent reads no prompt; what it is given are arguments.
        _ if arguments.agent.is_some() => Prompt::Text(String::new()),
        Some(ids) if ids.is_empty() => return Err(Failure::Usage("--prompt-tokens: no ids".to_owned())),
        Some(ids) => Prompt::Tokens(ids.clone()),
        None => Prompt::Text(prompt_text(arguments.prompt.clone())?),
    };
    let watched = match arguments.watch {
        true => Some(Watched::of(&mut arguments.answer.components, &mut arguments.agent)?),
        false => None,
    };
    if arguments.watch {
        // What differs from answer to answer is the component's doing, not chance.
        arguments.answer.sampling.seed.get_or_insert(0);
    }
    with_model(&arguments.answer.model, global, &interrupt, async |loaded| match watched {
        Some(watched) => again_and_again(&arguments, &prompt, watched, loaded, &interrupt, global).await,
        None => {
            let agent = arguments.agent.as_deref().map(ComponentRef::from);
            round(&arguments, &prompt, agent, loaded, &interrupt, global).await
        }
    })
    .await
}

/// An answer whenever a component changes. What fails is told, and mended by the next change.
async fn again_and_again(
    arguments: &Arguments,
    prompt: &Prompt,
    mut watched: Watched,
    loaded: &Loaded,
    interrupt: &Interrupt,
    global: &GlobalOptions,
) -> Result {
    let mut slots = loaded.host.slot_events();
    loop {
        let outcome = match watched.put_in_place(&loaded.host).await {
            Ok(()) => round(arguments, prompt, watched.agent(), loaded, interrupt, global).await,
            Err(failure) => Err(failure),
        };
        watch::tell(outcome, global)?;
        tell_slots(&mut slots);
        watched.next(global).await;
    }
}

/// One answer, or one run of an agent, shown as it comes.
async fn round(
    arguments: &Arguments,
    prompt: &Prompt,
    agent: Option<ComponentRef>,
    loaded: &Loaded,
    interrupt: &Interrupt,
    global: &GlobalOptions,
) -> Result {
    let mut printer = Printer::new(global);
    let report = match (agent, prompt) {
        (Some(agent), _) => run_agent(arguments, agent, &loaded.model, interrupt, &mut printer).await,
        (None, Prompt::Text(text)) if !arguments.raw => {
            answer(arguments, &loaded.model, text, interrupt, &mut printer).await
        }
        (None, prompt) => complete(arguments, &loaded.model, prompt.clone(), interrupt, &mut printer).await,
    };
    // What was printed before an error ends its line too.
    let finished = printer.finish();
    let report = report?;
    finished?;
    if global.json {
        printer.json(&report, loaded).await?;
    } else if !global.quiet {
        output::aside(summary(&report));
    }
    match report.finish_reason {
        FinishReason::Cancelled => Err(Failure::Reported),
        _ => Ok(()),
    }
}

/// A model that was loaded for a command.
pub(crate) struct Loaded {
    pub(crate) host: Host,
    pub(crate) model: Model,
    pub(crate) load_time: Duration,
}

/// Loads the model that the options name, with a line of progress where that takes long, and does a command's work.
/// The device comes to rest before this returns: MLX aborts a process that ends while it computes.
pub(crate) async fn with_model(
    options: &ModelOptions,
    global: &GlobalOptions,
    interrupt: &Interrupt,
    work: impl AsyncFnOnce(&Loaded) -> Result,
) -> Result {
    let mut host = Host::builder().device(options.device.into());
    if let Ok(program) = std::env::current_exe() {
        host = host.compiler(program, ["compile-component"]);
    }
    let host = host.build()?;
    let started = Instant::now();
    let result = match load(&host, options, global, interrupt).await {
        Ok(model) => work(&Loaded { host: host.clone(), model, load_time: started.elapsed() }).await,
        Err(failure) => Err(failure),
    };
    host.stop().await;
    result
}

async fn load(host: &Host, options: &ModelOptions, global: &GlobalOptions, interrupt: &Interrupt) -> Result<Model> {
    let cancel = CancelToken::new();
    let token = cancel.clone();
    let _guard = interrupt.guard(move || token.cancel());
    let mut line = ProgressLine::new(!global.quiet && !global.json);
    let load = LoadOptions::new().dtype(options.dtype.into()).cancel(cancel).progress(move |progress| {
        line.update(format_args!(
            "loading {} of {}",
            output::bytes(progress.bytes_done),
            output::bytes(progress.bytes_total)
        ));
    });
    Ok(host.load_with(options.model.as_deref(), load).await?)
}

/// One turn of a chat.
async fn answer(
    arguments: &Arguments,
    model: &Model,
    prompt: &str,
    interrupt: &Interrupt,
    printer: &mut Printer,
) -> Result<Report> {
    let chat = builder(arguments, model).await?.build().await?;
    let mut turn = chat.send(prompt).await?;
    let canceller = turn.canceller();
    let _guard = interrupt.guard(move || canceller.cancel());
    while let Some(event) = turn.next().await {
        if let Some(report) = printer.event(event?)? {
            return Ok(report);
        }
    }
    Err(unfinished())
}

/// An agent, from its beginning to its end.
async fn run_agent(
    arguments: &Arguments,
    agent: ComponentRef,
    model: &Model,
    interrupt: &Interrupt,
    printer: &mut Printer,
) -> Result<Report> {
    let words = arguments.prompt.iter().chain(&arguments.arguments);
    let mut run = builder(arguments, model).await?.run_agent(agent, words).await?;
    let canceller = run.canceller();
    let _guard = interrupt.guard(move || canceller.cancel());
    while let Some(event) = run.next().await {
        match event {
            Ok(event) => {
                if let Some(report) = printer.event(event)? {
                    return Ok(report);
                }
            }
            // Whoever broke it off knows.
            Err(error) if error.kind() == ErrorKind::Cancelled => return Err(Failure::Reported),
            Err(error) => return Err(error.into()),
        }
    }
    Err(unfinished())
}

/// What a chat and an agent are set up with alike.
async fn builder(arguments: &Arguments, model: &Model) -> Result<ChatBuilder> {
    let builder = arguments.answer.builder(model).await?.ignore_eos(arguments.ignore_eos);
    Ok(match arguments.logprobs {
        Some(top) => builder.logprobs(top),
        None => builder,
    })
}

/// The prompt as it stands, gone on with.
async fn complete(
    arguments: &Arguments,
    model: &Model,
    prompt: Prompt,
    interrupt: &Interrupt,
    printer: &mut Printer,
) -> Result<Report> {
    let answer = &arguments.answer;
    let mut builder = model
        .complete(prompt)
        .max_tokens(answer.max_tokens)
        .stops(answer.stop.clone())
        .ignore_eos(arguments.ignore_eos)
        .sampler_params(answer.sampling.parameters());
    if let Some(sampler) = &answer.components.sampler {
        builder = builder.sampler(sampler.as_str());
    }
    if let Some(seed) = answer.sampling.seed {
        builder = builder.seed(seed);
    }
    if let Some(top) = arguments.logprobs {
        builder = builder.logprobs(top);
    }
    if let Some(schema) = answer.grammar.schema()? {
        builder = builder.json_schema(schema);
    }
    let mut completion = builder.start().await?;
    let canceller = completion.canceller();
    let _guard = interrupt.guard(move || canceller.cancel());
    while let Some(event) = completion.next().await {
        if let Some(report) = printer.event(event?)? {
            return Ok(report);
        }
    }
    Err(unfinished())
}

/// A turn's last event is its report; without one the chat component broke its contract.
pub(crate) fn unfinished() -> Failure {
    Failure::new(ErrorKind::ComponentFailed, "the answer ended without saying why")
}

fn prompt_text(argument: Option<String>) -> Result<String> {
    if let Some(prompt) = argument {
        return Ok(prompt);
    }
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::Usage("no prompt: give one as an argument or on stdin".to_owned()));
    }
    let mut prompt = String::new();
    stdin.read_to_string(&mut prompt).map_err(|error| {
        Failure::new(ErrorKind::InvalidInput, format_args!("cannot read the prompt from stdin: {error}"))
    })?;
    // `echo` and editors end a text with a newline that nobody means.
    let end = prompt.trim_end_matches(['\n', '\r']).len();
    prompt.truncate(end);
    if prompt.is_empty() {
        return Err(Failure::Usage("no prompt: stdin is empty".to_owned()));
    }
    Ok(prompt)
}

/// Shows an answer as it comes, or collects it for a JSON object.
pub(crate) struct Printer {
    output: Output,
    quiet: bool,
    collect: bool,
    collected: String,
    calls: Vec<CollectedCall>,
    /// What was written last, so that a switch between reasoning and answer starts a new line, and the end does.
    last: Written,
}

/// A call of a tool, with what it came to where the chat ran it.
struct CollectedCall {
    call: ToolCall,
    result: Option<String>,
}

impl CollectedCall {
    fn to_json(&self) -> Value {
        let mut object =
            json!({"id": self.call.id, "name": self.call.name, "arguments": json_or_text(&self.call.arguments)});
        if let (Some(result), Value::Object(object)) = (&self.result, &mut object) {
            object.insert("result".to_owned(), json_or_text(result));
        }
        object
    }
}

/// What a model or a tool wrote for JSON, which it may not be.
fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

#[derive(PartialEq, Eq)]
enum Written {
    Nothing,
    Reasoning,
    Line,
    Content,
}

impl Printer {
    pub(crate) fn new(global: &GlobalOptions) -> Self {
        Self {
            output: Output::new(),
            quiet: global.quiet,
            collect: global.json,
            collected: String::new(),
            calls: Vec::new(),
            last: Written::Nothing,
        }
    }

    /// Takes in an event; gives back the report that ends the answer.
    pub(crate) fn event(&mut self, event: Event) -> Result<Option<Report>> {
        match event {
            Event::Content(text) => self.content(&text)?,
            Event::Reasoning(text) => self.reasoning(&text)?,
            Event::ToolCall(call) => {
                self.side_line(&format!("{}({})", call.name, call.arguments))?;
                self.calls.push(CollectedCall { call, result: None });
            }
            Event::ToolResult { id, result } => {
                self.side_line(&format!("-> {result}"))?;
                if let Some(answered) = self.calls.iter_mut().find(|answered| answered.call.id == id) {
                    answered.result = Some(result);
                }
            }
            Event::Finished(report) => return Ok(Some(report)),
            _ => {}
        }
        Ok(None)
    }

    fn content(&mut self, text: &str) -> Result {
        if self.collect {
            self.collected.push_str(text);
            return Ok(());
        }
        if text.is_empty() {
            return Ok(());
        }
        if self.last == Written::Reasoning {
            self.output.text("\n\n")?;
        }
        self.last = if text.ends_with('\n') { Written::Line } else { Written::Content };
        self.output.text(text)?;
        self.output.flush()
    }

    /// Reasoning is shown to people and left out of files and pipes.
    fn reasoning(&mut self, text: &str) -> Result {
        if self.collect || !std::io::stdout().is_terminal() {
            return Ok(());
        }
        self.last = Written::Reasoning;
        self.output.styled(output::DIM, text)?;
        self.output.flush()
    }

    fn side_line(&mut self, line: &str) -> Result {
        if self.collect || self.quiet {
            return Ok(());
        }
        self.finish()?;
        output::aside(line);
        Ok(())
    }

    /// Prints what was collected, as one object.
    pub(crate) async fn json(mut self, report: &Report, loaded: &Loaded) -> Result {
        let peak = loaded.model.memory().await?.peak_bytes;
        let mut object = json_report(&self.collected, report, loaded.load_time, peak, &loaded.model.device());
        if let (false, Value::Object(object)) = (self.calls.is_empty(), &mut object) {
            object.insert("tool_calls".to_owned(), self.calls.iter().map(CollectedCall::to_json).collect());
        }
        self.output.json(&object)
    }

    /// Ends the last line.
    pub(crate) fn finish(&mut self) -> Result {
        if matches!(self.last, Written::Content | Written::Reasoning) {
            self.output.text("\n")?;
        }
        self.last = Written::Nothing;
        self.output.flush()
    }
}

/// The line after an answer: tokens, rate, time.
pub(crate) fn summary(report: &Report) -> String {
    let cancelled = if report.finish_reason == FinishReason::Cancelled { "cancelled: " } else { "" };
    format!(
        "{cancelled}{} tokens, {:.1} tokens/s, {:.2} s",
        report.usage.completion_tokens,
        report.generation_tps(),
        report.duration.as_secs_f64()
    )
}

/// An answer, by the names that scripts rely on.
fn json_report(text: &str, report: &Report, load_time: Duration, peak_memory_bytes: u64, device: &str) -> Value {
    let mut object = json!({
        "text": text,
        "tokens": report.tokens,
        "finish_reason": report.finish_reason.as_str(),
        "prompt_tokens": report.usage.prompt_tokens,
        "completion_tokens": report.usage.completion_tokens,
        "load_ms": milliseconds(load_time),
        "ttft_ms": milliseconds(report.time_to_first_token),
        "duration_ms": milliseconds(report.duration),
        "prompt_tps": rounded(report.prompt_tps()),
        "generation_tps": rounded(report.generation_tps()),
        "peak_memory_bytes": peak_memory_bytes,
        "device": device,
    });
    if let (Some(logprobs), Value::Object(object)) = (&report.logprobs, &mut object) {
        // One a token; null for a token that was forced without the model being asked.
        let entries = report.tokens.iter().zip(logprobs).map(|(token, entry)| {
            let entry = entry.as_ref()?;
            let top: Vec<Value> =
                entry.top.iter().map(|(token, logprob)| json!({"token": token, "logprob": logprob})).collect();
            Some(json!({"token": token, "logprob": entry.logprob, "top": top}))
        });
        object.insert("logprobs".to_owned(), entries.map(Option::unwrap_or_default).collect());
    }
    object
}

/// With three decimals, microseconds.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1000.0)
}

pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_with_what_they_came_to() {
        let call = |arguments: &str| ToolCall { id: "call_1".into(), name: "dice".into(), arguments: arguments.into() };
        let answered = CollectedCall { call: call(r#"{"sides": 6}"#), result: Some("4".to_owned()) };
        let expected = json!({"id": "call_1", "name": "dice", "arguments": {"sides": 6}, "result": 4});
        assert_eq!(answered.to_json(), expected);
        let handed_back = CollectedCall { call: call("not JSON"), result: None };
        assert_eq!(handed_back.to_json(), json!({"id": "call_1", "name": "dice", "arguments": "not JSON"}));
    }
}
