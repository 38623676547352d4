//! Builds a release and an instance in a lab, and writes down what became of them.

use crate::listing::{self, Names};
use serde_json::Value;
use slap_impl::{
    cli,
    client::SlapClient,
    env::{Env, Exit},
    wire::instance_xml,
};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

/// A release and how an instance of it is asked for.
pub struct Case<'a> {
    /// The release's software profile.
    pub profile: &'a Path,
    /// Parameters, each `NAME=VALUE`.
    pub parameters: &'a [&'a str],
    /// An empty directory for the lab.
    pub scratch: &'a Path,
}

/// Observes a case. The lab's processes are gone when it returns.
///
/// # Errors
/// When the instance does not become green; the command that failed is named, and it told why on standard error.
pub async fn observe(env: &Env, case: &Case<'_>) -> Result<String, String> {
    let lab = case.scratch.join("lab");
    let result = observe_in(env, case, &lab).await;
    run(env, &["lab", "down", "--quiet", "--dir", &lab.display().to_string()]).await?;
    result
}

async fn observe_in(env: &Env, case: &Case<'_>, lab: &Path) -> Result<String, String> {
    let directory = lab.display().to_string();
    let profile = case.profile.display().to_string();
    let configuration = lab.join("slapos-client.cfg").display().to_string();
    let client = ["--cfg", &configuration];
    let up = ["lab", "up", "--empty", "--quiet", "--nodes", "1", "--partitions", "1", "--dir", &directory];
    run(env, &up).await?;
    run(env, &[&["supply", &profile, "COMP-1"], &client[..]].concat()).await?;
    let mut request = vec!["request", "golden", &profile, "--node", "computer_guid=COMP-1"];
    request.extend(client);
    if !case.parameters.is_empty() {
        request.push("--parameters");
        request.extend(case.parameters);
    }
    run(env, &request).await?;
    run(env, &[&["wait", "golden", "--for", "green", "--timeout", "60s"], &client[..]].concat()).await?;
    describe(env, case, lab).await
}

async fn describe(env: &Env, case: &Case<'_>, lab: &Path) -> Result<String, String> {
    let node = lab.join("nodes/COMP-1");
    let partition = node.join("instance/slappart0");
    let release = release_directory(env, &node.join("software"))?;
    let mut names = Names::default();
    names.add(&partition, "[PARTITION]");
    names.add(&release, "[RELEASE]");
    names.add(lab, "[LAB]");
    names.add(case.profile.parent().unwrap_or(Path::new("/")), "[PROFILES]");
    names.add(&env.context().executable, "[SLAP]");
    if let Some(address) = address(env, &partition) {
        names.add(Path::new(&address), "[ADDRESS]");
    }
    let master = master_url(env, lab)?;
    names.add(Path::new(&master), "[MASTER]");
    let mut text = format!("parameters: {}\n", case.parameters.join(" "));
    text.push_str("\n=== release ===\n");
    listing::write(env, &release, &names, &mut text)?;
    text.push_str("\n=== instance ===\n");
    listing::write(env, &partition, &names, &mut text)?;
    text.push_str("\n=== promises ===\n");
    promises(env, &partition, &names, &mut text)?;
    text.push_str("\n=== published ===\n");
    text.push_str(&names.replace(&published(env, &master).await?));
    Ok(text)
}

/// What the client's configuration says of the master.
fn master_url(env: &Env, lab: &Path) -> Result<String, String> {
    let settings =
        env.files().read_text(&lab.join("slapos-client.cfg"), 1 << 16).map_err(|error| error.to_string())?;
    let line = settings.lines().find_map(|line| line.strip_prefix("master_url = "));
    line.map(str::to_owned).ok_or_else(|| "the client's configuration has no master_url".to_owned())
}

/// The connection parameters, a line each.
async fn published(env: &Env, master: &str) -> Result<String, String> {
    let client = SlapClient::new(env.clone(), master).map_err(|error| error.to_string())?;
    let service = client.service_information("golden").await.map_err(|error| error.to_string())?;
    let document = service.connection_xml.unwrap_or_default();
    let parameters = instance_xml::decode(&document).map_err(|error| error.to_string())?;
    Ok(parameters
        .iter()
        .map(|(name, value)| format!("{name} = {}\n", value.as_deref().unwrap_or("")))
        .collect())
}

/// The only release of a node.
fn release_directory(env: &Env, software: &Path) -> Result<PathBuf, String> {
    let names = env.files().list(software).map_err(|error| error.to_string())?;
    let release = names.iter().find(|name| !name.starts_with('.'));
    release.map(|name| software.join(name)).ok_or_else(|| "no release was built".to_owned())
}

/// The partition's address, as its node knows it.
fn address(env: &Env, partition: &Path) -> Option<String> {
    let resource = env.files().read(&partition.join(".slapos-resource"), 1 << 20).ok()?;
    let resource: Value = serde_json::from_slice(&resource).ok()?;
    Some(resource["address_list"][0]["addr"].as_str()?.to_owned())
}

fn promises(env: &Env, partition: &Path, names: &Names, text: &mut String) -> Result<(), String> {
    let directory = partition.join(".slapgrid/promise/result");
    for name in env.files().list(&directory).map_err(|error| error.to_string())? {
        let result = env.files().read(&directory.join(&name), 1 << 20).map_err(|error| error.to_string())?;
        let result: Value = serde_json::from_slice(&result).map_err(|error| format!("{name}: {error}"))?;
        let failed = &result["result"]["failed"];
        let message = names.replace(result["result"]["message"].as_str().unwrap_or_default());
        writeln!(text, "{} failed={failed} {message}", result["title"]).expect("a String takes everything");
    }
    Ok(())
}

async fn run(env: &Env, words: &[&str]) -> Result<(), String> {
    let arguments = words.iter().map(|word| (*word).to_owned()).collect();
    match cli::run(env.clone(), arguments).await {
        Exit::DONE => Ok(()),
        Exit(code) => Err(format!("slap {} exited with {code}", words.join(" "))),
    }
}
