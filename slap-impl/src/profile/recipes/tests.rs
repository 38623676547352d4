//! Whole runs with the real recipes in temporary directories. The expected files and modes are what the sources of the
//! Python recipes say (slapos.recipe.template 5.1, slapos.recipe.build 0.66, slapos.cookbook 1.0.499), with umask 027.

use super::REGISTRY;
use crate::{
    env::{Address, Env, real},
    profile::engine::{self, Outcome, Settings},
};
use std::{path::PathBuf, rc::Rc};

struct World {
    _outer: tempfile::TempDir,
    directory: PathBuf,
    env: Env,
}

impl World {
    fn new() -> World {
        let outer = tempfile::tempdir().expect("a directory");
        let directory = outer.path().join("partition");
        let env = real::env_with_executable("/opt/slap".as_ref());
        env.files().create_directory(&directory, 0o750).expect("made");
        World { _outer: outer, directory, env }
    }

    fn write(&self, name: &str, content: &str) {
        self.env.files().write(&self.directory.join(name), content.as_bytes(), 0o640).expect("written");
    }

    fn read(&self, name: &str) -> String {
        let path = self.directory.join(name);
        self.env.files().read_text(&path, 1 << 20).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn mode(&self, name: &str) -> u32 {
        self.env.files().metadata(&self.directory.join(name)).expect("there").mode
    }

    fn exists(&self, name: &str) -> bool {
        self.env.files().exists(&self.directory.join(name))
    }

    async fn run(&self, profile: &str) -> Result<Outcome, String> {
        // A line of a profile that begins with `@` stands for the directory.
        self.write("buildout.cfg", &profile.replace('@', &self.directory.display().to_string()));
        let mut settings = Settings::new(self.directory.join("buildout.cfg").display().to_string(), REGISTRY);
        settings.quiet = true;
        engine::run(&self.env, settings).await.map_err(|error| error.to_string())
    }
}

/// Runs `work` in a world of its own.
fn in_world<T, F: Future<Output = T>>(work: impl FnOnce(Rc<World>) -> F) -> T {
    let world = Rc::new(World::new());
    real::block_on_env(world.env.clone(), |_| work(world))
}

fn fails(profile: &str, expected: &str) {
    in_world(|world| async move {
        let error = world.run(profile).await.expect_err(profile);
        assert!(error.contains(expected), "{profile}\n{error}");
    });
}

#[test]
fn templates_are_substituted_and_keep_what_is_escaped() {
    in_world(|world| async move {
        world.write("a.in", "#!/bin/sh\n${x:y} $${x:y} $$$$ $HOME\n");
        let profile = "[buildout]\nparts = a b c\n[x]\ny = 1\n\
            [a]\nrecipe = slapos.recipe.template\nurl = @/a.in\noutput = @/sub/a\n\
            [b]\nrecipe = slapos.recipe.template\ninline =\n  one\n    ${x:y} $${x:y}\noutput = @/b\n\
            [c]\nrecipe = slapos.recipe.template\ninline = #!/no/such/interpreter\noutput = @/c\nmode = 0604\n";
        world.run(profile).await.unwrap();
        assert_eq!(world.read("sub/a"), "#!/bin/sh\n1 ${x:y} $$ $HOME\n");
        assert_eq!(world.read("b"), "one\n  1 ${x:y}");
        assert_eq!(
            [world.mode("sub"), world.mode("sub/a"), world.mode("b"), world.mode("c")],
            [0o750, 0o750, 0o640, 0o604]
        );
        // A changed source is seen by an update; a part that is gone takes its file along.
        world.write("a.in", "new ${x:y}\n");
        let outcome = world.run(profile).await.unwrap();
        assert_eq!(outcome.updated, ["a", "b", "c"]);
        assert_eq!((world.read("sub/a"), world.mode("sub/a")), ("new 1\n".to_owned(), 0o640));
        world.run("[buildout]\nparts =\n").await.unwrap();
        assert!(!world.exists("sub/a") && !world.exists("b") && world.exists("a.in"));
    });
}

#[test]
fn templates_that_cannot_be_are_refused() {
    for (options, expected) in [
        ("output = o", "one of the options 'inline' and 'url' is required"),
        ("inline = x\nurl = y\noutput = o", "exclude each other"),
        ("inline = x\nmd5sum = 1\noutput = o", "exclude each other"),
        ("inline = x", "option \"output\" is missing"),
        ("inline = x\noutput = o\nmode = 0x8", "expected octal digits"),
        ("url = nothere\noutput = o", "cannot be read"),
        ("url = https://h/x\noutput = o", "the scheme https is not supported yet"),
        ("url = @/t.in\nmd5sum = 00\noutput = o", "cannot be read"),
    ] {
        fails(&format!("[buildout]\nparts = a\n[a]\nrecipe = slapos.recipe.template\n{options}\n"), expected);
    }
}

#[test]
fn jinja2_templates_have_their_context() {
    in_world(|world| async move {
        world.write("lib.in", "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}");
        world.write(
            "t.in",
            "{% import 'lib' as lib %}{% set l = [] %}{% do l.append(k) %}{{ l }} {{ t['a'][0] }} {{ r }} {{ s.n }} \
             {{ j.x }} {{ own }} {{ json.dumps(t) }} {{ lib.twice('q') }} {{ dumps(t) }} ${x:y} {{ u }}\n",
        );
        let profile = "[buildout]\nparts = a b\n\
            [x]\nk = text\nt = !py!{'a': [1, None]}\nn = !py!3\nj = {\"x\": 2}\n\
            [a]\nrecipe = slapos.recipe.template:jinja2\nurl = @/t.in\noutput = @/a\nown-option = mine\n\
            extensions = jinja2.ext.do\nimport-list =\n  rawfile lib @/lib.in\ncontext =\n  key k x:k\n  key t x:t\n  \
            raw r a b\n  section s x\n  jsonkey j x:j\n  key own :own-option\n  import json json\n  json u [true]\n\
            [b]\nrecipe = slapos.recipe.template:jinja2\nrendered = @/b\ntemplate = inline:{{ 1 + 1 }}\nonce = @/b.once\n";
        world.run(profile).await.unwrap();
        assert_eq!(
            world.read("a"),
            "['text'] 1 a b 3 2 mine {\"a\": [1, null]} qq !py!{'a': [1, None]} ${x:y} [True]"
        );
        assert_eq!((world.read("b"), world.mode("a")), ("2".to_owned(), 0o640));
        assert!(world.exists("b.once"));
        // Made once, it is not tracked and not made again.
        world.env.files().remove_file(&world.directory.join("b")).unwrap();
        world.run(profile).await.unwrap();
        assert!(!world.exists("b"));
    });
}

#[test]
fn jinja2_templates_fail_with_file_and_line() {
    in_world(|world| async move {
        world.write("t.in", "one\n{{ nothing }}\n");
        let profile = "[buildout]\nparts = a\n[a]\nrecipe = slapos.recipe.template:jinja2\nurl = @/t.in\noutput = @/a\n";
        let error = world.run(profile).await.unwrap_err();
        assert!(error.contains("'nothing' is undefined") && error.contains("t.in:2"), "{error}");
        assert!(!world.exists("a"));
    });
    for (options, expected) in [
        ("inline = {{ x", "cannot be read"),
        ("inline = x\nextensions = jinja2.ext.i18n", "the Jinja extension jinja2.ext.i18n is not supported"),
        ("inline = x\ncontext = key dict x:y", "Duplicate context entry \"dict\""),
        ("inline = x\ncontext = spam a b", "context type \"spam\" is unknown"),
        ("inline = x\ncontext = raw a", "expected a type, a name and an expression"),
        ("inline = x\ncontext = key a b:c", "b"),
        ("inline = x\ncontext = import n netaddr", "the Python module netaddr is not supported"),
        ("inline = x\nimport-list = folder a b:c", "import-list type \"folder\" is not supported"),
        ("inline = x\nencoding = latin-1", "the encoding latin-1 is not supported"),
        ("inline = x\nupdate = yes", "expected true or false"),
    ] {
        fails(
            &format!(
                "[buildout]\nparts = a\n[a]\nrecipe = slapos.recipe.template:jinja2\noutput = o\n{options}\n"
            ),
            expected,
        );
    }
}

#[test]
fn directories_are_made_and_never_removed() {
    in_world(|world| async move {
        let profile = "[buildout]\nparts = a b\n\
            [a]\nrecipe = slapos.cookbook:mkdirectory\nx = @/srv/deep/x\ny = @/var\nempty =\n\
            [b]\nrecipe = slapos.cookbook:mkdirectory\nmode = 0700\nx = @/top/private\n";
        world.run(profile).await.unwrap();
        assert_eq!(
            ["srv", "srv/deep/x", "var", "top", "top/private"].map(|name| world.mode(name)),
            [0o750, 0o750, 0o750, 0o750, 0o700]
        );
        world.run("[buildout]\nparts =\n").await.unwrap();
        assert!(world.exists("srv/deep/x"));
    });
}

#[test]
fn wrappers_are_scripts() {
    in_world(|world| async move {
        world.write("data", "x");
        let profile = "[buildout]\nparts = a b\n\
            [a]\nrecipe = slapos.cookbook:wrapper\ncommand-line = /bin/echo 'a b' $HOME\nwrapper-path = @/a\n\
            environment =\n  B = 2\n  A=x y\n\
            [b]\nrecipe = slapos.cookbook:wrapper\ncommand-line = /bin/true\nwrapper-path = @/b\n\
            hash-existing-files = @/data\n";
        world.run(profile).await.unwrap();
        assert_eq!(
            world.read("a"),
            "#!/bin/sh -e\nexport A='x y'\nexport B=2\nexec /bin/echo 'a b' '$HOME' \"$@\"\n"
        );
        assert_eq!(world.mode("a"), 0o700);
        // Length and content.
        let hashed = format!("b-{}", crate::profile::source::md5_hex(b"1\nx"));
        assert!(world.exists(&hashed));
        world.write("data", "yy");
        let outcome = world.run(profile).await.unwrap();
        assert_eq!((outcome.installed, world.exists(&hashed)), (vec!["b".to_owned()], false));
        assert!(world.exists(&format!("b-{}", crate::profile::source::md5_hex(b"2\nyy"))));
    });
    for (options, expected) in [
        ("command-line = a\nwrapper-path = w\npidfile = p", "the option \"pidfile\" is not supported yet"),
        ("command-line = a\nwrapper-path = w\nwait-for-files = p", "\"wait-for-files\" is not supported yet"),
        ("command-line = a\nwrapper-path = w\nreserve-cpu = true", "\"reserve-cpu\" is not supported yet"),
        ("command-line = a\nwrapper-path = w\nsig-ign = NOPE", "invalid signal value: NOPE"),
        ("command-line = 'a\nwrapper-path = w", "No closing quotation"),
        ("command-line =\nwrapper-path = w", "command-line is empty"),
        (
            "command-line = a\nwrapper-path = w\nhash-files = /etc/passwd",
            "must only list files that are generated",
        ),
        ("command-line = a\nwrapper-path = w\nenvironment = X", "expected NAME=VALUE"),
    ] {
        fails(
            &format!("[buildout]\nparts = a\n[a]\nrecipe = slapos.cookbook:wrapper\n{options}\n"),
            expected,
        );
    }
}

#[test]
fn downloads_lie_in_a_directory_of_their_own() {
    in_world(|world| async move {
        world.write("source", "content");
        let sum = crate::profile::source::md5_hex(b"content");
        let profile = format!(
            "[buildout]\nparts = a b\n\
             [a]\nrecipe = slapos.recipe.build:download\nurl = @/source\nmd5sum = {sum}\nfilename = sub/name.txt\n\
             [b]\nrecipe = slapos.recipe.build:download\nurl = file://@/source\ndestination = @/there/b\n"
        );
        world.run(&profile).await.unwrap();
        assert_eq!(
            (world.read("parts/a/name.txt"), world.read("there/b")),
            ("content".into(), "content".into())
        );
        assert_eq!((world.mode("parts/a"), world.mode("parts/a/name.txt")), (0o750, 0o640));
        // Without a sum it is fetched again at each update.
        world.write("source", "other");
        world.run(&profile).await.unwrap();
        assert_eq!(
            (world.read("parts/a/name.txt"), world.read("there/b")),
            ("content".into(), "other".into())
        );
        let wrong = profile.replace(&sum, "0123456789abcdef0123456789abcdef");
        let error = world.run(&wrong).await.unwrap_err();
        assert!(error.contains("MD5 checksum mismatch") && !world.exists("parts/a"), "{error}");
    });
    for (options, expected) in [
        ("url = https://h/x", "the scheme https is not supported yet"),
        ("url = x\ndestination = ../out", "is not inside"),
        ("url = x\ndestination = /etc/x", "is not inside"),
        ("url = x\nfilename = a/..", "names no file"),
        ("url = x\nmode = 0644", "option 'mode' not supported"),
        ("url = x\nshared = true", "option 'md5sum' must be set"),
        ("url = http://127.0.0.1:1/x\noffline = true", "in offline mode"),
    ] {
        fails(
            &format!("[buildout]\nparts = a\n[a]\nrecipe = slapos.recipe.build:download\n{options}\n"),
            expected,
        );
    }
}

#[test]
fn plugins_say_class_and_parameters() {
    in_world(|world| async move {
        let profile = "[buildout]\nparts = a b\n\
            [a]\nrecipe = slapos.cookbook:promise.plugin\neggs = slapos.toolbox\nmodule = slapos.promise.plugin.check\n\
            output = @/a.py\nconfig-port = !py!8080\nconfig-host = it's\n\
            [b]\nrecipe = slapos.cookbook:promise.plugin\neggs =\nfile = @/p.py\nclass = Own\noutput = @/b.py\nmode = 600\n";
        world.run(profile).await.unwrap();
        let text = world.read("a.py");
        assert!(text.contains("\nsys.path[0:0] = ()\n"), "{text}");
        assert!(text.contains("\nextra_config_dict = {'host': \"it's\", 'port': 8080}\n"), "{text}");
        assert!(text.ends_with("\n\nfrom slapos.promise.plugin.check import RunPromise\n"), "{text}");
        assert!(world.read("b.py").ends_with("\n\nRunPromise = Own\n"));
        assert_eq!((world.mode("a.py"), world.mode("b.py")), (0o644, 0o600));
    });
    for (options, expected) in [
        ("", "Either 'module' or 'file' is required but not both"),
        ("module = a\nfile = b", "Either 'module' or 'file'"),
        ("module = a.1b", "\"a.1b\" is not a valid module name"),
        ("module = a\nclass = x-y", "\"x-y\" is not a valid class name"),
        ("module = a.import", "is not a valid module name"),
        ("module = a\noutput = o", "option \"eggs\" is missing"),
    ] {
        fails(
            &format!("[buildout]\nparts = a\n[a]\nrecipe = slapos.cookbook:promise.plugin\n{options}\n"),
            expected,
        );
    }
}

#[test]
fn passwords_are_made_once_and_stay_secret() {
    in_world(|world| async move {
        let profile = "[buildout]\nparts = b\n\
            [a]\nrecipe = slapos.cookbook:generate.password\nbytes = 20\n\
            [b]\nrecipe = slapos.recipe.template:jinja2\noutput = @/b\ninline = {{ p }}\ncontext = key p a:passwd\n";
        world.run(profile).await.unwrap();
        let password = world.read("b");
        assert!(password.len() == 20 && password.chars().all(|c| c.is_ascii_alphanumeric()), "{password}");
        assert_eq!(world.read("parts/a"), format!("{{\"\": \"{password}\"}}"));
        assert_eq!(world.mode("parts/a"), 0o640);
        assert!(!world.read(".installed.cfg").contains(&password));
        let outcome = world.run(profile).await.unwrap();
        assert_eq!((outcome.updated, world.read("b")), (vec!["a".to_owned(), "b".to_owned()], password));
        // The old form of the file.
        world.write("parts/a", "simple\n");
        world.run(profile).await.unwrap();
        assert_eq!(world.read("b"), "simple");
    });
    fails(
        "[buildout]\nparts = a\n[a]\nrecipe = slapos.cookbook:generate.password\nbytes = many\n",
        "expected a number from 1 to 4096",
    );
}

#[test]
fn ports_are_free_and_kept() {
    in_world(|world| async move {
        let env = world.env.clone();
        let listener = env.network().listen(&Address::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        let Address::Tcp(taken) = listener.address() else { panic!("not TCP") };
        let profile = |minimum: u16, ip: &str, maximum: u16| {
            format!(
                "[buildout]\nparts = b\n[a]\nrecipe = slapos.cookbook:free_port\nip = {ip}\nminimum = {minimum}\n\
                 maximum = {maximum}\n[b]\nrecipe = slapos.recipe.template\ninline = ${{a:port}}\noutput = @/b\n"
            )
        };
        world.run(&profile(taken.port(), "127.0.0.1", 65535)).await.unwrap();
        let port: u16 = world.read("b").parse().unwrap();
        assert!(port > taken.port());
        world.run(&profile(1024, "127.0.0.1", 65535)).await.unwrap();
        assert_eq!(world.read("b"), port.to_string());
        world.run("[buildout]\nparts =\n").await.unwrap();
        world.run(&profile(77, "127.0.0.1", 77)).await.unwrap();
        assert_eq!(world.read("b"), "77");
        world.run("[buildout]\nparts =\n").await.unwrap();
        world.run(&profile(1024, "nonsense", 2000)).await.unwrap();
        assert_eq!(world.read("b"), "0");
    });
}

#[test]
fn http_servers_are_scripts() {
    in_world(|world| async move {
        let profile = "[buildout]\nparts = a b\n\
            [a]\nrecipe = slapos.cookbook:simplehttpserver\nhost = ::1\nport = 8080\nbase-path = @/srv\n\
            log-file = @/log\nwrapper = @/a\n\
            [b]\nrecipe = slapos.cookbook:simplehttpserver\nsocketpath = @/s\nbase-path = @/srv\nlog-file = @/log\n\
            wrapper = @/b\nallow-write = true\n";
        world.run(profile).await.unwrap();
        let flat =
            |text: String| text.replace(" \\\n\t", " ").replace(&world.directory.display().to_string(), "@");
        assert_eq!(
            flat(world.read("a")),
            "#!/bin/sh -e\nexec /opt/slap http-server --host ::1 --port 8080 --directory @/srv --log @/log \"$@\"\n"
        );
        assert_eq!(
            flat(world.read("b")),
            "#!/bin/sh -e\nexec /opt/slap http-server --socket-path @/s --directory @/srv --log @/log --allow-write \"$@\"\n"
        );
        assert_eq!(world.mode("a"), 0o750);
        assert!(world.read(".installed.cfg").contains("address = !py!('::1', 8080)"));
    });
    for (options, expected) in [
        ("host = h", "Specify one of (host, port)"),
        ("host = h\nport = 1\nsocketpath = s", "Specify one of"),
        ("host = h\nport = http", "expected a port"),
        ("abstract = a", "the option \"abstract\" is not supported yet"),
        ("host = h\nport = 1\ncert-file = c", "the option \"cert-file\" is not supported yet"),
    ] {
        fails(
            &format!("[buildout]\nparts = a\n[a]\nrecipe = slapos.cookbook:simplehttpserver\n{options}\n"),
            expected,
        );
    }
}
