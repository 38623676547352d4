//! Whole runs on real directories, with small recipes of their own.
//!
//! * `write`: writes `content` to `output`; sets `seen` when constructed
//! * `fail`: notes `output`, writes it, and fails
//! * `reader`: reads all of section `from` when constructed
//! * `once`: has a hidden option that differs in each run, and keeps its `number` from the last run
//! * `nested`: runs `file` as a buildout inside

use super::{
    engine::{self, Outcome, Settings},
    recipe::{Construct, Nested, NothingToInstall, OptionMap, Options, Part, Place, Recipe, RecipeError},
    registry::Registry,
};
use crate::{
    env::{Address, Either, Env, LocalFuture, race, real},
    wire::http::server,
};
use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

type Constructed<'a> = LocalFuture<'a, Result<Box<dyn Recipe>, RecipeError>>;
type Done<'a> = LocalFuture<'a, Result<Vec<PathBuf>, RecipeError>>;

const RECIPES: &[(&str, Construct)] = &[
    ("write", construct_write),
    ("fail", construct_fail),
    ("reader", construct_reader),
    ("once", construct_once),
    ("nested", construct_nested),
];

struct Write;

impl Recipe for Write {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            let path = part.absolute(part.required("output")?);
            let content = part.get_or("content", "");
            part.env().files().write(&path, content.as_bytes(), 0o666 & !part.umask()).expect("written");
            Ok(vec![path])
        })
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            match part.get("fail-update") {
                Some(message) => Err(part.error(Some("fail-update"), message)),
                None => Ok(Vec::new()),
            }
        })
    }
}

fn construct_write(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        options.set("seen", options.section());
        options.get("fail-update");
        Ok(Box::new(Write) as Box<dyn Recipe>)
    })
}

struct Fail;

impl Recipe for Fail {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            let path = part.absolute(part.required("output")?);
            part.created(&path);
            part.env().files().write(&path, b"half", 0o600).expect("written");
            Err(part.error(Some("output"), "it cannot be done").hint("do not"))
        })
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        self.install(part)
    }
}

fn construct_fail(_: &dyn Options) -> Constructed<'_> {
    Box::pin(async { Ok(Box::new(Fail) as Box<dyn Recipe>) })
}

fn construct_reader(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        let from = options.required("from")?;
        let names: Vec<String> = options.other(&from).await?.into_keys().collect();
        options.set("names", &names.join(" "));
        Ok(Box::new(Write) as Box<dyn Recipe>)
    })
}

fn construct_once(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        let random = u64::from_le_bytes(options.env().random_bytes(8).try_into().expect("8 bytes"));
        options.set("volatile", &random.to_string());
        options.hide("volatile");
        let kept = options.previous().and_then(|previous| previous.get("number").cloned());
        options.set("number", &kept.unwrap_or_else(|| random.to_string()));
        Ok(Box::new(NothingToInstall) as Box<dyn Recipe>)
    })
}

struct Inside(Nested);

impl Recipe for Inside {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            part.run_nested(self.0.clone()).await?;
            Ok(Vec::new())
        })
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        self.install(part)
    }
}

fn construct_nested(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        let nested = Nested {
            file: options.absolute(options.required("file")?),
            overrides: vec![("x".into(), "output".into(), "nested-file".into())],
            injected: [("slap".to_owned(), OptionMap::from([("name".to_owned(), "Ada".to_owned())]))].into(),
            installed: options.absolute(format!(".installed-{}.cfg", options.section())),
            ..Nested::default()
        };
        Ok(Box::new(Inside(nested)) as Box<dyn Recipe>)
    })
}

/// A buildout directory.
struct House {
    directory: tempfile::TempDir,
}

