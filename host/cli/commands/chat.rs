//! `wasmlx chat`: a conversation in the terminal.

mod editor;
mod input;
mod slash;

use std::io::{self, IsTerminal as _};
use std::path::Path;

use serde_json::Value;
use wasmlx::{Chat, ErrorKind, Sampler, SavedChat, Slot, SlotEvents, SwapOptions, TestReport, Turn};

use self::input::{Input, Lines};
use self::slash::{COMMANDS, Line};
use super::run::{self, Loaded, Printer};
use crate::GlobalOptions;
use crate::answer::AnswerOptions;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::options::{self, ANSWER};
use crate::output;
use crate::slots::tell_slots;
use crate::watch;
use crate::watched::Watched;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    answer: AnswerOptions,
    /// Before each answer, build and swap in what has changed of the components that are named by their folders; the
    /// conversation goes on
    #[arg(long, help_heading = ANSWER)]
    watch: bool,
}

pub(crate) async fn run(mut arguments: Arguments, global: &GlobalOptions) -> Result {
    let typed = io::stdin().is_terminal();
    // The editor writes to stdout, and moves the cursor there.
    let interactive = typed && io::stdout().is_terminal() && !global.json && has_cursor();
    let interrupt = Interrupt::listen();
    let mut watched = match arguments.watch {
        true => Some(Watched::of(&mut arguments.answer.components, &mut None)?),
        false => None,
    };
    run::with_model(&arguments.answer.model, global, &interrupt, async |loaded| {
        let model = &loaded.model;
        if let Some(watched) = &mut watched {
            watch::tell(watched.put_in_place(&loaded.host).await, global)?;
        }
        let chat = arguments.answer.builder(model).await?.build().await?;
        if interactive {
            interrupt.leave_to_editor();
        }
        if interactive && !global.quiet {
            output::aside(format_args!(
                "{} on {}. /help lists commands, Ctrl-C stops an answer, Ctrl-D quits.",
                model.name(),
                model.device()
            ));
        }
        let screen = Screen { loaded, interrupt: &interrupt, global };
        let lines = match interactive {
            true => Lines::edited(loaded.host.home().join("chat-history.txt"), loaded.host.store().is_read_only())?,
            false => Lines::Plain { prompted: typed && !global.quiet },
        };
        let all_well = Session { chat, slots: loaded.host.slot_events(), watched, screen }.talk(lines).await?;
        // Who types has seen what failed; a script has only the exit code.
        if all_well || typed { Ok(()) } else { Err(Failure::Reported) }
    })
    .await
}

/// Whether the terminal can move its cursor: Emacs' shell says of itself that it cannot.
fn has_cursor() -> bool {
    std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// A chat under way.
struct Session<'a> {
    chat: Chat,
    /// What happens to slots by itself.
    slots: SlotEvents,
    /// The components that are worked on.
    watched: Option<Watched>,
    screen: Screen<'a>,
}

