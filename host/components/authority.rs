//! Hosts and ports: what a grant names, what a manifest asks for, what a request goes to, where a name may lead.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A host, and a port where one is named. Hosts are compared without regard to case or a last dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// In lower case. Of an IPv6 address: without its brackets.
    host: String,
    port: Option<u16>,
}

impl Authority {
    /// The host: a name, or an address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where one is named.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The address that the host is, where it is no name.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether a component that asks for this, asks for `granted`: the same host, and the port where this has one.
    pub(crate) fn asks_for(&self, granted: &Self) -> bool {
        self.host == granted.host && self.port.is_none_or(|port| granted.reaches(port))
    }

    /// Whether this grant is one for a request to `host` and `port`.
    pub(crate) fn allows(&self, host: &str, port: u16) -> bool {
        self.host == plain_host(host) && self.reaches(port)
    }

    fn reaches(&self, port: u16) -> bool {
        self.port.map_or(matches!(port, 80 | 443), |own| own == port)
    }

    /// Whether a connection under this grant may go to an address that its host has. One of this machine or of a
    /// private network must be named by the grant itself: whoever owns a name of the DNS can let it lead anywhere.
    pub(crate) fn may_connect(&self, address: IpAddr) -> bool {
        if let Some(own) = self.address() {
            return own.to_canonical() == address.to_canonical();
        }
        let is_local = self.host == "localhost" || self.host.ends_with(".localhost");
        if is_local { address.to_canonical().is_loopback() } else { is_public(address) }
    }
}

impl FromStr for Authority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is no host, such as api.example.org or localhost:8080", text.escape_debug());
        // An IPv6 address has colons of its own, so it stands in brackets; without them it has no port.
        let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']').ok_or_else(wrong)) {
            Some(split) => {
                let (host, rest) = split?;
                host.parse::<Ipv6Addr>().map_err(|_| wrong())?;
                (host, (!rest.is_empty()).then(|| rest.strip_prefix(':').ok_or_else(wrong)).transpose()?)
            }
            None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let is_digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port {
            Some(port) if is_digits(port) => Some(port.parse().map_err(|_| wrong())?),
            Some(_) => return Err(wrong()),
            None => None,
        };
        let host = plain_host(host);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if host.is_empty() || !(host.bytes().all(is_name) || host.parse::<Ipv6Addr>().is_ok()) {
            return Err(wrong());
        }
        Ok(Self { host, port })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]")?;
        } else {
            f.write_str(host)?;
        }
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A host as it is compared.
fn plain_host(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Whether an address is of the public internet: none of those that RFC 6890 and its successors reserve for this
/// machine, private networks, or special uses.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        // Shared with a provider's other customers (RFC 6598).
        || (a == 100 && (64..128).contains(&b))
        // Protocol assignments (RFC 6890) and benchmarks (RFC 2544).
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
        // Reserved, the broadcast address among them.
        || a >= 240;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // An IPv4 address within is what a translator would reach: 64:ff9b::/96 (RFC 6052), 2002::/16 (RFC 3056).
    let within = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => within(high, low),
        // Of the global unicast space (RFC 4291) all but the protocol assignments and documentation.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(text: &str) -> Authority {
        text.parse().unwrap()
    }

    #[test]
    fn hosts_are_read_and_written() {
        for (text, host, port) in [
            ("API.example.org", "api.example.org", None),
            ("localhost:8080", "localhost", Some(8080)),
            ("example.org.", "example.org", None),
            ("10.0.0.7:80", "10.0.0.7", Some(80)),
            ("[::1]:8080", "::1", Some(8080)),
            ("::1", "::1", None),
        ] {
            let authority = authority(text);
            assert_eq!((authority.host(), authority.port()), (host, port));
            assert_eq!(authority.to_string().parse::<Authority>().unwrap(), authority);
        }
        for text in [
            "", ":80", "a:", "a:b", "a:99999", "a:+80", "http://a", "a/b", "user@a", "a b", "*", "[::1", "[a]:1",
            "[::1]80",
        ] {
            assert!(text.parse::<Authority>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_grant_is_for_its_host_and_port_alone() {
        let plain = authority("example.org");
        assert!(plain.allows("example.org", 443) && plain.allows("EXAMPLE.org.", 80));
        assert!(!plain.allows("example.org", 8080));
        for other in ["example.org.evil.net", "evil-example.org", "sub.example.org", "xexample.org"] {
            assert!(!plain.allows(other, 443), "{other}");
        }
        let port = authority("localhost:8080");
        assert!(port.allows("localhost", 8080) && !port.allows("localhost", 80));
        assert!(authority("[::1]:80").allows("[::1]", 80));
    }

    #[test]
    fn a_request_without_a_port_asks_for_any() {
        assert!(authority("localhost").asks_for(&authority("localhost:4321")));
        assert!(authority("localhost:80").asks_for(&authority("localhost")));
        assert!(!authority("localhost:81").asks_for(&authority("localhost")));
        assert!(!authority("example.org").asks_for(&authority("api.example.org")));
    }

    #[test]
    fn a_name_leads_to_public_addresses_alone() {
        let name = authority("example.org");
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(!name.may_connect(private.parse().unwrap()), "{private}");
        }
        for public in ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(name.may_connect(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_grant_that_names_an_address_leads_there_alone() {
        assert!(authority("10.0.0.7").may_connect("10.0.0.7".parse().unwrap()));
        assert!(!authority("10.0.0.7").may_connect("10.0.0.8".parse().unwrap()));
        let local = authority("localhost:8080");
        assert!(local.may_connect("127.0.0.1".parse().unwrap()) && local.may_connect("::1".parse().unwrap()));
        assert!(!local.may_connect("10.0.0.7".parse().unwrap()) && !local.may_connect("8.8.8.8".parse().unwrap()));
    }
}
