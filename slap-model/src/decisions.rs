//! Where the product decides otherwise than slapproxy. A run against slapproxy must differ where one of them was used,
//! and nowhere else.

macro_rules! decisions {
    ($(#[$about:meta])* $type:ident $($(#[doc = $doc:literal])* $variant:ident $name:literal $invariants:literal)*) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $type { $($(#[doc = $doc])* $variant,)* }

        impl $type {
            /// All of them.
            pub const ALL: &'static [$type] = &[$($type::$variant,)*];

            /// Its name in RULES.md.
            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }

            /// What is decided.
            pub fn sentence(self) -> &'static str {
                match self { $($type::$variant => concat!($($doc,)*).trim_ascii(),)* }
            }

            /// The invariants of the real master that it stands for, by their numbers in RULES.md.
            pub fn invariants(self) -> impl Iterator<Item = &'static str> {
                match self { $($type::$variant => $invariants,)* }.split_ascii_whitespace()
            }
        }
    };
}

decisions! {
    /// A named difference to slapproxy.
    Decision
    /// An unknown computer, partition or shared instance is refused; slapproxy says yes, or takes a partition's request for a user's.
    UnknownIsRefused "unknown-is-refused" ""
    /// Where no computer is named, the default one is asked first, then the others; slapproxy asks the default one only.
    AnyComputer "any-computer" ""
    /// A filter key that is not understood is refused when an instance is first placed; slapproxy ignores it.
    UnknownFilterIsRefused "unknown-filter-is-refused" "10"
    /// A request for destroyed of what is not there is refused; slapproxy takes a partition only to have it emptied.
    NothingIsMadeToBeDestroyed "nothing-is-made-to-be-destroyed" ""
    /// A request without type is one for the default type, or for the host's when it is shared, always; slapproxy forgets that
    /// when it is repeated, and leaves it empty for a shared one.
    NoTypeIsTheDefaultType "no-type-is-the-default-type" ""
    /// A destroyed or stopped root takes its tree along at once, and nothing is started or made started below a stopped one;
    /// slapproxy waits until the root's node reports, and lets new ones start.
    TreeFollowsRoot "tree-follows-root" ""
    /// What is requested destroyed requests nothing any more.
    DestroyedRequestNothing "the-destroyed-request-nothing" ""
    /// A child may not have the title of its root.
    RootTitleIsReserved "root-title-is-reserved" "31"
    /// Nobody requests itself, or what requested it.
    NoCycle "no-cycle" "35 P6"
    /// Shared instances and others of a tree have one namespace, and a request cannot turn one into the other.
    OneNamespace "one-namespace" "40"
    /// No two shared instances have the same reference.
    ReferencesAreUnique "references-are-unique" "62"
    /// The release and the type of a shared instance stay; slapproxy enters it with another host as well.
    SharedKeepsRelease "shared-keeps-release" ""
    /// A shared instance stays with its host, whatever filter it is asked for with; slapproxy searches each time, and enters it
    /// with each host that it finds.
    SharedKeepsHost "shared-keeps-host" ""
    /// A shared instance keeps its reference when its root is renamed; slapproxy looks for the one that the titles make by then,
    /// and makes another.
    ReferencesStay "references-stay" ""
    /// The answer to a request says what is wanted of the instance; slapproxy says `started` where no state was asked for.
    AnswerSaysWhatIsWanted "answer-says-what-is-wanted" ""
    /// A shared instance that is to be destroyed is gone at once; slapproxy keeps a row of it for ever.
    SharedGoesAtOnce "shared-goes-at-once" ""
    /// A stopped shared instance is not in its host's list.
    StoppedSharedIsUnlisted "stopped-shared-is-unlisted" ""
    /// A shared instance outlives its host, without connection, and is given another when it is asked for again.
    SharedOutlivesHost "shared-outlives-host" ""
    /// What is to be destroyed is no host for somebody new.
    NoDestroyedHost "no-destroyed-host" ""
    /// Shared instances are renamed and banged too.
    SharedIsAnInstance "shared-is-an-instance" ""
    /// No rename makes two instances of a tree, or two roots, alike.
    TitlesStayUnique "titles-stay-unique" ""
    /// A bang does not reach what is to be destroyed.
    BangSparesDestroyed "bang-spares-destroyed" ""
    /// The requester of an instance is processed again when the instance publishes something else.
    ConnectionWakesRequester "connection-wakes-requester" "38"
    /// An instance is processed again when its addresses change.
    AddressesRenew "addresses-renew" ""
    /// What nodes report is kept and shown, and a computer's bang renews its instances; slapproxy ignores both.
    ReportsAreKept "reports-are-kept" ""
    /// What is wanted (again) is not freed by a report that it is gone; slapproxy loses it.
    WantedIsNotFreed "wanted-is-not-freed" ""
    /// A report that a partition is empty frees nothing when it is about an earlier timestamp: it may be about an earlier tenant.
    LateDestroyedFreesNothing "late-destroyed-frees-nothing" ""
    /// When the last child of a destroyed root is gone, the root's partition is processed again, so that its node tells it again.
    LastChildWakesRoot "last-child-wakes-root" ""
    /// A busy partition that a format no longer has stays until its instance is gone; slapproxy drops it with the instance.
    BusyPartitionsStay "busy-partitions-stay" ""
    /// Partitions are given away in the order of their computer's last format; slapproxy gives them away in the order in which they were first formatted.
    LastFormatOrders "last-format-orders" ""
    /// A partition's timestamp grows even where the clock went back, and where a format dropped the partition in between.
    TimestampsGrow "timestamps-grow" "49 P10"
}

decisions! {
    /// A named difference to the real master.
    Departure
    /// A request for which there is no room is refused, and makes nothing, as with slapproxy; the real master keeps the
    /// instance, says 408, and places it when there is room.
    NoRoomIsRefused "no-room-is-refused" "4"
    /// What is to be destroyed can be wanted again until it is freed, as with slapproxy; in the real master that is final.
    DestroyedMayComeBack "destroyed-may-come-back" "P1"
    /// A destroyed root is freed after its children, as with slapproxy; the real master destroys from the root down, and frees
    /// each partition by itself.
    LeavesGoFirst "leaves-go-first" "24"
    /// A user may ask for another release or type of what is there, as with slapproxy; in the real master only an upgrade
    /// decision changes them.
    TreeChangesRelease "tree-changes-release" "40"
    /// The title of a destroyed root can be given again when it is gone; the real master makes another tree of that title at
    /// once.
    TitleIsFreeWhenGone "title-is-free-when-gone" "41"
    /// A bang reaches all of its tree, as with slapproxy; in the real master it goes from requester to requester up to the
    /// root.
    BangGoesEverywhere "bang-goes-everywhere" ""
    /// A bang of a computer reaches each instance on it and nobody else; in the real master it is the bang of one instance of
    /// each tree there.
    ComputerBangIsForAll "computer-bang-is-for-all" "51"
    /// A release that is wanted again before its node said that it is gone is the same installation, with its last report, as
    /// with slapproxy; the real master begins a new one.
    ResuppliedIsTheSame "resupplied-is-the-same" "56"
    /// A root that is renamed stays the root of its tree, as with slapproxy; in the real master the tree is given a new root of
    /// its title.
    RenamedRootStaysRoot "renamed-root-stays-root" ""
}
