//! World `prompt-template`.

use wasmtime::component::{Component, Linker};

use crate::template::TemplateState;

#[allow(unreachable_pub, reason = "generated")]
pub(super) mod bindings {
    wasmtime::component::bindgen!({ path: "../../wit", world: "prompt-template" });
}

pub(crate) use bindings::PromptTemplate as World;
pub(crate) type Linked = bindings::PromptTemplatePre<TemplateState>;

/// Links a template: it imports types only.
pub(crate) fn link(linker: Linker<TemplateState>, code: &Component) -> wasmtime::Result<Linked> {
    bindings::PromptTemplatePre::new(linker.instantiate_pre(code)?)
}
