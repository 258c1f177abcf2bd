//! `casemate token`: a new token, shown once, and its entry for the server's file.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::http::auth::tokens::{self, TokenName};
use crate::identity::{Instance, SandboxName, Scope, Subject, User, hex};

/// Flags of `token`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    holder: HolderArgs,
    /// Scopes: tools, files
    #[arg(long, value_delimiter = ',', value_parser = scope, default_value = "tools,files")]
    scopes: Vec<Scope>,
    /// Append the entry to this file (created with mode 0600 if missing). Then only the token is
    /// printed.
    #[arg(long, value_name = "FILE")]
    append: Option<PathBuf>,
}

/// The holder: exactly one of them.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct HolderArgs {
    /// A token of this user, the same user as over stdio
    #[arg(long, value_name = "NAME")]
    user: Option<Subject>,
    /// A token for an application that has its own users: each request names one in X-Casemate-User
    #[arg(long, value_name = "NAME")]
    delegate: Option<TokenName>,
    /// A token of an operator, for the console at the admin address, with a name for people. Its entry
    /// belongs in a separate file, that of admin_tokens_file
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        default_missing_value = "operator",
        conflicts_with = "scopes"
    )]
    admin: Option<TokenName>,
}

/// Prints the token and its entry for the file. If standard output is a file or a pipe, it gets
/// only the entry, and the secret goes to standard error: `>> tokens.toml` must not store it.
///
/// # Errors
/// The system gives no random numbers, or the file or the output cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let token = tokens::generate()?;
    let table = table(&args, &token);
    let mut out = std::io::stdout().lock();
    if let Some(file) = &args.append {
        append(file, &table, args.holder.admin.is_some())
            .with_context(|| format!("cannot append to {}", file.display()))?;
        writeln!(std::io::stderr(), "Its entry is in {}.", file.display())?;
        writeln!(out, "{token}")?;
    } else if out.is_terminal() {
        writeln!(out, "{token}\n")?;
        writeln!(
            out,
            "# The token is above, and is not shown again. Append this to {}:",
            match args.holder.admin {
                Some(_) => "CASEMATE_ADMIN_TOKENS_FILE",
                None => "CASEMATE_TOKENS_FILE",
            }
        )?;
        write!(out, "{table}")?;
    } else {
        writeln!(
            std::io::stderr(),
            "The token, which is not shown again:\n\n{token}\n"
        )?;
        write!(out, "{table}")?;
    }
    Ok(())
}

/// Writes once, so that a server that reads the file sees the whole entry or nothing. A server keeps its
/// old tokens while the file is wrong, so an entry that would make it wrong is not written.
fn append(path: &Path, table: &str, is_admin: bool) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let mut before = String::new();
    file.read_to_string(&mut before)?;
    let gap = if before.is_empty() { "" } else { "\n" };
    let parse = match is_admin {
        true => tokens::parse_admin,
        false => tokens::parse,
    };
    parse(&path.into(), &format!("{before}{gap}{table}"))?;
    file.write_all(format!("{gap}{table}").as_bytes())?;
    Ok(file.sync_all()?)
}

fn scope(word: &str) -> Result<Scope, String> {
    Scope::from_word(word).ok_or_else(|| "the scopes are tools and files".to_owned())
}

fn table(args: &Args, token: &str) -> String {
    let sha256 = hex(&tokens::digest(token));
    if let Some(name) = &args.holder.admin {
        let (name, sha256) = (quoted(name.as_str()), quoted(&sha256));
        return format!("[[tokens]]\nname = {name}\nsha256 = {sha256}\nadmin = true\n");
    }
    let (name, holder) = match (&args.holder.user, &args.holder.delegate) {
        (Some(user), _) => (
            name(user, &sha256),
            format!("user = {}", quoted(user.as_str())),
        ),
        (None, delegate) => (
            delegate.as_ref().map_or("", TokenName::as_str).to_owned(),
            "delegate = true".to_owned(),
        ),
    };
    let scopes = args.scopes.iter().map(|scope| quoted(scope.as_str()));
    format!(
        "[[tokens]]\nname = {}\nsha256 = {}\n{holder}\nscopes = [{}]\n",
        quoted(&name),
        quoted(&sha256),
        scopes.collect::<Vec<_>>().join(", ")
    )
}

