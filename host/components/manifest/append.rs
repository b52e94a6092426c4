//! Adds the custom section that a manifest lies in. `host/xtask` has this file too, since building this crate for it
//! would take longer than all else that it does.

/// The name of the custom section.
pub const MANIFEST_SECTION: &str = "wasmlx-manifest";

/// The number of custom sections.
const CUSTOM: u8 = 0;

/// Adds a section with this content to a component.
pub(crate) fn append(component: &mut Vec<u8>, content: &[u8]) {
    let mut body = Vec::with_capacity(MANIFEST_SECTION.len() + content.len() + 1);
    push_length(&mut body, MANIFEST_SECTION.len());
    body.extend_from_slice(MANIFEST_SECTION.as_bytes());
    body.extend_from_slice(content);
    component.push(CUSTOM);
    push_length(component, body.len());
    component.extend_from_slice(&body);
}

/// An unsigned LEB128 number, as WebAssembly writes lengths.
fn push_length(bytes: &mut Vec<u8>, mut length: usize) {
    loop {
        // Seven bits a byte.
        let low = (length & 0x7f) as u8;
        length >>= 7;
        bytes.push(if length == 0 { low } else { low | 0x80 });
        if length == 0 {
            return;
        }
    }
}
