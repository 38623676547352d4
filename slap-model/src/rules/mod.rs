//! The rules, by name. RULES.md is their document; a test holds the two together.
//!
//! * `state`: what holds at any time
//! * `elsewhere`: what holds of other masters, stand-ins, and releases that move
//! * `request`, `report`, `told`: what holds from before an event to after it: of requests; of timestamps, bangs, formats, views; of
//!   what is shown of what nodes tell

mod elsewhere;
mod report;
mod request;
mod state;
mod told;

use crate::{Event, Reply, State};
use std::fmt;

macro_rules! rules {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $checked_by:literal $invariants:literal $source:literal)*) => {
        /// A named rule.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Rule { $($(#[doc = $doc])* $variant,)* }

        impl Rule {
            /// All of them.
            pub const ALL: &'static [Rule] = &[$(Rule::$variant,)*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Rule::$variant => $name,)* }
            }

            /// What it says.
            pub fn sentence(self) -> &'static str {
                match self { $(Rule::$variant => concat!($($doc,)*),)* }
            }

            /// The module and function that checks it.
            pub fn checked_by(self) -> &'static str {
                match self { $(Rule::$variant => $checked_by,)* }
            }

            /// The invariants of the real master that it stands for, by their numbers in RULES.md.
            pub fn invariants(self) -> impl Iterator<Item = &'static str> {
                match self { $(Rule::$variant => $invariants,)* }.split_ascii_whitespace()
            }

            /// Where it comes from: a file and a test of the real master, slapproxy's source, or the decision that it follows from.
            pub fn source(self) -> &'static str {
                match self { $(Rule::$variant => $source,)* }
            }
        }
    };
}

