//! Cases of chats.

use wasmlx_components::Component;

use super::{Case, CaseOutcome};

pub(super) fn run(_: &Component, _: &Case) -> Result<CaseOutcome, String> {
    Err("not yet".to_owned())
}
