//! What a computer shall be: from a definition file or from a network, without I/O.
//!
//! A definition file has a section `[computer]` and a section `[partition_N]` for each partition:
//! `address = ADDRESS/NETMASK ...`, `pathname`, and perhaps `user` (or else the user that runs the node; upstream insists on
//! it), `network_interface`, `ipv6_range = ADDRESS/LENGTH` and `capability_list` (slapos.core: slapos/format.py,
//! `parse_computer_definition`).

use crate::{
    vocabulary::PartitionId,
    wire::{
        config_parser::{ConfigError, ConfigFile},
        configuration::{FormattedAddress, FormattedComputer},
    },
};
use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What the settings ask for.
pub(super) struct Request<'a> {
    pub(super) partition_amount: u64,
    pub(super) partition_base_name: &'a str,
    /// The user that runs the node.
    pub(super) user: &'a str,
    /// ipv4_local_network.
    pub(super) network: Option<&'a str>,
    /// What was formatted before.
    pub(super) previous: Option<&'a FormattedComputer>,
}

/// What a computer shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputerPlan {
    /// Its own address and netmask.
    pub address: Option<FormattedAddress>,
    /// The user that owns software.
    pub software_user: String,
    /// Its partitions.
    pub partitions: Vec<PartitionPlan>,
}

/// What a partition shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionPlan {
    /// Its name.
    pub id: PartitionId,
    /// Its owner.
    pub user: String,
    /// Its addresses.
    pub addresses: Vec<FormattedAddress>,
    /// An IPv6 network of its own: its address and the length of its prefix.
    pub ipv6_range: Option<(Ipv6Addr, u8)>,
    /// The name of its tap interface; empty for none.
    pub interface: String,
    /// What an instance may ask for.
    pub capabilities: Vec<String>,
}

