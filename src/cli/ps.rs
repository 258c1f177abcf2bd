//! `casemate ps`: lists sandboxes, as the Engine and each PID 1 report them; of one user, with what
//! runs in them.

mod detail;
mod list;
mod watch;

use std::collections::HashMap;
use std::io::Write as _;

use super::user_args::find_user;
use super::{json, setup};
use crate::config::SettingsArgs;
use crate::engine::{Engine, EngineError};
use crate::identity::{Instance, Issuer, Subject, User};
use crate::ops::sandbox_entry::SandboxEntry;
use crate::provision::RepeatedSurvey;

/// Flags of `ps`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this user's sandboxes, in detail: the commands that run in them.
    #[arg(value_name = "USER")]
    name: Option<Subject>,
    /// The user's issuer, needed if several issuers have a user of this name.
    #[arg(long, requires = "name")]
    issuer: Option<Issuer>,
    /// Show the sizes of the workspaces. The Engine reads all files for it.
    #[arg(long)]
    size: bool,
    /// Look again 2 s after each look until Ctrl-C: the terminal is drawn again, and with --json each look is
    /// one line.
    #[arg(long, conflicts_with = "size")]
    watch: bool,
    /// Print JSON: an array with one object per sandbox.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// The sandboxes that were asked for, as they are at each look.
struct View {
    survey: RepeatedSurvey,
    instance: Instance,
    /// The only one whose sandboxes are shown.
    user: Option<User>,
    /// Of volumes, in bytes, by name; `None`: they were not asked for.
    sizes: Option<HashMap<String, u64>>,
}

/// Lists the sandboxes.
///
/// # Errors
/// A wrong setting, a name of no user or of several, or the Engine's.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    setup::runtime()?.block_on(async {
        let instance = config.instance;
        let user = match &args.name {
            Some(name) => Some(find_user(&engine, &instance, name, args.issuer.as_ref()).await?),
            None => None,
        };
        let mut view = View::new(&engine, instance, user);
        if args.watch {
            return watch::run(view, args.json).await;
        }
        if args.size {
            view.sizes = Some(engine.volume_sizes().await?);
        }
        let sandboxes = view.look().await?;
        let mut out = std::io::stdout().lock();
        if args.json {
            return json::write(&mut out, &sandboxes);
        }
        Ok(write!(out, "{}", view.text(&sandboxes))?)
    })
}

impl View {
    fn new(engine: &Engine, instance: Instance, user: Option<User>) -> Self {
        Self {
            survey: RepeatedSurvey::new(
                engine.clone(),
                instance.clone(),
                user.clone(),
                user.is_some(),
            ),
            instance,
            user,
            sizes: None,
        }
    }

    async fn look(&mut self) -> Result<Vec<SandboxEntry>, EngineError> {
        let found = self.survey.next().await?.into_iter();
        let sandbox = |live| SandboxEntry::new(live, &self.instance, self.sizes.as_ref());
        Ok(found.map(sandbox).collect())
    }

    fn text(&self, sandboxes: &[SandboxEntry]) -> String {
        match &self.user {
            Some(user) => detail::text(user, sandboxes),
            None if self.sizes.is_some() => list::table_with_sizes(sandboxes),
            None => list::table(sandboxes),
        }
    }
}
