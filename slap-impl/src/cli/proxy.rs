//! `slap proxy start`: a master, as `slapos proxy start` starts one (slapos/cli/proxy_start.py).

use crate::{
    env::{Address, BoxListener, Env, Exit},
    master::{Configuration, Master, OtherMaster, decisions::Requester},
    wire::{
        config_parser::ConfigError,
        http::{
            client::{Url, UrlError},
            server::Limits,
        },
        settings::{OtherMasterSettings, Role, Settings},
    },
};
use clap::Parser;
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

/// Serves a SlapOS master until it is asked to end
#[derive(Debug, Parser)]
#[command(name = "slap proxy start", disable_version_flag = true)]
struct Arguments {
    /// Settings: sections `[slapos]` and `[slapproxy]` of a slapos.cfg
    #[arg(long, value_name = "FILE")]
    cfg: Option<String>,
    /// Log here instead of on standard error
    #[arg(long, value_name = "FILE")]
    log_file: Option<String>,
    /// Address to listen on, instead of `[slapproxy]` host
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on, instead of `[slapproxy]` port; 0 takes a free one
    #[arg(long)]
    port: Option<u16>,
    /// Database, instead of `[slapproxy]` database_uri
    #[arg(short = 'u', long, value_name = "FILE")]
    database_uri: Option<String>,
}

/// What stops a master from starting.
#[derive(Debug)]
struct Problem {
    exit: Exit,
    message: String,
    hint: String,
}

impl Problem {
    /// A setting is wrong.
    fn setting(message: String, hint: impl Into<String>) -> Problem {
        Problem { exit: Exit::USAGE, message, hint: hint.into() }
    }

