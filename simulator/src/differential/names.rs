//! The model's names, as the wire has them. They hold what must be escaped somewhere: a name that comes back differently is
//! another name.

use slap_impl::wire::instance_xml;
use slap_model::names::{
    Address, Computer, Connection, FRONTEND, Kind, Parameters, Partition, Place, Rank, Reference, Release,
    Root, Title,
};
use std::collections::BTreeMap;

/// The master's clock at rank 0: 2026-01-01T00:00:00Z, in microseconds since 1970.
pub(super) const BASE_MICROSECONDS: i64 = 1_767_225_600_000_000;

/// The same as a date; the lists are so short that it stays the same second.
pub(super) const BASE_DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

/// Numbers that names are looked for with; a world uses fewer.
const NAMES_MAX: u16 = 12;

/// A name of the model that stands for a text.
pub(super) trait Name: Copy {
    /// The text.
    fn text(self) -> String;
    /// Numbers that texts are looked for with.
    const COUNT: u16 = NAMES_MAX;

    /// The name of that number.
    fn numbered(number: u16) -> Self;

    /// The name that a text stands for.
    ///
    /// # Errors
    /// When it stands for none.
    fn find(text: &str) -> Result<Self, String> {
        (0..Self::COUNT)
            .map(Self::numbered)
            .find(|name| name.text() == text)
            .ok_or_else(|| format!("{text:?} is no {}", std::any::type_name::<Self>()))
    }
}

macro_rules! names {
    ($($name:ident($number:ident) $(of $count:literal)? => $text:expr;)*) => {$(
        impl Name for $name {
            $(const COUNT: u16 = $count;)?

            fn text(self) -> String {
                let $number = self.0;
                $text
            }

            fn numbered(number: u16) -> $name {
                $name(number)
            }
        }
    )*};
}

names! {
    // The default computer is not the first in any order, and the others' natural order is not that of their letters.
    Computer(number) => match number {
        0 => "COMP-7".to_owned(),
        1 => "COMP-2".to_owned(),
        2 => "COMP-10".to_owned(),
        _ => format!("COMP-{}", number + 20),
    };
    // Its digits are hexadecimal: the letters' order is that of the numbers.
    Partition(number) => format!("slappart{number:x}");
    // Neither `_`, which joins the two halves of a reference, nor `, `, which stands between titles in a message.
    // After the first twelve come those at another master: of users, then of partitions.
    Title(number) of 168 => match (number / NAMES_MAX, number % NAMES_MAX) {
        (0, number) => format!("t{number} <b>&amp;'\"+%2B é"),
        (1, number) => format!("user_{}", Title(number).text()),
        (asker, number) => format!("{}_{}", Partition(asker - 2).text(), Title(number).text()),
    };
    Release(number) => match (Release(number), Release(number).local()) {
        (FRONTEND, _) => WEB.to_owned(),
        (_, Some((root, number))) => format!("{}/r{number}/software.cfg", root.text()),
        _ => format!("http://example.org/r{number}/software.cfg?a=1&b=%20<é>"),
    };
    Root(number) => format!("/srv/d{number}");
    Kind(number) => if number == 0 { "default".to_owned() } else { format!("k{number} <b>&amp;") };
}

/// Where a computer stands among all: in the natural order of the names.
pub(super) fn place_in_order(computer: Computer) -> u16 {
    match computer.0 {
        0 => 1,
        1 => 0,
        number => number,
    }
}

/// The historical frontend of web sites.
const WEB: &str =
    "http://git.erp5.org/gitweb/slapos.git/blob_plain/HEAD:/software/apache-frontend/software.cfg";

/// The other master, as the settings name it and as it listens.
pub(super) const OTHER_MASTER: &str = "http://127.0.0.1:6000";

/// The name that a request for a type has; none is an empty one.
pub(super) fn kind_text(kind: Option<Kind>) -> String {
    kind.map(Name::text).unwrap_or_default()
}

