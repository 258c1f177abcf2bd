use std::collections::HashMap;
use std::net::Ipv4Addr;

/// First of the addresses that names get, in 127.64.0.0/10. 127.64.0.0 itself is left out, so that
/// an address never looks like a network.
pub const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 1);

/// Names that have an address. They are never forgotten: this bounds the memory, at some 20 MiB of
/// the container's own with the longest names. 127.64.0.0/10 has 64 times as many addresses.
pub const NAME_LIMIT: usize = 65_536;

/// Which loopback address belongs to which name. A name keeps its address for the life of the
/// container, and no other name ever gets it: a program may have kept it from an earlier answer.
#[derive(Debug, Default)]
pub struct AddressTable(HashMap<Box<str>, Ipv4Addr>);

impl AddressTable {
    /// The address of `name`, which is in the form that the server answered with; `None` where
    /// [`NAME_LIMIT`] other names have one.
    pub fn address(&mut self, name: &str) -> Option<Ipv4Addr> {
        if let Some(address) = self.0.get(name) {
            return Some(*address);
        }
        let count = u32::try_from(self.0.len()).ok()?;
        if self.0.len() == NAME_LIMIT {
            return None;
        }
        let address = Ipv4Addr::from_bits(FIRST_ADDRESS.to_bits() + count);
        self.0.insert(name.into(), address);
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_name_keeps_its_address_and_no_other_gets_it() {
        let mut table = AddressTable::default();
        let first = table.address("a.example.com");
        assert_eq!(first, Some(FIRST_ADDRESS));
        assert_eq!(
            table.address("b.example.com"),
            Some(Ipv4Addr::new(127, 64, 0, 2))
        );
        assert_eq!(table.address("a.example.com"), first);
    }

    #[test]
    fn the_table_ends_instead_of_beginning_anew() {
        let mut table = AddressTable::default();
        let mut seen = HashSet::new();
        for n in 0..NAME_LIMIT {
            let address = table
                .address(&format!("{n}.example.com"))
                .expect("an address");
            assert_eq!(
                (address.octets()[0], address.octets()[1] & 0xc0),
                (127, 64),
                "127.64.0.0/10"
            );
            assert!(seen.insert(address), "{address} twice");
        }
        assert_eq!(table.address("one-more.example.com"), None);
        assert_eq!(table.address("0.example.com"), Some(FIRST_ADDRESS));
    }
}
