//! A component that does nothing, of any world: as small as one can be.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::{ManglingAndAbi, Resolve};

/// A component of a world whose every export traps.
pub(crate) fn trapping(world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("wit")).expect("the interfaces");
    let world = resolve.select_world(&[package], Some(world)).expect("a world");
    let mut module = wit_component::dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("a module");
    ComponentEncoder::default().module(&module).expect("a module").encode().expect("a component")
}