/// A shared instance's reference.
pub(super) fn reference_text(reference: Reference) -> String {
    format!("{}_{}", reference.root.map(Name::text).unwrap_or_default(), reference.title.text())
}

/// The shared instance's reference that a text stands for.
///
/// # Errors
/// When it stands for none.
pub(super) fn reference(text: &str) -> Result<Reference, String> {
    let (root, title) = text.split_once('_').ok_or_else(|| format!("{text:?} is no reference"))?;
    let root = if root.is_empty() { None } else { Some(Name::find(root)?) };
    Ok(Reference { root, title: Name::find(title)? })
}

/// The place that two texts stand for; none when both are empty.
///
/// # Errors
/// When they stand for none.
pub(super) fn place(computer: &str, partition: &str) -> Result<Option<Place>, String> {
    if computer.is_empty() && partition.is_empty() {
        return Ok(None);
    }
    Ok(Some(Place { computer: Name::find(computer)?, partition: Name::find(partition)? }))
}

fn dictionary(word: &str, number: u16) -> BTreeMap<String, String> {
    if number == 0 {
        return BTreeMap::new();
    }
    BTreeMap::from([
        ("_".to_owned(), format!("{{\"{word}\": \"{number} <é>&amp;]]>\"}}")),
        (format!("{word} <{number}>&\""), format!("one\ntwo {number} ")),
    ])
}

/// Parameters.
pub(super) fn parameters(parameters: Parameters) -> BTreeMap<String, String> {
    let mut all = dictionary("parameter", parameters.0);
    if parameters.0 > 0 {
        all.insert("url".to_owned(), url(parameters));
    }
    all
}

/// The URL that a frontend with these parameters is for.
fn url(parameters: Parameters) -> String {
    format!("https://example.org:{}/<é>?a=1&b=2", parameters.0)
}

/// The parameters that a stand-in is told for: its name, and what it would publish.
///
/// # Errors
/// When they are none of the model's.
pub(super) fn find_stand_in(
    partition: &str,
    connection: &BTreeMap<String, String>,
) -> Result<Parameters, String> {
    let found = (0..NAMES_MAX).map(Parameters).find(|name| {
        let (url, domain) = (url(*name), format!("example.org:{}", name.0));
        let expected = [("domain", &domain), ("secure_access", &url)];
        partition == format!("{STAND_IN}{url}")
            && connection.iter().map(|(key, value)| (key.as_str(), value)).eq(expected)
    });
    found.ok_or_else(|| format!("{partition:?} with {connection:?} is no stand-in"))
}

/// How the name of a stand-in begins.
pub(super) const STAND_IN: &str = "Fake frontend for ";

/// Connection parameters. The first is nothing.
pub(super) fn connection(connection: Connection) -> BTreeMap<String, String> {
    dictionary("connection", connection.0)
}

fn find_dictionary<T>(
    found: &instance_xml::Parameters,
    name: fn(u16) -> T,
    dictionary: fn(T) -> BTreeMap<String, String>,
) -> Result<T, String> {
    (0..NAMES_MAX)
        .find(|number| {
            let expected = dictionary(name(*number));
            expected.len() == found.len()
                && expected.iter().all(|(key, value)| found.get(key) == Some(&Some(value.clone())))
        })
        .map(name)
        .ok_or_else(|| format!("{found:?} is no {}", std::any::type_name::<T>()))
}

/// The parameters that a dictionary stands for.
///
/// # Errors
/// When it stands for none.
pub(super) fn find_parameters(found: &instance_xml::Parameters) -> Result<Parameters, String> {
    find_dictionary(found, Parameters, parameters)
}

/// The connection parameters that a dictionary stands for.
///
/// # Errors
/// When it stands for none.
pub(super) fn find_connection(found: &instance_xml::Parameters) -> Result<Connection, String> {
    find_dictionary(found, Connection, connection)
}

/// The name of a partition's network interface.
pub(super) fn interface(partition: Partition) -> String {
    format!("tap{}", partition.0)
}

