//! Templates as the host calls them.

use wasmlx_components::{AnswerContext, Conversation, Message, Output, Template};
use wasmlx_text::Segment;

use crate::guests::GOOD;

#[test]
fn segments_and_outputs_cross_the_boundary() {
    let template = Template::new(&GOOD.template(), "{}").unwrap();
    let conversation = Conversation { messages: vec![Message::user("hello")], ..Conversation::default() };
    assert_eq!(template.render(&conversation).unwrap(), [Segment::Trusted("ok".into())]);
    let mut parser = template.parser(&AnswerContext::default()).unwrap();
    assert_eq!(parser.push("grüße").unwrap(), [Output::Content("grüße".into())]);
    assert_eq!(parser.finish().unwrap(), []);
}

#[test]
fn parsers_are_many_and_go_when_dropped() {
    let template = Template::new(&GOOD.template(), "{}").unwrap();
    let mut one = template.parser(&AnswerContext::default()).unwrap();
    let mut other = template.parser(&AnswerContext::default()).unwrap();
    assert_eq!(one.push("a").unwrap(), [Output::Content("a".into())]);
    assert_eq!(other.push("b").unwrap(), [Output::Content("b".into())]);
    drop(one);
    // An instance's table of handles would be full long before.
    for _ in 0..100_000 {
        template.parser(&AnswerContext::default()).unwrap();
    }
    assert_eq!(other.push("c").unwrap(), [Output::Content("c".into())]);
}
