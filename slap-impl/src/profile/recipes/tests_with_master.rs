//! slapconfiguration, switch-softwaretype, publish and request, with a master on loopback that tells of one partition and notes what is
//! published.

use super::REGISTRY;
use crate::{
    env::{Address, Env, LocalFuture, real},
    profile::engine::{self, Settings},
    vocabulary::RequestedState,
    wire::{
        http::server::{Handler, Limits, Request, Response, serve},
        marshal::{Value, decode, encode},
        objects::{ComputerPartition, Instance, SharedInstance, SoftwareInstance, SoftwareRelease},
    },
};
use std::{cell::RefCell, collections::BTreeMap, path::PathBuf, rc::Rc};

struct Master {
    software_type: String,
    published: RefCell<Vec<(Option<String>, String)>>,
}

impl Master {
    fn partition(&self) -> ComputerPartition {
        ComputerPartition {
            computer_id: "COMP-1".parse().unwrap(),
            partition_id: "slappart0".parse().unwrap(),
            instance_guid: Some("COMP-1-slappart0".to_owned()),
            requested_state: RequestedState::Started,
            need_modification: true,
            access_status: None,
            instance: Some(Instance {
                software_release: SoftwareRelease {
                    url: "http://example.com/software.cfg".parse().unwrap(),
                    computer_id: "COMP-1".parse().unwrap(),
                    requested_state: None,
                },
                software_type: self.software_type.clone(),
                title: "greeter".to_owned(),
                root_title: "root".to_owned(),
                parameters: BTreeMap::from([
                    ("name".to_owned(), Some("Ada".to_owned())),
                    ("odd=one".to_owned(), Some("x".to_owned())),
                    ("typed".to_owned(), Some("!py!1".to_owned())),
                ]),
                addresses: vec![
                    ("tap0".to_owned(), "10.0.0.10".to_owned()),
                    ("tap0".to_owned(), "10.0.0.1".to_owned()),
                    ("tap0".to_owned(), "fd00::1".to_owned()),
                ],
                full_addresses: Vec::new(),
                shared_instances: vec![SharedInstance {
                    title: "guest".to_owned(),
                    reference: "_guest".to_owned(),
                    software_type: None,
                    parameters: BTreeMap::from([("url".to_owned(), Value::text("http://x"))]),
                }],
                timestamp: Some("1700000000".to_owned()),
                connection: BTreeMap::new(),
            }),
        }
    }
}

impl Handler for Master {
    fn handle(self: Rc<Self>, request: Request) -> LocalFuture<'static, Response> {
        Box::pin(async move {
            match request.path.as_str() {
                "/registerComputerPartition" => Response::text(200, encode(&self.partition().to_value())),
                "/setComputerPartitionConnectionXml" => {
                    let mut form: BTreeMap<String, String> =
                        form_urlencoded::parse(&request.body).into_owned().collect();
                    let reference = form.remove("slave_reference");
                    let published = decode(form["connection_xml"].as_bytes()).unwrap();
                    let items = published.as_dictionary().unwrap().iter();
                    let items = items.map(|(key, value)| format!("{key}={}", value.as_text().unwrap_or("?")));
                    self.published.borrow_mut().push((reference, items.collect::<Vec<_>>().join(" ")));
                    Response::text(200, "")
                }
                "/requestComputerPartition" => {
                    let form: BTreeMap<String, String> =
                        form_urlencoded::parse(&request.body).into_owned().collect();
                    let given = SoftwareInstance {
                        computer_id: "COMP-1".to_owned(),
                        partition_id: "slappart1".to_owned(),
                        parameters: BTreeMap::new(),
                        connection: BTreeMap::from([("url".to_owned(), Some("http://child".to_owned()))]),
                        requested_state: Some(RequestedState::Started),
                        ..SoftwareInstance::default()
                    };
                    match form["partition_reference"].as_str() {
                        "child" => Response::text(200, encode(&given.to_value())),
                        _ => Response::text(404, "no room"),
                    }
                }
                other => Response::text(404, other),
            }
        })
    }
}