impl House {
    fn new() -> House {
        House { directory: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        real::env().files().write(&self.path(name), content.as_bytes(), 0o600).expect("written");
    }

    fn read(&self, name: &str) -> Option<String> {
        real::env().files().read_text(&self.path(name), 1 << 20).ok()
    }

    fn run_with(&self, change: impl FnOnce(&mut Settings)) -> Result<Outcome, RecipeError> {
        let mut settings = Settings::new(self.path("buildout.cfg").display().to_string(), Registry(RECIPES));
        settings.quiet = true;
        change(&mut settings);
        real::block_on_env(real::env(), |env: Env| async move { engine::run(&env, settings).await })
    }

    fn run(&self, profile: &str) -> Result<Outcome, RecipeError> {
        self.write("buildout.cfg", profile);
        self.run_with(|_| {})
    }

    /// Runs and compares `(uninstalled, installed, updated)`.
    fn check(&self, profile: &str, uninstalled: &str, installed: &str, updated: &str) {
        let outcome = self.run(profile).unwrap_or_else(|error| panic!("{profile}: {error}"));
        let found = [outcome.uninstalled, outcome.installed, outcome.updated].map(|parts| parts.join(" "));
        assert_eq!(found, [uninstalled, installed, updated], "{profile}");
    }
}

/// The value of option `content` of section `x`.
fn check_value(profile: &str, expected: &str) {
    let house = House::new();
    let profile = format!("[buildout]\nparts = x\n[x]\nrecipe = write\noutput = out\n{profile}");
    house.run(&profile).unwrap_or_else(|error| panic!("{profile}: {error}"));
    assert_eq!(house.read("out").as_deref(), Some(expected), "{profile}");
}

fn check_error(profile: &str, line: u32, section: &str, part: &str) {
    let house = House::new();
    let error = house.run(profile).expect_err(profile);
    let text = error.to_string();
    assert!(text.contains(part), "{profile}: {text}");
    let place = error.place.unwrap_or_else(|| panic!("no place: {text}"));
    assert_eq!((place.line, error.section.as_deref()), (line, Some(section)), "{profile}: {text}");
    assert!(place.file.ends_with("buildout.cfg"), "{text}");
}

#[test]
fn substitution() {
    check_value("content = ${y:a}-${:b}-${x:b}\nb = 2\n[y]\na = 1\n", "1-2-2");
    check_value(
        "content = ${:_buildout_section_name_} ${y:n}\n[y]\nn = ${:_buildout_section_name_}\n",
        "x y",
    );
    check_value("<= m\n[m]\ncontent = ${:_buildout_section_name_}${:c}\nc = 3\n", "x3");
    // The escape, the lone double dollar, and three dollars.
    check_value("content = $${a:b} $$ $$$${c:d}\n", "${a:b} $$ $$${c:d}");
    check_value("content = ${y:a}\n[y]\na = $${b:c}\n", "${b:c}");
    // A value that is one reference keeps its text, so its type.
    check_value("content = ${y:a}\n[y]\na = !py!{'b': [1]}\n", "!py!{'b': [1]}");
    // Sections may refer to each other, options may not.
    check_value("content = ${y:a}\nb = 2\n[y]\na = ${x:b}\n", "2");
    // What a recipe sets is there for those that refer to it.
    check_value("content = ${y:seen}\n[y]\nrecipe = write\noutput = other\n", "y");
    // A reference to another section's name is the name of the one that refers.
    check_value("content = ${y:_buildout_section_name_}\n[y]\na = 1\n", "x");
}

#[test]
fn errors_name_file_section_and_line() {
    check_error("[buildout]\nparts = x\n", 2, "buildout", "'x', was not defined");
    check_error("[buildout]\nparts = x\n[x]\na = 1\n", 3, "x", "Missing option: x:recipe");
    check_error("[buildout]\nparts = x\n[x]\nrecipe = wriet\n", 4, "x", "the nearest one is \"write\"");
    check_error("[buildout]\nparts = x\n[x]\nrecipe =\na = ${y:b}\n", 5, "x", "'y', was not defined");
    check_error(
        "[buildout]\nparts = x\n[x]\nrecipe =\na = ${y:bat}\n[y]\nbad = 1\n",
        5,
        "x",
        "did you mean ${y:bad}?",
    );
    check_error("[buildout]\nparts = x\n[x]\nrecipe =\na = ${:b}\nb = ${:a}\n", 5, "x", "x:a -> x:b -> x:a");
    check_error(
        "[buildout]\nparts = x\n[x]\nrecipe =\na = ${y:b}\n[y]\nb = ${x:a}\n",
        7,
        "y",
        "Circular reference",
    );
    check_error("[buildout]\nparts = x\n[x]\nrecipe =\n<= m\n", 5, "x", "\"m\"");
    check_error("[buildout]\nextends = gone.cfg\n", 2, "buildout", "gone.cfg");
    check_error("[buildout]\n\nextends = https://h/x.cfg\n", 3, "buildout", "https");
    check_error("[buildout]\nextends = buildout.cfg\n", 2, "buildout", "extends itself");
    check_error("[buildout]\nextends += x.cfg\n", 2, "buildout", "`extends` with");
    check_error("[buildout]\nextensions = x\n", 2, "buildout", "buildout:extensions");
    check_error("[buildout]\nparts = x\n[x]\nrecipe = fail\noutput = o\n", 5, "x", "hint: do not");
    check_error("[buildout]\nparts = x\n[x]\nrecipe =\na = ${b}\n", 5, "x", "doesn't contain a colon");
}

#[test]
fn values_are_bounded() {
    let mut profile = "[buildout]\nparts = x\n[x]\nrecipe =\na0 = 0123456789abcdef\n".to_owned();
    for number in 1..40 {
        profile.push_str(&format!("a{number} = ${{:a{0}}}${{:a{0}}}\n", number - 1));
    }
    let error = House::new().run(&profile).expect_err("too long");
    assert!(error.to_string().contains("longer than"), "{error}");
    let mut profile = "[buildout]\nparts = s0\n".to_owned();
    for number in 0..5000 {
        profile.push_str(&format!("[s{number}]\nrecipe =\na = ${{s{}:a}}\n", number + 1));
    }
    let error = House::new().run(&profile).expect_err("too deep");
    assert!(error.to_string().contains("in a chain"), "{error}");
}

#[test]
fn install_order_is_that_of_references() {
    let house = House::new();
    let part = |name: &str, more: &str| format!("[{name}]\nrecipe = write\noutput = {name}\n{more}\n");
    let profile = format!(
        "[buildout]\nparts = a b\n{}{}{}{}[data]\nrecipe =\nv = ${{d:output}}\n",
        part("a", "content = ${data:v}${c:output}"),
        part("b", ""),
        part("c", "content = ${d:output}"),
        part("d", ""),
    );
    house.check(&profile, "", "d c a b", "");
    house.check(&profile, "", "", "d c a b");
}

#[test]
fn parts_live_and_die() {
    let house = House::new();
    let both =
        "[buildout]\nparts = a b\n[a]\nrecipe = write\noutput = fa\n[b]\nrecipe = write\noutput = fb\n";
    house.check(both, "", "a b", "");
    assert!(house.read(".installed.cfg").expect("saved").contains("parts = a b\n"));
    house.check(both, "", "", "a b");
    // Another option: installed anew.
    let changed = both.replace("output = fb", "output = fb2");
    house.check(&changed, "b", "b", "a");
    assert_eq!((house.read("fb"), house.read("fb2")), (None, Some(String::new())));
    // A path vanished.
    real::env().files().remove_file(&house.path("fa")).expect("removed");
    house.check(&changed, "a", "a", "b");
    // Not wanted any more, last one first.
    house.check("[buildout]\nparts =\n", "b a", "", "");
    assert_eq!((house.read("fa"), house.read("fb2"), house.read(".installed.cfg")), (None, None, None));
}

#[test]
fn a_part_follows_the_sections_that_it_refers_to() {
    let house = House::new();
    let profile = |value: &str| {
        format!(
            "[buildout]\nparts = a c\n[a]\nrecipe = reader\nfrom = b\noutput = fa\n[b]\nrecipe = write\noutput = fb\nv = {value}\n\
             [c]\nrecipe = write\noutput = fc\n"
        )
    };
    house.check(&profile("1"), "", "b a c", "");
    house.check(&profile("1"), "", "", "b a c");
    house.check(&profile("2"), "a b", "b a", "c");
}

#[test]
fn hidden_options_and_the_last_run() {
    let house = House::new();
    let profile = "[buildout]\nparts = a\n[a]\nrecipe = once\n";
    house.check(profile, "", "a", "");
    let first = house.read(".installed.cfg").expect("saved");
    assert!(!first.contains("volatile"), "{first}");
    house.check(profile, "", "", "a");
    assert_eq!(house.read(".installed.cfg"), Some(first));
}

#[test]
fn a_failure_is_remembered_rightly() {
    let house = House::new();
    let profile = "[buildout]\nparts = a b c\n[a]\nrecipe = write\noutput = fa\n[b]\nrecipe = fail\noutput = fb\n\
                   [c]\nrecipe = write\noutput = fc\n";
    let error = house.run(profile).expect_err("it fails").to_string();
    assert!(error.starts_with("While:\n  Installing b.\nError: it cannot be done\n"), "{error}");
    assert_eq!((house.read("fa"), house.read("fb"), house.read("fc")), (Some(String::new()), None, None));
    house.check(&profile.replace("= fail", "= write"), "", "b c", "a");
    // An update that fails takes the part away.
    house.run(&profile.replace("= fail", "= write\nfail-update = no")).expect("b is installed anew");
    let error = house.run(&profile.replace("= fail", "= write\nfail-update = no")).expect_err("it fails");
    assert_eq!(error.during, ["Updating b"]);
    assert_eq!(house.read("fb"), None);
    house.check(&profile.replace("= fail", "= write"), "", "b", "a c");
}

#[test]
fn nothing_outside_is_deleted() {
    let outer = House::new();
    outer.write("precious", "data");
    let house = House::new();
    house.write(
        ".installed.cfg",
        &format!(
            "[buildout]\nparts = a b\n[a]\n__buildout_installed__ = {0}\n\t{1}\nrecipe = write\n\
             [b]\n__buildout_installed__ = link/precious\nrecipe = write\n",
            outer.path("precious").display(),
            house.path(".").display()
        ),
    );
    real::env().files().symlink(outer.directory.path(), &house.path("link")).expect("linked");
    house.check("[buildout]\nparts =\n", "b a", "", "");
    assert_eq!(outer.read("precious").as_deref(), Some("data"));
}

#[test]
fn a_damaged_installed_file_stops_the_run() {
    let house = House::new();
    house.write(".installed.cfg", "parts of something\n");
    let error = house.run("[buildout]\nparts =\n").expect_err("damaged").to_string();
    assert!(error.contains(".installed.cfg:1") && error.contains("hint: the file is damaged"), "{error}");
    assert_eq!(house.read(".installed.cfg").as_deref(), Some("parts of something\n"));
}

#[test]
fn a_buildout_inside_a_buildout() {
    let house = House::new();
    house.write(
        "inner.cfg",
        "[buildout]\nparts = slap x\n[slap]\nrecipe = anything\n[x]\nrecipe = write\noutput = unused\ncontent = ${slap:name}\n",
    );
    let profile = "[buildout]\nparts = switch\n[switch]\nrecipe = nested\nfile = inner.cfg\n";
    house.check(profile, "", "switch", "");
    assert_eq!(house.read("nested-file").as_deref(), Some("Ada"));
    let inner = house.read(".installed-switch.cfg").expect("saved");
    assert!(inner.contains("parts = x\n"), "{inner}");
    assert!(house.read(".installed.cfg").expect("saved").contains("parts = switch\n"));
    house.check(profile, "", "", "switch");
    // It runs in itself for ever, if nobody counts.
    house.write("inner.cfg", "[buildout]\nparts = switch\n[switch]\nrecipe = nested\nfile = inner.cfg\n");
    let error = house.run(profile).expect_err("too deep");
    assert!(error.to_string().contains("buildouts run inside each other"), "{error}");
}

#[test]
fn extends_and_overrides() {
    let house = House::new();
    real::env().files().create_directory(&house.path("sub"), 0o700).expect("made");
    house
        .write("sub/base.cfg", "[buildout]\nextends = ../top.cfg\n[x]\nbase = ${:_profile_base_location_}\n");
    house.write("top.cfg", "[buildout]\nparts = x\n[x]\nrecipe = write\noutput = out\nlist =\n  1\n  2\n");
    house.write(
        "buildout.cfg",
        "[buildout]\nextends = sub/base.cfg top.cfg\n[x]\nlist -= 1\ncontent = ${:list} ${:base} ${y:z}\n[y]\nz = 3\n",
    );
    house.run_with(|_| {}).expect("it runs");
    let base = house.path("sub").display().to_string();
    assert_eq!(house.read("out"), Some(format!("2 {base} 3")));
    house
        .run_with(|settings| settings.overrides.push(("y".into(), "z".into(), "4".into())))
        .expect("it runs");
    assert_eq!(house.read("out"), Some(format!("2 {base} 4")));
}

/// Serves profiles at `/a/b/`; everything else is not found.
struct Profiles;

impl server::Handler for Profiles {
    fn handle(self: Rc<Self>, request: server::Request) -> LocalFuture<'static, server::Response> {
        let text = match request.path.as_str() {
            "/a/b/main.cfg" => {
                "[buildout]\nextends = ../base.cfg sub/more.cfg\n[x]\ncontent = ${:base} ${:more}\n"
            }
            "/a/base.cfg" => {
                "[buildout]\nparts = x\n[x]\nrecipe = write\noutput = out\nbase = ${:_profile_base_location_}\n"
            }
            "/a/b/sub/more.cfg" => "[x]\nmore = 1\n",
            "/a/b/broken.cfg" => "[buildout]\n\nextends =\n  gone.cfg\n",
            _ => return Box::pin(async { server::Response::text(404, "gone") }),
        };
        Box::pin(async move { server::Response::text(200, text) })
    }
}

