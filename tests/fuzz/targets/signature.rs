//! A signature of a component, and the key for it: nobody but who has the key's other half signs.

use std::fs;
use std::sync::LazyLock;

use wasmlx_store::hub::{ComponentAddress, ComponentChecks, HubClient, HubOptions, SigningKey};
use wasmlx_store::{Monitor, StoreErrorKind};

use super::Home;

/// The key and the signature of minisign-verify's documentation: that of the four bytes `test`.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const SIGNATURE: &str = include_str!("../corpus/signature/good");

static CLIENT: LazyLock<HubClient> = LazyLock::new(|| HubClient::new(HubOptions::default()).unwrap());

pub(super) fn run(bytes: &[u8]) {
    static HOME: Home = Home::new();
    let _ = SigningKey::parse(&String::from_utf8_lossy(bytes));
    let [component, signature] = ["component.wasm", "component.wasm.minisig"].map(|name| HOME.path().join(name));
    fs::write(&component, b"test").unwrap();
    fs::write(signature, bytes).unwrap();
    let checks = ComponentChecks { key: Some(SigningKey::parse(KEY).unwrap()), ..ComponentChecks::default() };
    let address = ComponentAddress::File(component);
    match super::tokio().block_on(CLIENT.fetch_component(&address, &checks, Monitor::none())) {
        // Only the comment that nobody signed may be another.
        Ok(_) => {
            let signed = |text: &str| text.lines().skip(1).take(3).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(signed(&String::from_utf8_lossy(bytes)), signed(SIGNATURE));
        }
        Err(error) => {
            let kinds = [StoreErrorKind::Untrusted, StoreErrorKind::InvalidAnswer];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
    }
}
