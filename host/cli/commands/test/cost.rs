//! `wasmlx test --cost`: what a component takes, with no model.

use std::path::Path;

use wasmlx::{ComponentRef, Host};

use crate::failure::Result;
use crate::guest::Guest;
use crate::output::Output;
use crate::{GlobalOptions, cost};

pub(super) async fn run(path: &Path, host: &Host, global: &GlobalOptions) -> Result {
    let name = path.to_str().filter(|_| !path.exists()).map(ComponentRef::from);
    let (component, cases) = match name {
        Some(name @ ComponentRef::Name(_)) => (name, None),
        _ => {
            let guest = Guest::find(path)?;
            (guest.component, Some(guest.cases).filter(|cases| cases.is_dir()))
        }
    };
    let card = host.measure_component(component, cases).await?;
    let mut output = Output::new();
    if global.json {
        return output.json(&cost::json(Some(&card)));
    }
    cost::write(&mut output, &card)?;
    output.flush()
}