/// The readable part of the user's name, and enough of the digest to tell one user's tokens apart.
fn name(user: &Subject, sha256: &str) -> String {
    let sandbox = SandboxName::new(&Instance::default(), &User::local(user.clone()).into());
    let slug = sandbox
        .user_part()
        .rsplit_once('-')
        .map_or("user", |(slug, _)| slug);
    format!("{slug}-{}", &sha256[..8])
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::http::auth::tokens::{Holder, parse, parse_admin};
    use crate::identity::Scopes;

    #[derive(Debug, clap::Parser)]
    struct Verb {
        #[command(flatten)]
        args: Args,
    }

    fn args(flags: &[&str]) -> Result<Args, String> {
        let verb = Verb::try_parse_from([&["token"], flags].concat());
        verb.map(|verb| verb.args)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_server_reads_the_table_and_knows_the_token_by_it() {
        let user = |name: &str| Holder::User(name.parse().unwrap());
        let tools = Scopes::NONE.with(Scope::Tools);
        for (flags, holder, scopes) in [
            (&["--user", "alice"][..], user("alice"), Scopes::ALL),
            (
                &["--user", r#"a\" é/'#["#],
                user(r#"a\" é/'#["#),
                Scopes::ALL,
            ),
            (
                &["--user", "日本", "--scopes", "tools"],
                user("日本"),
                tools,
            ),
            (
                &["--delegate", "webapp", "--scopes", "tools,files"],
                Holder::Delegate,
                Scopes::ALL,
            ),
        ] {
            let table = table(&args(flags).unwrap(), "cm_secret");
            let tokens = parse(&Path::new("t.toml").into(), &table).unwrap();
            assert_eq!(tokens.len(), 1, "{table}");
            assert_eq!(tokens[0].digest, tokens::digest("cm_secret"));
            assert_eq!((&tokens[0].holder, tokens[0].scopes), (&holder, scopes));
            assert!(!table.contains("cm_secret"));
        }
    }

    #[test]
    fn a_token_of_an_operator_is_for_the_file_of_operators_alone() {
        for (flags, name) in [
            (&["--admin"][..], "operator"),
            (&["--admin", "night"], "night"),
        ] {
            let table = table(&args(flags).unwrap(), "cm_secret");
            let path = Path::new("t.toml").into();
            let tokens = parse_admin(&path, &table).unwrap();
            assert_eq!(tokens[0].holder, Holder::Admin);
            assert_eq!(tokens[0].digest, tokens::digest("cm_secret"));
            assert_eq!(tokens[0].name.as_str(), name);
            let refused = parse(&path, &table).unwrap_err().to_string();
            assert!(refused.contains("admin_tokens_file"), "{refused}");
        }
        let of_user = table(&args(&["--user", "a"]).unwrap(), "cm_secret");
        let refused = parse_admin(&Path::new("t.toml").into(), &of_user).unwrap_err();
        assert!(refused.to_string().contains("file of tokens_file"));
    }

    /// A server that runs keeps its old tokens while its file is wrong, also one that was withdrawn.
    #[test]
    fn an_entry_that_would_spoil_the_file_is_not_written() {
        let file = std::env::temp_dir().join(format!("tokens-{}", uuid::Uuid::new_v4().simple()));
        let of = |flags: &[&str]| table(&args(flags).unwrap(), &flags.concat());
        for (first, second) in [(false, true), (true, false)] {
            let entry = |is_admin| {
                of(if is_admin {
                    &["--admin"]
                } else {
                    &["--user", "a"]
                })
            };
            append(&file, &entry(first), first).unwrap();
            let before = std::fs::read_to_string(&file).unwrap();
            assert!(append(&file, &entry(second), second).is_err());
            assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
            let more = if first { "--admin=night" } else { "--user=b" };
            append(&file, &of(&[more]), first).unwrap();
            std::fs::remove_file(&file).unwrap();
        }
    }

    #[test]
    fn a_token_has_one_holder_and_known_scopes() {
        for (flags, message) in [
            (&[][..], "required"),
            (&["--user", "a", "--delegate", "b"], "cannot be used with"),
            (&["--user", ""], "blank"),
            (&["--delegate", "local"], "is not `local`"),
            (
                &["--delegate", "https://id.example.com"],
                "a token's name has",
            ),
            (
                &["--user", "a", "--scopes", "tools,all"],
                "the scopes are tools and files",
            ),
        ] {
            let error = args(flags).unwrap_err();
            assert!(error.contains(message), "{flags:?}: {error}");
        }
    }
}