impl Session<'_> {
    /// Obeys line after line; whether all went well.
    async fn talk(mut self, mut lines: Lines) -> Result<bool> {
        let mut all_well = true;
        loop {
            let (again, input) = lines.read().await?;
            lines = again;
            let line = match input {
                Input::Line(line) if line.trim().is_empty() => continue,
                Input::Line(line) => Line::parse(&line).map_err(Failure::Usage),
                Input::Interrupted => continue,
                Input::End => return Ok(all_well),
            };
            let outcome = match line {
                Ok(Line::Quit) => return Ok(all_well),
                Ok(line) => self.obey(line).await,
                Err(failure) => Err(failure),
            };
            all_well &= outcome.is_ok();
            tell_slots(&mut self.slots);
            match outcome {
                Ok(()) => {}
                // The reader of the output is gone, so there is nobody to talk to.
                Err(Failure::ReaderGone) => return Err(Failure::ReaderGone),
                // Anything else ends what was asked for, not the chat.
                Err(Failure::Usage(message)) => output::note(message),
                Err(failure) => drop(failure.report()),
            }
        }
    }

    async fn obey(&mut self, line: Line) -> Result {
        match line {
            Line::Message(text) => {
                self.keep_up().await?;
                let turn = self.chat.send(text).await?;
                self.screen.show(turn).await
            }
            Line::Retry => {
                self.keep_up().await?;
                let turn = self.chat.retry().await?;
                self.screen.show(turn).await
            }
            Line::Help => {
                for help in &COMMANDS {
                    output::note(format_args!("{:<26} {}", format!("{} {}", help.name, help.arguments), help.does));
                }
                output::note("A line that ends in \\ goes on in the next. // at the beginning stands for one slash.");
                Ok(())
            }
            Line::System(text) => Ok(self.chat.set_system(text).await?),
            Line::Swap(slot, component) => self.swap(slot, &component, SwapOptions::new()).await,
            Line::ForceSwap(slot, component) => self.swap(slot, &component, SwapOptions::new().force(true)).await,
            Line::DefaultSampler => self.default_sampler().await,
            Line::Set(None) => {
                output::note(format_args!("{:#}", self.chat.settings()));
                Ok(())
            }
            Line::Set(Some((name, value))) => self.set(&name, value).await,
            Line::Save(file) => self.save(Path::new(&file)).await,
            Line::Load(file) => self.load(Path::new(&file)).await,
            Line::Clear => Ok(self.chat.clear().await?),
            Line::Quit => Ok(()),
        }
    }

    /// Puts in place what has changed of the components that are worked on. One that does not build is told once; what
    /// sits in the slot then goes on.
    async fn keep_up(&mut self) -> Result {
        let Some(watched) = &mut self.watched else { return Ok(()) };
        if !watched.has_changed(self.screen.global).await {
            return Ok(());
        }
        let before = self.chat.settings();
        watched.put_in_place(&self.screen.loaded.host).await?;
        self.tell_dropped(&before);
        Ok(())
    }

    async fn swap(&mut self, slot: Slot, component: &str, options: SwapOptions) -> Result {
        let before = self.chat.settings();
        let report = self.chat.swap_with(slot, component, options).await?;
        self.tell_swap(slot, &before, report.cases.as_ref());
        self.tell_dropped(&before);
        Ok(())
    }

    async fn default_sampler(&mut self) -> Result {
        let before = self.chat.settings();
        self.chat.swap_sampler(Sampler::Default).await?;
        self.tell_swap(Slot::Sampler, &before, None);
        self.tell_dropped(&before);
        Ok(())
    }

    /// Says what sits in a slot since these settings, and which of its cases were run.
    fn tell_swap(&self, slot: Slot, before: &Value, cases: Option<&TestReport>) {
        if self.screen.global.quiet {
            return;
        }
        let after = self.chat.settings();
        let [old, new] = [before, &after].map(|settings| settings[slot.as_str()].as_str().unwrap_or_default());
        let cases = cases.map_or_else(
            || "no cases run".to_owned(),
            |report| format!("{} passed", output::counted(report.passed(), "case")),
        );
        output::aside(format_args!("{slot}: {old} -> {new}, {cases}"));
    }

    /// Says which parameters a swap has dropped since these settings.
    fn tell_dropped(&self, before: &Value) {
        let params = &before["sampler_params"];
        if *params != self.chat.settings()["sampler_params"] {
            output::note(format_args!("note: it does not take what was set, which is dropped: {params}"));
        }
    }

    async fn set(&mut self, name: &str, value: Value) -> Result {
        match name {
            "max_tokens" => self.chat.set_max_tokens(count(name, &value)?),
            "seed" => self.chat.set_seed(count(name, &value)? as u64),
            "json_schema" => {
                let schema = match &value {
                    Value::Null => None,
                    Value::String(file) => Some(options::read_schema(Path::new(file))?),
                    schema => Some(schema.clone()),
                };
                self.chat.set_json_schema(schema).await?;
            }
            _ => match name.strip_prefix("options.") {
                Some(option) => self.chat.set_template_option(option, value).await?,
                None => self.chat.set_sampler_param(name, value).await?,
            },
        }
        Ok(())
    }

    async fn save(&mut self, path: &Path) -> Result {
        let saved = self.chat.save().await?;
        std::fs::write(path, saved.to_json())
            .map_err(|error| Failure::new(ErrorKind::Io, format_args!("cannot write {}: {error}", path.display())))?;
        if !self.screen.global.quiet {
            output::aside(format_args!("{} messages saved to {}", self.chat.messages().len(), path.display()));
        }
        Ok(())
    }

    async fn load(&mut self, path: &Path) -> Result {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::new(ErrorKind::Io, format_args!("cannot read {}: {error}", path.display())))?;
        self.chat.load(&SavedChat::from_json(&text)?).await?;
        if !self.screen.global.quiet {
            output::aside(format_args!("{} messages loaded", self.chat.messages().len()));
        }
        Ok(())
    }
}

/// Where answers are shown.
struct Screen<'a> {
    loaded: &'a Loaded,
    interrupt: &'a Interrupt,
    global: &'a GlobalOptions,
}

impl Screen<'_> {
    /// Shows an answer as it comes. Ctrl-C stops it; what was said so far stays in the conversation.
    async fn show(&self, mut turn: Turn) -> Result {
        let mut printer = Printer::new(self.global);
        let canceller = turn.canceller();
        let guard = self.interrupt.guard(move || canceller.cancel());
        let report = loop {
            let Some(event) = turn.next().await else { return Err(run::unfinished()) };
            let event = event.inspect_err(|_| drop(printer.finish()))?;
            if let Some(report) = printer.event(event)? {
                break report;
            }
        };
        drop(guard);
        printer.finish()?;
        if self.global.json {
            printer.json(&report, self.loaded).await?;
        } else if !self.global.quiet {
            output::aside(run::summary(&report));
        }
        Ok(())
    }
}

fn count(name: &str, value: &Value) -> Result<usize> {
    let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| Failure::Usage(format!("{name} is a whole number, not {value}")))
}
