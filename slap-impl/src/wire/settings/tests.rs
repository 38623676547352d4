use super::*;
use crate::env::{Context, Identity, real};

fn env(directory: &str, variables: &[(&str, &str)]) -> Env {
    Env::new(real::parts(Context {
        variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        directory: directory.into(),
        executable: "/slap".into(),
        identity: Identity { pid: 1, start_time: 1 },
        user: 1,
    }))
}

fn parse(text: &str) -> Result<Settings, ConfigError> {
    Settings::parse(&env("/srv/ada", &[("HOME", "/home/ada")]), Path::new("/s.cfg"), text)
}

#[test]
fn a_node() {
    let settings = parse(
        "[slapos]\ncomputer_id = COMP-1\nmaster_url = http://127.0.0.1:5000\nsoftware_root = ~/soft\n\
         instance_root = inst\nroot_check = False\nshared_part_list =\n  /a\n  ~/b\n\
         [slapformat]\npartition_amount = 3\nalter_user = false\ncreate_tap=FALSE\n[slap]\npoll_seconds = 1\n",
    )
    .unwrap();
    assert_eq!(settings.warnings, Vec::<String>::new());
    assert_eq!(settings.computer_id().unwrap().as_str(), "COMP-1");
    assert_eq!(settings.master_url().unwrap().to_string(), "http://127.0.0.1:5000/");
    assert_eq!(settings.software_root().unwrap(), Path::new("/home/ada/soft"));
    assert_eq!(settings.supervisor_directory().unwrap(), Path::new("/srv/ada/inst/var/supervisor"));
    assert_eq!(settings.slapos.shared_part_list, [Path::new("/a"), Path::new("/home/ada/b")]);
    assert_eq!(settings.slapformat.partition_amount, Some(3));
    assert!(
        !settings.slapos.root_check && !settings.slapformat.alter_user && settings.slapformat.alter_network
    );
    assert_eq!(settings.slapos.promise_timeout, Duration::from_secs(20));
    assert_eq!(settings.slap.poll, Duration::from_secs(1));
}

#[test]
fn a_proxy() {
    let settings = parse(
        "[slapproxy]\nhost = ::1\nport = 0\ndatabase_uri = /p.db\nsoftware_product_list =\n  a http://a/\n  b /b.cfg\n\
         server_names = slap.example.com\n  [2001:db8::1] 2001:db8::2\n\
         local_software_release_root = ~/opt\n",
    )
    .unwrap();
    assert_eq!(settings.warnings, Vec::<String>::new());
    assert_eq!(settings.slapproxy.server_names, ["slap.example.com", "[2001:db8::1]", "2001:db8::2"]);
    assert_eq!(settings.slapproxy.local_software_release_root.as_deref(), Some(Path::new("/home/ada/opt")));
    assert_eq!((settings.slapproxy.host.as_str(), settings.slapproxy.port), ("::1", 0));
    assert_eq!(settings.slapproxy.software_product_list[1], ("b".to_owned(), "/b.cfg".to_owned()));
    let error = settings.computer_id().unwrap_err().to_string();
    assert_eq!(
        error,
        "/s.cfg: [slapos] computer_id is not set (hint: add a line `computer_id = ...` to section [slapos])"
    );
}

#[test]
fn other_masters() {
    let settings = parse(
        "[multimaster/http://b:5000]\nsoftware_release_list =\n  http://a/software.cfg\n\n  /b.cfg\n\
         [slapos]\n[multimaster/http://b:5000/]\ncomputer = COMP-1\npartition = slappart0\n",
    )
    .unwrap();
    assert_eq!(settings.warnings, Vec::<String>::new());
    let [first, second] = settings.multimaster.as_slice() else { panic!("{:?}", settings.multimaster) };
    assert_eq!((first.url.as_str(), second.url.as_str()), ("http://b:5000", "http://b:5000/"));
    assert_eq!(first.software_release_list, ["http://a/software.cfg", "/b.cfg"]);
    assert_eq!((first.computer.as_ref(), second.section().as_str()), (None, "multimaster/http://b:5000/"));
    assert_eq!(second.partition.as_ref().unwrap().as_str(), "slappart0");
    let bad = parse("[multimaster/http://b]\ncomputer = a/b\n").unwrap_err().to_string();
    assert!(bad.starts_with("/s.cfg:2: [multimaster/http://b] computer = \"a/b\""), "{bad}");
    let warned = parse("[multimaster/https://b]\nkey = /k\ncert = /c\n").unwrap().warnings;
    assert_eq!(warned, ["/s.cfg: [multimaster/https://b] key, cert are not served yet: no effect"]);
}

