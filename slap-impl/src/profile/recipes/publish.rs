//! slapos.cookbook:publish: an instance's connection parameters.
//!
//! Every option but `recipe` and those that begin with `-` is published when the part is installed; `-extends` adds the
//! options of other sections (and theirs), `-publish` restricts a section to a list, `-slave-reference` publishes for a
//! shared instance. An update publishes again only with `-extends` (slapos/recipe/publish.py). Where two sections
//! have the same name upstream's choice is arbitrary; here the section that extends wins.

use super::common::{self, Connection, Constructed, Done};
use crate::{
    profile::recipe::{Options, Part, Recipe, RecipeError},
    wire::instance_xml::Parameters,
};
use std::collections::BTreeSet;

struct Publish {
    connection: Connection,
    /// This section first.
    sections: Vec<String>,
}

/// Makes the recipe.
pub(super) fn construct(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        let connection = connection(options).await?;
        let mut seen = BTreeSet::from([options.section().to_owned()]);
        let mut sections = vec![options.section().to_owned()];
        let mut place = 0;
        while let Some(section) = sections.get(place).cloned() {
            let extends = match place {
                0 => options.get("-extends"),
                _ => options.other(&section).await?.remove("-extends"),
            };
            for name in extends.unwrap_or_default().split_whitespace() {
                if seen.insert(name.to_owned()) {
                    sections.push(name.to_owned());
                }
            }
            place += 1;
        }
        Ok(Box::new(Publish { connection, sections }) as Box<dyn Recipe>)
    })
}

async fn connection(options: &dyn Options) -> Result<Connection, RecipeError> {
    let section = options.other("slap-connection").await?;
    let option = |name: &str| {
        section
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| options.error(None, format!("section [slap-connection] has no option {name:?}")))
    };
    common::connection(options, option("server-url")?, option("computer-id")?, option("partition-id")?)
}

impl Publish {
    async fn parameters(&self, options: &dyn Options) -> Result<Parameters, RecipeError> {
        let mut parameters = Parameters::new();
        for (place, name) in self.sections.iter().enumerate() {
            let section = if place == 0 { options.all() } else { options.other(name).await? };
            let names: Vec<String> = match section.get("-publish") {
                Some(names) => names.split_whitespace().map(str::to_owned).collect(),
                None => {
                    let hidden = |name: &str| name == "recipe" || name.starts_with('-');
                    section.keys().filter(|name| !hidden(name)).cloned().collect()
                }
            };
            for key in names {
                let text = section.get(&key).cloned().ok_or_else(|| {
                    options
                        .error(Some("-publish"), format!("section [{name}] has no option {key:?} to publish"))
                })?;
                // The marshaller sorts dictionaries, before they are written as text.
                let text = match common::typed(options, &key, &text)? {
                    Some(literal) => literal.as_text().map_or_else(|| literal.sorted_repr(), str::to_owned),
                    None => text,
                };
                parameters.entry(key).or_insert(Some(text));
            }
        }
        Ok(parameters)
    }
}

impl Recipe for Publish {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            let options: &dyn Options = &**part;
            let parameters = self.parameters(options).await?;
            let reference = common::given(options, "-slave-reference");
            let Connection { client, computer, partition } = &self.connection;
            let sent = client.set_connection(computer, partition, &parameters, reference.as_deref()).await;
            sent.map_err(|error| options.error(None, format!("the parameters were not published: {error}")))?;
            Ok(Vec::new())
        })
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        if self.sections.len() > 1 {
            return self.install(part);
        }
        Box::pin(async { Ok(Vec::new()) })
    }
}
