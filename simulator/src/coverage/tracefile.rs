//! The tracefile of llvm-cov (the format is lcov's, geninfo(1)): `SF:` begins a file, `DA:line,count` is a line, `FNDA:count,name` a function.

use std::{collections::BTreeMap, fmt::Write, path::Path};

/// The modules of slap-impl that are looked at.
const MODULES: [&str; 4] = ["master", "client", "node", "store"];

/// Lines that can be reached, and that were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) total: u64,
    pub(super) reached: u64,
}

/// What was reached of each module.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Modules {
    /// By module and file.
    pub(super) files: BTreeMap<&'static str, BTreeMap<String, Lines>>,
    /// Whether it was reached, by path. What is generic, and closures, count as the function in which they stand.
    pub(super) functions: BTreeMap<String, bool>,
}

impl Lines {
    fn percent(self) -> f64 {
        if self.total == 0 { 100.0 } else { 100.0 * self.reached as f64 / self.total as f64 }
    }
}

impl std::iter::Sum for Lines {
    fn sum<I: Iterator<Item = Lines>>(all: I) -> Lines {
        all.fold(Lines::default(), |sum, one| Lines {
            total: sum.total + one.total,
            reached: sum.reached + one.reached,
        })
    }
}

impl Modules {
    /// Reads a tracefile; files of other modules are passed over.
    ///
    /// # Errors
    /// A line that is not understood, or nothing about one of the modules.
    pub(super) fn read(text: &str) -> Result<Modules, String> {
        let mut modules = Modules::default();
        let mut place: Option<(&'static str, String)> = None;
        for line in text.lines() {
            let wrong = || format!("the tracefile has a line that is not understood: {line}");
            let (word, rest) = line.split_once(':').unwrap_or((line, ""));
            match (word, &place) {
                ("SF", _) => place = module(rest),
                ("end_of_record", _) => place = None,
                ("DA", Some((module, file))) => {
                    let count = rest.split(',').nth(1).and_then(|count| count.parse::<u64>().ok());
                    let is_reached = count.ok_or_else(wrong)? > 0;
                    let lines = modules.files.entry(module).or_default().entry(file.clone()).or_default();
                    lines.total += 1;
                    lines.reached += u64::from(is_reached);
                }
                ("FNDA", Some(_)) => {
                    let (count, name) = rest.split_once(',').ok_or_else(wrong)?;
                    let is_reached = count.parse::<u64>().map_err(|_| wrong())? > 0;
                    *modules.functions.entry(function(name)).or_default() |= is_reached;
                }
                _ => (),
            }
        }
        match MODULES.iter().find(|module| !modules.files.contains_key(*module)) {
            Some(module) => Err(format!("the tracefile says nothing of {module}")),
            None => Ok(modules),
        }
    }

    /// How many of a hundred lines were reached.
    pub(super) fn percent(&self) -> f64 {
        self.files.values().flat_map(BTreeMap::values).copied().sum::<Lines>().percent()
    }

    /// Lines of each module, and of each of its files that is below the floor.
    pub(super) fn table(&self, floor: f64) -> String {
        let mut text = format!("{:<44} {:>6} {:>8} {:>7}\n", "module", "lines", "reached", "");
        let mut row = |name: &str, lines: Lines| {
            let below = if lines.percent() < floor { "  below the floor" } else { "" };
            let (total, reached, percent) = (lines.total, lines.reached, lines.percent());
            let _ = writeln!(text, "{name:<44} {total:>6} {reached:>8} {percent:>5.1} %{below}");
        };
        for (module, files) in &self.files {
            row(module, files.values().copied().sum());
            for (file, lines) in files.iter().filter(|(_, lines)| lines.percent() < floor) {
                row(&format!("  {file}"), *lines);
            }
        }
        row("all", self.files.values().flat_map(BTreeMap::values).copied().sum());
        let _ = write!(text, "floor: {floor} % of all");
        text
    }
}

/// The module to which a file belongs, and its path in slap-impl.
fn module(path: &str) -> Option<(&'static str, String)> {
    let (_, inside) = path.rsplit_once("slap-impl/src/")?;
    let first = Path::new(inside).components().next()?.as_os_str().to_str()?;
    let module = MODULES.into_iter().find(|module| *module == first)?;
    Some((module, inside.to_owned()))
}

/// The path of the function that a symbol stands for, without types for which it was made and without closures.
fn function(symbol: &str) -> String {
    let path = format!("{:#}", rustc_demangle::demangle(symbol)).replace("slap_impl::", "");
    // `<Type>::function`, `<Type as Trait>::function`, or a plain path.
    let (of, rest) = match matching(&path) {
        Some(end) if path.starts_with('<') => (&path[1..end], &path[end + 1..]),
        _ => ("", path.as_str()),
    };
    let name: String = without_arguments(rest);
    let name = name.split("::{").next().unwrap_or_default();
    match of.split_once(" as ") {
        Some((of, of_trait)) => format!("<{} as {of_trait}>{name}", without_arguments(of)),
        None => format!("{}{name}", without_arguments(of)),
    }
}

/// Where the first `<` is closed.
fn matching(path: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, letter) in path.char_indices().skip_while(|(_, letter)| *letter != '<') {
        match letter {
            '<' => depth += 1,
            '>' if !path[..at].ends_with('-') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => (),
        }
    }
    None
}