#[test]
fn profiles_by_http() {
    let house = House::new();
    real::block_on_env(real::env(), |env: Env| async move {
        let any_port = Address::Tcp("127.0.0.1:0".parse().expect("an address"));
        let listener = env.network().listen(&any_port).expect("it listens");
        let base = format!("http://{}/a", listener.address());
        let run = async |name: &str, offline: &str| {
            let mut settings = Settings::new(format!("{base}/b/{name}"), Registry(RECIPES));
            settings.quiet = true;
            settings.directory = Some(house.directory.path().to_owned());
            let set =
                |option: &str, value: &str| ("buildout".to_owned(), option.to_owned(), value.to_owned());
            settings.overrides = vec![set("extends-cache", "cache"), set("offline", offline)];
            engine::run(&env, settings).await
        };
        let tests = async {
            let error = run("main.cfg", "true").await.expect_err("nothing is in the cache yet").to_string();
            assert!(error.contains("the run is offline") && error.contains("hint: "), "{error}");
            run("main.cfg", "false").await.expect("it runs");
            assert_eq!(house.read("out"), Some(format!("{base} 1")));
            run("main.cfg", "true").await.expect("the cache has it all");
            let error = run("broken.cfg", "false").await.expect_err("it extends what is not there");
            let place = Place { file: format!("{base}/b/broken.cfg").into(), line: 3 };
            assert_eq!((error.place, error.section.as_deref()), (Some(place), Some("buildout")));
            assert!(
                error.message.contains("/a/b/gone.cfg was answered with status 404"),
                "{}",
                error.message
            );
        };
        match race(tests, server::serve(&env, listener, server::Limits::default(), Rc::new(Profiles))).await {
            Either::First(()) => {}
            Either::Second(()) => panic!("the server ended"),
        }
    });
}

