//! `slap buildout`: runs a profile in the working directory, with the command line of zc.buildout as far as SlapOS uses
//! it.

use crate::{
    env::{Env, Exit},
    profile::{
        engine::{self, Settings},
        recipe::RecipeError,
        recipes,
    },
};

const USAGE: &str = "\
Usage: slap buildout [options] [section:option=value]... [install [part]... | bootstrap]

Options:
  -c FILE     the profile, a path or an http URL (buildout.cfg)
  -U          do not read ~/.buildout/default.cfg (it is never read)
  -N          buildout:newest=false
  -n          buildout:newest=true
  -o          buildout:offline=true
  -O          buildout:offline=false
  -q          do not tell what is installed
  -v          accepted
  -t SECONDS  buildout:socket-timeout=SECONDS
  --umask M   permission bits, in octal, that files shall not have (027)
  -h, --help  this text

The working directory is the buildout directory, unless buildout:directory says another.
Exit code 0: done; 1: an error, which is told on standard error.";

/// What the command line says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    file: Option<String>,
    overrides: Vec<(String, String, String)>,
    no_user_defaults: bool,
    quiet: bool,
    help: bool,
    umask: Option<u32>,
    command: Option<String>,
    parts: Vec<String>,
}

/// Runs `slap buildout`.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let options = match parse(&arguments) {
        Ok(options) => options,
        Err(message) => {
            env.tell(format_args!("Error: {message}\n  hint: `slap buildout --help` lists the options"));
            return Exit::FAILED;
        }
    };
    if options.help {
        env.print(USAGE);
        return Exit::DONE;
    }
    warn_of_user_defaults(&env, &options);
    match execute(&env, options).await {
        Ok(()) => Exit::DONE,
        Err(error) => {
            env.tell(error);
            Exit::FAILED
        }
    }
}

async fn execute(env: &Env, options: Options) -> Result<(), RecipeError> {
    let mut settings = Settings::new(options.file.as_deref().unwrap_or("buildout.cfg"), recipes::REGISTRY);
    settings.directory = Some(env.context().directory.clone());
    settings.overrides = options.overrides;
    settings.quiet = options.quiet;
    settings.umask = options.umask.unwrap_or(settings.umask);
    settings.parts = options.parts;
    if options.command.as_deref() == Some("bootstrap") {
        let script = engine::bootstrap(env, settings).await?;
        if !options.quiet {
            env.tell(format_args!("Generated script '{}'.", script.display()));
        }
        return Ok(());
    }
    engine::run(env, settings).await.map(drop)
}

/// zc.buildout would read the user's defaults without `-U`; a different evaluation is not passed over in silence.
fn warn_of_user_defaults(env: &Env, options: &Options) {
    if options.no_user_defaults {
        return;
    }
    let home = env.context().variable("HOME").map(|home| std::path::Path::new(home).join(".buildout"));
    let home = env.context().variable("BUILDOUT_HOME").map(Into::into).or(home);
    if let Some(file) = home.map(|home| home.join("default.cfg")).filter(|file| env.files().exists(file)) {
        env.tell(format_args!("Warning: {} is not read; say -U to leave this warning out.", file.display()));
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if let Some(long) = argument.strip_prefix("--") {
            match long {
                "help" => options.help = true,
                "umask" => {
                    let mask = rest.next().ok_or("--umask wants an octal number")?;
                    let number = u32::from_str_radix(mask, 8).ok().filter(|number| *number <= 0o777);
                    options.umask = Some(number.ok_or_else(|| {
                        format!("--umask {mask}: an octal number from 0 to 777 was expected, such as 027")
                    })?);
                }
                _ => return Err(format!("there is no option {argument:?}")),
            }
        } else if let Some(letters) = argument.strip_prefix('-') {
            short(&mut options, letters, &mut rest)?;
        } else if options.command.is_some() {
            options.parts.push(argument.clone());
        } else if let Some((name, value)) = argument.split_once('=') {
            let (section, option) = name.split_once(':').unwrap_or(("buildout", name));
            if section.trim().is_empty() || option.trim().is_empty() || option.contains(':') {
                return Err(format!("{argument:?}: section:option=value was expected"));
            }
            options.overrides.push((
                section.trim().to_owned(),
                option.trim().to_owned(),
                value.trim().to_owned(),
            ));
        } else {
            options.command = Some(argument.clone());
        }
    }
    match options.command.as_deref() {
        None | Some("install") => {}
        Some("bootstrap") if options.parts.is_empty() => {}
        Some("bootstrap") => return Err(format!("bootstrap wants no arguments, not {:?}", options.parts)),
        Some(other) => {
            return Err(format!("there is no command {other:?}: `install` or `bootstrap` was expected"));
        }
    }
    Ok(options)
}

/// Letters behind one dash, such as `-UNc FILE`.
fn short<'a>(
    options: &mut Options,
    letters: &str,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<(), String> {
    if letters.is_empty() {
        return Err("a letter was expected after `-`".to_owned());
    }
    for (index, letter) in letters.char_indices() {
        let mut set = |option: &str, value: &str| {
            options.overrides.push(("buildout".to_owned(), option.to_owned(), value.to_owned()));
        };
        match letter {
            'U' => options.no_user_defaults = true,
            'N' => set("newest", "false"),
            'n' => set("newest", "true"),
            'o' => set("offline", "true"),
            'O' => set("offline", "false"),
            'q' => options.quiet = true,
            'v' => {}
            'h' => options.help = true,
            'c' | 't' => {
                let attached = &letters[index + 1..];
                let value =
                    if attached.is_empty() { rest.next().map(String::as_str) } else { Some(attached) };
                let value = value.ok_or_else(|| format!("-{letter} wants a value"))?;
                if letter == 'c' {
                    options.file = Some(value.to_owned());
                } else {
                    value
                        .parse::<u32>()
                        .map_err(|_| format!("-t {value}: a number of seconds was expected"))?;
                    set("socket-timeout", value);
                }
                return Ok(());
            }
            other => return Err(format!("there is no option \"-{other}\"")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn command_lines() {
        let set = |section: &str, option: &str, value: &str| {
            (section.to_owned(), option.to_owned(), value.to_owned())
        };
        for (line, expected) in [
            ("", Options::default()),
            (
                "-UNc x.cfg a:b=c=d offline=true",
                Options {
                    file: Some("x.cfg".to_owned()),
                    no_user_defaults: true,
                    overrides: vec![
                        set("buildout", "newest", "false"),
                        set("a", "b", "c=d"),
                        set("buildout", "offline", "true"),
                    ],
                    ..Options::default()
                },
            ),
            ("-cx.cfg -q", Options { file: Some("x.cfg".to_owned()), quiet: true, ..Options::default() }),
            (
                "--umask 022 install a b",
                Options {
                    umask: Some(0o022),
                    command: Some("install".to_owned()),
                    parts: vec!["a".to_owned(), "b".to_owned()],
                    ..Options::default()
                },
            ),
        ] {
            assert_eq!(parsed(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn mistakes() {
        for (line, part) in [
            ("-x", "\"-x\""),
            ("-c", "-c wants a value"),
            ("-t soon", "soon"),
            ("--umask 999", "999"),
            ("--frob", "--frob"),
            ("frobnicate", "frobnicate"),
            ("bootstrap x", "bootstrap"),
            (":a=b", "section:option=value"),
            ("-", "a letter"),
        ] {
            let error = parsed(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