#[test]
fn warnings() {
    for (text, expected) in [
        ("[slapos]\nmaster_ulr = x\n", "/s.cfg:2: [slapos] master_ulr is unknown, is it master_url?"),
        ("[slapos]\nqwerty = x\n", "/s.cfg:2: [slapos] qwerty is unknown"),
        (
            "[slapos]\nkey_file = x\ncert_file = y\n",
            "/s.cfg: [slapos] key_file, cert_file are not served yet: no effect",
        ),
        ("[collect]\nenable = x\n", "/s.cfg: [collect] enable is not served yet: no effect"),
        ("[slapo]\na = x\n", "/s.cfg: the section [slapo] is unknown, is it [slapos]?"),
    ] {
        assert_eq!(parse(text).unwrap().warnings, [expected]);
    }
    assert!(parse("[manager:devperm]\nallowed-disk-for-vm = x\n").unwrap().warnings.is_empty());
}

#[test]
fn bad_values_are_named() {
    for (text, expected) in [
        ("[slapos]\ncomputer_id = ../x\n", "/s.cfg:2: [slapos] computer_id = \"../x\": "),
        ("[slapos]\nroot_check = maybe\n", ":2: [slapos] root_check = \"maybe\": expected true or false"),
        ("[slapos]\npromise_timeout = 20s\n", "promise_timeout = \"20s\": expected a whole number from 1 to"),
        (
            "[slapformat]\npartition_amount = -1\n",
            "partition_amount = \"-1\": expected a whole number from 0 to 10000",
        ),
        ("[slapformat]\npartition_base_name = ../x\n", "partition_base_name = \"../x\": expected letters"),
        ("[slapformat]\nbridge_name = x\n", "[slapformat] bridge_name is no longer"),
        ("[slapproxy]\nport = 70000\n", "port = \"70000\": expected a whole number from 0 to 65535"),
        ("[slapproxy]\nhost = http://a\n", "host = \"http://a\": expected an address"),
        ("[slapproxy]\nsoftware_product_list = a\n", "software_product_list = \"a\": expected a name"),
        ("[slap]\npoll_second = 1\n", "/s.cfg:2: [slap] poll_second is unknown (hint: is it poll_seconds?)"),
        ("[slap]\npoll_seconds = 0\n", "poll_seconds = \"0\": expected a whole number from 1"),
        ("[slapos]\nsoftware_root =\n  /a\n  /b\n", "expected one path"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let error = parse("[slapos]\nmaster_url = https://a/\n").unwrap().master_url().unwrap_err().to_string();
    assert!(
        error.starts_with("/s.cfg:2: [slapos] master_url: \"https://a/\" has the scheme https"),
        "{error}"
    );
}

#[test]
fn the_file_is_found_as_slapos_finds_it() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().to_str().unwrap();
    let files = env(directory, &[]);
    for (path, id) in
        [(".slapos/slapos-client.cfg", "client-default"), ("v.cfg", "variable"), ("c.cfg", "named")]
    {
        let path = home.path().join(path);
        files.files().create_directory(path.parent().unwrap(), 0o700).unwrap();
        files.files().write(&path, format!("[slapos]\ncomputer_id = {id}\n").as_bytes(), 0o600).unwrap();
    }
    let find = |role, variable: (&str, &str), cfg| {
        let env = env(directory, &[("HOME", directory), variable]);
        Settings::find(&env, role, cfg).map(|settings| settings.computer_id().unwrap().to_string())
    };
    let client = ("SLAPOS_CLIENT_CONFIGURATION", "v.cfg");
    assert_eq!(find(Role::Client, ("OTHER", ""), None).unwrap(), "client-default");
    assert_eq!(find(Role::Client, client, None).unwrap(), "variable");
    assert_eq!(find(Role::Client, client, Some("c.cfg")).unwrap(), "named");
    assert_eq!(find(Role::Node, ("SLAPOS_CONFIGURATION", "~/v.cfg"), None).unwrap(), "variable");
    let error = find(Role::Node, client, Some("/none.cfg")).unwrap_err().to_string();
    assert!(error.starts_with("/none.cfg: Configuration file does not exist (it is --cfg)"), "{error}");
    assert!(error.contains("SLAPOS_CONFIGURATION"), "{error}");
}