rules! {
    /// No partition is given to two instances.
    OneTenant "one-tenant" "state::places" "1 2 19 20" "testSlapOSCloudConstraint: test_busy_partition_has_one_related_instance"
    /// An instance that is not shared has a partition, which exists.
    HasItsPartition "has-its-partition" "state::places" "1 57 P3 P4" "testSlapOSCloudConstraint: test_non_busy_partition_has_no_related_instance; departure no-room-is-refused"
    /// A shared instance has no partition of its own.
    SharedHasNoPartition "shared-has-no-partition" "state::places" "5" "testSlapOSCloudAllocationAlarm: test_allocation_host_instance"
    /// A host is an instance with a partition.
    HostHasPartition "host-has-partition" "state::places" "5" "testSlapOSCloudAllocationAlarm: test_allocation_no_host_instance"
    /// A shared instance without host has no connection parameters.
    NoHostNoConnection "no-host-no-connection" "state::places" "" "decision shared-outlives-host"
    /// No two instances of a tree, and no two roots, have the same title.
    TitlesAreUnique "titles-are-unique" "state::titles" "32 41 42 P11" "testSlapOSCloudInstanceSlapInterfaceWorkflow: test_request_duplicated"
    /// No child has the title of its root.
    RootTitleIsReserved "root-title-is-reserved" "state::titles" "31" "testSlapOSCloudInstanceSlapInterfaceWorkflow: test_request_sameTitle"
    /// No two shared instances have the same reference.
    ReferencesAreUnique "references-are-unique" "state::titles" "62" "testSlapOSCloudConstraint: test_reference_*"
    /// A child's root is there, and is a root.
    NoChildWithoutRoot "no-child-without-root" "state::trees" "19 34" "slapos/proxy/db.py: freePartitionFromDB; testSlapOSCloudInstanceSlapInterfaceWorkflow: test_request_tree_disconnected"
    /// A child's requester is there, is of the same tree, and has a partition; a root has none.
    RequesterIsOfTheTree "requester-is-of-the-tree" "state::trees" "33 P6" "testSlapOSCloudInstanceSlapInterfaceWorkflow: test_request_tree_change_indexed"
    /// From requester to requester one comes to the root.
    NoCycle "no-cycle" "state::trees" "35 P6" "testSlapOSCloudInstanceSlapInterfaceWorkflow: test_request_check_cycle"
    /// Below a root that is to be destroyed nothing is wanted.
    DestroyedTree "destroyed-tree" "state::trees" "24" "testSlapOSCloudAlarm: test_SoftwareInstance_tryToGarbageCollect_script_destroyed; decision tree-follows-root"
    /// Below a root that is to be stopped nothing is to be started.
    StoppedTree "stopped-tree" "state::trees" "44 45" "testSlapOSSlapTool: test_request_stopped; testSlapOSCloudAlarm: test_SoftwareInstance_tryToStopCollect_script_*"
    /// A free partition has no report.
    NoReportOfNobody "no-report-of-nobody" "state::reports" "" "testSlapOSSlapTool: test_destroyedComputePartition"
    /// No report is about a timestamp that is still to come.
    NoReportFromTheFuture "no-report-from-the-future" "state::reports" "" "decision reports-are-kept"
    /// The services of an instance run once at most.
    RunsOnce "runs-once" "state::nodes" "" "ARCHITECTURE.md: How a service is never run twice"
    /// What was processed as stopped has no services.
    StoppedDoesNotRun "stopped-does-not-run" "state::nodes" "" "slapos/grid/slapgrid.py: processComputerPartition"
    /// A partition that the master takes for free is empty.
    FreeIsEmpty "free-is-empty" "state::nodes" "" "testSlapOSCloudAlarm: test_SoftwareInstance_tryToUnallocatePartition_script_notInvalidated"

    /// Nothing is changed by what is refused.
    RefusedChangesNothing "refused-changes-nothing" "request::refusals" "13 40" "testSlapOSCloudPersonSlapInterfaceWorkflow: test_Person_requestSoftwareInstance_updateInstanceTree"
    /// An instance never moves to another partition.
    NeverMoves "never-moves" "request::places" "7 39 P2" "testSlapOSCloudAllocationAlarm: test_alarm_software_instance_allocated"
    /// A partition that the last format no longer had goes with its instance, and is not given again.
    DroppedGoes "dropped-goes" "report::departures" "3 57" "testSlapOSSlapToolComputeNodeUpdateFromDict: test_Remove*; testSlapOSCloudComputePartitionSlapInterfaceWorkflow: test_mark*"
    /// Where a request names a computer, the partition is there.
    FilterIsObeyed "filter-is-obeyed" "request::places" "8" "testSlapOSCloudAllocationAlarm: test_allocation_computer_guid"
    /// A request is refused for want of room only when there is none.
    RoomIsUsed "room-is-used" "request::places" "4 P8" "testSlapOSCloudAllocationAlarm: test_allocation_no_free_partition"
    /// A host has the release and type that was asked for, where it was asked for, and is wanted.
    HostFits "host-fits" "request::hosts" "8" "testSlapOSCloudAllocationAlarm: test_allocation_instance_guid"
    /// As long as its host is there, a shared instance stays with it.
    HostStays "host-stays" "request::hosts" "7 P9" "testSlapOSCloudAllocationAlarm: test_alarm_slave_instance_allocated"
    /// A repeated request changes nothing, and is answered alike.
    RepeatedChangesNothing "repeated-changes-nothing" "request::repeated" "29 36" "testSlapOSCloudInstanceSlapInterfaceWorkflow: test_request_double, test_request_started_no_bang"
    /// A request for destroyed makes nothing.
    DestroyMakesNothing "destroy-makes-nothing" "request::wishes" "30" "testSlapOSCloudInstanceSlapInterfaceWorkflow: test_request_destroyed_state"
    /// What was requested is what is wanted then.
    RequestIsObeyed "request-is-obeyed" "request::answers" "48" "testSlapOSJsonRpc: test_InstanceAccess_22_request_startedWithManuallyStoppedInstance"
    /// The answer tells what is kept.
    AnswerIsTrue "answer-is-true" "request::answers" "" "slapos/proxy/db.py: requestNotSlave"
    /// Nothing but a request changes what is wanted of an instance.
    OnlyRequestsChangeWishes "only-requests-change-wishes" "request::wishes" "47" "testSlapOSSlapTool: test_updateInstanceSuccessorList*"
    /// A request touches its own tree only.
    OtherTreesStay "other-trees-stay" "request::wishes" "" "testSlapOSCloudPersonSlapInterfaceWorkflow: test_Person_requestSoftwareInstance_InstanceTreeNewTitle"
    /// Starting a root starts nothing else.
    StartIsForOne "start-is-for-one" "request::wishes" "45" "testSlapOSCloudAlarm: test_SoftwareInstance_tryToStopCollect_script_*"
    /// An instance with a partition goes only when it is to be destroyed and its node says that it is gone.
    GoesWhenReported "goes-when-reported" "report::departures" "18 22 23 39 P12" "testSlapOSCloudAlarm: test_SoftwareInstance_tryToUnallocatePartition_script_{notDestroyed,notInvalidated}"
    /// A report about an earlier timestamp frees nothing.
    LateFreesNothing "late-frees-nothing" "report::departures" "P12" "decision late-destroyed-frees-nothing"
    /// A shared instance goes only when it, or its root, is requested destroyed.
    SharedGoesWhenAsked "shared-goes-when-asked" "report::departures" "22" "testSlapOSCloudAlarm: test_tryToInvalidateIfDestroyed_script_*"
    /// What a node shall do otherwise has a new timestamp.
    ChangeRenews "change-renews" "report::timestamps" "37 49 54" "testSlapOSCloudInstanceSlapInterfaceWorkflow: test_request_{software_release,software_type,instance_xml}_bang, test_request_{stopped,destroyed}_bang"
    /// A host whose list of shared instances changes has a new timestamp.
    ListRenews "list-renews" "report::timestamps" "49 50 53" "testSlapOSERP5AllocationScenario: test_slave_instance_allocation_scenario, test_stopped_slave_instance_allocation_scenario"
    /// Other addresses give the instance a new timestamp.
    AddressRenews "address-renews" "report::timestamps" "49" "testSlapOSERP5AllocationScenario: test_software_instance_allocation_scenario; decision addresses-renew"
    /// A timestamp never goes back, not even when a format drops the partition and a later one has it again.
    TimestampsGrow "timestamps-grow" "report::timestamps" "49 P10" "testSlapOSERP5AllocationScenario: test_software_instance_allocation_scenario; decision timestamps-grow"
    /// A timestamp grows only for a reason.
    NoNeedlessRenewal "no-needless-renewal" "report::timestamps" "29 37 38" "testSlapOSCloudInstanceSlapInterfaceWorkflow: test_request_started_no_bang"
    /// A bang reaches the whole tree, and the host of a shared instance, except what is to be destroyed.
    BangReachesTree "bang-reaches-tree" "report::bangs" "51" "slapos/proxy/db.py: bangInstanceFromDB"
    /// A bang of a computer reaches all its instances, except what is to be destroyed.
    BangReachesComputer "bang-reaches-computer" "report::bangs" "51" "testSlapOSCloudComputeNodeSlapInterfaceWorkflow: test_reportComputeNodeBang"
    /// A requester is processed again when what it requested publishes something else.
    ConnectionWakesRequester "connection-wakes-requester" "report::publishing" "38" "testSlapOSCloudInstanceSlapInterfaceWorkflow: test_update_connection_bang_requester"
    /// What is published is kept.
    PublishedIsKept "published-is-kept" "report::publishing" "" "slapos/proxy/slap_tool.py: setComputerPartitionConnectionXml"
    /// A rename changes one title, and nothing else.
    RenameChangesOneTitle "rename-changes-one-title" "report::renames" "" "slapos/proxy/slap_tool.py: softwareInstanceRename"
    /// A report about an earlier timestamp is not shown in place of one about a later.
    LateIsNotShown "late-is-not-shown" "told::statuses" "" "decision reports-are-kept"
    /// A report about the timestamp of now is shown.
    ReportIsShown "report-is-shown" "told::statuses" "" "testSlapOSCloud: test_setAccessStatus"
    /// The error of a shared instance is its own, not its host's.
    SharedErrorIsItsOwn "shared-error-is-its-own" "told::statuses" "61" "testSlapOSSlapTool: test_softwareInstanceErrorWithSlaveReference"
    /// A bang is shown with whom it is about: an instance, a shared one, or a computer.
    BangIsShown "bang-is-shown" "told::bangs" "" "testSlapOSSlapTool: test_softwareInstanceBang; decision reports-are-kept"
    /// What a node tells of a release is shown, and nothing else is.
    ReleaseReportIsShown "release-report-is-shown" "told::releases" "" "testSlapOSSlapTool: test_buildingSoftwareRelease, test_availableSoftwareRelease, test_softwareReleaseError; departure resupplied-is-the-same"
    /// What is told of a free partition is taken, and changes nothing: its node may not know yet.
    FreeIsIgnored "free-is-ignored" "told::free" "" "slapos/proxy/slap_tool.py: startedComputerPartition, softwareInstanceBang"
    /// A format that lacks busy partitions is told which of them stay.
    FormatTellsWhatStays "format-tells-what-stays" "report::formats" "57" "testSlapOSSlapToolComputeNodeUpdateFromDict: test_Remove*"
    /// After a format, the partitions that are given away are those that it had, and of the others only busy ones are left.
    FormatIsObeyed "format-is-obeyed" "report::formats" "57" "testSlapOSSlapToolComputeNodeUpdateFromDict: test_Update*"
    /// What was supplied is what is wanted then.
    SupplyIsObeyed "supply-is-obeyed" "report::supplies" "55" "testSlapOSCloudComputeNodeSlapInterfaceWorkflow: test_supply_available_destroyed_available"
    /// A release goes only when it is unwanted and its node says that it is gone.
    ReleaseGoesWhenReported "release-goes-when-reported" "report::supplies" "27" "testSlapOSSlapTool: test_destroyedSoftwareRelease_{noDestroyRequested,destroyRequested}"
    /// A node sees what is wanted of its partitions, and whose they are.
    ViewIsTrue "view-is-true" "report::views" "52 54" "testSlapOSSlapTool: test_activate_getFullComputerInformation_first_access"
    /// A host sees the started shared instances that it hosts, as they are wanted, and no other.
    ViewListsStarted "view-lists-started" "report::views" "50 53 P9" "testSlapOSERP5AllocationScenario: test_stopped_slave_instance_allocation_scenario"
    /// A stand-in is answered, and changes nothing.
    StandInChangesNothing "stand-in-changes-nothing" "elsewhere::stand_ins" "" "slapos/proxy/db.py: requestInstanceFromDB"
    /// What another master gives is remembered with who asked for it, until they ask to destroy it; nothing else changes that.
    PassedOnIsRemembered "passed-on-is-remembered" "elsewhere::remembered" "" "slapos/proxy/db.py: forwardRequestToExternalMaster"
    /// What somebody has at another master is not changed by anybody else.
    TitleThereBelongsToOne "title-there-belongs-to-one" "elsewhere::passed_on" "" "slapos/proxy/db.py: forwardRequestToExternalMaster"
    /// A request that another master answers changes no instance here.
    PassedOnChangesNothingHere "passed-on-changes-nothing-here" "elsewhere::passed_on" "" "slapos/proxy/db.py: forwardRequestToExternalMaster"
    /// An instance that is here already is not requested of another master.
    HereStaysHere "here-stays-here" "elsewhere::passed_on" "" "slapos/proxy/db.py: requestInstanceFromDB"
    /// Local releases follow their directory, and have to be built again; nothing else of what is wanted changes.
    ReleasesFollowTheirRoot "releases-follow-their-root" "elsewhere::rebases" "" "slapos/proxy/views.py: _updateLocalSoftwareReleaseRootPathIfNeeded"
    /// A killed agent takes nothing with it that is in partitions.
    ServicesOutliveAgents "services-outlive-agents" "report::nodes" "" "ARCHITECTURE.md: A service outlives its node agent"
    /// Nothing is put into a partition before its release is built.
    BuiltFirst "built-first" "report::nodes" "" "slapos/grid/slapgrid.py: processComputerPartition"
    /// What exited starts again for a new timestamp only.
    OnceForEachChange "once-for-each-change" "report::nodes" "" "slapos/grid/slapgrid.py: processComputerPartition, the file .timestamp"
}

