//! The packages of the workspace, as cargo itself sees them.

use std::collections::HashMap;
use std::path::PathBuf;

use tinyjson::JsonValue;

use crate::Outcome;
use crate::command::Line;

/// One package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// The folder of its manifest.
    pub(crate) folder: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// One line of a package's manifest: what it asks for, not what that pulls in.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    /// The platform or cfg that it is limited to.
    pub(crate) only_for: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

/// A library, binary, test or bench.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// Its root file.
    pub(crate) file: PathBuf,
}

/// Asks cargo for the packages of this workspace.
pub(crate) fn packages() -> Outcome<Vec<Package>> {
    let json = Line::cargo("metadata --no-deps --format-version 1").read()?;
    let json = String::from_utf8(json).map_err(|e| format!("cargo metadata: {e}"))?;
    parse(&json).map_err(|problem| format!("cargo metadata: {problem}"))
}

fn parse(json: &str) -> Outcome<Vec<Package>> {
    let json: JsonValue = json.parse().map_err(|e| format!("{e}"))?;
    each(Object::of(&json)?.list("packages")?, package)
}

fn package(object: Object<'_>) -> Outcome<Package> {
    let manifest = PathBuf::from(object.text("manifest_path")?);
    Ok(Package {
        name: object.text("name")?,
        folder: manifest.parent().map(PathBuf::from).unwrap_or_default(),
        dependencies: each(object.list("dependencies")?, dependency)?,
        targets: each(object.list("targets")?, target)?,
    })
}

fn dependency(object: Object<'_>) -> Outcome<Dependency> {
    Ok(Dependency {
        name: object.text("name")?,
        kind: match object.optional_text("kind").as_deref() {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some("dev") => Kind::Dev,
            Some(other) => return Err(format!("unknown kind of dependency `{other}`")),
        },
        optional: object.get("optional")? == &JsonValue::Boolean(true),
        only_for: object.optional_text("target"),
    })
}

fn target(object: Object<'_>) -> Outcome<Target> {
    let kinds = object.list("kind")?;
    Ok(Target {
        name: object.text("name")?,
        kind: kinds
            .first()
            .and_then(|kind| kind.get::<String>().cloned())
            .ok_or("a target without a kind")?,
        file: PathBuf::from(object.text("src_path")?),
    })
}

fn each<T>(list: &[JsonValue], read: fn(Object<'_>) -> Outcome<T>) -> Outcome<Vec<T>> {
    list.iter().map(|value| read(Object::of(value)?)).collect()
}

/// A JSON object whose absent or odd fields are errors, not panics.
#[derive(Clone, Copy)]
struct Object<'a>(&'a HashMap<String, JsonValue>);

impl<'a> Object<'a> {
    fn of(value: &'a JsonValue) -> Outcome<Self> {
        value
            .get()
            .map(Self)
            .ok_or_else(|| "expected an object".to_owned())
    }

    fn get(self, field: &str) -> Outcome<&'a JsonValue> {
        self.0
            .get(field)
            .ok_or_else(|| format!("no field `{field}`"))
    }

    fn text(self, field: &str) -> Outcome<String> {
        let text = self.get(field)?.get::<String>();
        text.cloned()
            .ok_or_else(|| format!("`{field}` is not a string"))
    }

    fn optional_text(self, field: &str) -> Option<String> {
        self.0
            .get(field)
            .and_then(|value| value.get::<String>())
            .cloned()
    }

    fn list(self, field: &str) -> Outcome<&'a [JsonValue]> {
        let list = self.get(field)?.get::<Vec<JsonValue>>();
        list.map(Vec::as_slice)
            .ok_or_else(|| format!("`{field}` is not a list"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_from_what_cargo_prints() {
        let json = r#"{"packages": [{
            "name": "upper", "manifest_path": "/w/upper/Cargo.toml",
            "dependencies": [
                {"name": "lower", "kind": null, "optional": false, "target": null},
                {"name": "loom", "kind": "dev", "optional": true, "target": "cfg(log_loom)"}],
            "targets": [{"name": "upper", "kind": ["lib"], "src_path": "/w/upper/src/lib.rs"}]
        }]}"#;
        let packages = parse(json).unwrap();
        assert_eq!(packages[0].name, "upper");
        assert_eq!(packages[0].folder, PathBuf::from("/w/upper"));
        let [lower, loom] = packages[0].dependencies.as_slice() else {
            panic!("two dependencies");
        };
        assert_eq!(
            (lower.kind, lower.optional, &lower.only_for),
            (Kind::Normal, false, &None)
        );
        assert_eq!((loom.kind, loom.optional), (Kind::Dev, true));
        assert_eq!(loom.only_for.as_deref(), Some("cfg(log_loom)"));
        assert_eq!(packages[0].targets[0].kind, "lib");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(parse("{}").unwrap_err(), "no field `packages`");
        assert!(parse("[]").is_err());
        assert!(parse("{").is_err());
    }

    #[test]
    fn this_workspace_lists_its_own_package() {
        let packages = packages().unwrap();
        assert!(packages.iter().any(|package| package.name == "xtask"));
    }
}
