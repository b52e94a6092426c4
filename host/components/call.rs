//! Calls into components as `tracing` sees them: a span each.

use std::time::Instant;

use tracing::{Level, Span, field};

use crate::{Component, ComponentError};

/// The target of the spans: `RUST_LOG=wasmlx_boundary=debug` shows the calls of a request, `=trace` those of each token.
macro_rules! span {
    ($level:expr, $component:expr, $function:expr) => {
        tracing::span!(
            target: "wasmlx_boundary",
            $level,
            "call",
            component = $component.name(),
            digest = $component.short_digest(),
            function = $function,
            duration_us = field::Empty,
            outcome = field::Empty,
        )
    };
}

/// A call that is under way. Where nobody listens it is two comparisons, and measures nothing.
pub(crate) struct Call {
    function: &'static str,
    span: Span,
    began: Option<Instant>,
}

impl Call {
    /// One of a few that a request makes.
    pub(crate) fn of_request(component: &Component, function: &'static str) -> Self {
        Self::begin(function, span!(Level::DEBUG, component, function))
    }

    /// One that is made for every token, or piece of an answer.
    pub(crate) fn of_token(component: &Component, function: &'static str) -> Self {
        Self::begin(function, span!(Level::TRACE, component, function))
    }

    fn begin(function: &'static str, span: Span) -> Self {
        let began = (!span.is_disabled()).then(Instant::now);
        Self { function, span, began }
    }

    /// Which function is called.
    pub(crate) fn function(&self) -> &'static str {
        self.function
    }

    /// The span, for what happens meanwhile to be in.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// The call is over. An answer is an outcome like any other, an error of the guest's own too.
    pub(crate) fn end(self, failure: Option<&ComponentError>) {
        if let Some(began) = self.began {
            self.span.record("duration_us", u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
            match failure {
                None => self.span.record("outcome", "returned"),
                Some(error) => self.span.record("outcome", field::debug(error.kind())),
            };
        }
    }
}
