//! What is removed or repaired by hand in a lab of a world in memory is seen soon. Time there passes as it is waited for.

use simulator::{lab::Lab, world::World};
use slap_impl::env::Exit;
use std::{path::Path, time::Duration};

/// The longest time until a repair is looked at, and what it then takes.
const SOON: Duration = Duration::from_secs(10 + 5);
/// So long all pauses have grown to their longest.
const LONG: Duration = Duration::from_secs(240);

const SOFTWARE: &str = "[buildout]\nparts = instance-profile\n\n[instance-profile]\nrecipe = slapos.recipe.build:download\n\
                        url = ${:_profile_base_location_}/instance.cfg\ndestination = ${buildout:directory}/instance.cfg\n";

const INSTANCE: &str = "\
[buildout]
parts = promise
eggs-directory = /nonexistent
develop-eggs-directory = /nonexistent

[directory]
recipe = slapos.cookbook:mkdirectory
promise = ${buildout:directory}/etc/promise

[promise]
recipe = slapos.cookbook:wrapper
command-line = test -e /tmp/release/witness
wrapper-path = ${directory:promise}/witnessed
";

fn write(lab: &Lab, name: &str, text: &str) {
    let directory = Path::new("/tmp/release");
    lab.user.files().create_directory(directory, 0o755).expect("it can be made");
    lab.user.files().write(&directory.join(name), text.as_bytes(), 0o644).expect("it can be written");
}

/// An instance that does not become green for long, and what repairs it: then it is green soon.
async fn check(lab: &Lab, software: &str, repair: impl Fn(&Lab)) {
    write(lab, "instance.cfg", INSTANCE);
    write(lab, "software.cfg", software);
    lab.done("supply /tmp/release/software.cfg COMP-1").await;
    lab.done("request patient /tmp/release/software.cfg --node computer_guid=COMP-1").await;
    lab.user.sleep(LONG).await;
    assert_ne!(lab.slap("lab wait --timeout 1s").await.0, Exit::DONE);
    repair(lab);
    let start = lab.user.clock().elapsed();
    while lab.slap("lab wait --timeout 1s").await.0 != Exit::DONE {
        let passed = lab.user.clock().elapsed() - start;
        assert!(passed < SOON, "not green after {passed:?}");
        lab.user.sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn a_promise_that_is_repaired_is_green_soon_however_long_it_failed() {
    for seed in 1..4 {
        World::run(seed, async |world| {
            let lab = Lab::new(world);
            lab.done("lab up --nodes 1 --empty").await;
            check(&lab, SOFTWARE, |lab| write(lab, "witness", "")).await;
        });
    }
}

#[test]
fn a_release_whose_profile_is_repaired_is_built_soon_however_long_it_failed() {
    for seed in 1..4 {
        World::run(seed, async |world| {
            let lab = Lab::new(world);
            lab.done("lab up --nodes 1 --empty").await;
            write(&lab, "witness", "");
            let broken = SOFTWARE.replace("slapos.recipe.build:download", "no.such.recipe");
            check(&lab, &broken, |lab| write(lab, "software.cfg", SOFTWARE)).await;
        });
    }
}

#[test]
fn directories_of_a_node_that_are_removed_come_back() {
    for seed in 1..4 {
        World::run(seed, async |world| {
            let lab = Lab::new(world);
            lab.done("lab up --nodes 1").await;
            let runs = |lab: &Lab| -> Vec<_> {
                let processes = lab.world.processes().into_iter();
                processes
                    .filter(|(_, line)| line.contains("hello-http"))
                    .map(|(identity, _)| identity)
                    .collect()
            };
            for (name, is_same) in [
                ("instance/.slap", true),
                ("software/.slap", true),
                ("software", true),
                ("instance/slappart0", false),
            ] {
                let before = runs(&lab);
                let path = Path::new("/tmp/lab/nodes/COMP-1").join(name);
                lab.user.files().remove_tree(&path).expect("it is there");
                lab.user.sleep(SOON).await;
                assert!(lab.user.files().is_directory(&path), "{name} is made again");
                lab.done("lab wait").await;
                let after = runs(&lab);
                assert_eq!((after.len(), after == before), (1, is_same), "{name}: {before:?} {after:?}");
            }
        });
    }
}

#[test]
fn nothing_is_made_where_a_lab_was_that_was_moved_or_removed() {
    for seed in 1..4 {
        World::run(seed, async |world| {
            let lab = Lab::new(world);
            lab.done("lab up --nodes 1").await;
            let files = lab.user.files();
            let (made_in, moved) = (Path::new("/tmp/lab"), Path::new("/tmp/moved"));
            let before = lab.world.processes();
            files.rename(made_in, moved).expect("it is there");
            lab.user.sleep(LONG).await;
            assert!(!files.exists(made_in), "{:?}", files.list(made_in));
            // Back in its place it is as it was.
            files.rename(moved, made_in).expect("nothing is in the way");
            lab.user.sleep(SOON).await;
            lab.done("lab wait --timeout 10s").await;
            assert_eq!(lab.world.processes(), before);
            files.remove_tree(made_in).expect("it is there");
            lab.user.sleep(LONG).await;
            assert!(!files.exists(made_in), "{:?}", files.list(made_in));
            lab.done("lab down --dir /tmp/lab").await;
            assert!(!files.exists(made_in), "{:?}", files.list(made_in));
        });
    }
}