/// A path without anything between `<` and `>`.
fn without_arguments(path: &str) -> String {
    match (path.find('<'), matching(path)) {
        (Some(begin), Some(end)) => {
            let before = path[..begin].trim_end_matches("::");
            format!("{before}{}", without_arguments(&path[end + 1..]))
        }
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_one_for_whatever_types_it_is_made() {
        for (symbol, expected) in [
            ("_RNvNtCsis4JeI0omGF_9slap_impl6master5inner", "master::inner"),
            ("_RNvMNtCsis4JeI0omGF_9slap_impl6masterNtB2_1M4open", "master::M::open"),
            ("_RNCNvMNtCsis4JeI0omGF_9slap_impl6masterNtB4_1M4open0B6_", "master::M::open"),
            ("_RINvNtCsis4JeI0omGF_9slap_impl6master4withlNCNvB4_4main0EB4_", "master::with"),
            ("_RINvNtCsis4JeI0omGF_9slap_impl6master4withuNCNvB4_4mains_0EB4_", "master::with"),
            (
                "_RNvMs0_NtCsis4JeI0omGF_9slap_impl6masterINtB5_1GINtNtCslNYArtu3iFV_5alloc3vec3VechEE5twiceB7_",
                "master::G::twice",
            ),
        ] {
            assert_eq!(function(symbol), expected, "{symbol}");
        }
        // What is no symbol of Rust's stays as it is.
        assert_eq!(
            function("<a::B<u8> as core::convert::From<c::D>>::from::<u8>"),
            "<a::B as core::convert::From<c::D>>::from"
        );
        assert_eq!(function("<a::B<fn(u8) -> u16>>::call"), "a::B::call");
    }

    const TRACE: &str = "\
SF:/somewhere/slap-impl/src/master/door.rs
FN:3,_RNvNtCsis4JeI0omGF_9slap_impl6master5inner
FNDA:0,_RNvNtCsis4JeI0omGF_9slap_impl6master5inner
FN:7,_RNvMNtCsis4JeI0omGF_9slap_impl6masterNtB2_1M4open
FNDA:0,_RNvMNtCsis4JeI0omGF_9slap_impl6masterNtB2_1M4open
FNDA:4,_RNCNvMNtCsis4JeI0omGF_9slap_impl6masterNtB4_1M4open0B6_
DA:3,0
DA:7,2
DA:8,4
LF:3
LH:2
end_of_record
SF:slap-impl/src/client/mod.rs
DA:1,1
end_of_record
SF:slap-impl/src/node/mod.rs
DA:1,1
end_of_record
SF:slap-impl/src/store/mod.rs
DA:1,0
end_of_record
SF:slap-impl/src/wire/mod.rs
FNDA:0,_RNvNtCsis4JeI0omGF_9slap_impl6master4else
DA:1,0
end_of_record
";

    #[test]
    fn lines_and_functions_are_counted_by_module() {
        let modules = Modules::read(TRACE).expect("it is a tracefile");
        assert_eq!(modules.files["master"]["master/door.rs"], Lines { total: 3, reached: 2 });
        assert!((modules.percent() - 100.0 * 4.0 / 6.0).abs() < 1e-9);
        let functions: Vec<(&str, bool)> =
            modules.functions.iter().map(|(name, is_reached)| (name.as_str(), *is_reached)).collect();
        assert_eq!(functions, [("master::M::open", true), ("master::inner", false)]);
        let table = modules.table(85.0);
        assert!(table.contains("  master/door.rs"), "{table}");
        assert_eq!(table.matches("below the floor").count(), 5, "{table}");
        assert!(!table.contains("client/mod.rs"), "{table}");
    }

    #[test]
    fn what_is_no_tracefile_is_refused() {
        for (text, expected) in [
            ("", "the tracefile says nothing of master"),
            ("SF:slap-impl/src/master/a.rs\nDA:1", "the tracefile has a line that is not understood: DA:1"),
            (
                "SF:slap-impl/src/master/a.rs\nFNDA:x,y",
                "the tracefile has a line that is not understood: FNDA:x,y",
            ),
        ] {
            assert_eq!(Modules::read(text), Err(expected.to_owned()), "{text}");
        }
    }
}