struct World {
    _outer: tempfile::TempDir,
    directory: PathBuf,
    env: Env,
    master: Rc<Master>,
    url: String,
}

impl World {
    fn write(&self, name: &str, content: &str) {
        let content = content.replace('@', &self.directory.display().to_string());
        self.env.files().write(&self.directory.join(name), content.as_bytes(), 0o640).unwrap();
    }

    fn read(&self, name: &str) -> String {
        self.env.files().read_text(&self.directory.join(name), 1 << 20).unwrap()
    }

    async fn run(&self, profile: &str) -> Result<(), String> {
        let connection = format!(
            "[slap-connection]\ncomputer-id = COMP-1\npartition-id = slappart0\nserver-url = {}\n\
             software-release-url = http://example.com/software.cfg\n",
            self.url
        );
        self.write("buildout.cfg", &format!("{profile}\n{connection}"));
        let mut settings = Settings::new(self.directory.join("buildout.cfg").display().to_string(), REGISTRY);
        settings.quiet = true;
        engine::run(&self.env, settings).await.map(drop).map_err(|error| error.to_string())
    }
}

fn with_master<R: Future<Output = ()>>(software_type: &str, test: impl FnOnce(World) -> R) {
    let master = Rc::new(Master { software_type: software_type.to_owned(), published: RefCell::default() });
    real::block_on_env(real::env(), |env| async move {
        let outer = tempfile::tempdir().unwrap();
        let directory = outer.path().join("partition");
        env.files().create_directory(&directory, 0o750).unwrap();
        let listener = env.network().listen(&Address::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
        let url = format!("http://{}", listener.address());
        let (server, handler) = (env.clone(), master.clone());
        env.spawn(async move { serve(&server, listener, Limits::default(), handler).await });
        test(World { _outer: outer, directory, env, master, url }).await;
    });
}

const CONFIGURATION: &str = "[slap-configuration]\nrecipe = slapos.cookbook:slapconfiguration\n\
    computer = ${slap-connection:computer-id}\npartition = ${slap-connection:partition-id}\n\
    url = ${slap-connection:server-url}\nconfiguration.port = 8080\nstorage-home = @/disks\n";

#[test]
fn what_the_master_says_becomes_options() {
    with_master("default", |world| async move {
        world.env.files().create_directory(&world.directory.join("disks/ssd/slappart0"), 0o700).unwrap();
        world.write(".slapos-resource", r#"{"tun": {"ipv4_addr": "10.1.0.1"}, "tap": {"n": 3}, "hash": 1}"#);
        let profile = "[buildout]\nparts = out\n[out]\nrecipe = slapos.recipe.template:jinja2\noutput = @/out\n\
            inline =\n  {% for k in order.split() %}{{ k }}: {{ repr(c[k]) }}\n  {% endfor %}\ncontext =\n  \
            section c slap-configuration\n  raw order slap-software-type slap-computer-id slap-computer-partition-id \
            slap-software-release-url slave-instance-list timestamp instance-title root-instance-title \
            root-instance-short-title instance-guid instance-state ipv4-random ipv6 ipv6-random configuration \
            configuration.name configuration.port configuration.typed tun-ipv4-addr tap-n\n"
            .to_owned()
            + CONFIGURATION;
        world.run(&profile).await.unwrap();
        assert_eq!(
            world.read("out"),
            "slap-software-type: 'default'\nslap-computer-id: 'COMP-1'\nslap-computer-partition-id: 'slappart0'\n\
             slap-software-release-url: 'http://example.com/software.cfg'\n\
             slave-instance-list: [{'slap_software_type': None, 'slave_reference': '_guest', 'slave_title': 'guest', \
             'url': 'http://x'}]\n\
             timestamp: '1700000000'\ninstance-title: 'greeter'\nroot-instance-title: 'root'\n\
             root-instance-short-title: 'UNKNOWN'\ninstance-guid: 'COMP-1-slappart0'\ninstance-state: 'started'\n\
             ipv4-random: '10.0.0.1'\nipv6: {'fd00::1'}\nipv6-random: 'fd00::1'\n\
             configuration: {'name': 'Ada', 'odd=one': 'x', 'typed': '!py!1'}\nconfiguration.name: 'Ada'\n\
             configuration.port: '8080'\nconfiguration.typed: '!py!1'\ntun-ipv4-addr: '10.1.0.1'\ntap-n: 3\n"
        );
        let link = world.env.files().read_link(&world.directory.join("DATA/ssd")).unwrap();
        assert_eq!(link, world.directory.join("disks/ssd/slappart0"));
    });
}

#[test]
fn the_software_type_chooses_the_inner_profile_which_publishes() {
    with_master("RootSoftwareInstance", |world| async move {
        world.write(
            "inner.cfg",
            "[buildout]\nparts = publish guest more\n\
             [publish]\nrecipe = slapos.cookbook:publish\nname = ${slap-configuration:configuration.name}\n\
             port = !py!80\n-hidden = x\n\
             [guest]\nrecipe = slapos.cookbook:publish\n-slave-reference = _guest\nurl = u\n\
             [more]\nrecipe = slapos.cookbook:publish\n-extends = data\nown = 1\n\
             [data]\nrecipe =\n-publish = a\na = 2\nb = 3\n",
        );
        let profile = "[buildout]\nparts = switch\n[switch]\nrecipe = slapos.cookbook:switch-softwaretype\n\
            default = files:inner\n[files]\ninner = @/inner.cfg\n"
            .to_owned()
            + CONFIGURATION;
        world.run(&profile).await.unwrap();
        let first = [
            (None, "name=Ada port=80".to_owned()),
            (Some("_guest".to_owned()), "url=u".to_owned()),
            (None, "a=2 own=1".to_owned()),
        ];
        assert_eq!(world.master.published.take(), first);
        assert!(world.read(".installed-switch.cfg").contains("[publish]"));
        // Only what extends others is published at an update.
        world.run(&profile).await.unwrap();
        assert_eq!(world.master.published.take(), [(None, "a=2 own=1".to_owned())]);
    });
}

#[test]
fn a_type_without_a_profile_is_an_error() {
    with_master("other", |world| async move {
        let switch = "[buildout]\nparts = switch\n[switch]\nrecipe = slapos.cookbook:switch-softwaretype\n";
        for (options, expected) in [
            ("default = a:b\n", "the software type \"other\" isn't mapped"),
            ("other = /path\n", "expected section:option"),
            ("other = a:nothing\n[a]\nb = c\n", "section [a] has no option \"nothing\""),
        ] {
            let error = world.run(&format!("{switch}{options}{CONFIGURATION}")).await.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let error = world.run(switch).await.unwrap_err();
        assert!(error.contains("must be named [slap-configuration]"), "{error}");
    });
}

#[test]
fn who_asks_for_another_waits_for_what_it_publishes() {
    let profile = |recipe: &str, name: &str, names: &str| {
        format!(
            "[buildout]\nparts = out\n[other]\n<= slap-connection\nrecipe = slapos.cookbook:{recipe}\n\
             software-url = ${{:software-release-url}}\nname = {name}\nreturn = {names}\n\
             [out]\nrecipe = slapos.recipe.template\noutput = out\ninline = <${{other:connection-url}}>\n"
        )
    };
    with_master("default", |world| async move {
        world.run(&profile("request", "child", "url")).await.unwrap();
        assert_eq!(world.read("out"), "<http://child>");
        let check = |answer: Result<(), String>, expected: &str| {
            let error = answer.unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(
            world.run(&profile("request", "child", "url more")).await,
            "Connection parameter more not found",
        );
        check(
            world.run(&profile("request", "lost", "url")).await,
            "the request for \"lost\" failed: not found: no room",
        );
        // Optional ones are of use without.
        world.run(&profile("requestoptional", "lost", "url")).await.unwrap();
        assert_eq!(world.read("out"), "<>");
    });
}
