//! What the master answers.

use crate::{
    event::{Wanted, data, kinds},
    names::{Address, Connection, Kind, Parameters, Partition, Place, Rank, Reference, Release, Title},
    state::View,
};
use std::collections::BTreeSet;

data! {
    /// What an event is answered with.
    pub enum Reply {
        /// Done, and there is nothing to tell.
        Done,
        /// The instance that was asked for.
        Given(Given),
        /// The instance that was asked for, at another master.
        GivenElsewhere(Given),
        /// Nothing but what a frontend with these parameters would publish.
        StandIn(Parameters),
        /// Formatted, but these busy partitions stay though the format no longer has them.
        Kept(BTreeSet<Partition>),
        /// Not freed: these children of the root are still there.
        NotYet(BTreeSet<Title>),
        /// Taken, and nothing changed, for this reason.
        Ignored(Ignored),
        /// What a node sees.
        View(View),
        /// Nothing happened.
        Refused(Refusal),
        /// No master was asked.
        Local,
    }

    /// The answer to a request.
    pub struct Given {
        /// Its partition; of a shared instance, its host's, if it has one.
        pub place: Option<Place>,
        /// The addresses of that partition.
        pub address: Option<Address>,
        /// Its release; of a shared instance with a host, the host's.
        pub release: Release,
        /// Its type; of a shared instance with a host, the host's.
        pub kind: Kind,
        /// Its parameters.
        pub parameters: Parameters,
        /// Its connection parameters.
        pub connection: Connection,
        /// What is wanted of it; slapproxy does not say it of a shared one.
        pub state: Wanted,
        /// Its partition's timestamp; a shared instance's answer has none.
        pub rank: Option<Rank>,
    }

    /// Why a report changed nothing.
    #[derive(Copy)]
    pub enum Ignored {
        /// The partition is free.
        Free,
        /// A report about a newer state came before.
        Late,
        /// The release is not supplied to the computer.
        NotSupplied,
    }

    /// Why an event was refused.
    #[derive(Copy)]
    pub enum Refusal {
        /// The computer is not known.
        UnknownComputer,
        /// The computer has no such partition.
        UnknownPartition,
        /// The partition is free, so there is no instance in it.
        FreePartition,
        /// The partition hosts no such shared instance.
        UnknownShared,
        /// What shall be destroyed is not there.
        NothingToDestroy,
        /// No partition is free.
        NoRoom,
        /// No instance can be the host.
        NoHost,
        /// A filter that is not for this kind of request.
        BadFilter,
        /// The requester is to be destroyed.
        RequesterDestroyed,
        /// It is shared, and asked for as not shared, or the other way round.
        OtherSharing,
        /// The title is the one of the tree's root.
        RootTitle,
        /// The requester itself was requested by it.
        Cycle,
        /// Another shared instance has that reference.
        ReferenceTaken,
        /// The host has another release or type.
        OtherRelease,
        /// Another instance of the tree has that title.
        TitleTaken,
        /// The instance, or release, is wanted.
        StillWanted,
    }

    /// An entry of a host's `slave_instance_list`.
    pub struct Entry {
        /// Its reference.
        pub reference: Reference,
        /// The type that was asked for.
        pub kind: Kind,
        /// Its parameters.
        pub parameters: Parameters,
    }
}

impl Refusal {
    /// The HTTP status that says so.
    pub fn status(self) -> u16 {
        match self {
            Refusal::UnknownComputer
            | Refusal::UnknownPartition
            | Refusal::FreePartition
            | Refusal::UnknownShared
            | Refusal::NothingToDestroy
            | Refusal::NoRoom
            | Refusal::NoHost => 404,
            Refusal::BadFilter => 400,
            Refusal::RequesterDestroyed
            | Refusal::OtherSharing
            | Refusal::RootTitle
            | Refusal::Cycle
            | Refusal::ReferenceTaken
            | Refusal::OtherRelease
            | Refusal::TitleTaken
            | Refusal::StillWanted => 409,
        }
    }
}

kinds! { Reply {
    "done" => Reply::Done,
    "given" => Reply::Given(_),
    "given elsewhere" => Reply::GivenElsewhere(_),
    "stand-in" => Reply::StandIn(_),
    "partitions kept" => Reply::Kept(_),
    "not yet" => Reply::NotYet(_),
    "ignored: free" => Reply::Ignored(Ignored::Free),
    "ignored: late" => Reply::Ignored(Ignored::Late),
    "ignored: not supplied" => Reply::Ignored(Ignored::NotSupplied),
    "view" => Reply::View(_),
    "refused: unknown computer" => Reply::Refused(Refusal::UnknownComputer),
    "refused: unknown partition" => Reply::Refused(Refusal::UnknownPartition),
    "refused: free partition" => Reply::Refused(Refusal::FreePartition),
    "refused: unknown shared" => Reply::Refused(Refusal::UnknownShared),
    "refused: nothing to destroy" => Reply::Refused(Refusal::NothingToDestroy),
    "refused: no room" => Reply::Refused(Refusal::NoRoom),
    "refused: no host" => Reply::Refused(Refusal::NoHost),
    "refused: bad filter" => Reply::Refused(Refusal::BadFilter),
    "refused: requester destroyed" => Reply::Refused(Refusal::RequesterDestroyed),
    "refused: other sharing" => Reply::Refused(Refusal::OtherSharing),
    "refused: root title" => Reply::Refused(Refusal::RootTitle),
    "refused: cycle" => Reply::Refused(Refusal::Cycle),
    "refused: reference taken" => Reply::Refused(Refusal::ReferenceTaken),
    "refused: other release" => Reply::Refused(Refusal::OtherRelease),
    "refused: title taken" => Reply::Refused(Refusal::TitleTaken),
    "refused: still wanted" => Reply::Refused(Refusal::StillWanted),
    "local" => Reply::Local,
} }
