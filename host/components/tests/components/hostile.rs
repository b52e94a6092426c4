//! Guests that do not return: each export of each world, in each way, the allocator that the host calls and what it
//! calls after a function among them. What comes of it is a typed error that names the component, and the runtime
//! serves others meanwhile and afterwards.

use wasmlx_components::{
    AnswerContext, Component, ComponentError, ComponentErrorKind, Conversation, Message, PolicyComponent, Template,
};
use wasmlx_engine::SavedState;

#[cfg(feature = "agents")]
use crate::agents;
use crate::attacks::of_policy;
use crate::chats;
use crate::guests::{Attack, GOOD, Guest};
use crate::others::Others;
use crate::policies::{INFO, logits, vocabulary};

/// What a way of not returning comes to.
fn expected(attack: Attack) -> Option<ComponentErrorKind> {
    match attack {
        Attack::None => None,
        Attack::Loop => Some(ComponentErrorKind::Deadline),
        Attack::MemoryBomb => Some(ComponentErrorKind::OutOfMemory),
        Attack::Recursion | Attack::Trap => Some(ComponentErrorKind::Trapped),
    }
}

/// Runs a guest with each of its exports misbehaving in each way, while others go on, and a good one after each.
fn attack(
    world: &'static str,
    exports: impl IntoIterator<Item = u32>,
    load: impl Fn(Guest) -> Component,
    run: impl Fn(&Component) -> Result<(), ComponentError>,
) {
    let mut others = Others::new(world);
    let good = load(GOOD);
    for place in exports {
        for attack in Attack::ALL {
            let name = format!("{world}, export {place}: {attack:?}");
            let component = load(Guest { place, attack, ..GOOD });
            let outcome = others.attacked(&name, || run(&component));
            let error = outcome.expect_err(&format!("{name} got away with it"));
            assert_eq!(Some(error.kind()), expected(attack), "{name}: {error}");
            assert!(!error.component().is_empty(), "{error}");
            run(&good).unwrap();
        }
    }
}

#[test]
fn templates_that_do_not_return() {
    attack("templates", 0..=9, Guest::template, |component| {
        let template = Template::new(component, "{}")?;
        let conversation = Conversation { messages: vec![Message::user("hello")], ..Conversation::default() };
        template.render(&conversation)?;
        template.stops()?;
        let mut parser = template.parser(&AnswerContext::default())?;
        parser.push("hello")?;
        parser.finish()?;
        drop(parser);
        // A parser is dropped for good by the next call.
        template.stops().map(drop)
    });
}

#[test]
fn after_a_trap_a_template_has_another_instance() {
    let template = Template::new(&Guest { place: 5, attack: Attack::Trap, ..GOOD }.template(), "{}").unwrap();
    let mut parser = template.parser(&AnswerContext::default()).unwrap();
    assert_eq!(parser.push("hello").unwrap_err().kind(), ComponentErrorKind::Trapped);
    // The parser was the old instance's.
    assert_eq!(parser.finish().unwrap_err().kind(), ComponentErrorKind::Trapped);
    template.stops().unwrap();
    assert_eq!(parser.finish().unwrap_err().kind(), ComponentErrorKind::Trapped);
    assert_eq!(template.parser(&AnswerContext::default()).unwrap().finish().unwrap(), []);
}

#[test]
fn a_destructor_that_traps_is_named_itself() {
    let template = Template::new(&Guest { place: 7, attack: Attack::Trap, ..GOOD }.template(), "{}").unwrap();
    drop(template.parser(&AnswerContext::default()).unwrap());
    let error = template.stops().unwrap_err();
    assert_eq!(error.kind(), ComponentErrorKind::Trapped);
    assert!(error.to_string().contains("`parser's destructor` trapped"), "{error}");
    template.stops().unwrap();
}

#[test]
fn policies_that_do_not_return() {
    // There is no export 8: the number is that of what follows a template's `render`.
    attack("policies", (0..=7).chain([9]), Guest::policy, |component| {
        let component = PolicyComponent::new(component)?;
        component.plan("{}", &vocabulary())?;
        let mut policy = component.instantiate("{}", None, &vocabulary())?;
        let step = policy.step(&INFO, logits());
        if let Err(error) = step.map(drop) {
            let again = policy.step(&INFO, logits()).err().unwrap();
            assert_eq!(again, error, "a dead policy has one error for every step");
            return Err(of_policy(error));
        }
        let saved = policy.save().map_err(of_policy)?;
        component.instantiate("{}", saved, &vocabulary()).map(drop)
    });
}

#[cfg(feature = "agents")]
#[test]
fn agents_that_do_not_return() {
    attack("agents", 0..=1, Guest::agent, agents::run);
}

#[test]
fn chats_that_do_not_return() {
    attack("chats", (0..=4).chain([7, 9]), Guest::chat, |component| chats::one_turn(component, None));
    // What is saved after a turn is saved again by whoever asks.
    for attack in Attack::ALL {
        let guest = Guest { place: 5, attack, ..GOOD };
        assert_eq!(chats::save(&guest.chat()).unwrap_err().kind(), expected(attack).unwrap());
    }
    // A state that cannot be restored is given up, not the chat.
    let saved = SavedState { version: 1, bytes: Vec::new() };
    for attack in Attack::ALL {
        chats::one_turn(&Guest { place: 6, attack, ..GOOD }.chat(), Some(saved.clone())).unwrap();
    }
}