    /// The machine does not allow it.
    fn machine(message: String, hint: impl Into<String>) -> Problem {
        Problem { exit: Exit::FAILED, message, hint: hint.into() }
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Problem {
        Problem { exit: Exit::USAGE, message: error.to_string(), hint: String::new() }
    }
}

/// Runs `slap proxy`, of which `start` is the only command.
pub async fn run(env: Env, mut arguments: Vec<String>) -> Exit {
    if arguments.first().is_some_and(|word| matches!(word.as_str(), "-h" | "--help" | "help")) {
        env.print(
            "Run a master\n\nUsage: slap proxy start --cfg FILE\n\n`slap proxy start --help` says more.",
        );
        return Exit::DONE;
    }
    if arguments.first().is_none_or(|word| word != "start") {
        env.tell("error: slap proxy has the command `start`\nhint: slap proxy start --cfg FILE");
        return Exit::USAGE;
    }
    arguments.remove(0);
    let arguments = match crate::arguments::parse::<Arguments>(&env, "slap proxy start", arguments) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    match start(&env, &arguments).await {
        Ok(()) => Exit::DONE,
        Err(problem) => {
            env.tell(format_args!("slap proxy start: {}", problem.message));
            if !problem.hint.is_empty() {
                env.tell(format_args!("hint: {}", problem.hint));
            }
            problem.exit
        }
    }
}

async fn start(env: &Env, arguments: &Arguments) -> Result<(), Problem> {
    let settings = Settings::find(env, Role::Node, arguments.cfg.as_deref())?;
    settings.tell_warnings(env);
    let host = arguments.host.as_ref().unwrap_or(&settings.slapproxy.host);
    let configuration = configure(env, arguments, &settings, host)?;
    check_place(env, &configuration.database)?;
    if let Some(file) = &configuration.log_file {
        env.files().append(file, b"", 0o600).map_err(|error| {
            let message = format!("--log-file {}: {error}", file.display());
            Problem::setting(message, "name a file in a directory that exists and can be written to")
        })?;
    }
    // Asked from now on to end, it ends cleanly.
    let termination = env.processes().termination();
    let limits = limits(env);
    // First the address, so that a second master on it does not make a database.
    let listener = listen(env, host, arguments.port.unwrap_or(settings.slapproxy.port))?;
    let master = Master::open(env, configuration).await.map_err(|error| {
        Problem::machine(format!("[slapproxy] database_uri: {}", error.message), error.hint)
    })?;
    env.tell(format_args!("listening on http://{}/", listener.address()));
    master.run(listener, limits, termination).await;
    Ok(())
}

/// As many connections as the system allows this process.
fn limits(env: &Env) -> Limits {
    match env.processes().raise_open_files() {
        Ok(files) => Limits::default().for_open_files(files),
        Err(error) => {
            let limits = Limits::default();
            let max = limits.connections_max;
            env.tell(format_args!(
                "warning: the limit of open files cannot be raised: {error}; at most {max} connections"
            ));
            limits
        }
    }
}

fn configure(
    env: &Env,
    arguments: &Arguments,
    settings: &Settings,
    host: &str,
) -> Result<Configuration, Problem> {
    let database = match &arguments.database_uri {
        Some(path) => env.context().absolute(path),
        None => settings.required("slapproxy", "database_uri", &settings.slapproxy.database_uri)?,
    };
    let mut products = BTreeMap::new();
    for (name, url) in &settings.slapproxy.software_product_list {
        let url = url.parse().map_err(|error: crate::vocabulary::BadId| {
            let message = format!("[slapproxy] software_product_list: {name}: {error}");
            settings.file.error(
                "slapproxy",
                "software_product_list",
                message,
                "one line `NAME URL` a product",
            )
        })?;
        products.insert(name.clone(), url);
    }
    Ok(Configuration {
        database,
        default_computer: settings.slapos.computer_id.clone(),
        // The name that it is to listen on is one of its names, too.
        server_names: settings.slapproxy.server_names.iter().cloned().chain([host.to_owned()]).collect(),
        products,
        release_root: settings.slapproxy.local_software_release_root.clone(),
        others: settings
            .multimaster
            .iter()
            .map(|other| other_master(env, settings, other))
            .collect::<Result<_, _>>()?,
        log_file: arguments.log_file.as_ref().map(|path| env.context().absolute(path)),
    })
}

/// Another master. One that cannot be asked is kept: what would go there is refused with the reason, and not allocated here.
fn other_master(
    env: &Env,
    settings: &Settings,
    other: &OtherMasterSettings,
) -> Result<OtherMaster, ConfigError> {
    let section = other.section();
    let bad = |key: &str, message: String, hint: &str| {
        settings.file.error(&section, key, format!("[{section}]: {message}"), hint)
    };
    let url = match other.url.parse::<Url>() {
        Ok(url) => Ok(url),
        Err(error @ UrlError::UnsupportedScheme { .. }) => {
            env.tell(format_args!("warning: [{section}]: {error}; requests for it are refused"));
            Err(error.to_string())
        }
        Err(error) => {
            return Err(bad("", error.to_string(), "name the section [multimaster/http://HOST:PORT/]"));
        }
    };
    let requester = match (&other.computer, &other.partition) {
        (None, None) => None,
        (Some(computer), Some(partition)) => {
            Some(Requester { computer: computer.clone(), partition: partition.clone() })
        }
        (computer, _) => {
            let (known, missing) =
                if computer.is_some() { ("computer", "partition") } else { ("partition", "computer") };
            let message = format!("{known} is set and {missing} is not: expected both or none");
            return Err(bad(known, message, "both name the partition there whose instance asks"));
        }
    };
    let releases = other.software_release_list.iter().cloned().collect();
    Ok(OtherMaster { name: other.url.clone(), url, requester, releases })
}

/// Refuses what SQLite would only call "unable to open".
fn check_place(env: &Env, database: &Path) -> Result<(), Problem> {
    let at = format!("[slapproxy] database_uri: {}", database.display());
    let files = env.files();
    if files.is_directory(database) {
        return Err(Problem::setting(format!("{at}: it is a directory"), "name a file in it"));
    }
    let directory = database.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
    match files.metadata(&directory) {
        Ok(_) if files.is_directory(&directory) => Ok(()),
        Ok(_) => Err(Problem::setting(
            format!("{at}: {} is no directory", directory.display()),
            "name a file in a directory that exists",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Problem::setting(
            format!("{at}: the directory {} does not exist", directory.display()),
            "make it (mode 0700), or name a file in another one",
        )),
        Err(error) => {
            Err(Problem::machine(format!("{at}: {}: {error}", directory.display()), "check its permissions"))
        }
    }
}

fn listen(env: &Env, host: &str, port: u16) -> Result<BoxListener, Problem> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = match bare.parse::<IpAddr>() {
        Ok(address) => Address::Tcp(SocketAddr::new(address, port)),
        Err(_) => Address::Name(bare.to_owned(), port),
    };
    env.network().listen(&address).map_err(|error| {
        let (key, hint) = match error.kind() {
            io::ErrorKind::AddrInUse => {
                ("port", "another program listens there: choose another port, or 0 for a free one".to_owned())
            }
            io::ErrorKind::AddrNotAvailable => (
                "host",
                format!("this machine has no address {bare}: 127.0.0.1 is one that every machine has"),
            ),
            io::ErrorKind::PermissionDenied => {
                ("port", "ports below 1024 are for root: choose a higher one".to_owned())
            }
            _ => ("host", "expected an address of this machine, or a name that stands for one".to_owned()),
        };
        Problem::machine(format!("[slapproxy] {key}: cannot listen: {error}"), hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Console, real};
    use std::{cell::RefCell, rc::Rc};

    #[derive(Default)]
    struct Recorded(RefCell<String>);

    impl Console for Recorded {
        fn output(&self, text: &str) -> io::Result<()> {
            self.0.borrow_mut().push_str(text);
            Ok(())
        }
        fn error(&self, text: &str) {
            self.0.borrow_mut().push_str(text);
        }
        fn is_terminal(&self) -> bool {
            false
        }
    }

    /// Runs the command in a directory with a file `slapos.cfg`, and gives its exit and what it said.
    fn start(cfg: &str, arguments: &[&str], prepare: impl FnOnce(&Env, &Path)) -> (Exit, String) {
        let place = tempfile::tempdir().unwrap();
        let mut context = real::env().context().clone();
        context.directory = place.path().to_owned();
        let console = Rc::new(Recorded::default());
        let env = Env::new(crate::env::EnvParts { console: console.clone(), ..real::parts(context) });
        env.files().write(&place.path().join("slapos.cfg"), cfg.as_bytes(), 0o600).unwrap();
        prepare(&env, place.path());
        let arguments = ["start"].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
        let exit = real::block_on_env(env, |env| run(env, arguments));
        let said = console.0.borrow().replace(&place.path().display().to_string(), "DIR");
        (exit, said)
    }

    #[test]
    fn bad_settings_are_named() {
        let good = "[slapproxy]\nport = 0\ndatabase_uri = db\n";
        let check = |cfg: &str, arguments: &[&str], exit: Exit, expected: &[&str]| {
            let arguments = [&["--cfg", "slapos.cfg"], arguments].concat();
            let (found, said) = start(cfg, &arguments, |_, _| {});
            let is_said = expected.iter().all(|text| said.contains(text));
            assert!(found == exit && is_said, "{cfg:?} {arguments:?}: {found:?} {said}");
        };
        let (usage, failed) = (Exit::USAGE, Exit::FAILED);
        check("[slapproxy]\nport = 0\n", &[], usage, &["[slapproxy] database_uri is not set"]);
        check("[slapproxy]\nport = x\n", &[], usage, &["slapos.cfg:2", "port", "from 0 to 65535"]);
        check("[slapos]\ncomputer_id = a/b\n", &[], usage, &["computer_id", "a/b", "expected"]);
        let half = format!("{good}[multimaster/http://b]\ncomputer = C\n");
        check(&half, &[], usage, &["slapos.cfg:5", "computer is set and partition is not"]);
        check(&format!("{good}[multimaster/b]\n"), &[], usage, &["slapos.cfg:4", "no scheme", "hint"]);
        check(
            &format!("{good}[multimaster/https://b/]\n[slapos]\n"),
            &["-u", "missing/db"],
            usage,
            &["warning: [multimaster/https://b/]", "scheme https", "are refused", "DIR/missing"],
        );
        check(good, &["--port", "65536"], usage, &["65536"]);
        check(good, &["--nonsense"], usage, &["--nonsense"]);
        check(good, &["-u", "missing/db"], usage, &["database_uri", "DIR/missing does not exist", "hint"]);
        check(good, &["-u", "."], usage, &["it is a directory"]);
        check(good, &["-u", "slapos.cfg/db"], usage, &["DIR/slapos.cfg is no directory"]);
        check(good, &["--log-file", "missing/log"], usage, &["--log-file DIR/missing/log"]);
        check(good, &["--host", "192.0.2.1"], failed, &["[slapproxy] host", "no address 192.0.2.1"]);
        check(good, &["--help"], Exit::DONE, &["--cfg"]);
    }

    #[test]
    fn a_port_in_use_makes_no_database() {
        let place = tempfile::tempdir().unwrap();
        let database = place.path().join("db");
        let exit = real::block_on_env(real::env(), async |env: Env| {
            let taken = env.network().listen(&Address::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
            let port = taken.address().to_string().replace("127.0.0.1:", "");
            let cfg = place.path().join("slapos.cfg");
            env.files().write(&cfg, b"[slapos]\n", 0o600).unwrap();
            let words =
                ["start", "--cfg", cfg.to_str().unwrap(), "-u", database.to_str().unwrap(), "--port", &port];
            let exit = run(env.clone(), words.map(str::to_owned).to_vec()).await;
            assert!(!env.files().exists(&database));
            exit
        });
        assert_eq!(exit, Exit::FAILED);
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let cfg = "[slapproxy]\nport = 0\ndatabase_uri = db\n";
        let text = "a note that is longer than the header of a database, and nothing like it: ".repeat(3);
        let (exit, said) = start(cfg, &["--cfg", "slapos.cfg"], |env, place| {
            env.files().write(&place.join("db"), text.as_bytes(), 0o600).unwrap();
        });
        assert!(exit == Exit::FAILED && said.contains("not a database") && said.contains("hint"), "{said}");
        let (exit, said) = start(cfg, &["--cfg", "slapos.cfg"], |_, place| {
            let connection = rusqlite::Connection::open(place.join("db")).unwrap();
            connection.execute_batch("CREATE TABLE computer17 (reference TEXT)").unwrap();
        });
        assert!(
            exit == Exit::FAILED && said.contains("slapproxy") && said.contains("database_uri"),
            "{said}"
        );
    }
}