impl PartitionPlan {
    /// Its addresses, parsed. They were checked when the plan was made.
    pub fn ip_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().filter_map(|item| item.address.parse().ok())
    }

    /// `127.0.0.1/255.255.255.255 ...`
    pub fn addresses_text(&self) -> String {
        let texts: Vec<String> =
            self.addresses.iter().map(|item| format!("{}/{}", item.address, item.netmask)).collect();
        texts.join(" ")
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError(String);

impl fmt::Display for PlanError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for PlanError {}

impl From<ConfigError> for PlanError {
    fn from(error: ConfigError) -> PlanError {
        PlanError(error.to_string())
    }
}

/// Reads a definition file.
pub(super) fn from_definition(request: &Request<'_>, file: &ConfigFile) -> Result<ComputerPlan, PlanError> {
    let address = match file.raw("computer", "address").map(str::trim) {
        None | Some("") => None,
        Some(text) => Some(address(file, "computer", text)?),
    };
    let software_user = file.raw("computer", "software_user").unwrap_or("slapsoft").to_owned();
    let mut partitions = Vec::new();
    for number in 0..request.partition_amount {
        partitions.push(partition(request, file, &format!("partition_{number}"))?);
    }
    let plan = ComputerPlan { address, software_user, partitions };
    check(request, &plan)?;
    Ok(plan)
}

fn partition(request: &Request<'_>, file: &ConfigFile, section: &str) -> Result<PartitionPlan, PlanError> {
    let required = |key: &str| {
        file.raw(section, key).map(str::trim).ok_or_else(|| {
            let message = format!("[{section}] {key} is missing");
            let hint = "there must be a section for each partition up to partition_amount - 1, each with at least \
                        pathname and address";
            PlanError::from(file.error(section, key, message, hint))
        })
    };
    let pathname = required("pathname")?;
    let id = pathname
        .parse()
        .map_err(|error| file.error(section, "pathname", format!("[{section}] pathname: {error}"), ""))?;
    let addresses = required("address")?
        .split_whitespace()
        .map(|text| address(file, section, text))
        .collect::<Result<_, _>>()?;
    let ipv6_range = match file.raw(section, "ipv6_range").map(str::trim) {
        None | Some("") => None,
        Some(text) => Some(range(text).ok_or_else(|| {
            let message = format!("[{section}] ipv6_range is {text:?}: expected ADDRESS/LENGTH");
            file.error(section, "ipv6_range", message, "such as fd46::4001:0:0:0/80")
        })?),
    };
    let capabilities = file.raw(section, "capability_list").unwrap_or_default();
    Ok(PartitionPlan {
        id,
        user: file
            .raw(section, "user")
            .map(str::trim)
            .filter(|user| !user.is_empty())
            .unwrap_or(request.user)
            .to_owned(),
        addresses,
        ipv6_range,
        interface: file.raw(section, "network_interface").unwrap_or_default().trim().to_owned(),
        capabilities: capabilities
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

/// Reads `ADDRESS/NETMASK`.
fn address(file: &ConfigFile, section: &str, text: &str) -> Result<FormattedAddress, PlanError> {
    let parts = text.split_once('/');
    let parsed = parts.and_then(|(address, netmask)| {
        let pair = (address.parse::<IpAddr>().ok()?, netmask.parse::<IpAddr>().ok()?);
        (pair.0.is_ipv4() == pair.1.is_ipv4()).then_some(())
    });
    match (parts, parsed) {
        (Some((address, netmask)), Some(())) => {
            Ok(FormattedAddress { address: address.to_owned(), netmask: netmask.to_owned() })
        }
        _ => {
            let message = format!("[{section}] address is {text:?}: expected ADDRESS/NETMASK");
            Err(file.error(section, "address", message, "such as 127.0.0.1/255.255.255.255").into())
        }
    }
}

fn range(text: &str) -> Option<(Ipv6Addr, u8)> {
    let (address, length) = text.split_once('/')?;
    Some((address.parse().ok()?, length.parse().ok().filter(|length| *length <= 128)?))
}

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    first: u32,
    prefix_length: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, length) = text.trim().split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let prefix_length: u32 = length.parse().ok().filter(|length| *length <= 32)?;
        let mask = u32::MAX.checked_shl(32 - prefix_length).unwrap_or(0);
        Some(Network { first: u32::from(address) & mask, prefix_length })
    }

    /// How many addresses can be given: without the first and the last one, where there are more than two.
    pub(super) fn size(self) -> u64 {
        let all = 1_u64 << (32 - self.prefix_length);
        if all > 2 { all - 2 } else { all }
    }

    /// The address of that number, which is below [`Network::size`].
    pub(super) fn address(self, number: u64) -> Ipv4Addr {
        let skipped = u64::from(self.prefix_length < 31);
        Ipv4Addr::from(self.first.wrapping_add(u32::try_from(number + skipped).unwrap_or(0)))
    }

    fn contains(self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX.checked_shl(32 - self.prefix_length).unwrap_or(0);
        u32::from(address) & mask == self.first
    }
}

/// Gives each partition one address of ipv4_local_network; one that it had before is kept. `free` finds one that the
/// machine has and that it did not give before.
pub(super) fn from_network(
    request: &Request<'_>,
    free: &mut dyn FnMut(Network) -> Option<Ipv4Addr>,
) -> Result<ComputerPlan, PlanError> {
    let hint =
        "give a definition file (-i), or set it to addresses that this machine has, such as 127.64.0.0/16";
    let text = request.network.ok_or_else(|| {
        PlanError(format!(
            "[slapformat] ipv4_local_network is not set, and there is no definition file (hint: {hint})"
        ))
    })?;
    let network = Network::parse(text).ok_or_else(|| {
        PlanError(format!(
            "[slapformat] ipv4_local_network is {text:?}: expected ADDRESS/LENGTH (hint: {hint})"
        ))
    })?;
    let previous = request.previous.map_or(&[][..], |previous| &previous.partitions);
    let mut taken: BTreeSet<String> =
        previous.iter().flat_map(|partition| &partition.addresses).map(|item| item.address.clone()).collect();
    let mut partitions = Vec::new();
    for number in 0..request.partition_amount {
        let name = format!("{}{number}", request.partition_base_name);
        let id: PartitionId =
            name.parse().map_err(|error| PlanError(format!("partition_base_name: {error}")))?;
        let before = previous.iter().find(|partition| partition.partition_id == id);
        let kept = before.map(|partition| partition.addresses.clone()).filter(|kept| {
            kept.iter().any(|item| item.address.parse().is_ok_and(|address| network.contains(address)))
        });
        let addresses = match kept {
            Some(kept) => kept,
            None => {
                let address = (0..network.size().min(1000))
                    .find_map(|_| free(network).filter(|address| taken.insert(address.to_string())))
                    .ok_or_else(|| {
                        PlanError(format!(
                            "no address of ipv4_local_network {text} is left for {id} that this machine has (hint: {hint})"
                        ))
                    })?;
                vec![FormattedAddress { address: address.to_string(), netmask: "255.255.255.255".to_owned() }]
            }
        };
        partitions.push(PartitionPlan {
            id,
            user: request.user.to_owned(),
            addresses,
            ipv6_range: None,
            interface: String::new(),
            capabilities: Vec::new(),
        });
    }
    let plan = ComputerPlan { address: None, software_user: request.user.to_owned(), partitions };
    check(request, &plan)?;
    Ok(plan)
}

/// No partition stands twice, and none that was formatted before is missing.
fn check(request: &Request<'_>, plan: &ComputerPlan) -> Result<(), PlanError> {
    let mut names = BTreeSet::new();
    for partition in &plan.partitions {
        if !names.insert(&partition.id) {
            return Err(PlanError(format!("two partitions have the pathname {}", partition.id)));
        }
    }
    let Some(previous) = request.previous else { return Ok(()) };
    if plan.partitions.len() < previous.partitions.len() {
        return Err(PlanError(format!(
            "Requested amount of computer partitions ({}) is lower than already configured ({}), cannot continue \
             (hint: set partition_amount to {})",
            plan.partitions.len(),
            previous.partitions.len(),
            previous.partitions.len()
        )));
    }
    let lost = previous.partitions.iter().find(|partition| !names.contains(&partition.partition_id));
    match lost {
        Some(lost) => Err(PlanError(format!(
            "the partition {} was formatted before and is not among those asked for, cannot continue (hint: keep its pathname)",
            lost.partition_id
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn request(amount: u64, previous: Option<&FormattedComputer>) -> Request<'_> {
        Request {
            partition_amount: amount,
            partition_base_name: "slappart",
            user: "ada",
            network: Some("127.64.0.0/30"),
            previous,
        }
    }

    fn define(text: &str, amount: u64, previous: Option<&FormattedComputer>) -> Result<ComputerPlan, String> {
        let file = ConfigFile::parse(Path::new("/definition.cfg"), text).unwrap();
        from_definition(&request(amount, previous), &file).map_err(|error| error.to_string())
    }

    fn formatted(plan: &ComputerPlan) -> FormattedComputer {
        FormattedComputer {
            computer_id: "COMP-1".parse().unwrap(),
            address: None,
            netmask: None,
            partitions: plan
                .partitions
                .iter()
                .map(|partition| crate::wire::configuration::FormattedPartition {
                    partition_id: partition.id.clone(),
                    addresses: partition.addresses.clone(),
                    interface: None,
                    details: Default::default(),
                })
                .collect(),
            details: Default::default(),
        }
    }

    const TWO: &str = "
[computer]
address = 127.0.0.1/255.255.255.255
[partition_0]
address = 127.0.0.1/255.255.255.255 ::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
ipv6_range = fd46::4001:0:0:0/80
pathname = slappart0
user = ada
network_interface =
[partition_1]
address = 127.0.0.2/255.255.255.255
pathname = slappart1
user = ada
network_interface =
capability_list =
  big
  fast
";

    #[test]
    fn a_definition_file_is_read_as_upstream_reads_it() {
        let plan = define(TWO, 2, None).unwrap();
        assert_eq!(plan.address.as_ref().unwrap().address, "127.0.0.1");
        assert_eq!(plan.software_user, "slapsoft");
        assert_eq!(plan.partitions[0].addresses.len(), 2);
        assert_eq!(plan.partitions[0].ipv6_range, Some(("fd46:0:0:0:4001::".parse().unwrap(), 80)));
        assert_eq!(plan.partitions[1].capabilities, ["big", "fast"]);
        assert_eq!(define(TWO, 1, None).unwrap().partitions.len(), 1);
    }

    #[test]
    fn a_wrong_definition_is_refused_with_its_line() {
        for (from, to, expected) in [
            ("pathname = slappart1", "pathname = ../x", "/definition.cfg:12: [partition_1] pathname"),
            ("pathname = slappart1", "pathname = slappart0", "two partitions have the pathname slappart0"),
            ("pathname = slappart1\n", "", "[partition_1] pathname is missing"),
            (
                "127.0.0.2/255.255.255.255",
                "127.0.0.2",
                "[partition_1] address is \"127.0.0.2\": expected ADDRESS/NETMASK",
            ),
            ("127.0.0.2/255.255.255.255", "127.0.0.2/ffff::", "expected ADDRESS/NETMASK"),
            ("/80", "/129", "[partition_0] ipv6_range"),
        ] {
            let error = define(&TWO.replace(from, to), 2, None).unwrap_err();
            assert!(error.contains(expected), "{error:?} does not contain {expected:?}");
        }
        assert!(define(TWO, 3, None).unwrap_err().contains("[partition_2] pathname is missing"));
    }

    #[test]
    fn a_computer_never_shrinks() {
        let before = formatted(&define(TWO, 2, None).unwrap());
        assert!(define(TWO, 2, Some(&before)).is_ok());
        assert!(
            define(TWO, 1, Some(&before)).unwrap_err().contains("(1) is lower than already configured (2)")
        );
        let renamed = TWO.replace("pathname = slappart1", "pathname = other");
        assert!(define(&renamed, 2, Some(&before)).unwrap_err().contains("slappart1 was formatted before"));
    }

    #[test]
    fn addresses_of_a_network_are_kept() {
        let mut next = 0;
        let mut free = |network: Network| {
            next += 1;
            Some(network.address((next - 1) % network.size()))
        };
        let plan = from_network(&request(1, None), &mut free).unwrap();
        assert_eq!(plan.partitions[0].addresses_text(), "127.64.0.1/255.255.255.255");
        let before = formatted(&plan);
        next = 0;
        let mut free = |network: Network| {
            next += 1;
            Some(network.address((next - 1) % network.size()))
        };
        let plan = from_network(&request(2, Some(&before)), &mut free).unwrap();
        let texts: Vec<String> = plan.partitions.iter().map(PartitionPlan::addresses_text).collect();
        assert_eq!(texts, ["127.64.0.1/255.255.255.255", "127.64.0.2/255.255.255.255"]);
        let error = from_network(&request(3, Some(&before)), &mut |network| Some(network.address(0)));
        assert!(
            error.unwrap_err().to_string().contains("no address of ipv4_local_network 127.64.0.0/30 is left")
        );
    }

    #[test]
    fn networks_of_all_sizes_are_counted() {
        for (text, size, first) in [
            ("127.0.0.1/32", 1, "127.0.0.1"),
            ("127.0.0.0/31", 2, "127.0.0.0"),
            ("127.0.0.7/24", 254, "127.0.0.1"),
            ("0.0.0.0/0", (1 << 32) - 2, "0.0.0.1"),
        ] {
            let network = Network::parse(text).unwrap();
            assert_eq!((network.size(), network.address(0).to_string().as_str()), (size, first));
        }
        for text in ["127.0.0.1", "127.0.0.1/33", "::1/64", "x/8"] {
            assert_eq!(Network::parse(text), None);
        }
    }
}
