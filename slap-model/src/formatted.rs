//! What a format lists. Its order counts: partitions are given away in it.

use crate::names::{Address, Partition};

/// The partitions that a format lists, each once, in its order, with their addresses. As JSON it is an object whose members stand in that order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Formatted(Vec<(Partition, Address)>);

impl Formatted {
    /// The partitions with their addresses, in the format's order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Partition, &Address)> {
        self.0.iter().map(|(partition, address)| (partition, address))
    }

    /// The partitions, in the format's order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Partition> {
        self.0.iter().map(|(partition, _)| partition)
    }

    /// Whether it lists a partition.
    pub fn contains_key(&self, partition: &Partition) -> bool {
        self.keys().any(|listed| listed == partition)
    }

    /// Lists another partition at its end; one that it has gets other addresses, and keeps its place.
    pub fn insert(&mut self, partition: Partition, address: Address) {
        match self.0.iter_mut().find(|(listed, _)| *listed == partition) {
            Some((_, old)) => *old = address,
            None => self.0.push((partition, address)),
        }
    }

    /// Keeps only some, in their order.
    pub fn retain(&mut self, mut is_kept: impl FnMut(Partition) -> bool) {
        self.0.retain(|(partition, _)| is_kept(*partition));
    }

    /// In the order of their names, with other addresses.
    pub fn sort(&mut self) {
        self.0.sort_unstable();
    }

    /// The addresses, in the format's order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Address> {
        self.0.iter_mut().map(|(_, address)| address)
    }
}

impl FromIterator<(Partition, Address)> for Formatted {
    fn from_iter<T: IntoIterator<Item = (Partition, Address)>>(pairs: T) -> Formatted {
        let mut formatted = Formatted::default();
        pairs.into_iter().for_each(|(partition, address)| formatted.insert(partition, address));
        formatted
    }
}

impl<const COUNT: usize> From<[(Partition, Address); COUNT]> for Formatted {
    fn from(pairs: [(Partition, Address); COUNT]) -> Formatted {
        pairs.into_iter().collect()
    }
}

#[cfg(feature = "serde")]
mod json {
    use super::{Address, Formatted, Partition};
    use serde::{
        Deserialize, Deserializer, Serialize, Serializer,
        de::{Error, MapAccess, Visitor},
    };
    use std::fmt;

    impl Serialize for Formatted {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.iter())
        }
    }

    impl<'de> Deserialize<'de> for Formatted {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Formatted, D::Error> {
            deserializer.deserialize_map(InOrder)
        }
    }

    struct InOrder;

    impl<'de> Visitor<'de> for InOrder {
        type Value = Formatted;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("partitions with their addresses, such as {\"p0\":\"a0\"}")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Formatted, A::Error> {
            let mut formatted = Formatted::default();
            while let Some((partition, address)) = members.next_entry::<Partition, Address>()? {
                if formatted.contains_key(&partition) {
                    return Err(A::Error::custom(format!(
                        "{partition} stands twice: a format lists it once"
                    )));
                }
                formatted.insert(partition, address);
            }
            Ok(formatted)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_counts() {
        let pairs = [(Partition(2), Address(0)), (Partition(0), Address(1))];
        let formatted: Formatted = pairs.into_iter().collect();
        assert!(formatted.keys().eq([&Partition(2), &Partition(0)]));
        assert_ne!(formatted, pairs.into_iter().rev().collect());
        let twice: Formatted = [pairs[0], pairs[1], (Partition(2), Address(3))].into_iter().collect();
        assert!(twice.iter().eq([(&Partition(2), &Address(3)), (&Partition(0), &Address(1))]));
    }
}