#[test]
fn directories_and_only_some_parts() {
    let house = House::new();
    let both =
        "[buildout]\nparts = a b\n[a]\nrecipe = write\noutput = fa\n[b]\nrecipe = write\noutput = fb\n";
    house.check(both, "", "a b", "");
    let names = real::env().files().list(house.directory.path()).expect("listed");
    let expected =
        [".installed.cfg", ".slap-buildout.lock", "bin", "buildout.cfg", "develop-eggs", "fa", "fb", "parts"];
    assert_eq!(names, expected);
    let outcome = house.run_with(|settings| settings.parts = vec!["b".to_owned()]).expect("it runs");
    assert_eq!(outcome.updated, ["b"]);
    assert!(house.read(".installed.cfg").expect("saved").contains("parts = a b\n"));
}

#[test]
fn a_killed_run_is_cleaned_up() {
    let house = House::new();
    let one = "[buildout]\nparts = a\n[a]\nrecipe = write\noutput = fa\ncontent = 1\n";
    house.check(one, "", "a", "");
    // A run wrote other content and another part, was killed, and left half a line.
    house.write("fa", "2");
    house.write("fb", "2");
    let line = |part: &str, path: &str| {
        format!("{{\"part\":\"{part}\",\"paths\":[\"{}\"]}}\n", house.path(path).display())
    };
    house.write(".installed.cfg.journal", &format!("{}{}{{\"part\":\"c", line("a", "fa"), line("b", "fb")));
    house.check(one, "b a", "a", "");
    assert_eq!((house.read("fa").as_deref(), house.read("fb")), (Some("1"), None));
    assert_eq!(house.read(".installed.cfg.journal"), None);
    house.check(one, "", "", "a");
}

