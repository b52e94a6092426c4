//! The custom section that a manifest lies in: one of a component's outermost sections, whose content is the text.

use wasmparser::{Chunk, Encoding, Parser, Payload};

use super::append::{MANIFEST_SECTION, append};

/// What a component has in its manifest's section; none where it has no such section. Sections of the components and
/// modules inside are theirs, and are not looked at.
///
/// # Errors
/// A sentence, where the bytes are no component, or have two such sections.
pub(super) fn find(component: &[u8]) -> Result<Option<&[u8]>, String> {
    let mut found = None;
    walk(component, |section| match (section.is_manifest, found) {
        (true, None) => {
            found = Some(section.content);
            Ok(())
        }
        (true, Some(_)) => Err(format!("it has two custom sections `{MANIFEST_SECTION}`; it may have one")),
        (false, _) => Ok(()),
    })?;
    Ok(found)
}

/// The component with this content in its manifest's section, in place of what was there.
///
/// # Errors
/// A sentence, where the bytes are no component.
pub(super) fn put(component: &[u8], content: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = component.get(..HEADER).ok_or_else(cut_off)?.to_vec();
    walk(component, |section| {
        if !section.is_manifest {
            bytes.extend_from_slice(section.whole);
        }
        Ok(())
    })?;
    append(&mut bytes, content);
    Ok(bytes)
}

/// Bytes before the first section: `\0asm` and the version.
const HEADER: usize = 8;

/// An outermost section.
struct Section<'a> {
    /// All its bytes, its number and its length included.
    whole: &'a [u8],
    is_manifest: bool,
    /// Of a custom section: what follows its name.
    content: &'a [u8],
}

/// Visits a component's outermost sections in order.
fn walk<'a>(component: &'a [u8], mut visit: impl FnMut(Section<'a>) -> Result<(), String>) -> Result<(), String> {
    let mut parser = Parser::new(0);
    let mut rest = component;
    loop {
        let parsed = parser.parse(rest, true).map_err(|error| format!("it is no valid component: {error}"))?;
        let Chunk::Parsed { consumed, payload } = parsed else { return Err(cut_off()) };
        // What lies inside is stepped over: the parser has read its number and length alone.
        let inside = match &payload {
            Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                unchecked_range.len()
            }
            _ => 0,
        };
        let length = consumed.checked_add(inside).ok_or_else(cut_off)?;
        let (whole, after) = rest.split_at_checked(length).ok_or_else(cut_off)?;
        rest = after;
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } => {
                return Err("it is a core module, not a component".to_owned());
            }
            Payload::Version { .. } => {}
            Payload::End(_) => return Ok(()),
            Payload::CustomSection(custom) => {
                let is_manifest = custom.name() == MANIFEST_SECTION;
                visit(Section { whole, is_manifest, content: custom.data() })?;
            }
            _ => visit(Section { whole, is_manifest: false, content: &[] })?,
        }
    }
}

fn cut_off() -> String {
    "it is no valid component: it is cut off".to_owned()
}
