//! What may differ at an event that uses a decision. Anything else there is a difference that no decision says.

use slap_model::Decision;

const RANK: &str = "kept.computers.*.partitions.*.rank";
/// A partition, or a computer, that one side does not have at all.
const PARTITION: &str = "kept.computers.*.partitions.*";
const COMPUTER: &str = "kept.computers.*";
const SUPPLY: &str = "kept.computers.*.supplies.*";
/// The end `.` stands for all below, too.
const TENANT: &str = "kept.computers.*.partitions.*.tenant.";
const TITLE: &str = "kept.computers.*.partitions.*.tenant.title";
const ROOT: &str = "kept.computers.*.partitions.*.tenant.root";
const LISTED: &str = "kept.computers.*.partitions.*.tenant.shared";
const STATE: &str = "kept.computers.*.partitions.*.tenant.state";
const SHARED: &str = "kept.shared.";
/// slapproxy's answer, or what it keeps, cannot be read at all: a type that is none.
const UNREADABLE: &str = "kept";

/// What slapproxy does with a request that the product refuses: it makes, changes or enters somebody, or refuses otherwise.
const REQUEST: &[&str] = &["reply", RANK, TENANT, SHARED, UNREADABLE];

/// The fields that a decision explains.
fn fields(decision: Decision) -> &'static [&'static str] {
    match decision {
        // Computers appear by being supplied, partitions' words change what was there, or are those of a user.
        Decision::UnknownIsRefused => &["reply", COMPUTER, RANK, TENANT, SHARED, UNREADABLE],
        Decision::AnyComputer => &["reply", RANK, TENANT, SHARED],
        Decision::UnknownFilterIsRefused
        | Decision::NothingIsMadeToBeDestroyed
        | Decision::DestroyedRequestNothing
        | Decision::RootTitleIsReserved
        | Decision::NoCycle
        | Decision::OneNamespace
        | Decision::ReferencesAreUnique
        | Decision::SharedKeepsRelease
        | Decision::NoDestroyedHost => REQUEST,
        Decision::NoTypeIsTheDefaultType => &["reply", UNREADABLE, RANK, LISTED],
        Decision::TreeFollowsRoot => &["reply.state", RANK, STATE, LISTED, SHARED],
        Decision::SharedKeepsHost | Decision::ReferencesStay => &["reply", RANK, LISTED, SHARED],
        Decision::AnswerSaysWhatIsWanted => &["reply.state"],
        Decision::SharedGoesAtOnce => &["reply.parameters", SHARED],
        Decision::StoppedSharedIsUnlisted => &[RANK, LISTED],
        Decision::SharedOutlivesHost => &["reply", RANK, LISTED, SHARED],
        // It takes the name of a shared instance for nothing, and means its host.
        Decision::SharedIsAnInstance => &["reply", RANK, TITLE, ROOT],
        Decision::TitlesStayUnique => &["reply", TITLE, ROOT],
        Decision::BangSparesDestroyed
        | Decision::ConnectionWakesRequester
        | Decision::AddressesRenew
        | Decision::ReportsAreKept
        | Decision::LastChildWakesRoot => &[RANK],
        Decision::WantedIsNotFreed => &["reply", TENANT, PARTITION, SUPPLY, COMPUTER],
        Decision::LateDestroyedFreesNothing => &["reply", TENANT, PARTITION, COMPUTER],
        Decision::BusyPartitionsStay => &["kept.computers.*.order", COMPUTER, PARTITION, SHARED],
        Decision::LastFormatOrders => &["reply", "kept.computers.*.order", RANK, TENANT, SHARED],
        Decision::TimestampsGrow => &[RANK, "reply.rank"],
    }
}

/// Whether a decision says that a field, such as `kept.computers.*.partitions.*.rank`, differs.
pub(crate) fn explains(decision: Decision, field: &str) -> bool {
    fields(decision).iter().any(|explained| match explained.strip_suffix('.') {
        Some(top) => field == top || field.starts_with(explained),
        None => field == *explained,
    })
}

#[test]
fn a_decision_explains_its_own_fields_only() {
    for (decision, field, expected) in [
        (Decision::AddressesRenew, RANK, true),
        (Decision::AddressesRenew, STATE, false),
        (Decision::AddressesRenew, "reply", false),
        (Decision::AnswerSaysWhatIsWanted, "reply.state", true),
        (Decision::AnswerSaysWhatIsWanted, "reply.parameters", false),
        (Decision::AnswerSaysWhatIsWanted, RANK, false),
        (Decision::NoCycle, STATE, true),
        (Decision::NoCycle, "kept", true),
        (Decision::NoCycle, "kept.computers.*.supplies.*", false),
        (Decision::NoTypeIsTheDefaultType, STATE, false),
        (Decision::BusyPartitionsStay, "kept.computers.*.partitions.*", true),
        (Decision::BusyPartitionsStay, RANK, false),
        (Decision::SharedGoesAtOnce, "kept.shared.*.host", true),
        (Decision::SharedGoesAtOnce, "kept.shared.*", true),
    ] {
        assert_eq!(explains(decision, field), expected, "{} {field}", decision.name());
    }
}
