//! What can happen.

pub use crate::formatted::Formatted;
use crate::names::{Computer, Connection, Kind, Parameters, Place, Rank, Reference, Release, Root, Title};

macro_rules! data {
    ($($item:item)*) => { $(
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
        $item
    )* };
}
pub(crate) use data;

data! {
    /// One thing that happens. The first group reaches the master; the second happens on nodes and on the way.
    pub enum Event {
        /// An instance is asked for.
        Request(Request),
        /// A release shall be on a computer, or gone.
        Supply {
            /// Which computer.
            computer: Computer,
            /// Which release.
            release: Release,
            /// There, or gone.
            wanted: bool,
        },
        /// A computer says which partitions it has.
        Format {
            /// Which computer.
            computer: Computer,
            /// All its partitions, with their addresses.
            partitions: Formatted,
        },
        /// Connection parameters are published.
        Publish {
            /// By the instance in this partition.
            place: Place,
            /// For this shared instance that it hosts; none: its own.
            shared: Option<Reference>,
            /// What is published.
            connection: Connection,
        },
        /// An instance gets another title.
        Rename {
            /// The instance in this partition.
            place: Place,
            /// Or this shared instance that it hosts.
            shared: Option<Reference>,
            /// The new title.
            title: Title,
        },
        /// The instances of a tree shall be processed again.
        Bang {
            /// The instance in this partition says so.
            place: Place,
            /// Or this shared instance that it hosts.
            shared: Option<Reference>,
        },
        /// All instances of a computer shall be processed again.
        BangComputer(Computer),
        /// A node reports on a release.
        ReportRelease {
            /// Which computer.
            computer: Computer,
            /// Which release.
            release: Release,
            /// What it reports.
            report: ReleaseReport,
        },
        /// A node reports on an instance.
        Report(Report),
        /// A node reports an error of a shared instance.
        ReportSharedError {
            /// Where its host is.
            place: Place,
            /// Which one.
            shared: Reference,
        },
        /// A node reads what it shall do; a node that is modelled keeps it as its view.
        Look(Computer),
        /// The master's clock is set back by so much.
        ClockBack(u16),
        /// The master starts again: local releases are under this directory now; none is `/`.
        Rebase(Option<Root>),

        /// A node builds a release of its view, or removes one.
        Build {
            /// Which node.
            computer: Computer,
            /// Which release.
            release: Release,
            /// Whether it works.
            succeeds: bool,
        },
        /// A node does what its view says of a partition.
        Process(Place),
        /// A node compares an instance with what it reported of it, and reports what changed.
        Check(Place),
        /// A report reaches the master, and the node learns that.
        Deliver(Mail),
        /// A report reaches the master, but the node does not learn that: it may arrive again.
        LoseAnswer(Mail),
        /// A report does not arrive.
        Drop(Mail),
        /// A node agent is killed: view and reports on the way are gone, services stay.
        KillAgent(Computer),
        /// A node is switched off and on: as a killed agent, and its services are gone.
        Reboot(Computer),
        /// The services of an instance exit.
        ServiceExits(Place),
        /// A promise of an instance changes its mind.
        PromiseTurns {
            /// Which instance.
            place: Place,
            /// Whether it passes from now on.
            passes: bool,
        },
    }

    /// An instance is asked for (`requestComputerPartition`).
    pub struct Request {
        /// Who asks: none is a user, else the instance in this partition.
        pub by: Option<Place>,
        /// Its title.
        pub title: Title,
        /// Whether it is shared: an entry of another instance, without a partition of its own.
        pub shared: bool,
        /// The software release.
        pub release: Release,
        /// The software type; none is the default one, for a shared one any.
        pub kind: Option<Kind>,
        /// Parameters.
        pub parameters: Parameters,
        /// Where it may be.
        pub filter: Filter,
        /// What is wanted; none keeps what was wanted, or starts it.
        pub state: Option<Wanted>,
    }

    /// Where an instance may be.
    #[derive(Copy)]
    pub enum Filter {
        /// Anywhere.
        Anywhere,
        /// On this computer (`computer_guid`).
        Computer(Computer),
        /// With the host in this partition (`computer_guid` and `instance_guid`).
        Host(Place),
        /// With the host in this partition (`instance_guid`), looked for on that computer (`computer_guid`), or on all.
        Hosted {
            /// Where it is looked for.
            on: Option<Computer>,
            /// The host, which may be on another computer.
            by: Place,
        },
        /// Anywhere: keys that are for the instance (`retention_delay`, `fw_*`).
        Ignored,
        /// A key that nobody understands.
        Unknown,
        /// At another master (`master_url`).
        Elsewhere,
    }

    /// What is wanted of an instance.
    #[derive(Copy)]
    pub enum Wanted {
        /// It shall run.
        Started,
        /// It shall be there, without services.
        Stopped,
        /// It shall go.
        Destroyed,
    }

    /// What a node reports of an instance.
    #[derive(Copy)]
    pub struct Report {
        /// In which partition.
        pub place: Place,
        /// What it says.
        pub word: Word,
        /// The timestamp that it is about; older nodes send none.
        pub about: Option<Rank>,
    }

    /// What a report says.
    #[derive(Copy)]
    pub enum Word {
        /// Processed, and its promises pass.
        Started,
        /// Its services are stopped.
        Stopped,
        /// It could not be processed, or a promise fails.
        Error,
        /// It is gone, and the partition is empty.
        Destroyed,
        /// It shall be processed again (`softwareInstanceBang`).
        Bang,
    }

    /// What a node reports of a release.
    #[derive(Copy)]
    pub enum ReleaseReport {
        /// It is being built.
        Building,
        /// It is there.
        Available,
        /// It could not be built.
        Error,
        /// It is gone.
        Destroyed,
    }

    /// A report on its way from a node to the master.
    #[derive(Copy)]
    pub enum Mail {
        /// On an instance.
        Instance(Report),
        /// On a release.
        Release {
            /// Which node.
            computer: Computer,
            /// Which release.
            release: Release,
            /// What it says.
            report: ReleaseReport,
        },
    }
}

