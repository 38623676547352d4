//! Rules of what holds at any time.

use super::Tampering;
use slap_model::{
    Rule,
    event::{Wanted, Word},
    names::{Computer, Connection, Partition, Place},
    state::{Deployed, Status},
};

/// No list of events has so many.
const NOWHERE: Place = Place { computer: Computer(0), partition: Partition(99) };

pub(super) const TAMPERINGS: &[Tampering] = &[
    (Rule::OneTenant, "an instance is put into the partition of another", |case| {
        let (first, place) = case.own(|_, _| true)?;
        let (second, _) = case.own(|number, _| number != first)?;
        case.but(|it| it.instance(second).place = Some(place))
    }),
    (Rule::HasItsPartition, "an instance loses its partition", |case| {
        let (number, _) = case.own(|_, _| true)?;
        case.but(|it| it.instance(number).place = None)
    }),
    (Rule::HasItsPartition, "an instance is in a partition that nobody has", |case| {
        let (number, _) = case.own(|_, _| true)?;
        case.but(|it| it.instance(number).place = Some(NOWHERE))
    }),
    (Rule::SharedHasNoPartition, "a shared instance gets a partition", |case| {
        let (number, _) = case.shared(|_, _| true)?;
        let (_, place) = case.own(|_, _| true)?;
        case.but(|it| it.instance(number).place = Some(place))
    }),
    (Rule::HostHasPartition, "a host is gone", |case| {
        let (number, _) = case.shared(|_, _| true)?;
        let gone = case.after.instances.keys().max()? + 1;
        case.but(|it| it.instance(number).shared.as_mut().expect("it is shared").host = Some(gone))
    }),
    (Rule::NoHostNoConnection, "what was published for it stays when its host goes", |case| {
        let (number, _) = case.shared(|_, it| it.shared.is_some_and(|shared| shared.host.is_none()))?;
        case.but(|it| it.instance(number).connection = Connection(1))
    }),
    (Rule::HostHasPartition, "a shared instance is a host", |case| {
        let (number, _) = case.shared(|_, _| true)?;
        let (other, _) = case.shared(|it, _| it != number)?;
        case.but(|it| it.instance(number).shared.as_mut().expect("it is shared").host = Some(other))
    }),
    (Rule::TitlesAreUnique, "a root gets the title of another", |case| {
        let (first, _) = case.own(|_, it| it.root.is_none())?;
        let (second, _) = case.own(|number, it| it.root.is_none() && number != first)?;
        case.but(|it| it.instance(second).title = case.after.instances[&first].title)
    }),
    (Rule::RootTitleIsReserved, "a child gets the title of its root", |case| {
        let (child, _) = case.own(|_, it| it.root.is_some())?;
        let root = case.after.root_of(child);
        case.but(|it| it.instance(child).title = case.after.instances[&root].title)
    }),
    (Rule::ReferencesAreUnique, "a shared instance gets the reference of another", |case| {
        let (first, _) = case.shared(|_, _| true)?;
        let (second, _) = case.shared(|number, _| number != first)?;
        let reference = case.after.instances[&first].shared?.reference;
        case.but(|it| it.instance(second).shared.as_mut().expect("it is shared").reference = reference)
    }),
    (Rule::NoChildWithoutRoot, "a root is gone", |case| {
        let (child, _) = case.own(|_, it| it.root.is_some())?;
        let root = case.after.root_of(child);
        case.but(|it| it.remove(root))
    }),
    (Rule::NoChildWithoutRoot, "the root of a child is a child", |case| {
        let (child, _) = case.own(|_, it| it.root.is_some())?;
        let (other, _) = case.own(|number, it| it.root.is_some() && number != child)?;
        case.but(|it| it.instance(child).root = Some(other))
    }),
    (Rule::NoChildWithoutRoot, "the root of a child is a shared instance", |case| {
        let (child, _) = case.own(|_, it| it.root.is_some())?;
        let (other, _) = case.shared(|_, it| it.root.is_none())?;
        case.but(|it| it.instance(child).root = Some(other))
    }),
    (Rule::RequesterIsOfTheTree, "a root has a requester", |case| {
        let (root, _) = case.own(|_, it| it.root.is_none())?;
        let (other, _) = case.own(|number, _| number != root)?;
        case.but(|it| it.instance(root).requester = Some(other))
    }),
    (Rule::RequesterIsOfTheTree, "a child has no requester", |case| {
        let (child, _) = case.own(|_, it| it.root.is_some())?;
        case.but(|it| it.instance(child).requester = None)
    }),
    (Rule::RequesterIsOfTheTree, "the requester of a child is of another tree", |case| {
        let (child, _) = case.own(|_, it| it.root.is_some())?;
        let (other, _) = case.own(|number, _| case.after.root_of(number) != case.after.root_of(child))?;
        case.but(|it| it.instance(child).requester = Some(other))
    }),
    (Rule::RequesterIsOfTheTree, "a shared instance of the tree is the requester of a child", |case| {
        let (shared, _) = case.shared(|_, it| it.root.is_some())?;
        let (child, _) = case.own(|_, it| it.root == case.after.instances[&shared].root)?;
        case.but(|it| it.instance(child).requester = Some(shared))
    }),
    (Rule::NoCycle, "a child requested itself", |case| {
        let (child, _) = case.own(|_, it| it.root.is_some())?;
        case.but(|it| it.instance(child).requester = Some(child))
    }),
    (Rule::DestroyedTree, "a child is wanted below a root that goes", |case| {
        let root =
            |it: &slap_model::state::Instance| it.root.and_then(|root| case.after.instances.get(&root));
        let (child, _) = case.own(|_, it| root(it).is_some_and(|root| root.state == Wanted::Destroyed))?;
        case.but(|it| it.instance(child).state = Wanted::Stopped)
    }),
    (Rule::StoppedTree, "a child is started below a stopped root", |case| {
        let root =
            |it: &slap_model::state::Instance| it.root.and_then(|root| case.after.instances.get(&root));
        let (child, _) = case.own(|_, it| root(it).is_some_and(|root| root.state == Wanted::Stopped))?;
        case.but(|it| it.instance(child).state = Wanted::Started)
    }),
    (Rule::NoReportOfNobody, "a report stays when its instance went", |case| {
        let gone =
            case.before.instances.iter().find(|(number, _)| !case.after.instances.contains_key(number))?;
        let place = gone.1.place?;
        let about = case.after.slot(place)?.rank;
        case.but(|it| it.slot(place).status = Some(Status { about, word: Word::Started }))
    }),
    (Rule::NoReportFromTheFuture, "a report is about a timestamp to come", |case| {
        let (_, place) = case.own(|_, it| case.after.slot(it.place.unwrap_or(NOWHERE)).is_some())?;
        let about = case.after.slot(place)?.rank + 1;
        case.but(|it| it.slot(place).status = Some(Status { about, word: Word::Started }))
    }),
    (Rule::RunsOnce, "services run twice", |case| deployed(case, |_, it| it.started, |it| it.services = 2)),
    (Rule::StoppedDoesNotRun, "stopped services run", |case| {
        deployed(case, |_, it| !it.started, |it| it.services = 1)
    }),
    (Rule::FreeIsEmpty, "an instance went before its node emptied the partition", |case| {
        let is_theirs = |place: Place, _: Deployed| case.after.tenant(place).is_some();
        let (place, _) = super::node::deployments(case).into_iter().find(|(at, it)| is_theirs(*at, *it))?;
        let (number, _) = case.after.tenant(place)?;
        case.but(|it| it.remove(number))
    }),
];

fn deployed(
    case: &super::Case,
    is_it: fn(Place, Deployed) -> bool,
    change: fn(&mut Deployed),
) -> Option<super::Case> {
    let (place, _) = super::node::deployments(case).into_iter().find(|(place, it)| is_it(*place, *it))?;
    case.but(|it| {
        let node = it.after.nodes.get_mut(&place.computer).expect("it was found there");
        change(node.deployed.get_mut(&place.partition).expect("it was found there"));
    })
}