impl Rule {
    /// Whether it is about the modelled node alone: then only an exploration can break it, and nothing real before a simulator
    /// judges real nodes by it.
    pub fn is_of_modelled_nodes(self) -> bool {
        self.checked_by().ends_with("::nodes")
    }
}

/// A broken rule, and what broke it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The object: a title, a partition, a computer.
    pub object: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} ({})", self.rule.name(), self.rule.sentence().trim(), self.object)
    }
}

/// A step from one state to the next.
#[derive(Clone, Copy)]
pub struct Transition<'a> {
    /// The state before.
    pub before: &'a State,
    /// What happened.
    pub event: &'a Event,
    /// What was answered.
    pub reply: &'a Reply,
    /// The state after.
    pub after: &'a State,
}

impl State {
    /// The rules that this state breaks.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Found::default();
        state::check(self, &mut found);
        found.violations
    }
}

impl Transition<'_> {
    /// The rules that this step breaks.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Found::default();
        // What a report on its way does when it arrives is judged as if it came by itself.
        let delivered = match self.event {
            Event::Deliver(mail) | Event::LoseAnswer(mail) if self.before.mail.contains(mail) => {
                Some(mail.event())
            }
            _ => None,
        };
        let transition = Transition { event: delivered.as_ref().unwrap_or(self.event), ..*self };
        request::check(&transition, &mut found);
        elsewhere::check(&transition, &mut found);
        report::check(&transition, &mut found);
        told::check(&transition, &mut found);
        found.violations
    }
}

/// Collects violations.
#[derive(Default)]
struct Found {
    violations: Vec<Violation>,
}

impl Found {
    /// Notes a violation unless `holds`.
    fn expect(&mut self, holds: bool, rule: Rule, object: impl fmt::Display) {
        if !holds {
            self.violations.push(Violation { rule, object: object.to_string() });
        }
    }
}