impl Mail {
    /// Who sent it.
    pub fn computer(&self) -> Computer {
        match self {
            Mail::Instance(report) => report.place.computer,
            Mail::Release { computer, .. } => *computer,
        }
    }

    /// What the master gets to see of it.
    pub fn event(&self) -> Event {
        match *self {
            Mail::Instance(Report { place, word: Word::Bang, .. }) => Event::Bang { place, shared: None },
            Mail::Instance(report) => Event::Report(report),
            Mail::Release { computer, release, report } => Event::ReportRelease { computer, release, report },
        }
    }
}

impl Event {
    /// Whether a master sees it, so that the real one can be asked the same.
    pub fn reaches_master(&self) -> bool {
        !matches!(
            self,
            Event::Build { .. }
                | Event::Process(_)
                | Event::Check(_)
                | Event::Drop(_)
                | Event::KillAgent(_)
                | Event::Reboot(_)
                | Event::ServiceExits(_)
                | Event::PromiseTurns { .. }
        )
    }

    /// What the cloud does by itself: neither a user's wish nor a fault.
    pub fn is_system(&self) -> bool {
        matches!(
            self,
            Event::Look(_)
                | Event::Build { succeeds: true, .. }
                | Event::Process(_)
                | Event::Check(_)
                | Event::Deliver(_)
        )
    }
}

/// Names the kinds of a type's values, each once.
macro_rules! kinds {
    ($type:ident { $($name:literal => $pattern:pat,)* }) => {
        impl $type {
            /// The names of all kinds.
            pub const KINDS: &'static [&'static str] = &[$($name,)*];

            /// The name of its kind, for counting: every kind must have occurred.
            pub fn kind(&self) -> &'static str {
                match self { $($pattern => $name,)* }
            }
        }
    };
}
pub(crate) use kinds;

kinds! { Event {
    "request that goes elsewhere" => Event::Request(Request { filter: Filter::Elsewhere, .. }),
    "request by a user" => Event::Request(Request { by: None, shared: false, .. }),
    "request of a shared instance by a user" => Event::Request(Request { by: None, shared: true, .. }),
    "request by a partition" => Event::Request(Request { by: Some(_), shared: false, .. }),
    "request of a shared instance by a partition" => Event::Request(Request { by: Some(_), shared: true, .. }),
    "supply" => Event::Supply { wanted: true, .. },
    "remove" => Event::Supply { wanted: false, .. },
    "format" => Event::Format { .. },
    "publish" => Event::Publish { shared: None, .. },
    "publish for a shared instance" => Event::Publish { shared: Some(_), .. },
    "rename" => Event::Rename { shared: None, .. },
    "rename of a shared instance" => Event::Rename { shared: Some(_), .. },
    "bang" => Event::Bang { shared: None, .. } | Event::Report(Report { word: Word::Bang, about: None, .. }),
    "bang about a timestamp" => Event::Report(Report { word: Word::Bang, about: Some(_), .. }),
    "bang of a shared instance" => Event::Bang { shared: Some(_), .. },
    "bang of a computer" => Event::BangComputer(_),
    "release building" => Event::ReportRelease { report: ReleaseReport::Building, .. },
    "release available" => Event::ReportRelease { report: ReleaseReport::Available, .. },
    "release in error" => Event::ReportRelease { report: ReleaseReport::Error, .. },
    "release destroyed" => Event::ReportRelease { report: ReleaseReport::Destroyed, .. },
    "instance started" => Event::Report(Report { word: Word::Started, .. }),
    "instance stopped" => Event::Report(Report { word: Word::Stopped, .. }),
    "instance in error" => Event::Report(Report { word: Word::Error, .. }),
    "instance destroyed" => Event::Report(Report { word: Word::Destroyed, .. }),
    "shared instance in error" => Event::ReportSharedError { .. },
    "look" => Event::Look(_),
    "clock back" => Event::ClockBack(_),
    "rebase" => Event::Rebase(_),
    "build" => Event::Build { succeeds: true, .. },
    "build that fails" => Event::Build { succeeds: false, .. },
    "process" => Event::Process(_),
    "check" => Event::Check(_),
    "deliver" => Event::Deliver(_),
    "lose answer" => Event::LoseAnswer(_),
    "drop" => Event::Drop(_),
    "kill agent" => Event::KillAgent(_),
    "reboot" => Event::Reboot(_),
    "service exits" => Event::ServiceExits(_),
    "promise turns" => Event::PromiseTurns { .. },
} }