#[test]
fn two_runs_do_not_meet() {
    let house = House::new();
    let lock = real::env().files().lock(&house.path(".slap-buildout.lock")).expect("no error");
    assert!(lock.is_some());
    let error = house.run("[buildout]\nparts =\n").expect_err("locked");
    assert!(error.to_string().contains("another buildout runs"), "{error}");
    drop(lock);
    house.run("[buildout]\nparts =\n").expect("it runs");
}

#[test]
fn large_profiles_are_quick() {
    let mut profile = "[buildout]\nparts =".to_owned();
    for number in 0..500 {
        profile.push_str(&format!(" s{number}"));
    }
    for number in 0..500 {
        profile.push_str(&format!("\n[s{number}]\nrecipe =\na0 = value\n"));
        for option in 1..20 {
            profile.push_str(&format!("a{option} = ${{:a{}}} ${{s{}:a0}}\n", option - 1, (number * 7) % 500));
        }
    }
    let house = House::new();
    let clock = real::env();
    let begin = clock.clock().elapsed();
    house.run(&profile).expect("it runs");
    let seconds = (clock.clock().elapsed() - begin).as_secs_f64();
    assert!(seconds < 5.0, "10,000 options took {seconds} s");
    println!("10,000 options took {seconds} s");
}

#[test]
fn the_directory_of_a_run_is_absolute() {
    let house = House::new();
    house.run("[buildout]\nparts = x\nbin-directory = ${buildout:directory}/sbin\n[x]\nrecipe = write\noutput = out\n\
               content = ${buildout:bin-directory} ${buildout:installed}\n").expect("it runs");
    let directory = Path::new(house.directory.path()).display().to_string();
    assert_eq!(house.read("out"), Some(format!("{directory}/sbin {directory}/.installed.cfg")));
    assert!(real::env().files().is_directory(&house.path("sbin")));
}