/// The addresses of a partition, each with its netmask: one for the first, two for each other.
pub(super) fn addresses(partition: Partition, address: Address) -> Vec<(String, String)> {
    let first = (format!("10.0.{}.{}", address.0, partition.0), "255.255.255.255".to_owned());
    let second = (format!("2001:db8:{:x}::{:x}", address.0, partition.0), "ffff:ffff::".to_owned());
    if address.0 == 0 { vec![first] } else { vec![first, second] }
}

/// The addresses that a partition has.
///
/// # Errors
/// When they are none of the model's.
pub(super) fn find_addresses(partition: Partition, found: &[(String, String)]) -> Result<Address, String> {
    (0..NAMES_MAX)
        .map(Address)
        .find(|address| addresses(partition, *address) == found)
        .ok_or_else(|| format!("{found:?} are no addresses of {partition}"))
}

/// The addresses that a partition is told to have, each with its interface; none are none.
///
/// # Errors
/// When they are none of the model's.
pub(super) fn find_told_addresses(
    partition: Partition,
    found: &[(String, String)],
) -> Result<Option<Address>, String> {
    let told = |address: Address| {
        let all = addresses(partition, address).into_iter();
        all.map(|(address, _)| (interface(partition), address)).collect::<Vec<_>>()
    };
    if found.is_empty() {
        return Ok(None);
    }
    (0..NAMES_MAX)
        .map(Address)
        .find(|address| told(*address) == found)
        .map(Some)
        .ok_or_else(|| format!("{found:?} are no addresses of {partition}"))
}

/// The timestamp of a rank, in microseconds since 1970.
pub(super) fn microseconds(rank: Rank) -> i64 {
    BASE_MICROSECONDS + i64::from(rank)
}

/// The rank of a timestamp. 0 stands for never.
///
/// # Errors
/// When it is none.
pub(super) fn rank(microseconds: i64) -> Result<Rank, String> {
    match microseconds {
        0 => Ok(0),
        _ => Rank::try_from(microseconds - BASE_MICROSECONDS)
            .map_err(|_| format!("{microseconds} is no timestamp of a rank")),
    }
}

/// A timestamp as it is written: seconds with their fraction.
pub(super) fn timestamp_text(rank: Rank) -> String {
    let microseconds = microseconds(rank);
    format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000)
}

/// The rank of a timestamp as it is written.
///
/// # Errors
/// When it is none.
pub(super) fn find_rank(text: &str) -> Result<Rank, String> {
    let bad = || format!("{text:?} is no timestamp");
    let (seconds, fraction) = text.split_once('.').ok_or_else(bad)?;
    let fraction = format!("{fraction:0<6}");
    let digits = format!("{seconds}{}", fraction.get(..6).ok_or_else(bad)?);
    rank(digits.parse().map_err(|_| bad())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_is_written_as_stands_for_it() {
        for number in 0..3 {
            let title = Title(number);
            assert_eq!(Name::find(&title.text()), Ok(title));
            for root in [None, Some(Title(1))] {
                assert_eq!(
                    reference(&reference_text(Reference { root, title })),
                    Ok(Reference { root, title })
                );
            }
            let text = |found: BTreeMap<String, String>| {
                found.into_iter().map(|(key, value)| (key, Some(value))).collect::<BTreeMap<_, _>>()
            };
            assert_eq!(find_parameters(&text(parameters(Parameters(number)))), Ok(Parameters(number)));
            assert_eq!(find_connection(&text(connection(Connection(number)))), Ok(Connection(number)));
            let (partition, address) = (Partition(1), Address(number));
            assert_eq!(find_addresses(partition, &addresses(partition, address)), Ok(address));
            assert_eq!(find_rank(&timestamp_text(number.into())), Ok(number.into()));
        }
        assert!(<Kind as Name>::find("").is_err());
        assert_eq!(find_rank("1767225600.00001"), Ok(10), "Python leaves zeros at the end out");
    }
}
